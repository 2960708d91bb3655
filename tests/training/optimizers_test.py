"""Row-sparse optimisers: Keras's dense ones are the oracle where they must agree."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrec.training import Adagrad, Adam, AdamW, TrainingConfig, make_optimizer

ROWS, WIDTH, STEPS = 7, 3, 6
PAIRS = {
    "adam": (lambda: Adam(0.1), lambda: keras.optimizers.Adam(0.1)),
    "adamw": (
        lambda: AdamW(0.1, weight_decay=0.3),
        lambda: keras.optimizers.AdamW(0.1, weight_decay=0.3),
    ),
    "adagrad": (lambda: Adagrad(0.1), lambda: keras.optimizers.Adagrad(0.1)),
}


def _table(rows=ROWS):
    values = np.random.default_rng(0).normal(size=(rows, WIDTH)).astype("float32")
    return keras.Variable(values, name="table")


def _slices(indices, seed, rows=ROWS):
    values = np.random.default_rng(seed).normal(size=(len(indices), WIDTH))
    return tf.IndexedSlices(
        tf.constant(values, tf.float32),
        tf.constant(indices, tf.int64),
        tf.constant([rows, WIDTH], tf.int64),
    )


def _dense(slices):
    total = np.zeros((ROWS, WIDTH), "float32")
    np.add.at(total, slices.indices.numpy(), slices.values.numpy())
    return tf.constant(total)


def _slots(optimizer):
    return [v.numpy() for v in optimizer.variables if v.shape == (ROWS, WIDTH)]


@pytest.mark.parametrize("name", PAIRS)
def test_equals_keras_when_all_rows_are_touched(name):
    (make_ours, make_theirs), ours, theirs = PAIRS[name], _table(), _table()
    optimizer, oracle = make_ours(), make_theirs()
    rng = np.random.default_rng(1)
    for step in range(STEPS):
        indices = np.concatenate([rng.permutation(ROWS), rng.integers(0, ROWS, 5)])
        slices = _slices(indices, step)
        optimizer.apply([slices], [ours])
        oracle.apply([_dense(slices)], [theirs])
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-5, atol=1e-6)
    for mine, its in zip(_slots(optimizer), _slots(oracle), strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", PAIRS)
def test_dense_gradients_take_the_path_of_keras(name):
    (make_ours, make_theirs), ours, theirs = PAIRS[name], _table(), _table()
    optimizer, oracle = make_ours(), make_theirs()
    for step in range(STEPS):
        gradient = _dense(_slices([0, 3, 5], step))
        optimizer.apply([gradient], [ours])
        oracle.apply([gradient], [theirs])
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


@pytest.mark.parametrize("name", PAIRS)
def test_rows_without_a_gradient_keep_their_bytes(name):
    table, optimizer = _table(), PAIRS[name][0]()
    optimizer.apply([_slices(range(ROWS), 0)], [table])
    before, slots_before = table.numpy(), _slots(optimizer)
    optimizer.apply([_slices([2, 5, 2], 1)], [table])
    touched = np.isin(np.arange(ROWS), [2, 5])
    for old, new in zip(
        [before, *slots_before], [table.numpy(), *_slots(optimizer)], strict=True
    ):
        assert old[~touched].tobytes() == new[~touched].tobytes()
        assert np.all(old[touched] != new[touched])


@pytest.mark.parametrize("decay", [None, 0.2])
def test_adam_follows_its_equations_where_rows_are_rare(decay):
    table = _table()
    optimizer = Adam(0.1, weight_decay=decay)
    expected = table.numpy().astype("float64")
    m, v = np.zeros_like(expected), np.zeros_like(expected)
    for step, rows in enumerate([[1, 4, 1], [4], [0, 1, 1, 1], [6]], start=1):
        slices = _slices(rows, step)
        optimizer.apply([slices], [table])
        gradient, rows = _dense(slices).numpy(), np.unique(rows)
        m[rows] = 0.9 * m[rows] + 0.1 * gradient[rows]
        v[rows] = 0.999 * v[rows] + 0.001 * gradient[rows] ** 2
        rate = 0.1 * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
        expected[rows] *= 1 - 0.1 * (decay or 0)
        expected[rows] -= rate * m[rows] / (np.sqrt(v[rows]) + 1e-7)
    np.testing.assert_allclose(table.numpy(), expected, rtol=1e-4, atol=1e-5)


def test_adagrad_equals_keras_where_rows_are_rare():
    ours, theirs = _table(), _table()
    optimizer, oracle = Adagrad(0.1), keras.optimizers.Adagrad(0.1)
    for step, rows in enumerate([[1, 4, 1], [4], [0, 1, 1, 1], [6]]):
        slices = _slices(rows, step)
        optimizer.apply([slices], [ours])
        oracle.apply([_dense(slices)], [theirs])
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-6)


@pytest.mark.parametrize("name", PAIRS)
def test_no_op_of_a_step_makes_a_tensor_of_the_tables_size(name):
    num_rows = 12345
    table, optimizer = _table(num_rows), PAIRS[name][0]()
    optimizer.build([table])

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.gather(table.value, [3, 9, 3]) ** 2)
        optimizer.apply(tape.gradient(loss, [table.value]), [table])

    whole = [
        op.name
        for op in step.get_concrete_function().graph.get_operations()
        for output in op.outputs
        if output.shape.rank and num_rows in output.shape.as_list()
    ]
    assert whole == []
    before = table.numpy()
    step()
    assert np.flatnonzero((table.numpy() != before).any(axis=1)).tolist() == [3, 9]


@pytest.mark.parametrize("name", PAIRS)
def test_config_round_trip(name):
    optimizer = PAIRS[name][0]()
    config = optimizer.get_config()
    again = type(optimizer).from_config(config)
    assert again.get_config() == config
    tables = [_table(), _table()]
    for each, table in zip([optimizer, again], tables, strict=True):
        each.apply([_slices([1, 2], 0)], [table])
    np.testing.assert_array_equal(tables[0].numpy(), tables[1].numpy())


def test_make_optimizer_takes_the_configs_numbers():
    config = TrainingConfig(optimizer="adamw", learning_rate=0.25, weight_decay=0.5)
    optimizer = make_optimizer(config)
    assert type(optimizer) is AdamW
    assert float(optimizer.learning_rate) == 0.25
    assert optimizer.weight_decay == 0.5
    assert type(make_optimizer(TrainingConfig(optimizer="adagrad"))) is Adagrad
    assert type(make_optimizer(TrainingConfig(optimizer="adam"))) is Adam


@pytest.mark.parametrize("name", ["adam", "adagrad"])
def test_the_learning_rate_falls_on_a_line_to_its_final_value(name):
    config = TrainingConfig(
        optimizer=name, learning_rate=0.4, final_learning_rate=0.1, decay_steps=3
    )
    optimizer, table = make_optimizer(config), _table()
    rates, moves = [], []
    for _ in range(5):
        before = table.numpy()
        rates.append(float(optimizer.learning_rate))
        ones = tf.IndexedSlices(tf.ones((1, WIDTH)), tf.constant([2]))
        optimizer.apply([ones], [table])
        moves.append(float((before - table.numpy())[2, 0]))
    np.testing.assert_allclose(rates, [0.4, 0.3, 0.2, 0.1, 0.1], rtol=1e-6)
    sizes = 1.0 if name == "adam" else 1 / np.sqrt(0.1 + np.arange(1, 6))
    np.testing.assert_allclose(moves, np.multiply(rates, sizes), rtol=1e-4)
