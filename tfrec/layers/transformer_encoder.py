"""One post-norm transformer encoder layer."""

from typing import Any

import keras


@keras.saving.register_keras_serializable(package="tfrec")
class TransformerEncoder(keras.layers.Layer):
    """Self-attention and a feed-forward network, each added and normalised.

    Args:
        num_heads: heads of the self-attention, each as wide as the model.
        feed_forward: inner width of the feed-forward network ("dff").
        dropout: rate on the output of either, before it is added.
    Inputs: `(B, L, D)`. Outputs: `(B, L, D)`.
    Source: Vaswani et al. 2017, section 3.1; Chen et al. 2022 (NANN), appendix A.
    """

    def __init__(
        self, num_heads: int, feed_forward: int, dropout: float = 0.0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if num_heads < 1 or feed_forward < 1:
            raise ValueError(
                "`num_heads` and `feed_forward` must be at least 1. "
                f"Received: num_heads={num_heads}, feed_forward={feed_forward}"
            )
        if not 0 <= dropout < 1:
            raise ValueError(f"`dropout` must be in [0, 1). Received: {dropout}")
        self.num_heads = num_heads
        self.feed_forward = feed_forward
        self.dropout = dropout
        self.drops = [keras.layers.Dropout(dropout) for _ in range(2) if dropout]

    def build(self, input_shape: tuple) -> None:
        """Creates the variables for inputs `(B, L, D)`."""
        width, policy = input_shape[-1], self.dtype_policy
        self.attention = keras.layers.MultiHeadAttention(
            self.num_heads, width, dtype=policy
        )
        self.attention_norm = keras.layers.LayerNormalization(dtype=policy)
        self.inner = keras.layers.Dense(
            self.feed_forward, activation="relu", dtype=policy
        )
        self.outer = keras.layers.Dense(width, dtype=policy)
        self.output_norm = keras.layers.LayerNormalization(dtype=policy)
        self.attention.build(input_shape, input_shape)
        self.attention_norm.build(input_shape)
        self.inner.build(input_shape)
        self.outer.build((*input_shape[:-1], self.feed_forward))
        self.output_norm.build(input_shape)

    def call(
        self, inputs: Any, attention_mask: Any = None, training: bool = False
    ) -> Any:
        """The encoded sequence.

        Args:
            inputs: `(B, L, D)`.
            attention_mask: bool `(B, L, L)` or, for all queries alike, `(B, 1, L)`:
                whether a query (row) sees a key (column); None: all see all.
            training: apply dropout.
        """
        attended = self.attention(inputs, inputs, attention_mask=attention_mask)
        if self.drops:
            attended = self.drops[0](attended, training=training)
        hidden = self.attention_norm(inputs + attended)
        outputs = self.outer(self.inner(hidden))
        if self.drops:
            outputs = self.drops[1](outputs, training=training)
        return self.output_norm(hidden + outputs)

    def get_config(self) -> dict:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "feed_forward": self.feed_forward,
            "dropout": self.dropout,
        }
