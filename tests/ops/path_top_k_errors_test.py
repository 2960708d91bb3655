"""What PathTopK and its twin refuse, and what they do not look at."""

import numpy as np
import pytest
import tensorflow as tf

from tests.ops.path_problems import (
    BOTH,
    WRAPS,
    known_inputs,
)
from tfrec import ops

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
