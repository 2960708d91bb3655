"""VisitedInsert and its twin against a set."""

import numpy as np
import pytest
import tensorflow as tf

from tfrec import ops

IMPLEMENTATIONS = [ops.visited_insert, ops.visited_insert_reference]
UINT64_MAX = np.iinfo(np.uint64).max


def oracle(visited, ids):
    """Python sets: one a user."""
    num_words = visited.shape[1]
    updated = np.zeros_like(visited)
    is_new = np.zeros(ids.shape, bool)
    for row in range(visited.shape[0]):
        seen = {
            i for i in range(64 * num_words) if int(visited[row, i // 64]) >> i % 64 & 1
        }
        for column, item in enumerate(ids[row].tolist()):
            is_new[row, column] = item != -1 and item not in seen
            seen |= {item} - {-1}
        words = [0] * num_words
        for item in seen:
            words[item // 64] |= 1 << item % 64
        updated[row] = words
    return updated, is_new


def random_case(rng, batch_size, num_words, num_ids):
    """A bitmap with holes, and ids of which many repeat."""
    bits = rng.integers(0, UINT64_MAX, (2, batch_size, num_words), np.uint64, True)
    high = int(rng.integers(0, 64 * num_words + 1))
    ids = rng.integers(-1, high, (batch_size, num_ids), np.int32)
    return bits[0] & bits[1], ids


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("wrap", [lambda f: f, tf.function], ids=["eager", "function"])
@pytest.mark.parametrize(
    ("batch_size", "num_words", "num_ids"),
    [(0, 3, 5), (1, 1, 1), (2, 0, 0), (1, 2, 0), (3, 5, 17), (5, 21, 333)],
)
def test_forward(implementation, wrap, batch_size, num_words, num_ids):
    rng = np.random.default_rng(1)
    visited, ids = random_case(rng, batch_size, num_words, num_ids)
    updated, is_new = wrap(implementation)(tf.constant(visited), tf.constant(ids))
    expected_updated, expected_is_new = oracle(visited, ids)
    assert updated.dtype == tf.uint64
    np.testing.assert_array_equal(updated, expected_updated)
    np.testing.assert_array_equal(is_new, expected_is_new)


def test_known_case():
    visited = np.array([[1 << 5, 0], [0, 1 << 63]], np.uint64)
    ids = np.array([[5, 64, 64, -1, 0], [127, 126, -1, 63, 126]], np.int32)
    updated, is_new = ops.visited_insert(visited, ids)
    np.testing.assert_array_equal(
        updated, np.array([[1 << 5 | 1, 1], [1 << 63, 3 << 62]], np.uint64)
    )
    assert is_new.numpy().tolist() == [
        [False, True, False, False, True],
        [False, True, False, True, False],
    ]


@pytest.mark.parametrize(
    ("implementation", "num_cases"),
    [(ops.visited_insert, 10_000), (ops.visited_insert_reference, 1_000)],
)
def test_random_cases(implementation, num_cases):
    rng = np.random.default_rng(2)
    for _ in range(num_cases):
        batch_size, num_words, num_ids = rng.integers([0, 0, 0], [4, 4, 12])
        visited, ids = random_case(rng, batch_size, num_words, num_ids)
        updated, is_new = implementation(visited, ids)
        expected_updated, expected_is_new = oracle(visited, ids)
        np.testing.assert_array_equal(updated, expected_updated)
        np.testing.assert_array_equal(is_new, expected_is_new)


@pytest.mark.parametrize("wrap", [lambda f: f, tf.function], ids=["eager", "function"])
def test_input_is_kept(wrap):
    """An update in place must not be seen through the tensor that was passed."""

    @wrap
    def insert_twice(visited):
        visited += tf.zeros_like(visited)  # a buffer that the op could take over
        first, _ = ops.visited_insert(visited, [[3]])
        second, is_new = ops.visited_insert(visited, [[3]])
        return visited, first, second, is_new

    before, first, second, is_new = insert_twice(ops.empty_bitmap(1, 64))
    assert before.numpy().tolist() == [[0]]
    assert first.numpy().tolist() == second.numpy().tolist() == [[8]]
    assert is_new.numpy().tolist() == [[True]]


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize(
    ("visited_shape", "ids_shape", "expected"),
    [
        ([2, 3], [2, 5], ([2, 3], [2, 5])),
        ([None, 3], [None, None], ([None, 3], [None, None])),
        ([None, None], [None, 4], ([None, None], [None, 4])),
    ],
)
def test_static_shape(implementation, visited_shape, ids_shape, expected):
    function = tf.function(implementation).get_concrete_function(
        tf.TensorSpec(visited_shape, tf.uint64), tf.TensorSpec(ids_shape, tf.int32)
    )
    assert [shape.as_list() for shape in function.output_shapes] == list(expected)


def test_static_shape_merges_batch():
    function = tf.function(ops.visited_insert).get_concrete_function(
        tf.TensorSpec([None, 3], tf.uint64), tf.TensorSpec([2, None], tf.int32)
    )
    assert [s.as_list() for s in function.output_shapes] == [[2, 3], [2, None]]


SHAPE_ERRORS = [
    ([3], [1, 3], "`visited` must be rank 2"),
    ([1, 1, 3], [1, 3], "`visited` must be rank 2"),
    ([1, 3], [3], "`ids` must be rank 2"),
    ([1, 3], [], "`ids` must be rank 2"),
    ([2, 3], [3, 3], "`ids` must be of the batch size of `visited`"),
    ([0, 3], [1, 3], "`ids` must be of the batch size of `visited`"),
]


@pytest.mark.parametrize(("visited_shape", "ids_shape", "message"), SHAPE_ERRORS)
def test_shape_errors(visited_shape, ids_shape, message):
    visited, ids = tf.zeros(visited_shape, tf.uint64), tf.zeros(ids_shape, tf.int32)
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        ops.visited_insert(visited, ids)
    with pytest.raises(ValueError, match=r"must be rank 2|must be equal"):
        tf.function(ops.visited_insert).get_concrete_function(visited, ids)
    unknown = [tf.TensorSpec(None, tf.uint64), tf.TensorSpec(None, tf.int32)]
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        tf.function(ops.visited_insert, input_signature=unknown)(visited, ids)
    with pytest.raises((tf.errors.InvalidArgumentError, ValueError), match=message):
        ops.visited_insert_reference(visited, ids)


@pytest.mark.parametrize("wrap", [lambda f: f, tf.function], ids=["eager", "function"])
@pytest.mark.parametrize("wrong", [128, -2, 2**31 - 1, -(2**31)])
def test_value_errors(wrap, wrong):
    visited = tf.zeros([2, 2], tf.uint64)
    ids = [[127, 0, -1], [1, wrong, wrong]]
    message = rf"`ids` must be -1 or in \[0, 128\). Received: ids\[1, 1\]={wrong}"
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        wrap(ops.visited_insert)(visited, ids)
    with pytest.raises(tf.errors.InvalidArgumentError, match="`ids` must be"):
        wrap(ops.visited_insert_reference)(visited, ids)


def test_value_errors_without_words():
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"in \[0, 0\)"):
        ops.visited_insert(tf.zeros([1, 0], tf.uint64), [[0]])


def test_no_gradient():
    with pytest.raises(KeyError, match="Tfrec>VisitedInsert"):
        tf.no_gradient("Tfrec>VisitedInsert")  # a second registration is refused
    scores = tf.constant([[1.0, 2.0, 3.0]])
    with tf.GradientTape() as tape:
        tape.watch(scores)
        _, is_new = ops.visited_insert(ops.empty_bitmap(1, 64), [[7, 7, 8]])
        loss = tf.reduce_sum(tf.where(is_new, scores * scores, 0.0))
    assert tape.gradient(loss, scores).numpy().tolist() == [[2.0, 0.0, 6.0]]


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
    signature = [
        tf.TensorSpec([None, None], tf.uint64, name="visited"),
        tf.TensorSpec([None, None], tf.int32, name="ids"),
    ]
    module = tf.Module()
    module.call = tf.function(implementation, input_signature=signature)
    tf.saved_model.save(module, str(tmp_path))
    visited, ids = random_case(np.random.default_rng(3), 3, 4, 20)
    np.savez(tmp_path / "inputs.npz", visited=visited, ids=ids)

    is_op = implementation is ops.visited_insert
    run_python(LOAD, tmp_path, ops.library_path() if is_op else "")
    outputs = np.load(tmp_path / "outputs.npz")
    for output, expected in zip(outputs.values(), oracle(visited, ids), strict=True):
        np.testing.assert_array_equal(output, expected)


THREADS = """
import hashlib, sys
import numpy as np
import tensorflow as tf
tf.config.threading.set_intra_op_parallelism_threads(int(sys.argv[1]))
tf.config.threading.set_inter_op_parallelism_threads(int(sys.argv[1]))
from tfrec import ops
ids = np.random.default_rng(4).integers(-1, 100_000, (96, 3_000), np.int32)
outputs = ops.visited_insert(ops.empty_bitmap(96, 100_000), ids)
print(hashlib.sha256(b"".join(t.numpy().tobytes() for t in outputs)).hexdigest())
"""


def test_threads(run_python):
    digests = {run_python(THREADS, str(num_threads)) for num_threads in (1, 2, 8)}
    assert len(digests) == 1
