"""Tests auto-padding as a Keras layer."""

import keras
import numpy as np
import pytest

from tfrec.ops.bucketed_layer import Bucketed

SIZES = (4, 8)


def _input(count, seed=0):
    random = np.random.default_rng(seed)
    return random.normal(size=(2, count, 3)).astype(np.float32)


@pytest.mark.parametrize("jit_compile", [True, False])
def test_equals_the_wrapped_layer(jit_compile):
    dense = keras.layers.Dense(5, activation="relu")
    layer = Bucketed(dense, SIZES, jit_compile=jit_compile)
    for count in (0, 1, 4, 7, 9, 17):
        x = _input(count)
        assert layer(x).shape == (2, count, 5)
        np.testing.assert_allclose(layer(x), dense(x), atol=1e-6)
    assert len(layer.trainable_weights) == 2


def test_list_of_inputs_with_one_axis_each():
    layer = Bucketed(keras.layers.Multiply(), SIZES, axis=[1, None], output_axis=1)
    for count in (1, 5, 9):
        x, scale = _input(count), np.full((2, 1, 3), 2, np.float32)
        np.testing.assert_array_equal(layer([x, scale]), 2 * x)


def test_inside_a_model_that_is_trained_and_saved(tmp_path):
    inputs = keras.Input((None, 3))
    layer = Bucketed(keras.layers.Dense(2), SIZES, axis=1)
    model = keras.Model(inputs, layer(inputs))
    assert model.output_shape == (None, None, 2)
    model.compile("sgd", "mse")
    assert not model.jit_compile  # a larger XLA program would fix the sizes
    before = [w.numpy() for w in layer.layer.weights]
    model.fit(_input(5), np.ones((2, 5, 2)), verbose=0)
    assert np.abs(before[0] - layer.layer.weights[0]).max() > 0
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for count in (3, 11):
        x = _input(count)
        expected = model.predict(x, verbose=0)
        assert expected.shape == (2, count, 2)
        np.testing.assert_array_equal(loaded.predict(x, verbose=0), expected)


def test_training_flag_makes_its_own_trace():
    layer = Bucketed(keras.layers.Dropout(0.999, seed=0), (64,), axis=1)
    x = np.ones((2, 50, 3), np.float32)
    np.testing.assert_array_equal(layer(x, training=False), x)
    assert np.mean(layer(x, training=True) == 0) > 0.9
    np.testing.assert_array_equal(layer(x, training=False), x)


@pytest.mark.parametrize("axis", [1, -2, [1], (1,)])
def test_config_round_trip(axis):
    layer = Bucketed(
        keras.layers.Dense(2), SIZES, axis, output_axis=1, jit_compile=False, name="b"
    )
    config = keras.saving.serialize_keras_object(layer)
    assert config["registered_name"] == "tfrec>Bucketed"
    copy = keras.saving.deserialize_keras_object(config)
    assert copy.get_config() == layer.get_config()
    assert copy.bucket_sizes == SIZES
    assert copy.name == "b"
    assert not copy.jit_compile
    x = _input(6) if isinstance(axis, int) else [_input(6)]
    if isinstance(axis, int):
        layer.build((None, None, 3))
        copy.build((None, None, 3))
        copy.set_weights(layer.get_weights())
        np.testing.assert_array_equal(copy(x), layer(x))


def test_errors():
    with pytest.raises(ValueError, match=r"`layer` must be a Keras layer\. Received"):
        Bucketed(lambda x: x, SIZES)
    with pytest.raises(ValueError, match="`bucket_sizes` must be"):
        Bucketed(keras.layers.Dense(2), ())
    with pytest.raises(ValueError, match='`output_axis` must be "same"'):
        Bucketed(keras.layers.Dense(2), SIZES, output_axis="none")
