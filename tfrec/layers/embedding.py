"""Embedding table whose gradient stays sparse, also under mixed precision."""

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="tfrec")
class Embedding(keras.layers.Layer):
    """Looks up rows of a table; id 0 is padding and gives zeros.

    `keras.layers.Embedding` reads its whole table in each step, which TensorFlow copies
    once rows of it are updated. This layer gathers from the variable itself, so that
    forward, gradient and a row-sparse update cost what the batch's ids cost, whatever
    the table's size.

    Args:
        input_dim: number of rows, the padding row 0 included.
        output_dim: width D of a row.
        embeddings_initializer: of the table.
    Inputs: int ids of any shape, in `[0, input_dim)`.
    Outputs: `(*ids.shape, output_dim)` in the layer's compute dtype.
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: str | keras.initializers.Initializer = "uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if input_dim < 1 or output_dim < 1:
            raise ValueError(
                "`input_dim` and `output_dim` must be >= 1. "
                f"Received: input_dim={input_dim}, output_dim={output_dim}"
            )
        self.input_dim = input_dim
        self.output_dim = output_dim
        self.embeddings_initializer = keras.initializers.get(embeddings_initializer)

    def build(self, input_shape: Any = None) -> None:
        """Creates the table, float32 whatever the compute dtype is."""
        self.embeddings = self.add_weight(
            name="embeddings",
            shape=(self.input_dim, self.output_dim),
            initializer=self.embeddings_initializer,
            autocast=False,
        )

    def call(self, ids: tf.Tensor) -> tf.Tensor:
        """Rows of `ids`; zeros where the id is 0."""
        vectors = tf.cast(tf.gather(self.embeddings.value, ids), self.compute_dtype)
        is_real = tf.cast(ids != 0, self.compute_dtype)
        return vectors * is_real[..., tf.newaxis]

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """`(*input_shape, output_dim)`."""
        return (*input_shape, self.output_dim)

    def get_config(self) -> dict:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "input_dim": self.input_dim,
            "output_dim": self.output_dim,
            "embeddings_initializer": keras.initializers.serialize(
                self.embeddings_initializer
            ),
        }
