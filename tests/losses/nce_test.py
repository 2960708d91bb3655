"""`nce_loss` on numbers worked out by hand, and what minimises it."""

import math

import numpy as np
import pytest
import tensorflow as tf

from tfrec.losses.nce import nce_loss

LOG2 = math.log(2.0)


def test_numbers_worked_out_by_hand():
    # Logits: 1 - 1 = 0 from the data; 0 - 0 = 0 and log 3 - 0 from the noise.
    scores = np.float32([[1.0, 0.0, math.log(3.0)]])
    log_counts = np.float32([[1.0, 0.0, 0.0]])
    loss = nce_loss(scores, log_counts, np.zeros((1, 3), bool))
    # -log sigmoid(0) - log(1 - sigmoid(0)) - log(1 - 3 / 4)
    np.testing.assert_allclose(loss, [LOG2 + LOG2 + math.log(4.0)], rtol=1e-6)


def test_a_masked_candidate_adds_nothing_and_gets_no_gradient():
    scores = tf.constant([[0.5, -1.0, 2.0], [0.0, 0.0, 0.0]])
    is_masked = np.array([[False, True, False], [False, False, False]])
    with tf.GradientTape() as tape:
        tape.watch(scores)
        loss = nce_loss(scores, np.zeros((2, 3), "float32"), is_masked)
    first = math.log1p(math.exp(-0.5)) + math.log1p(math.exp(2.0))
    np.testing.assert_allclose(loss, [first, 3 * LOG2], rtol=1e-6)
    gradient = tape.gradient(loss, scores)
    assert gradient[0, 1] == 0
    assert np.count_nonzero(gradient) == 5


def test_counts_broadcast_over_users():
    scores = np.float32([[0.0, 0.0, 0.0], [LOG2, LOG2, LOG2]])
    loss = nce_loss(scores, np.float32([[0, 0, LOG2]]), False)
    # Row 0: sigmoid is 1/2 from the data and 1/2, 1/3 from the noise.
    row_0 = LOG2 + LOG2 + math.log(1.5)
    # Row 1: 2/3 and 2/3, 1/2.
    row_1 = math.log(1.5) + math.log(3) + LOG2
    np.testing.assert_allclose(loss, [row_0, row_1], rtol=1e-6)


@pytest.mark.parametrize("score", [-200.0, 200.0])
def test_large_scores_stay_finite(score):
    scores = tf.fill([1, 2], score)
    loss = nce_loss(scores, tf.zeros([1, 2]), False)
    np.testing.assert_allclose(loss, [200.0], rtol=1e-6)


@pytest.mark.parametrize("noise", [[0.25] * 4, [0.7, 0.1, 0.1, 0.1]])
def test_the_minimiser_is_the_log_probability_whatever_the_noise(noise):
    num_negatives = 5
    data, noise = np.array([0.4, 0.3, 0.2, 0.1]), np.array(noise)
    log_counts = np.log(num_negatives * noise).astype("float32")

    # The exact expectation over data and noise: every item once as the positive,
    # weighted by p, and once as the negative, weighted by K q.
    def expected_loss(scores):
        pairs = tf.stack([scores, scores], axis=1)
        counts = np.stack([log_counts, log_counts], axis=1)
        no_noise, no_data = np.array([[False, True]]), np.array([[True, False]])
        as_data = nce_loss(pairs, counts, no_noise)
        as_noise = nce_loss(pairs, counts, no_data)
        return tf.reduce_sum(data * as_data + num_negatives * noise * as_noise)

    minimiser = tf.constant(np.log(data), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(minimiser)
        least = expected_loss(minimiser)
    # The loss is convex in the scores, so a gradient of 0 is the minimum.
    np.testing.assert_allclose(tape.gradient(least, minimiser), np.zeros(4), atol=1e-6)
    for item in range(4):
        for step in (-0.3, 0.3):
            other = minimiser + step * tf.one_hot(item, 4)
            assert expected_loss(other) > least + 1e-4
