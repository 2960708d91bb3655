"""`target_attention` against a loop over users and candidates."""

import numpy as np
import pytest
import tensorflow as tf

from tests.layers import numpy_layers
from tfrec.layers.target_attention import target_attention

TOLERANCE = {"rtol": 1e-5, "atol": 1e-6}


def _parts(num_users=4, length=6, num_candidates=3, width=5, out=7):
    rng = np.random.default_rng(0)
    shapes = (
        (num_users, num_candidates, width),
        (num_users, length, width),
        (num_users, length, out),
    )
    query, key, values = (rng.normal(size=s).astype("float32") for s in shapes)
    is_real = np.arange(length) < rng.integers(1, length + 1, num_users)[:, None]
    return query, key, values, is_real


def test_own_candidates_of_each_user():
    parts = _parts()
    outputs = target_attention(*map(tf.constant, parts))
    assert outputs.shape == (4, 3, 7)
    np.testing.assert_allclose(
        outputs, numpy_layers.target_attention(*parts), **TOLERANCE
    )


def test_candidates_that_all_users_share():
    query, *rest = _parts()
    outputs = target_attention(*map(tf.constant, (query[0], *rest)))
    expected = numpy_layers.target_attention(query[0], *rest)
    np.testing.assert_allclose(outputs, expected, **TOLERANCE)


def test_padding_has_no_weight_whatever_it_holds():
    query, key, values, is_real = _parts()
    noise = np.where(is_real[..., None], 0, 100).astype("float32")
    outputs = target_attention(query, key, values, is_real)
    again = target_attention(query, key + noise, values + noise, is_real)
    np.testing.assert_allclose(again, outputs, **TOLERANCE)


def test_one_behaviour_gets_all_the_weight():
    query, key, values, _ = _parts()
    is_real = np.arange(6) == np.array([0, 2, 5, 3])[:, None]
    outputs = target_attention(query, key, values, is_real)
    expected = np.repeat(values[is_real][:, None], 3, axis=1)
    np.testing.assert_allclose(outputs, expected, **TOLERANCE)


@pytest.mark.parametrize("length", [1, 6])
def test_a_user_without_behaviours_gets_zeros_and_finite_gradients(length):
    query, key, values, is_real = _parts(length=length)
    is_real[1] = False
    inputs = [tf.constant(part) for part in (query, key, values)]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = target_attention(*inputs, is_real)
        loss = tf.reduce_sum(tf.square(outputs))
    np.testing.assert_array_equal(outputs[1], np.zeros((3, 7)))
    for gradient in tape.gradient(loss, inputs):
        assert np.isfinite(gradient).all()
        np.testing.assert_array_equal(gradient[1], np.zeros(gradient.shape[1:]))


def test_large_logits_stay_finite():
    query, key, values, is_real = _parts()
    outputs = target_attention(1e4 * query, 1e3 * key, values, is_real)
    expected = numpy_layers.target_attention(1e4 * query, 1e3 * key, values, is_real)
    np.testing.assert_allclose(outputs, expected, **TOLERANCE)
