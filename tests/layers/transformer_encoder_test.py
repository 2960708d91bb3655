"""`TransformerEncoder` against NumPy."""

import keras
import numpy as np
import pytest

from tests.layers import numpy_layers
from tfrec.layers.transformer_encoder import TransformerEncoder


def _layer(num_heads: int, shape=(3, 6, 4)) -> TransformerEncoder:
    layer = TransformerEncoder(num_heads, 5)
    layer.build(shape)
    numpy_layers.randomise(layer.variables, seed=1)
    return layer


def _inputs(*shape) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype("float32")


@pytest.mark.parametrize("num_heads", [1, 2])
@pytest.mark.parametrize("shape", [(3, 6, 4), (1, 1, 4)])
def test_attention_and_feed_forward_each_added_and_normalised(num_heads, shape):
    layer, inputs = _layer(num_heads), _inputs(*shape)
    outputs = layer(inputs)
    assert outputs.shape == shape
    expected = numpy_layers.transformer_encoder(layer, inputs)
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-5)


def test_every_variable_is_built_and_trained():
    # Attention: 4 kernels and biases; 2 dense layers; 2 normalisations.
    assert len(_layer(1).trainable_variables) == 2 * (4 + 2 + 2)
    assert not _layer(1).non_trainable_variables


def test_config_round_trip():
    layer, inputs = _layer(2), _inputs(3, 6, 4)
    again = TransformerEncoder.from_config(layer.get_config())
    again.build((3, 6, 4))
    again.set_weights(layer.get_weights())
    np.testing.assert_array_equal(again(inputs), layer(inputs))
    name = keras.saving.get_registered_name(TransformerEncoder)
    assert name == "tfrec>TransformerEncoder"


@pytest.mark.parametrize("arguments", [(0, 24), (1, 0)])
def test_value_errors(arguments):
    message = "`num_heads` and `feed_forward` must be at least 1. Received: num_heads="
    with pytest.raises(ValueError, match=message):
        TransformerEncoder(*arguments)
