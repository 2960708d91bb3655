"""The training step of every baseline: losses in NumPy, gradients, overfitting."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.baselines import numpy_baselines, problems
from tfrec.baselines.task import PointwiseTask
from tfrec.training.optimizers import Adam

NAMES = tuple(problems.MODELS)
POINTWISE = tuple(name for name in NAMES if name != "sasrec")


def _task(model, num_negatives: int = 4) -> PointwiseTask:
    return PointwiseTask(model, problems.negatives(num_negatives), dict)


def _without_dropout(monkeypatch) -> None:
    """Scores of training are then those of serving."""
    for name in ("bst", "sasrec"):
        config = dataclasses.replace(problems.CONFIGS[name], dropout=0.0)
        monkeypatch.setitem(problems.CONFIGS, name, config)


def _softplus(logits: np.ndarray) -> np.ndarray:
    return np.log1p(np.exp(logits))


@pytest.mark.parametrize("name", POINTWISE)
def test_loss_is_the_cross_entropy_of_unmet_items(name, monkeypatch):
    _without_dropout(monkeypatch)
    model, batch = problems.model(name), problems.batch()
    task, context = _task(model), problems.context()
    items, labels, weights = task.negatives.candidates(batch, context.random_seed())
    items = {k: v.numpy() for k, v in items.items()}
    weights = weights.numpy()
    assert 0 < (weights == 0).sum() < weights[:, 1:].size
    logits = numpy_baselines.scores(model, name, batch, items)
    losses = np.where(labels.numpy() == 1, _softplus(-logits), _softplus(logits))
    found = task.step(batch, context)
    assert set(found) == {"cross_entropy"}
    expected = (weights * losses).mean()
    np.testing.assert_allclose(found["cross_entropy"], expected, rtol=1e-4)


def test_sasrec_is_trained_to_say_the_next_item_at_every_position(monkeypatch):
    _without_dropout(monkeypatch)
    model, batch = problems.model("sasrec"), problems.batch()
    task, context = _task(model), problems.context()
    shape = [problems.NUM_USERS, model.config.num_negatives]
    drawn = task.negatives.draw(shape, context.random_seed())["item"].numpy()
    met = problems.met_pairs()
    losses = []
    for b in range(problems.NUM_USERS):
        user, history = numpy_baselines.one_user(batch, b)
        outputs = numpy_baselines.sasrec_outputs(model, history["item"])
        unmet = [i for i in drawn[b] if (user["user"], i) not in met]
        negative = numpy_baselines.embed(
            model, {"item": np.array(unmet, int)}, model.item_field
        )
        targets = [*history["item"][1:], batch["candidates"]["item"][b, 0]]
        for output, target in zip(outputs, targets, strict=False):
            positive = numpy_baselines.embed(model, {"item": target}, model.item_field)
            wrong = _softplus(negative @ output).sum() / max(len(unmet), 1)
            losses.append(_softplus(-positive @ output) + wrong)
    found = task.step(batch, context)
    assert len(losses) == (batch["history"]["item"] != 0).sum()
    np.testing.assert_allclose(found["cross_entropy"], np.mean(losses), rtol=1e-4)


def test_sasrec_is_causal():
    model = problems.model("sasrec")
    item_ids = problems.batch()["history"]["item"][-1:]
    assert (item_ids != 0).all()
    changed = item_ids.copy()
    changed[0, 3] = changed[0, 3] % problems.NUM_ITEMS + 1
    before, after = model.encode(item_ids).numpy(), model.encode(changed).numpy()
    same = np.isclose(before, after, rtol=1e-5, atol=1e-6).all(axis=-1)
    np.testing.assert_array_equal(same, [[True, True, True, False, False, False]])


@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_every_variable(name):
    model, batch = problems.model(name), problems.batch()
    task = _task(model, num_negatives=30)
    variables = model.trainable_variables
    with tf.GradientTape() as tape:
        losses = task.step(batch, problems.context())
        total = tf.add_n(list(losses.values()))
    gradients = tape.gradient(total, [v.value for v in variables])
    for variable, gradient in zip(variables, gradients, strict=True):
        assert gradient is not None, variable.path
        largest = np.abs(tf.convert_to_tensor(gradient)).max()
        if "key/bias" not in variable.path:  # a softmax does not see it
            assert largest > 0, variable.path
        if variable.path.endswith("embeddings"):
            assert isinstance(gradient, tf.IndexedSlices), variable.path


@pytest.mark.parametrize("name", NAMES)
def test_overfits_one_batch(name, monkeypatch):
    _without_dropout(monkeypatch)
    keras.utils.set_random_seed(0)
    model = problems.MODELS[name](problems.CONFIGS[name], problems.SCHEMA)
    task, batch, optimizer = _task(model), problems.batch(), Adam(0.02)
    optimizer.build(model.trainable_variables)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = task.step(batch, problems.context())["cross_entropy"]
        variables = model.trainable_variables
        gradients = tape.gradient(loss, [v.value for v in variables])
        optimizer.apply(gradients, variables)
        return loss

    first = float(step())
    for _ in range(200):
        last = float(step())
    assert last < 0.1 * first


@pytest.mark.parametrize("name", ["bst", "sasrec"])
def test_dropout_is_of_training_alone(name):
    model, batch = problems.model(name), problems.batch()
    serving, again = (model.user_state(batch)["user"] for _ in range(2))
    training = model.user_state(batch, training=True)["user"]
    np.testing.assert_array_equal(serving, again)
    assert not np.allclose(serving, training)


def test_validate_is_the_callers():
    task = PointwiseTask(
        problems.model("dssm"), problems.negatives(4), lambda: {"recall": 0.5}
    )
    assert task.validate() == {"recall": 0.5}
