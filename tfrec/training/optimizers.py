"""Adam, AdamW and AdaGrad that touch only the rows of a table that have a gradient.

Keras's optimisers turn the gradient of an embedding table into a dense one, so that a
step costs as much as the table is large. Here a `tf.IndexedSlices` gradient updates its
rows, and their slots, alone. A row that has no gradient in a step keeps its bytes: its
moments do not decay meanwhile ("lazy Adam"), and the bias correction counts all steps.
Dense gradients take Keras's own path. Under `tf.distribute` Keras sums the workers'
gradients first; for slices that is their concatenation, summed by row here.
"""

from typing import Any

import keras
import tensorflow as tf

from tfrec.training.config import TrainingConfig


class RowSparse(keras.optimizers.Optimizer):
    """Adds the row-sparse update to a Keras optimiser; a base before that one.

    A subclass supplies `_row_deltas(rows, gradient, variable, learning_rate)`, which
    updates its slots at `rows` and returns what is subtracted from the variable there.
    """

    def update_step(
        self,
        gradient: tf.Tensor | tf.IndexedSlices,
        variable: tf.Variable,
        learning_rate: tf.Tensor,
    ) -> None:
        """One variable's update; `gradient` is dense or `tf.IndexedSlices`."""
        rate = tf.cast(learning_rate, variable.dtype)
        decay = tf.cast(self.weight_decay or 0.0, variable.dtype)
        decays = self.weight_decay and self._use_weight_decay(variable)
        if not isinstance(gradient, tf.IndexedSlices):
            if decays:
                variable.assign_sub(variable * decay * rate)
            super().update_step(gradient, variable, learning_rate)
            return
        rows, summed = sum_by_row(gradient)
        deltas = self._row_deltas(rows, tf.cast(summed, variable.dtype), variable, rate)
        if decays:
            deltas += _gather(variable, rows) * decay * rate
        tf.raw_ops.ResourceScatterSub(
            resource=variable.handle, indices=rows, updates=deltas
        )

    def _apply_weight_decay(self, variables: list) -> None:
        """Nothing: Keras decays whole tables here, `update_step` what it touches."""

    def get_config(self) -> dict:
        """The constructor's arguments."""
        config = super().get_config()
        return {name: config[name] for name in self._config_fields}


@keras.saving.register_keras_serializable(package="tfrec")
class Adam(RowSparse, keras.optimizers.Adam):
    """Adam (Kingma & Ba 2015) with row-sparse tables; `weight_decay` is decoupled.

    Args: those of `keras.optimizers.Adam` that have a row-sparse meaning.
    """

    _config_fields = (
        "name",
        "learning_rate",
        "beta_1",
        "beta_2",
        "epsilon",
        "weight_decay",
    )

    def __init__(
        self,
        learning_rate: Any = 1e-3,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        weight_decay: float | None = None,
        name: str = "adam",
    ) -> None:
        super().__init__(
            learning_rate=learning_rate,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            weight_decay=weight_decay,
            name=name,
        )

    def _row_deltas(
        self,
        rows: tf.Tensor,
        gradient: tf.Tensor,
        variable: tf.Variable,
        rate: tf.Tensor,
    ) -> tf.Tensor:
        index = self._get_variable_index(variable)
        momentum, velocity = self._momentums[index].value, self._velocities[index].value
        m = _gather(momentum, rows)
        m += (gradient - m) * (1 - self.beta_1)
        v = _gather(velocity, rows)
        v += (tf.square(gradient) - v) * (1 - self.beta_2)
        _scatter(momentum, rows, m)
        _scatter(velocity, rows, v)
        step = tf.cast(self.iterations + 1, variable.dtype)
        scale = tf.sqrt(1 - tf.pow(tf.cast(self.beta_2, v.dtype), step))
        alpha = rate * scale / (1 - tf.pow(tf.cast(self.beta_1, m.dtype), step))
        return m * alpha / (tf.sqrt(v) + self.epsilon)


@keras.saving.register_keras_serializable(package="tfrec")
class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019).

    A table's row decays in the steps that touch it, so a rare row decays less often.
    """

    def __init__(
        self,
        learning_rate: Any = 1e-3,
        weight_decay: float = 4e-3,
        name: str = "adamw",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            learning_rate=learning_rate, weight_decay=weight_decay, name=name, **kwargs
        )


@keras.saving.register_keras_serializable(package="tfrec")
class Adagrad(RowSparse, keras.optimizers.Adagrad):
    """AdaGrad (Duchi et al. 2011); row-sparse it equals the dense one exactly."""

    _config_fields = ("name", "learning_rate", "initial_accumulator_value", "epsilon")

    def __init__(
        self,
        learning_rate: Any = 1e-3,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        name: str = "adagrad",
    ) -> None:
        super().__init__(
            learning_rate=learning_rate,
            initial_accumulator_value=initial_accumulator_value,
            epsilon=epsilon,
            name=name,
        )

    def _row_deltas(
        self,
        rows: tf.Tensor,
        gradient: tf.Tensor,
        variable: tf.Variable,
        rate: tf.Tensor,
    ) -> tf.Tensor:
        accumulator = self._accumulators[self._get_variable_index(variable)].value
        total = _gather(accumulator, rows) + tf.square(gradient)
        _scatter(accumulator, rows, total)
        return rate * gradient / tf.sqrt(total + self.epsilon)


def make_optimizer(config: TrainingConfig) -> keras.optimizers.Optimizer:
    """The optimiser that `config` names."""
    rate: Any = config.learning_rate
    if config.decay_steps is not None:
        rate = keras.optimizers.schedules.PolynomialDecay(
            rate, config.decay_steps, config.final_learning_rate
        )
    if config.optimizer == "adamw":
        return AdamW(rate, config.weight_decay)
    optimizers = {"adam": Adam, "adagrad": Adagrad}
    return optimizers[config.optimizer](rate)


def sum_by_row(slices: tf.IndexedSlices) -> tuple[tf.Tensor, tf.Tensor]:
    """`(rows (U,), values (U, ...))`: each row once, with the sum of its slices."""
    rows, segment = tf.unique(slices.indices)
    num_rows = tf.size(rows)
    return rows, tf.math.unsorted_segment_sum(slices.values, segment, num_rows)


def _gather(variable: tf.Variable, rows: tf.Tensor) -> tf.Tensor:
    return tf.raw_ops.ResourceGather(
        resource=variable.handle, indices=rows, dtype=variable.dtype
    )


def _scatter(variable: tf.Variable, rows: tf.Tensor, values: tf.Tensor) -> None:
    tf.raw_ops.ResourceScatterUpdate(
        resource=variable.handle, indices=rows, updates=values
    )
