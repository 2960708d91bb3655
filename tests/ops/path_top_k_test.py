"""PathTopK and its twin against eq. 14 in NumPy, path by path."""

import numpy as np
import pytest
import tensorflow as tf

from tfrec import ops

IMPLEMENTATIONS = [ops.path_top_k, ops.path_top_k_reference]
BOTH = pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
WRAPS = pytest.mark.parametrize(
    "wrap", [lambda f: f, tf.function], ids=["eager", "function"]
)
DTYPES = {
    "triggers": np.int32,
    "weights": np.float32,
    "neighbours": np.int32,
    "similarities": np.float32,
    "user_vectors": np.float32,
    "item_vectors": np.float32,
    "excluded": np.int32,
    "available": np.bool_,
}

INDEX = ["neighbours", "similarities", "row_splits", "item_vectors", "available"]


def softplus(x):
    return np.logaddexp(0.0, np.asarray(x, np.float64))


def known_inputs(**changes):
    """Items 0 to 3 with the lists 0: 1 2, 1: 2 0 3, 2: nothing, 3: 2 1; one user."""
    inputs = {
        "triggers": [[0, 1, -1]],
        "weights": [[1.0, 2.0, 9.0]],
        "neighbours": [1, 2, 2, 0, 3, 2, 1],
        "similarities": [0.5, -1.0, 0.25, 0.0, -3.0, 4.0, 5.0],
        "row_splits": [0, 2, 5, 5, 7],
        "user_vectors": [[1.0, -2.0]],
        "item_vectors": [[0.5, 0.0], [0.0, 0.5], [1.0, 1.0], [3.0, 0.0]],
        "excluded": [[-1]],
        "available": [],
        "k": 5,
    }
    inputs |= changes
    return {
        name: np.array(value, DTYPES[name]) if name in DTYPES else value
        for name, value in inputs.items()
    }


def oracle(
    triggers,
    weights,
    neighbours,
    similarities,
    row_splits,
    user_vectors,
    item_vectors,
    excluded,
    available,
    k,
    num_paths=0,
):
    """A dict of lists of paths a user, in float64."""
    batch_size = len(triggers)
    ids = np.full((batch_size, k), -1)
    scores = np.full((batch_size, k), -np.inf)
    path_triggers = np.full((batch_size, k, num_paths), -1)
    contributions = np.zeros((batch_size, k, num_paths))
    for user in range(batch_size):
        paths = {}
        for trigger, weight in zip(triggers[user], weights[user], strict=True):
            begin, end = (0, 0) if trigger < 0 else row_splits[trigger : trigger + 2]
            for entry in range(begin, end):
                item = neighbours[entry]
                if item in excluded[user] or (len(available) and not available[item]):
                    continue
                path = (-softplus(weight + similarities[entry]), trigger)
                paths.setdefault(item, []).append(path)
        totals = []
        for item, item_paths in paths.items():
            product = np.dot(user_vectors[user].astype(float), item_vectors[item])
            direct = softplus(product) if user_vectors.shape[1] else 0.0
            totals.append((-direct + sum(c for c, _ in item_paths), item))
        for rank, (total, item) in enumerate(sorted(totals)[:k]):
            ids[user, rank], scores[user, rank] = item, -total
            for place, (c, trigger) in enumerate(sorted(paths[item])[:num_paths]):
                path_triggers[user, rank, place] = trigger
                contributions[user, rank, place] = -c
    return ids, scores, path_triggers, contributions


def random_case(rng, batch_size, num_items, num_triggers, max_degree, width, dtype):
    """Triggers with pads and repeats, lists with repeats, items that are left out."""
    degrees = rng.integers(0, max_degree + 1, num_items)
    row_splits = np.concatenate([[0], np.cumsum(degrees)]).astype(dtype)
    num_entries = row_splits[-1]

    def floats(*shape):
        return rng.normal(size=shape).astype(np.float32)

    lowest = -1 if num_items else 0
    size = (batch_size, num_triggers if num_items else 0)
    return {
        "triggers": rng.integers(lowest, max(num_items, 1), size, np.int32),
        "weights": floats(*size),
        "neighbours": rng.integers(0, max(num_items, 1), num_entries, np.int32),
        "similarities": floats(num_entries),
        "row_splits": row_splits,
        "user_vectors": floats(batch_size, width),
        "item_vectors": floats(num_items, width),
        "excluded": rng.integers(-1, max(num_items, 1), (batch_size, 3), np.int32)
        if num_items
        else np.full((batch_size, 3), -1, np.int32),
        "available": rng.random(num_items) < 0.8
        if rng.random() < 0.7
        else np.zeros(0, bool),
    }


def check(outputs, expected):
    """Compares ids and path triggers exactly, numbers within 1e-5."""
    dtypes = [np.int32, np.float32, np.int32, np.float32]
    assert [t.dtype.as_numpy_dtype for t in outputs] == dtypes
    np.testing.assert_array_equal(outputs[0], expected[0])
    np.testing.assert_allclose(outputs[1], expected[1], rtol=1e-5)
    np.testing.assert_array_equal(outputs[2], expected[2])
    np.testing.assert_allclose(outputs[3], expected[3], rtol=1e-5)


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


# The name of what is wrong, the changes that make it so, and the rule.
SHAPE_ERRORS = [
    ("triggers", {"triggers": [0, 1, -1]}, "rank 2"),
    ("weights", {"weights": [1.0, 2.0, 9.0]}, "rank 2"),
    ("weights", {"weights": [[1.0, 2.0]]}, "of the shape of `triggers`"),
    ("weights", {"weights": [[1.0] * 3] * 2}, "of the "),
    ("neighbours", {"neighbours": [[1, 2, 2, 0, 3, 2, 1]]}, "rank 1"),
    ("similarities", {"similarities": [[1.0] * 7]}, "rank 1"),
    ("similarities", {"similarities": [1.0] * 6}, "of the shape of `neighbours`"),
    ("row_splits", {"row_splits": [[0, 2, 5, 5, 7]]}, "rank 1"),
    ("row_splits", {"row_splits": np.zeros(0, np.int64)}, "of at least 1 element"),
    ("user_vectors", {"user_vectors": [1.0, 2.0]}, "rank 2"),
    ("user_vectors", {"user_vectors": [[1.0, 2.0]] * 2}, "of the batch size"),
    ("item_vectors", {"item_vectors": [1.0] * 4}, "rank 2"),
    ("item_vectors", {"item_vectors": [[1.0]] * 4}, "(of the width|`.N, D.`)"),
    ("item_vectors", {"item_vectors": [[1.0, 2.0]] * 3}, "(of a row|`.N, D.`)"),
    ("excluded", {"excluded": [-1]}, "rank 2"),
    ("excluded", {"excluded": [[-1]] * 3}, "of the batch size"),
    ("available", {"available": [[True] * 4]}, "rank 1"),
    ("available", {"available": [True] * 5}, "(of a row|`.N,.` or `.0,.`)"),
    ("k", {"k": [5]}, "rank 0"),
]


@pytest.mark.parametrize(("name", "changes", "rule"), SHAPE_ERRORS)
def test_shape_errors(name, changes, rule):
    inputs = {n: tf.constant(v) for n, v in known_inputs(**changes).items()}
    message = f"`{name}` must be {rule}"
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        ops.path_top_k(**inputs)
    with pytest.raises(ValueError, match=r"must be (rank|equal|of a)"):
        tf.function(ops.path_top_k).get_concrete_function(**inputs)
    unknown = {n: tf.TensorSpec(None, v.dtype, n) for n, v in inputs.items()}
    function = tf.function(ops.path_top_k).get_concrete_function(**unknown)
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        function(**inputs)
    with pytest.raises((tf.errors.InvalidArgumentError, ValueError), match=message):
        ops.path_top_k_reference(**inputs)


def test_number_of_paths_must_not_be_negative():
    inputs = known_inputs(num_paths=-1)
    with pytest.raises(tf.errors.InvalidArgumentError, match="at least minimum 0"):
        ops.path_top_k(**inputs)
    with pytest.raises(ValueError, match="`num_paths` must be at least 0"):
        ops.path_top_k_reference(**inputs)


def test_outputs_that_do_not_fit_are_refused():
    """A size that overflows is an error, not the end of the process."""
    inputs = known_inputs(k=2**31 - 1, num_paths=2**62)
    with pytest.raises((tf.errors.InvalidArgumentError, ValueError)):
        ops.path_top_k(**inputs)


SIMILARITIES = [0.5, -1.0, 0.25, 0.0, -3.0, 4.0, 5.0]
VECTORS = [[0.5, 0.0], [0.0, 0.5], [1.0, 1.0], [3.0, 0.0]]
# What is wrong, the change that makes it so, and what the op received.
VALUE_ERRORS = {
    "triggers_4": ({"triggers": [[0, 1, 4]]}, r"triggers\[0, 2\]=4"),
    "triggers_-2": ({"triggers": [[0, -2, 1]]}, r"triggers\[0, 1\]=-2"),
    "triggers_min": ({"triggers": [[-(2**31), 0, 1]]}, r"\[0, 0\]=-2147483648"),
    "excluded_4": ({"excluded": [[4]]}, r"excluded\[0, 0\]=4"),
    "excluded_-2": ({"excluded": [[-1, -2]]}, r"excluded\[0, 1\]=-2"),
    "neighbours_4": ({"neighbours": [1, 2, 2, 4, 3, 2, 1]}, r"neighbours\[3\]=4"),
    "neighbours_-1": ({"neighbours": [-1, 2, 2, 0, 3, 2, 1]}, r"neighbours\[0\]=-1"),
    "splits_first": ({"row_splits": [1, 2, 5, 5, 7]}, r"row_splits\[0\]=1"),
    "splits_last": ({"row_splits": [0, 2, 5, 5, 8]}, r"row_splits\[-1\]=8"),
    "splits_falls": ({"row_splits": [0, 6, 5, 5, 7]}, r"row_splits\[1\]=6"),
    "splits_above": ({"row_splits": [0, 2, 9, 5, 7]}, r"row_splits\[2\]=9"),
    "splits_below": ({"row_splits": [0, -2, 5, 5, 7]}, r"row_splits\[1\]=-2"),
    "weights_nan": ({"weights": [[1.0, np.nan, 0.0]]}, r"weights\[0, 1\]=-?nan"),
    "weights_inf": ({"weights": [[np.inf, 1.0, 0.0]]}, r"weights\[0, 0\]=inf"),
    "similarities_nan": (
        {"similarities": [np.nan, *SIMILARITIES[1:]]},
        r"similarities\[0\]=-?nan, weight=1.0",
    ),
    "similarities_inf": (
        {"similarities": [*SIMILARITIES[:4], -np.inf, 4.0, 5.0]},
        r"similarities\[4\]=-inf",
    ),
    "similarities_sum": (
        {"similarities": [3e38, *SIMILARITIES[1:]], "weights": [[3e38, 0.0, 0.0]]},
        r"similarities\[0\]=3",
    ),
    "user_vectors_nan": ({"user_vectors": [[0.0, np.nan]]}, r"\[0, 1\]=-?nan"),
    "user_vectors_inf": ({"user_vectors": [[-np.inf, 0.0]]}, r"\[0, 0\]=-inf"),
    "item_vectors_nan": (
        {"item_vectors": [*VECTORS[:3], [np.nan, 0.0]]},
        r"item_vectors\[3\] times row 0=-?nan",
    ),
    "item_vectors_inf": ({"item_vectors": [*VECTORS[:3], [0.0, np.inf]]}, "=-inf"),
    "item_vectors_product": (
        {"item_vectors": [[3e38, 3e38], *VECTORS[1:]], "user_vectors": [[3.0, 3.0]]},
        r"item_vectors\[0\] times row 0=inf",
    ),
    "k_0": ({"k": 0}, "k=0|Received: 0"),
    "k_min": ({"k": -(2**31)}, "k=-2147483648|Received: -2147483648"),
}


@WRAPS
@pytest.mark.parametrize("dtype", [tf.int32, tf.int64])
@pytest.mark.parametrize("name", VALUE_ERRORS)
def test_value_errors(wrap, dtype, name):
    changes, received = VALUE_ERRORS[name]
    inputs = known_inputs(**changes)
    inputs["row_splits"] = tf.constant(inputs["row_splits"], dtype)
    inputs["k"] = tf.constant(inputs["k"])
    thing = f"`{next(iter(changes))}` must be"
    error = tf.errors.InvalidArgumentError
    with pytest.raises(error, match=f"{thing}.*Received: .*({received})"):
        wrap(ops.path_top_k)(**inputs)
    with pytest.raises(error, match=thing):
        wrap(ops.path_top_k_reference)(**inputs)


@BOTH
def test_what_is_not_read_is_not_checked(implementation):
    """Lists of other items, weights of pads, vectors of items that are no candidate."""
    similarities = np.array([*SIMILARITIES[:5], np.nan, np.inf])
    vectors = np.array(VECTORS)
    vectors[3] = np.nan
    inputs = known_inputs(
        triggers=[[0, -1, -1]],
        weights=[[1.0, np.nan, np.inf]],
        neighbours=[1, 2, 99, -7, 3, 2, 1],
        similarities=similarities,
        row_splits=[0, 2, 5, 999, 7],
        item_vectors=vectors,
    )
    ids, *_ = implementation(**inputs)
    assert sorted(ids.numpy()[0].tolist()) == [-1, -1, -1, 1, 2]


def test_a_failure_leaves_no_trace():
    """The memory that a search keeps is as good as new after an error."""
    inputs = known_inputs(num_paths=2)
    wrong = known_inputs(num_paths=2, item_vectors=[*VECTORS[:3], [np.nan, 0.0]])
    before = ops.path_top_k(**inputs)
    with pytest.raises(tf.errors.InvalidArgumentError, match="item_vectors"):
        ops.path_top_k(**wrong)
    for first, second in zip(before, ops.path_top_k(**inputs), strict=True):
        np.testing.assert_array_equal(first, second)


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
