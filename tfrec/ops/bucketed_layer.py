"""Auto-padding as a Keras layer.

Source: Chen et al. 2022, section 4.2.
"""

from collections.abc import Sequence
from typing import Any

import keras

from tfrec.ops.bucket_grid import check_bucket_sizes
from tfrec.ops.bucketed import Axis, bucketed


@keras.saving.register_keras_serializable(package="tfrec")
class Bucketed(keras.layers.Layer):
    """Runs a layer through `bucketed`: a layer of a model for variable sizes.

    The layer must treat places along the dynamic dimension alone. In training, batch
    statistics would count the pads: meant for inference, and for layers without them.
    It refuses to be part of a larger XLA program, which would need fixed sizes.

    Args:
        layer: Keras layer of one tensor, or of a list or tuple of tensors.
        bucket_sizes: growing sizes, see `bucket_grid`.
        axis: one int, or one entry per element of a list of inputs.
        output_axis: the same for the outputs; "same": the axis of the inputs.
        jit_compile: False pads and slices alike but leaves XLA out.
    Call arguments:
        inputs: what `layer` takes.
    Returns: what `layer` returns for `inputs`.
    Raises: ValueError: as `bucketed`.
    Source: Chen et al. 2022, section 4.2.
    """

    def __init__(
        self,
        layer: keras.layers.Layer,
        bucket_sizes: Sequence[int],
        axis: Axis = 1,
        output_axis: Axis | str = "same",
        jit_compile: bool = True,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if not isinstance(layer, keras.layers.Layer):
            raise ValueError(f"`layer` must be a Keras layer. Received: {layer!r}")
        self.supports_jit = False
        self.layer = layer
        self.bucket_sizes = check_bucket_sizes(bucket_sizes)
        self.axis = axis
        self.output_axis = output_axis
        self.jit_compile = jit_compile
        self._bucketed = bucketed(
            self._call_layer,
            bucket_sizes,
            axis,
            output_axis=output_axis,
            jit_compile=jit_compile,
        )

    def build(self, input_shape: Any) -> None:
        """Builds the wrapped layer; pads change no shape that weights depend on."""
        if not self.layer.built:
            self.layer.build(input_shape)
        super().build(input_shape)

    def _call_layer(self, *parts: Any, as_list: bool, training: bool | None) -> Any:
        """`training` reaches the layer by Keras; here it makes a trace of its own."""
        del training
        return self.layer(list(parts) if as_list else parts[0])

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Pads, calls the layer and slices."""
        as_list = isinstance(inputs, (list, tuple))
        parts = inputs if as_list else [inputs]
        return self._bucketed(*parts, as_list=as_list, training=training)

    def compute_output_spec(self, inputs: Any, training: bool | None = None) -> Any:
        """The output has the shape that the layer alone would give."""
        del training
        return self.layer.compute_output_spec(inputs)

    def get_config(self) -> dict[str, Any]:
        """Holds the wrapped layer as well."""
        return {
            **super().get_config(),
            "layer": keras.saving.serialize_keras_object(self.layer),
            "bucket_sizes": list(self.bucket_sizes),
            "axis": self.axis,
            "output_axis": self.output_axis,
            "jit_compile": self.jit_compile,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Bucketed":
        """Makes the layer and the wrapped one from `get_config`'s answer."""
        layer = keras.saving.deserialize_keras_object(config["layer"])
        return cls(**{**config, "layer": layer})
