"""`DenseBlock` and `Activation` against NumPy."""

import keras
import numpy as np
import pytest

from tests.layers import numpy_layers
from tfrec.layers.dense_block import Activation, DenseBlock

TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}


def _built(layer, shape):
    layer.build(shape)
    numpy_layers.randomise(layer.variables, seed=1)
    return layer


def _inputs(*shape) -> np.ndarray:
    return np.random.default_rng(0).normal(0.0, 2.0, shape).astype("float32")


@pytest.mark.parametrize("shape", [(9, 4), (2, 3, 4)])
@pytest.mark.parametrize("training", [True, False])
def test_dense_prelu_and_batch_norm(shape, training):
    layer, inputs = _built(DenseBlock(5), shape), _inputs(*shape)
    expected = numpy_layers.dense_block(layer, inputs, training)
    outputs = layer(inputs, training=training)
    assert outputs.shape == (*shape[:-1], 5)
    np.testing.assert_allclose(outputs, expected, **TOLERANCE)


def test_activation_is_the_block_without_its_linear_part():
    layer, inputs = _built(DenseBlock(5), (9, 4)), _inputs(9, 4)
    linear = layer.dense(inputs)
    np.testing.assert_array_equal(layer.activation(linear), layer(inputs))


def test_the_slope_starts_at_a_quarter_in_each_channel():
    layer = Activation()
    layer.build((9, 4))
    np.testing.assert_array_equal(layer.slope.numpy(), np.full(4, 0.25))


def test_config_round_trip():
    layer, inputs = _built(DenseBlock(5), (9, 4)), _inputs(9, 4)
    again = DenseBlock.from_config(layer.get_config())
    again.build((9, 4))
    again.set_weights(layer.get_weights())
    np.testing.assert_array_equal(again(inputs), layer(inputs))
    assert keras.saving.get_registered_name(DenseBlock) == "tfrec>DenseBlock"
    assert keras.saving.get_registered_name(Activation) == "tfrec>Activation"


def test_units_must_be_positive():
    with pytest.raises(ValueError, match="`units` must be at least 1. Received: 0"):
        DenseBlock(0)
