"""The auxiliary loss that flattens s_u around every item vector (section 3.4.2)."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfrec.nann.config import AdversarialConfig

ScoreFn = Callable[[Any], Any]


def perturbation(
    objective: tf.Tensor, vectors: tf.Tensor, tape: tf.GradientTape, epsilon: float
) -> tf.Tensor:
    """Eq. 6: epsilon times the sign of an objective's gradient by the vectors.

    Args:
        objective: a scalar, or a tensor whose sum is meant, recorded by `tape`.
        vectors: `(B, C, D)`, watched by `tape`.
        tape: the gradient tape.
        epsilon: bound of every entry.
    Returns: `(B, C, D)`, a constant for further gradients.
    """
    gradient = tape.gradient(objective, vectors)
    return tf.stop_gradient(epsilon * tf.sign(gradient))


def softmax_kl(scores: tf.Tensor, perturbed: tf.Tensor) -> tf.Tensor:
    """KL(softmax(s) || softmax(s~)) over a user's candidates: `(B, C)` -> `(B,)`."""
    log_p, log_q = tf.nn.log_softmax(scores), tf.nn.log_softmax(perturbed)
    return tf.reduce_sum(tf.exp(log_p) * (log_p - log_q), axis=1)


def bernoulli_kl(scores: tf.Tensor, perturbed: tf.Tensor) -> tf.Tensor:
    """Sum over candidates of KL(sigmoid(s) || sigmoid(s~)): `(B, C)` -> `(B,)`."""
    p = tf.sigmoid(scores)
    engaged = tf.math.log_sigmoid(scores) - tf.math.log_sigmoid(perturbed)
    ignored = tf.math.log_sigmoid(-scores) - tf.math.log_sigmoid(-perturbed)
    return tf.reduce_sum(p * engaged + (1.0 - p) * ignored, axis=1)


_DIVERGENCES = {"softmax_kl": softmax_kl, "bernoulli_kl": bernoulli_kl}


def auxiliary_loss(
    score_fn: ScoreFn,
    vectors: tf.Tensor,
    config: AdversarialConfig,
    loss_fn: ScoreFn,
) -> tf.Tensor:
    """Eq. 5: how far the scores move when every e_v moves in its worst direction.

    `score_fn` is the function that is served: batch norm with its moving statistics.
    So the pass leaves them alone, and no score depends on another candidate.

    Args:
        score_fn: `(B, C, D)` -> `(B, C)`.
        vectors: e_v of each user's labels, `(B, C, D)`.
        config: epsilon, direction and divergence.
        loss_fn: scores `(B, C)` -> losses, for `direction="loss_gradient"`.
    Returns: `(B,)`, not multiplied by `config.weight`.
    Source: Chen et al. 2022, eq. 5-6.
    """
    with tf.GradientTape() as tape:
        tape.watch(vectors)
        scores = score_fn(vectors)
        by_score = config.direction == "score_gradient"
        objective = scores if by_score else loss_fn(scores)
    delta = perturbation(objective, vectors, tape, config.epsilon)
    perturbed = score_fn(vectors + delta)
    return _DIVERGENCES[config.divergence](scores, perturbed)
