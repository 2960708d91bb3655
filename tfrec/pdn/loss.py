"""Eq. 13 and the cross-entropy on it, computed stably."""

from typing import Any

import tensorflow as tf


@tf.custom_gradient
def log1mexp(x: tf.Tensor) -> Any:
    """log(1 - exp(-x)) of x > 0: the log of p of eq. 13.

    Near 0 the difference cancels, so expm1 is used there; for large x log1p is exact.
    The gradient is 1 / (e^x - 1), by expm1 too.

    Args:
        x: float32, any shape. 0 gives -inf.
    """
    is_small = x < 0.6931472
    small = tf.math.log(-tf.math.expm1(-tf.where(is_small, x, 1.0)))
    large = tf.math.log1p(-tf.exp(-tf.where(is_small, 1.0, x)))

    def gradient(upstream: tf.Tensor) -> tf.Tensor:
        return upstream * tf.exp(-x) / -tf.math.expm1(-x)

    return tf.where(is_small, small, large), gradient


def path_cross_entropy(scores: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """-(y log p + (1 - y) log(1 - p)) with p = 1 - exp(-score), section 4.6.

    Args:
        scores: eq. 12, positive, any shape.
        labels: float32, 0 or 1, of that shape.
    Returns: float32 of that shape.
    """
    scores = tf.maximum(scores, 1e-30)
    return tf.where(labels > 0, -log1mexp(scores), scores)
