"""`BatchNorm` against NumPy: moving statistics, any rank."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.layers import numpy_layers
from tfrec.layers.batch_norm import BatchNorm

TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}


def _layer(shape, **kwargs) -> BatchNorm:
    layer = BatchNorm(**kwargs)
    layer.build(shape)
    numpy_layers.randomise(layer.variables, seed=1)
    return layer


def _inputs(*shape) -> np.ndarray:
    return np.random.default_rng(0).normal(2.0, 3.0, shape).astype("float32")


@pytest.mark.parametrize("shape", [(7, 3), (4, 5, 3), (1, 3)])
@pytest.mark.parametrize("training", [True, False])
def test_normalises_by_the_batch_or_by_the_moving_statistics(shape, training):
    layer, inputs = _layer(shape), _inputs(*shape)
    expected = numpy_layers.batch_norm(layer, inputs, training)
    outputs = layer(inputs, training=training)
    np.testing.assert_allclose(outputs, expected, **TOLERANCE)


def test_training_moves_the_statistics_and_inference_does_not():
    layer, inputs = _layer((6, 3), momentum=0.9), _inputs(6, 3)
    before = [layer.moving_mean.numpy(), layer.moving_variance.numpy()]
    layer(inputs)
    layer(inputs, training=False)
    np.testing.assert_array_equal(layer.moving_mean.numpy(), before[0])
    np.testing.assert_array_equal(layer.moving_variance.numpy(), before[1])
    layer(inputs, training=True)
    mean, variance = inputs.mean(axis=0), inputs.var(axis=0)
    after = [layer.moving_mean.numpy(), layer.moving_variance.numpy()]
    np.testing.assert_allclose(after[0], 0.9 * before[0] + 0.1 * mean, **TOLERANCE)
    np.testing.assert_allclose(after[1], 0.9 * before[1] + 0.1 * variance, **TOLERANCE)


def test_the_gradient_is_that_of_keras():
    inputs = tf.constant(_inputs(6, 3))
    ours, keras_layer = _layer((6, 3)), keras.layers.BatchNormalization()
    keras_layer.build((6, 3))
    for one, other in zip(keras_layer.variables, ours.variables, strict=True):
        one.assign(other)
    gradients = []
    for layer in (ours, keras_layer):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs, training=True)
            loss = tf.reduce_sum(outputs * tf.constant(_inputs(6, 3)[::-1].copy()))
        variables = [v.value for v in layer.trainable_variables]
        gradients.append(tape.gradient(loss, [inputs, *variables]))
    for one, other in zip(*gradients, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


def test_constant_channels_stay_finite():
    inputs = np.full((5, 3), 1e4, "float32")
    layer = BatchNorm()
    outputs = layer(inputs, training=True)
    assert np.isfinite(outputs).all()
    assert (layer.moving_variance.numpy() >= 0).all()


def test_statistics_stay_float32_under_mixed_precision():
    layer = BatchNorm(dtype="mixed_bfloat16")
    outputs = layer(_inputs(6, 3), training=True)
    assert outputs.dtype == tf.bfloat16
    assert {variable.dtype for variable in layer.variables} == {"float32"}


def test_config_round_trip():
    layer = _layer((6, 3), momentum=0.5, epsilon=0.1)
    again = BatchNorm.from_config(layer.get_config())
    again.build((6, 3))
    for one, other in zip(again.variables, layer.variables, strict=True):
        one.assign(other)
    for training in (False, True, False):
        inputs = _inputs(6, 3)
        np.testing.assert_array_equal(
            again(inputs, training=training), layer(inputs, training=training)
        )
    assert keras.saving.get_registered_name(BatchNorm) == "tfrec>BatchNorm"


@pytest.mark.parametrize(
    "arguments", [{"momentum": 1.0}, {"momentum": -0.1}, {"epsilon": 0.0}]
)
def test_value_errors(arguments):
    message = "`momentum` must be in \\[0, 1\\) and `epsilon` positive. Received: "
    with pytest.raises(ValueError, match=message):
        BatchNorm(**arguments)
