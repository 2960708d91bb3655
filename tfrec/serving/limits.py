"""What one request to an exported model may ask for, checked in its graph.

A number in a request decides how much memory its answer takes: without limits, a
hundred bytes could end a server. All raise InvalidArgumentError.
"""

import tensorflow as tf

MAX_ROWS = 4096  # users of a request (ours)
MAX_RESULTS = 1 << 20  # of all rows of a request together (ours)


def bounded_rows(name: str, values: tf.Tensor) -> tf.Tensor:
    """Returns `values`, a row a user, once it is checked: at most `MAX_ROWS` rows."""
    rule = f"`{name}` must have at most {MAX_ROWS} rows"
    return _checked(values, tf.shape(values)[0], MAX_ROWS, rule)


def bounded_size(name: str, values: tf.Tensor) -> tf.Tensor:
    """Returns `values` once it is checked: at most `MAX_RESULTS` elements."""
    rule = f"`{name}` must have at most {MAX_RESULTS} elements"
    return _checked(values, tf.size(values), MAX_RESULTS, rule)


def bounded_count(name: str, count: tf.Tensor) -> tf.Tensor:
    """Returns `count` of rows, int32 `()`, once it is checked: 1 to `MAX_ROWS`."""
    rule = f"`{name}` must be at most {MAX_ROWS}"
    return _checked(_positive(name, count), count, MAX_ROWS, rule)


def bounded(name: str, size: tf.Tensor, num_rows: tf.Tensor) -> tf.Tensor:
    """Returns `size` once it is checked: at least 1, all rows at most `MAX_RESULTS`.

    Args:
        name: of the input, for messages.
        size: int32 `()`, results for each row.
        num_rows: int32 `()`, rows of the request.
    """
    rows = tf.maximum(tf.cast(num_rows, tf.int64), 1)
    total = tf.cast(size, tf.int64) * rows
    rule = f"`{name}` times the number of rows must be at most {MAX_RESULTS}"
    return _checked(_positive(name, size), total, MAX_RESULTS, rule)


def _positive(name: str, value: tf.Tensor) -> tf.Tensor:
    check = tf.debugging.assert_positive(value, f"`{name}` must be at least 1")
    with tf.control_dependencies([check]):
        return tf.identity(value)


def _checked(value: tf.Tensor, number: tf.Tensor, limit: int, rule: str) -> tf.Tensor:
    limit = tf.constant(limit, number.dtype)
    with tf.control_dependencies([tf.debugging.assert_less_equal(number, limit, rule)]):
        return tf.identity(value)
