"""A fully connected layer followed by PReLU and batch normalisation."""

from typing import Any

import keras

from tfrec.layers.batch_norm import BatchNorm


@keras.saving.register_keras_serializable(package="tfrec")
class DenseBlock(keras.layers.Layer):
    """Dense, PReLU, batch norm: the building block of NANN's networks.

    The activation part alone (`Activation`) serves a first layer whose linear part is
    split between inputs that are known at different times. Batch statistics are
    those of the global batch under `tf.distribute`.

    Args:
        units: H.
    Inputs: `(..., D)`, rank 2 or 3. Outputs: `(..., H)`.
    Source: Chen et al. 2022 (NANN), appendix A.
    """

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if units < 1:
            raise ValueError(f"`units` must be at least 1. Received: {units}")
        self.units = units
        self.dense = keras.layers.Dense(units, dtype=self.dtype_policy)
        self.activation = Activation(dtype=self.dtype_policy)

    def build(self, input_shape: tuple) -> None:
        """Creates the variables for inputs `(..., D)`."""
        self.dense.build(input_shape)
        self.activation.build((*input_shape[:-1], self.units))

    def call(self, inputs: Any, training: bool = False) -> Any:
        """The block's output; `training` as in `BatchNorm`."""
        return self.activation(self.dense(inputs), training=training)

    def get_config(self) -> dict:
        """The constructor's arguments."""
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable(package="tfrec")
class Activation(keras.layers.Layer):
    """PReLU with a slope a channel, then batch norm.

    Inputs: `(..., H)`, rank 2 or 3. Outputs: the same shape.
    """

    def build(self, input_shape: tuple) -> None:
        """Creates the variables for inputs `(..., H)`."""
        self.slope = self.add_weight(
            name="slope",
            shape=(input_shape[-1],),
            initializer=keras.initializers.Constant(0.25),
        )
        self.norm = BatchNorm(dtype=self.dtype_policy)
        self.norm.build(input_shape)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """The normalised activation."""
        active = keras.ops.where(inputs > 0, inputs, self.slope * inputs)
        return self.norm(active, training=training)
