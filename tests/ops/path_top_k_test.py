"""PathTopK and its twin against eq. 14 in NumPy, path by path."""

import numpy as np
import pytest
import tensorflow as tf

from tests.ops.path_problems import (
    BOTH,
    DTYPES,
    IMPLEMENTATIONS,
    WRAPS,
    check,
    known_inputs,
    oracle,
    random_case,
    softplus,
)
from tfrec import ops

INDEX = ["neighbours", "similarities", "row_splits", "item_vectors", "available"]


@WRAPS
@BOTH
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@pytest.mark.parametrize(
    ("batch_size", "num_items", "num_triggers", "max_degree", "width", "k", "paths"),
    [
        (0, 10, 4, 3, 2, 3, 1),
        (2, 0, 3, 0, 2, 2, 1),
        (1, 1, 1, 1, 1, 1, 1),
        (2, 5, 0, 3, 4, 2, 2),
        (3, 17, 5, 0, 3, 4, 0),
        (3, 40, 7, 9, 0, 5, 3),
        (4, 90, 6, 17, 16, 7, 2),
        (3, 300, 33, 40, 67, 64, 5),
    ],
)
def test_forward(
    implementation,
    wrap,
    dtype,
    batch_size,
    num_items,
    num_triggers,
    max_degree,
    width,
    k,
    paths,
):
    rng = np.random.default_rng(1)
    case = random_case(
        rng, batch_size, num_items, num_triggers, max_degree, width, dtype
    )
    outputs = wrap(implementation)(**case, k=k, num_paths=paths)
    check(outputs, oracle(**case, k=k, num_paths=paths))


@BOTH
def test_equation_14(implementation):
    """Worked out by hand: user . item is .5, -1, -1, 3."""
    outputs = implementation(**known_inputs(num_paths=2))
    ids, scores, triggers, contributions = (t.numpy() for t in outputs)
    expected = {
        3: softplus(3.0) + softplus(2.0 - 3.0),
        0: softplus(0.5) + softplus(2.0 + 0.0),
        2: softplus(-1.0) + softplus(1.0 - 1.0) + softplus(2.0 + 0.25),
        1: softplus(-1.0) + softplus(1.0 + 0.5),
    }
    best = sorted(expected, key=expected.get, reverse=True)
    assert ids.tolist() == [[*best, -1]]
    np.testing.assert_allclose(scores[0, :4], [expected[i] for i in best], 1e-6)
    assert scores[0, 4] == -np.inf
    rank = best.index(2)
    assert triggers[0, rank].tolist() == [1, 0]
    np.testing.assert_allclose(contributions[0, rank], softplus([2.25, 0.0]), 1e-6)
    assert triggers[0, best.index(1)].tolist() == [0, -1]
    assert contributions[0, best.index(1), 1] == 0.0
    assert triggers[0, 4].tolist() == [-1, -1]


@BOTH
def test_scores_add_up(implementation):
    """With every path and no direct one, the contributions are the score."""
    case = random_case(np.random.default_rng(5), 4, 60, 9, 12, 0, np.int64)
    ids, scores, triggers, contributions = implementation(**case, k=20, num_paths=60)
    is_real = ids.numpy() >= 0
    assert is_real.sum() > 0
    np.testing.assert_allclose(
        contributions.numpy().sum(-1)[is_real], scores.numpy()[is_real], 1e-5
    )
    assert ((triggers.numpy() >= 0) == (contributions.numpy() > 0)).all()


@BOTH
def test_without_vectors_the_direct_path_is_left_out(implementation):
    changes = {"user_vectors": np.zeros((1, 0)), "item_vectors": np.zeros((4, 0))}
    changes = {name: array.astype(np.float32) for name, array in changes.items()}
    _, scores, *_ = implementation(**known_inputs(**changes, k=1))
    expected = softplus(0.0) + softplus(2.25)
    np.testing.assert_allclose(scores, [[expected]], 1e-6)


@BOTH
def test_excluded_and_delisted_items_are_left_out(implementation):
    ids, *_ = implementation(**known_inputs(excluded=[[3, -1, 2]]))
    assert sorted(ids.numpy()[0].tolist()) == [-1, -1, -1, 0, 1]
    ids, *_ = implementation(**known_inputs(available=[False, True, True, True]))
    assert sorted(ids.numpy()[0].tolist()) == [-1, -1, 1, 2, 3]
    ids, *_ = implementation(**known_inputs(available=[False] * 4))
    assert ids.numpy().tolist() == [[-1] * 5]
    ids, *_ = implementation(**known_inputs(excluded=np.zeros((1, 0), np.int32)))
    assert sorted(ids.numpy()[0].tolist()) == [-1, 0, 1, 2, 3]


@BOTH
def test_a_repeated_trigger_counts_each_time(implementation):
    changes = {"triggers": [[0, 0, -1]], "weights": [[1.0, 1.0, np.nan]]}
    outputs = implementation(**known_inputs(**changes, k=1, num_paths=3))
    ids, scores, triggers, contributions = (t.numpy() for t in outputs)
    assert ids.tolist() == [[1]]
    path = softplus(1.5)
    np.testing.assert_allclose(scores, [[softplus(-1.0) + 2 * path]], 1e-6)
    assert triggers.tolist() == [[[0, 0, -1]]]
    np.testing.assert_allclose(contributions, [[[path, path, 0.0]]], 1e-6)


@BOTH
def test_ties_go_to_the_smaller_id(implementation):
    """Items and triggers alike, through lists longer than a block of lanes."""
    num_items = 400
    rng = np.random.default_rng(6)
    items = np.stack([rng.permutation(num_items) for _ in range(3)])
    case = {
        "triggers": [[7, 3, 5]],
        "weights": [[0.7, 0.7, 0.7]],
        "neighbours": items.reshape(-1),
        "similarities": np.full(3 * num_items, 0.1),
        "row_splits": np.repeat([0, 400, 800, 1200], [4, 2, 2, num_items - 7]),
        "user_vectors": [[0.3] * 20],
        "item_vectors": np.full((num_items, 20), 0.9),
        "excluded": [[0]],
        "available": np.ones(num_items, bool),
        "k": 50,
        "num_paths": 2,
    }
    ids, scores, triggers, _ = implementation(**known_inputs(**case))
    assert ids.numpy().tolist() == [list(range(1, 51))]
    assert len(set(scores.numpy()[0].tolist())) == 1
    assert triggers.numpy()[0].tolist() == [[3, 5]] * 50


def test_softplus_is_exact():
    """One path an item: the op's softplus over its whole range."""
    sums = np.concatenate([np.linspace(-87, 60, 100_001), [0.0, -0.0, 1e-30, 3e38]])
    num_items = len(sums)
    case = known_inputs(
        triggers=[[0]],
        weights=[[0.0]],
        neighbours=np.arange(num_items, dtype=np.int32),
        similarities=sums.astype(np.float32),
        row_splits=np.append(0, np.full(num_items, num_items)),
        user_vectors=np.zeros((1, 0), np.float32),
        item_vectors=np.zeros((num_items, 0), np.float32),
        k=num_items,
    )
    ids, scores, *_ = ops.path_top_k(**case)
    expected = softplus(case["similarities"])[ids.numpy()[0]]
    np.testing.assert_allclose(scores.numpy()[0], expected, 1e-6)


def test_softplus_ends_at_0():
    """Below -87 a path counts nothing, but it is a path."""
    similarities = np.full(7, -88.0, np.float32)
    case = known_inputs(triggers=[[3]], weights=[[0.0]], similarities=similarities)
    case["user_vectors"] = np.full((1, 2), -100.0, np.float32)
    case["item_vectors"] = np.ones((4, 2), np.float32)
    outputs = ops.path_top_k(**case, num_paths=1)
    assert outputs[0].numpy().tolist() == [[1, 2, -1, -1, -1]]
    assert outputs[1].numpy()[0, :2].tolist() == [0.0, 0.0]
    assert outputs[2].numpy().tolist() == [[[3], [3], [-1], [-1], [-1]]]


@pytest.mark.parametrize(
    ("implementation", "num_cases"),
    [(ops.path_top_k, 2_000), (ops.path_top_k_reference, 100)],
)
def test_random_cases(implementation, num_cases):
    rng = np.random.default_rng(2)
    for number in range(num_cases):
        sizes = rng.integers([0, 0, 0, 0, 0], [4, 60, 8, 9, 20])
        case = random_case(rng, *sizes, (np.int32, np.int64)[number % 2])
        size = {"k": int(rng.integers(1, 12)), "num_paths": int(rng.integers(0, 4))}
        check(implementation(**case, **size), oracle(**case, **size))


def test_rows_are_independent():
    """A user's bytes do not depend on the rest of the batch, nor on the user before."""
    rng = np.random.default_rng(7)
    case = random_case(rng, 12, 3_000, 20, 50, 32, np.int64)
    together = ops.path_top_k(**case, k=40, num_paths=3)
    of_users = ["triggers", "weights", "user_vectors", "excluded"]
    for user in reversed(range(12)):
        row = {name: case[name][user : user + 1] for name in of_users}
        alone = ops.path_top_k(**{**case, **row}, k=40, num_paths=3)
        for one, all_users in zip(alone, together, strict=True):
            assert one.numpy().tobytes() == all_users[user].numpy().tobytes()


def test_k_is_a_tensor():
    """The number of results may differ from call to call of one graph."""
    case = {name: value for name, value in known_inputs().items() if name != "k"}
    for implementation in IMPLEMENTATIONS:
        function = tf.function(
            lambda k, f=implementation: f(**case, k=k),
            input_signature=[tf.TensorSpec([], tf.int32)],
        )
        assert function.get_concrete_function().output_shapes[0].as_list() == [1, None]
        for k in (1, 3, 6):
            assert function(k)[0].shape == (1, k)


@BOTH
def test_static_shape(implementation):
    index = {n: known_inputs()[n] for n in INDEX}
    function = tf.function(
        lambda triggers, weights, user_vectors, excluded: implementation(
            triggers=triggers,
            weights=weights,
            user_vectors=user_vectors,
            excluded=excluded,
            k=3,
            num_paths=2,
            **index,
        )
    )

    def shapes(batch_size, num_triggers):
        concrete = function.get_concrete_function(
            tf.TensorSpec([batch_size, num_triggers], tf.int32),
            tf.TensorSpec([batch_size, num_triggers], tf.float32),
            tf.TensorSpec([batch_size, 2], tf.float32),
            tf.TensorSpec([batch_size, None], tf.int32),
        )
        return [shape.as_list() for shape in concrete.output_shapes]

    assert shapes(4, None) == [[4, 3], [4, 3], [4, 3, 2], [4, 3, 2]]
    assert shapes(None, 5) == [[None, 3], [None, 3], [None, 3, 2], [None, 3, 2]]


def test_static_shape_merges_batch():
    """The op takes B from whichever input knows it."""
    unknown = [2, 2, 1, 1, 1, 2, 2, 2, 1, 0]
    for known in (0, 1, 5, 7):
        specs = [[None] * rank for rank in unknown]
        specs[known][0] = 6
        dtypes = [*DTYPES.values()]
        dtypes.insert(4, np.int64)
        concrete = tf.function(ops.path_top_k).get_concrete_function(
            *map(tf.TensorSpec, specs, [*dtypes, np.int32])
        )
        shapes = [shape.as_list() for shape in concrete.output_shapes]
        assert shapes == [[6, None], [6, None], [6, None, 0], [6, None, 0]]


def test_no_gradient():
    with pytest.raises(KeyError, match="Tfrec>PathTopK"):
        tf.no_gradient("Tfrec>PathTopK")  # a second registration is refused
    inputs = {n: tf.constant(v) for n, v in known_inputs().items()}
    with tf.GradientTape() as tape:
        tape.watch(inputs["weights"])
        _, scores, *_ = ops.path_top_k(**inputs)
        loss = tf.reduce_sum(scores[:, :1]) + tf.reduce_sum(inputs["weights"] ** 2)
    gradient = tape.gradient(loss, inputs["weights"])
    assert gradient.numpy().tolist() == [[2.0, 4.0, 18.0]]


LOAD = """
import sys
import numpy as np
import tensorflow as tf
folder, library = sys.argv[1:]
if library:
    tf.load_op_library(library)
model = tf.saved_model.load(folder)
inputs = dict(np.load(folder + "/inputs.npz"))
outputs = model.call(**{n: tf.constant(v) for n, v in inputs.items()})
np.savez(folder + "/outputs.npz", *(t.numpy() for t in outputs))
assert "tfrec" not in sys.modules
"""


@BOTH
def test_saved_model(implementation, tmp_path, run_python):
    case = random_case(np.random.default_rng(3), 3, 200, 20, 9, 8, np.int64)
    of_user = ["triggers", "weights", "user_vectors", "excluded"]
    query = {name: case[name] for name in of_user}
    module = tf.Module()
    module.index = {n: tf.Variable(v) for n, v in case.items() if n not in query}
    module.call = tf.function(
        lambda k, **query: implementation(**query, **module.index, k=k, num_paths=3)
    )
    specs = {
        name: tf.TensorSpec([None, 8 if name == "user_vectors" else None], v.dtype)
        for name, v in query.items()
    }
    signature = module.call.get_concrete_function(
        k=tf.TensorSpec([], tf.int32, "k"), **specs
    )
    tf.saved_model.save(module, str(tmp_path), signatures={"call": signature})
    np.savez(tmp_path / "inputs.npz", k=np.int32(11), **query)

    is_op = implementation is ops.path_top_k
    run_python(LOAD, tmp_path, ops.library_path() if is_op else "")
    outputs = [tf.constant(a) for a in np.load(tmp_path / "outputs.npz").values()]
    check(outputs, oracle(**case, k=11, num_paths=3))


THREADS = """
import hashlib, sys
import numpy as np
import tensorflow as tf
tf.config.threading.set_intra_op_parallelism_threads(int(sys.argv[1]))
tf.config.threading.set_inter_op_parallelism_threads(int(sys.argv[1]))
from tfrec import ops
rng = np.random.default_rng(4)
N = 20_000
outputs = ops.path_top_k(
    triggers=rng.integers(-1, N, (64, 30), np.int32),
    weights=rng.normal(size=(64, 30)).astype(np.float32) * 20,
    neighbours=rng.integers(0, N, N * 20, np.int32),
    similarities=rng.normal(size=N * 20).astype(np.float32) * 40,
    row_splits=np.arange(N + 1) * 20,
    user_vectors=rng.normal(size=(64, 24)).astype(np.float32),
    item_vectors=rng.normal(size=(N, 24)).astype(np.float32),
    excluded=rng.integers(-1, N, (64, 9), np.int32),
    available=rng.random(N) < 0.9,
    k=100,
    num_paths=4,
)
print(hashlib.sha256(b"".join(t.numpy().tobytes() for t in outputs)).hexdigest())
"""


def test_threads(run_python):
    digests = {run_python(THREADS, str(num_threads)) for num_threads in (1, 2, 8)}
    assert len(digests) == 1
