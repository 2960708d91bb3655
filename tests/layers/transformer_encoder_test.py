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


def test_masked_positions_are_as_if_they_were_not_there():
    layer, inputs = _layer(2), _inputs(3, 6, 4)
    mask_b1l = np.arange(6) < np.array([1, 4, 6])[:, None, None]
    outputs = layer(inputs, attention_mask=mask_b1l)
    for b, length in enumerate([1, 4, 6]):
        expected = numpy_layers.transformer_encoder(layer, inputs[b : b + 1, :length])
        found = outputs[b : b + 1, :length]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_a_causal_mask_hides_later_positions():
    layer, inputs = _layer(1), _inputs(2, 6, 4)
    changed = inputs.copy()
    changed[:, 3] += 1
    mask_1ll = np.tril(np.ones((1, 6, 6), bool))
    before, after = (layer(x, attention_mask=mask_1ll) for x in (inputs, changed))
    np.testing.assert_array_equal(before[:, :3], after[:, :3])
    assert np.all(np.abs(before - after).max(axis=-1)[:, 3:] > 1e-4)


def test_dropout_is_of_training_alone_and_adds_no_trained_variable():
    layer, inputs = TransformerEncoder(1, 5, dropout=0.5), _inputs(3, 6, 4)
    expected = _layer(1)
    layer(inputs)
    for variable, weights in zip(
        layer.trainable_variables, expected.get_weights(), strict=True
    ):
        variable.assign(weights)
    np.testing.assert_array_equal(layer(inputs), expected(inputs))
    assert not np.allclose(layer(inputs, training=True), expected(inputs))


def test_every_variable_is_built_and_trained():
    # Attention: 4 kernels and biases; 2 dense layers; 2 normalisations.
    assert len(_layer(1).trainable_variables) == 2 * (4 + 2 + 2)
    assert not _layer(1).non_trainable_variables


def test_config_round_trip():
    layer, inputs = _layer(2), _inputs(3, 6, 4)
    config = TransformerEncoder(2, 5, dropout=0.3).get_config()
    assert TransformerEncoder.from_config(config).dropout == 0.3
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


def test_dropout_is_below_1():
    with pytest.raises(ValueError, match=r"`dropout` must be in \[0, 1\)"):
        TransformerEncoder(1, 5, dropout=1.0)
