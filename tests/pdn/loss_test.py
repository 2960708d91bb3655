"""Eq. 13 and the cross-entropy, against Python's exact arithmetic."""

import decimal

import numpy as np
import pytest
import tensorflow as tf

from tfrec.pdn.loss import log1mexp, path_cross_entropy

VALUES = [1e-30, 1e-12, 1e-7, 1e-4, 0.1, 0.6931, 0.6932, 1.0, 5.0, 20.0, 90.0]


def exact_p(score: float) -> decimal.Decimal:
    """1 - exp(-score) with 80 digits."""
    with decimal.localcontext(decimal.Context(prec=80)):
        return 1 - (-decimal.Decimal(float(np.float32(score)))).exp()


@pytest.mark.parametrize("score", VALUES)
def test_log_of_probability(score):
    with decimal.localcontext(decimal.Context(prec=80)):
        expected = float(exact_p(score).ln())
    found = float(log1mexp(tf.constant(score)))
    assert found == pytest.approx(expected, rel=2e-6, abs=1e-38)


@pytest.mark.parametrize("score", VALUES)
def test_gradient(score):
    """d/dx log(1 - e^-x) = 1 / (e^x - 1), also where the difference cancels."""
    x = tf.constant(score)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = log1mexp(x)
    p = exact_p(score)
    with decimal.localcontext(decimal.Context(prec=80)):
        expected = float((1 - p) / p)
    assert float(tape.gradient(y, x)) == pytest.approx(expected, rel=2e-6, abs=1e-38)


def test_naive_formula_would_fail():
    """What the stable form is for: float32 loses 1 - e^-x at 1e-8."""
    assert np.log(np.float32(1) - np.exp(np.float32(-1e-8))) == -np.inf
    assert float(log1mexp(tf.constant(1e-8))) == pytest.approx(np.log(1e-8), rel=1e-6)


def test_cross_entropy():
    """-(y log p + (1 - y) log(1 - p)), section 4.6, by hand: p = 1 - e^-1 and so on."""
    scores = tf.constant([[1.0, 2.0], [0.5, 3.0]])
    labels = tf.constant([[1.0, 0.0], [0.0, 1.0]])
    expected = [[-np.log(1 - np.exp(-1)), 2.0], [0.5, -np.log(1 - np.exp(-3))]]
    np.testing.assert_allclose(path_cross_entropy(scores, labels), expected, rtol=1e-6)


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_finite_at_zero(label):
    """A user without any path and a direct weight that underflows."""
    score = tf.constant(0.0)
    with tf.GradientTape() as tape:
        tape.watch(score)
        loss = path_cross_entropy(score, tf.constant(label))
    assert np.isfinite(float(loss))
    assert np.isfinite(float(tape.gradient(loss, score)))
