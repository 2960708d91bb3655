"""Batch normalisation over the global batch."""

from typing import Any

import keras
import tensorflow as tf
from keras import ops


@keras.saving.register_keras_serializable(package="tfrec")
class BatchNorm(keras.layers.Layer):
    """Normalises channels by the statistics of the global batch.

    Under `tf.distribute` the workers' sums are added, so the statistics are those of
    one process with the same global batch; on one worker nothing is reduced, and XLA
    can compile the layer.

    Args:
        momentum: of the moving statistics (Keras's default).
        epsilon: added to the variance (Keras's default).
    Inputs: `(..., H)`. Outputs: the same shape.
    Source: Ioffe & Szegedy 2015.
    """

    def __init__(self, momentum: float = 0.99, epsilon: float = 1e-3, **kwargs: Any):
        super().__init__(**kwargs)
        if not 0 <= momentum < 1 or epsilon <= 0:
            raise ValueError(
                "`momentum` must be in [0, 1) and `epsilon` positive. "
                f"Received: momentum={momentum}, epsilon={epsilon}"
            )
        self.momentum = momentum
        self.epsilon = epsilon

    def build(self, input_shape: tuple) -> None:
        """Creates the variables for inputs `(..., H)`."""
        shape = (input_shape[-1],)
        self.gamma = self.add_weight(name="gamma", shape=shape, initializer="ones")
        self.beta = self.add_weight(name="beta", shape=shape, initializer="zeros")
        self.moving_mean = self._add_statistic("moving_mean", shape, "zeros")
        self.moving_variance = self._add_statistic("moving_variance", shape, "ones")

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Normalises; in training by the batch's statistics, which it records."""
        hidden = ops.cast(inputs, "float32")
        if training:
            mean, variance = self._moments(hidden)
            self._move(self.moving_mean, mean)
            self._move(self.moving_variance, variance)
        else:
            mean, variance = self.moving_mean, self.moving_variance
        scale = ops.rsqrt(variance + self.epsilon) * self.gamma
        return ops.cast(hidden * scale + (self.beta - mean * scale), self.compute_dtype)

    def get_config(self) -> dict:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "momentum": self.momentum,
            "epsilon": self.epsilon,
        }

    def _add_statistic(self, name: str, shape: tuple, initializer: str) -> Any:
        return self.add_weight(
            name=name,
            shape=shape,
            initializer=initializer,
            trainable=False,
            autocast=False,
            aggregation="mean",
        )

    def _moments(self, hidden: Any) -> tuple[Any, Any]:
        axes = list(range(len(hidden.shape) - 1))
        sums = [
            ops.sum(ops.ones_like(hidden[..., 0])),
            ops.sum(hidden, axis=axes),
            ops.sum(ops.square(hidden), axis=axes),
        ]
        replica = tf.distribute.get_replica_context()
        if replica is not None and replica.num_replicas_in_sync > 1:
            sums = replica.all_reduce(tf.distribute.ReduceOp.SUM, sums)
        count, total, squares = sums
        mean = total / count
        return mean, ops.maximum(squares / count - ops.square(mean), 0.0)

    def _move(self, statistic: Any, value: Any) -> None:
        kept = statistic * self.momentum
        statistic.assign(kept + value * (1.0 - self.momentum))
