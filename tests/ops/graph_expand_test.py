"""GraphExpand and its twin against a set."""

import numpy as np
import pytest
import tensorflow as tf

from tfrec import ops

IMPLEMENTATIONS = [ops.graph_expand, ops.graph_expand_reference]
WRAPS = pytest.mark.parametrize(
    "wrap", [lambda f: f, tf.function], ids=["eager", "function"]
)
# 0: 1 2, 1: 2 2 0, 2: nothing, 3: 3 0 1
VALUES = [1, 2, 2, 2, 0, 3, 0, 1]
ROW_SPLITS = [0, 2, 5, 5, 8]


def to_bits(rows, num_words):
    """The bitmap of a list of sets."""
    words = np.zeros((len(rows), num_words), np.uint64)
    for row, items in enumerate(rows):
        for item in items:
            words[row, item // 64] |= np.uint64(1 << item % 64)
    return words


def oracle(seen, frontier, values, row_splits, bucket_sizes):
    """Python sets, one a user; `seen` are the sets, which are updated."""
    rows = []
    for user, nodes in zip(seen, frontier.tolist(), strict=True):
        fresh = []
        for node in nodes:
            begin, end = (0, 0) if node < 0 else row_splits[node : node + 2]
            for neighbour in values[begin:end].tolist():
                if neighbour not in user:
                    user.add(neighbour)
                    fresh.append(neighbour)
        rows.append(fresh)
    width = longest = max(map(len, rows), default=0)
    if bucket_sizes:
        width = next((b for b in bucket_sizes if b >= longest), None)
        width = width or -(-longest // bucket_sizes[-1]) * bucket_sizes[-1]
    padded = [fresh + [-1] * (width - len(fresh)) for fresh in rows]
    return (
        np.array(padded, np.int32).reshape(len(rows), width),
        np.array([len(fresh) for fresh in rows], np.int32),
    )


def random_case(rng, batch_size, num_items, frontier_size, max_degree, dtype):
    """Sets of seen nodes, a frontier with pads and repeats, a graph."""
    seen = [set(np.flatnonzero(rng.random(num_items) < 0.2)) for _ in range(batch_size)]
    frontier = rng.integers(-1, num_items, (batch_size, frontier_size), np.int32)
    degrees = rng.integers(0, max_degree + 1, num_items)
    row_splits = np.concatenate([[0], np.cumsum(degrees)]).astype(dtype)
    values = rng.integers(0, max(num_items, 1), row_splits[-1], np.int32)
    return seen, frontier, values, row_splits


def check(implementation, case, num_words, bucket_sizes):
    """Compares one call with the oracle."""
    seen, *arrays = case
    before = to_bits(seen, num_words)
    visited, fresh, counts = implementation(before, *arrays, bucket_sizes=bucket_sizes)
    expected_fresh, expected_counts = oracle(seen, *arrays, bucket_sizes)
    np.testing.assert_array_equal(visited, to_bits(seen, num_words))
    np.testing.assert_array_equal(fresh, expected_fresh)
    np.testing.assert_array_equal(counts, expected_counts)


@WRAPS
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@pytest.mark.parametrize(
    ("batch_size", "num_items", "frontier_size", "max_degree", "bucket_sizes"),
    [
        (0, 10, 4, 3, (4,)),
        (2, 0, 0, 0, ()),
        (1, 1, 1, 1, ()),
        (3, 17, 0, 3, (8, 16)),
        (3, 64, 5, 0, ()),
        (2, 65, 7, 9, (3,)),
        (5, 1_000, 33, 40, (64, 128, 999)),
    ],
)
def test_forward(
    implementation,
    wrap,
    dtype,
    batch_size,
    num_items,
    frontier_size,
    max_degree,
    bucket_sizes,
):
    rng = np.random.default_rng(1)
    case = random_case(rng, batch_size, num_items, frontier_size, max_degree, dtype)
    num_words = -(-num_items // 64)
    check(wrap(implementation), case, num_words, bucket_sizes)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize(
    ("bucket_sizes", "width"),
    [
        ((), 3),
        ((1,), 3),
        ((2,), 4),
        ((1, 3, 9), 3),
        ((2, 5), 5),
        ((4,), 4),
        ((2, 7), 7),
    ],
)
def test_known_case(implementation, bucket_sizes, width):
    visited, fresh, counts = implementation(
        np.array([[0b0000], [0b0100], [0b1111]], np.uint64),
        np.array([[1, 0, -1], [-1, 3, 3], [0, 1, 2]], np.int32),
        VALUES,
        ROW_SPLITS,
        bucket_sizes,
    )
    assert counts.numpy().tolist() == [3, 3, 0]
    assert visited.numpy().tolist() == [[0b0111], [0b1111], [0b1111]]
    pads = [-1] * (width - 3)
    expected = [[2, 0, 1, *pads], [3, 0, 1, *pads], [-1] * width]
    assert fresh.numpy().tolist() == expected


@pytest.mark.parametrize(
    ("implementation", "num_cases"),
    [(ops.graph_expand, 10_000), (ops.graph_expand_reference, 1_000)],
)
def test_random_cases(implementation, num_cases):
    rng = np.random.default_rng(2)
    grids = [(), (1,), (3,), (2, 5, 6), (40,)]
    for number in range(num_cases):
        sizes = rng.integers([0, 1, 0, 0], [4, 140, 8, 6])
        case = random_case(rng, *sizes, (np.int32, np.int64)[number % 2])
        num_words = -(-int(sizes[1]) // 64) + number % 3 % 2
        check(implementation, case, num_words, grids[number % 5])


@WRAPS
def test_input_is_kept(wrap):
    """An update in place must not be seen through the tensor that was passed."""

    @wrap
    def expand_twice(visited):
        visited += tf.zeros_like(visited)  # a buffer that the op could take over
        first, *_ = ops.graph_expand(visited, [[0]], VALUES, ROW_SPLITS)
        second, _, counts = ops.graph_expand(visited, [[0]], VALUES, ROW_SPLITS)
        third, *_ = ops.graph_expand(first, [[3]], VALUES, ROW_SPLITS)
        return visited, first, second, third, counts

    *bitmaps, counts = expand_twice(ops.empty_bitmap(1, 4))
    assert [b.numpy().tolist() for b in bitmaps] == [[[0]], [[6]], [[6]], [[15]]]
    assert counts.numpy().tolist() == [2]


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize(
    ("visited_shape", "frontier_shape", "expected"),
    [
        ([2, 1], [2, 5], ([2, 1], [2, None], [2])),
        ([None, 1], [None, None], ([None, 1], [None, None], [None])),
        ([None, None], [None, 4], ([None, None], [None, None], [None])),
    ],
)
def test_static_shape(implementation, visited_shape, frontier_shape, expected):
    function = tf.function(
        lambda visited, frontier: implementation(visited, frontier, VALUES, ROW_SPLITS)
    ).get_concrete_function(
        tf.TensorSpec(visited_shape, tf.uint64), tf.TensorSpec(frontier_shape, tf.int32)
    )
    assert [shape.as_list() for shape in function.output_shapes] == list(expected)


def test_static_shape_merges_batch():
    function = tf.function(ops.graph_expand).get_concrete_function(
        tf.TensorSpec([None, 3], tf.uint64),
        tf.TensorSpec([2, None], tf.int32),
        tf.TensorSpec([None], tf.int32),
        tf.TensorSpec([None], tf.int64),
    )
    shapes = [shape.as_list() for shape in function.output_shapes]
    assert shapes == [[2, 3], [2, None], [2]]


SHAPE_ERRORS = [
    ([1], [1, 1], [8], [5], "`visited` must be rank 2"),
    ([1, 1, 1], [1, 1], [8], [5], "`visited` must be rank 2"),
    ([1, 1], [1], [8], [5], "`frontier` must be rank 2"),
    ([1, 1], [1, 1], [8, 1], [5], "`values` must be rank 1"),
    ([1, 1], [1, 1], [], [5], "`values` must be rank 1"),
    ([1, 1], [1, 1], [8], [5, 1], "`row_splits` must be rank 1"),
    ([1, 1], [1, 1], [8], [], "`row_splits` must be rank 1"),
    ([2, 1], [1, 1], [0], [5], "`frontier` must be of the batch size of `visited`"),
    ([1, 1], [1, 1], [0], [0], "`row_splits` must be of at least 1 element"),
    ([1, 1], [1, 1], [0], [66], r"`visited` must be of at least ceil\(N / 64\) words"),
    ([1, 0], [1, 0], [0], [2], r"`visited` must be of at least ceil\(N / 64\) words"),
]


@pytest.mark.parametrize(
    ("visited", "frontier", "values", "splits", "message"), SHAPE_ERRORS
)
def test_shape_errors(visited, frontier, values, splits, message):
    dtypes = [tf.uint64, tf.int32, tf.int32, tf.int64]
    shapes = [visited, frontier, values, splits]
    inputs = [tf.zeros(s, d) for s, d in zip(shapes, dtypes, strict=True)]
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        ops.graph_expand(*inputs)
    with pytest.raises(ValueError, match=r"must be rank|must be equal|must be of at"):
        tf.function(ops.graph_expand).get_concrete_function(*inputs)
    unknown = [tf.TensorSpec(None, dtype) for dtype in dtypes]
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        tf.function(ops.graph_expand, input_signature=unknown)(*inputs)
    with pytest.raises((tf.errors.InvalidArgumentError, ValueError), match=message):
        ops.graph_expand_reference(*inputs)


# What is wrong, the arguments that make it so, and the op's message.
VALUE_ERRORS = {
    "frontier_4": ({"frontier": [[0], [4]]}, r"`frontier` must be -1 or in \[0, 4\)"),
    "frontier_-2": ({"frontier": [[-2], [0]]}, r"Received: frontier\[0, 0\]=-2"),
    "frontier_max": ({"frontier": [[2**31 - 1], [0]]}, r"frontier\[0, 0\]=2147483647"),
    "values_4": ({"values": [1, 2, 4, 2, 0, 3, 0, 1]}, r"`values` must be in \[0, 4\)"),
    "values_-1": ({"values": [1, 2, 2, -1, 0, 3, 0, 1]}, r"Received: values\[3\]=-1"),
    "splits_first": ({"row_splits": [1, 2, 5, 5, 8]}, r"must be 0 at first"),
    "splits_last": ({"row_splits": [0, 2, 5, 5, 9]}, r"the number of values at last"),
    "splits_falls": (
        {"row_splits": [0, 6, 5, 5, 8]},
        r"`row_splits` must be ascending",
    ),
    "splits_above": ({"row_splits": [0, 2, 9, 5, 8]}, r"row_splits\[2\]=9"),
    "splits_below": ({"row_splits": [0, -2, 5, 5, 8]}, r"row_splits\[1\]=-2"),
}


@WRAPS
@pytest.mark.parametrize("dtype", [tf.int32, tf.int64])
@pytest.mark.parametrize("name", VALUE_ERRORS)
def test_value_errors(wrap, dtype, name):
    change, message = VALUE_ERRORS[name]
    inputs = {"frontier": [[0], [1]], "values": VALUES, "row_splits": ROW_SPLITS}
    inputs |= change
    inputs["row_splits"] = tf.constant(inputs["row_splits"], dtype)
    visited = tf.zeros([2, 1], tf.uint64)
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        wrap(ops.graph_expand)(visited, **inputs)
    thing = f"`{next(iter(change))}` must be"
    with pytest.raises(tf.errors.InvalidArgumentError, match=thing):
        wrap(ops.graph_expand_reference)(visited, **inputs)


@pytest.mark.parametrize("bucket_sizes", [(0,), (-1, 4), (4, 4), (8, 4), (-(2**63),)])
def test_value_errors_of_buckets(bucket_sizes):
    inputs = tf.zeros([1, 1], tf.uint64), [[0]], VALUES, ROW_SPLITS, bucket_sizes
    message = r"`bucket_sizes` must be"
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        ops.graph_expand(*inputs)
    with pytest.raises(ValueError, match=message):
        tf.function(lambda: ops.graph_expand(*inputs)).get_concrete_function()
    with pytest.raises(ValueError, match=message):
        ops.graph_expand_reference(*inputs)


def test_unread_lists_are_not_checked():
    """An expansion does not read the whole graph to validate it."""
    splits = [0, 2, 5, 999, 8]
    _, fresh, _ = ops.graph_expand(ops.empty_bitmap(1, 4), [[0]], VALUES, splits)
    assert fresh.numpy().tolist() == [[1, 2]]


def test_no_gradient():
    with pytest.raises(KeyError, match="Tfrec>GraphExpand"):
        tf.no_gradient("Tfrec>GraphExpand")  # a second registration is refused
    scores = tf.constant([1.0, 2.0, 3.0, 4.0])
    with tf.GradientTape() as tape:
        tape.watch(scores)
        _, fresh, _ = ops.graph_expand(
            ops.empty_bitmap(1, 4), [[3]], VALUES, ROW_SPLITS
        )
        loss = tf.reduce_sum(tf.gather(scores, fresh) ** 2)
    gradient = tf.convert_to_tensor(tape.gradient(loss, scores))
    assert gradient.numpy().tolist() == [2.0, 4.0, 0.0, 8.0]


LOAD = """
import sys
import numpy as np
import tensorflow as tf
folder, library = sys.argv[1:]
if library:
    tf.load_op_library(library)
model = tf.saved_model.load(folder)
outputs = model.call(**np.load(folder + "/inputs.npz"))
np.savez(folder + "/outputs.npz", *(t.numpy() for t in outputs))
assert "tfrec" not in sys.modules
"""


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_saved_model(implementation, tmp_path, run_python):
    rng = np.random.default_rng(3)
    seen, frontier, values, row_splits = random_case(rng, 3, 200, 20, 9, np.int64)
    module = tf.Module()
    module.values, module.row_splits = tf.Variable(values), tf.Variable(row_splits)
    module.call = tf.function(
        lambda visited, frontier: implementation(
            visited, frontier, module.values, module.row_splits, bucket_sizes=(64, 512)
        ),
        input_signature=[
            tf.TensorSpec([None, 4], tf.uint64, name="visited"),
            tf.TensorSpec([None, None], tf.int32, name="frontier"),
        ],
    )
    tf.saved_model.save(module, str(tmp_path))
    np.savez(tmp_path / "inputs.npz", visited=to_bits(seen, 4), frontier=frontier)

    is_op = implementation is ops.graph_expand
    run_python(LOAD, tmp_path, ops.library_path() if is_op else "")
    expected = oracle(seen, frontier, values, row_splits, (64, 512))
    outputs = list(np.load(tmp_path / "outputs.npz").values())
    np.testing.assert_array_equal(outputs[0], to_bits(seen, 4))
    np.testing.assert_array_equal(outputs[1], expected[0])
    np.testing.assert_array_equal(outputs[2], expected[1])


THREADS = """
import hashlib, sys
import numpy as np
import tensorflow as tf
tf.config.threading.set_intra_op_parallelism_threads(int(sys.argv[1]))
tf.config.threading.set_inter_op_parallelism_threads(int(sys.argv[1]))
from tfrec import ops
rng = np.random.default_rng(4)
frontier = rng.integers(-1, 50_000, (96, 300), np.int32)
values = rng.integers(0, 50_000, 50_000 * 16, np.int32)
splits = np.arange(50_001) * 16
visited = ops.empty_bitmap(96, 50_000)
outputs = ops.graph_expand(visited, frontier, values, splits, [512])
print(hashlib.sha256(b"".join(t.numpy().tobytes() for t in outputs)).hexdigest())
"""


def test_threads(run_python):
    digests = {run_python(THREADS, str(num_threads)) for num_threads in (1, 2, 8)}
    assert len(digests) == 1
