"""Eq. 5 and 6 against NumPy and finite differences, and what training on them does."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.nann import numpy_nann
from tfrec.nann.adversarial import auxiliary_loss, perturbation
from tfrec.nann.config import DIRECTIONS, DIVERGENCES, AdversarialConfig

NUM_USERS, NUM_CANDIDATES, WIDTH, HIDDEN = 16, 20, 5, 16


class Toy:
    """s_u(e) = w tanh(A e + b_u): smooth, and not convex.

    Scores are small at first. Where one candidate has nearly all of the softmax, its KL
    hardly sees the others, nor ever a shift that all candidates share.
    """

    def __init__(self, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        shapes = ((WIDTH, HIDDEN), (NUM_USERS, 1, HIDDEN), (HIDDEN,))
        scales = (1.0, 1.0, 0.3)
        self.variables = [
            tf.Variable(rng.normal(0.0, scale, shape).astype("float32"))
            for scale, shape in zip(scales, shapes, strict=True)
        ]
        shape = (NUM_USERS, NUM_CANDIDATES, WIDTH)
        self.vectors = rng.normal(size=shape).astype("float32")

    def score(self, vectors):
        kernel, bias, out = self.variables
        hidden = tf.tanh(tf.einsum("bcd,dh->bch", vectors, kernel) + bias)
        return tf.einsum("bch,h->bc", hidden, out)

    def numpy_score(self, vectors: np.ndarray) -> np.ndarray:
        kernel, bias, out = (v.numpy().astype("float64") for v in self.variables)
        return np.tanh(vectors @ kernel + bias) @ out


def _tf_loss(scores):
    return tf.nn.softplus(-scores[:, 0]) + tf.reduce_sum(
        tf.nn.softplus(scores[:, 1:]), axis=1
    )


def _numpy_loss(scores: np.ndarray) -> np.ndarray:
    from_noise = np.log1p(np.exp(scores[:, 1:])).sum(axis=1)
    return np.log1p(np.exp(-scores[:, 0])) + from_noise


def _signs_by_differences(objective, vectors: np.ndarray, step=1e-5) -> np.ndarray:
    """Sign of the gradient of an objective `(B, C, D)` -> number."""
    signs = np.zeros(vectors.shape)
    for place in np.ndindex(*vectors.shape):
        moved = [np.array(vectors, np.float64) for _ in range(2)]
        moved[0][place] += step
        moved[1][place] -= step
        signs[place] = np.sign(objective(moved[0]) - objective(moved[1]))
    return signs


def _numpy_signs(toy: Toy, direction: str) -> np.ndarray:
    def objective(vectors):
        scores = toy.numpy_score(vectors)
        by_score = direction == "score_gradient"
        return (scores if by_score else _numpy_loss(scores)).sum()

    return _signs_by_differences(objective, toy.vectors)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_eq_6_is_epsilon_times_the_sign_of_the_gradient(direction):
    toy = Toy()
    vectors = tf.constant(toy.vectors)
    with tf.GradientTape() as tape:
        tape.watch(vectors)
        scores = toy.score(vectors)
        objective = scores if direction == "score_gradient" else _tf_loss(scores)
    delta = perturbation(objective, vectors, tape, 0.25)
    np.testing.assert_array_equal(delta, 0.25 * _numpy_signs(toy, direction))


def test_the_score_s_direction_ascends_every_score():
    toy = Toy()
    raised = toy.vectors + 1e-3 * _numpy_signs(toy, "score_gradient")
    assert (toy.numpy_score(raised) > toy.numpy_score(toy.vectors)).all()


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_eq_5_is_the_divergence_of_the_perturbed_scores(direction, divergence):
    toy, epsilon = Toy(), 0.5
    config = AdversarialConfig(epsilon, direction, divergence)
    losses = auxiliary_loss(toy.score, tf.constant(toy.vectors), config, _tf_loss)
    perturbed = toy.vectors + epsilon * _numpy_signs(toy, direction)
    expected = numpy_nann.kl(
        toy.numpy_score(toy.vectors), toy.numpy_score(perturbed), divergence
    )
    assert losses.shape == (NUM_USERS,)
    assert (expected > 1e-4).all()
    np.testing.assert_allclose(losses, expected, rtol=1e-3, atol=1e-6)


def test_the_perturbation_is_a_constant_of_the_gradient():
    toy, epsilon = Toy(), 0.1
    config = AdversarialConfig(epsilon)
    delta = epsilon * _numpy_signs(toy, "score_gradient")
    vectors = tf.constant(toy.vectors)
    gradients = []
    for fixed in (False, True):
        with tf.GradientTape() as tape:
            if fixed:
                scores, moved = toy.score(vectors), toy.score(vectors + delta)
                log_p, log_q = tf.nn.log_softmax(scores), tf.nn.log_softmax(moved)
                loss = tf.reduce_sum(tf.exp(log_p) * (log_p - log_q))
            else:
                losses = auxiliary_loss(toy.score, vectors, config, _tf_loss)
                loss = tf.reduce_sum(losses)
        gradients.append(tape.gradient(loss, toy.variables))
    for one, other in zip(*gradients, strict=True):
        assert np.abs(other).max() > 1e-3
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_large_scores_stay_finite(divergence):
    toy = Toy()
    config = AdversarialConfig(0.5, divergence=divergence)
    vectors = tf.constant(toy.vectors)
    with tf.GradientTape() as tape:
        tape.watch(vectors)
        losses = auxiliary_loss(lambda v: 1e3 * toy.score(v), vectors, config, _tf_loss)
    assert np.isfinite(losses).all()
    assert np.isfinite(tape.gradient(losses, vectors)).all()


def _gap(toy: Toy, epsilon: float) -> float:
    """Mean |s(e) - s(e + delta)| of the score's direction."""
    delta = epsilon * _numpy_signs(toy, "score_gradient")
    moved = toy.numpy_score(toy.vectors + delta)
    return float(np.abs(moved - toy.numpy_score(toy.vectors)).mean())


def _train(toy: Toy, loss_fn, steps: int = 150) -> None:
    optimizer = keras.optimizers.Adam(0.01)
    optimizer.build(toy.variables)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(loss_fn())
        optimizer.apply(tape.gradient(loss, toy.variables), toy.variables)

    for _ in range(steps):
        step()


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_training_on_the_auxiliary_loss_alone_flattens(direction, divergence):
    toy, epsilon = Toy(), 0.1
    config = AdversarialConfig(epsilon, direction, divergence)
    before = _gap(toy, epsilon)
    vectors = tf.constant(toy.vectors)
    _train(toy, lambda: auxiliary_loss(toy.score, vectors, config, _tf_loss))
    after = _gap(toy, epsilon)
    print(direction, divergence, before, after)
    assert after < 0.5 * before


def test_eq_5_read_literally_rewards_sharpness():
    """The sum of s log(s / s~) is lowest where s~ is far above s: see config.py."""
    toy, epsilon = Toy(), 0.1
    before = _gap(toy, epsilon)
    vectors = tf.constant(toy.vectors)

    def literal():
        with tf.GradientTape() as tape:
            tape.watch(vectors)
            scores = toy.score(vectors)
        delta = perturbation(scores, vectors, tape, epsilon)
        perturbed = toy.score(vectors + delta)
        log_ratio = tf.math.log_sigmoid(scores) - tf.math.log_sigmoid(perturbed)
        return tf.reduce_sum(tf.sigmoid(scores) * log_ratio, axis=1)

    _train(toy, literal)
    print("literal", before, _gap(toy, epsilon))
    assert _gap(toy, epsilon) > 1.2 * before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epsilon": 0.0}, "`epsilon` must be positive. Received: 0.0"),
        ({"direction": "up"}, "`direction` must be one of .* Received: 'up'"),
        ({"divergence": "kl"}, "`divergence` must be one of .* Received: 'kl'"),
        ({"weight": -1.0}, "`weight` must not be negative. Received: -1.0"),
        ({"num_candidates": 1}, "`num_candidates` must be None or at least 2"),
    ],
)
def test_config_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        AdversarialConfig(**arguments)
