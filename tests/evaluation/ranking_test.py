"""Ranks, HR and NDCG on numbers worked out by hand, and against brute force."""

import itertools
import math

import numpy as np
import pytest

from tfrec.evaluation import ranking
from tfrec.evaluation.ranking import Ranks


def test_sampled_ranks_by_hand():
    scores = np.array([[2.0, 3.0, 1.0, 2.0], [5.0, 1.0, 1.0, 1.0], [0.0, 1.0, 2.0, 3]])
    ranks = ranking.sampled_ranks(scores)
    np.testing.assert_array_equal(ranks.greater, [1, 0, 3])
    np.testing.assert_array_equal(ranks.ties, [1, 0, 0])


def test_a_copy_of_the_target_does_not_compete():
    scores = np.array([[2.0, 2.0, 3.0, 2.0], [1.0, 1.0, 4.0, 0.0]])
    candidates = np.array([[7, 7, 2, 3], [5, 6, 8, 9]])
    ranks = ranking.sampled_ranks(scores, candidates)
    np.testing.assert_array_equal(ranks.greater, [1, 1])
    np.testing.assert_array_equal(ranks.ties, [1, 1])
    with pytest.raises(ValueError, match=r"Received: \(2, 3\) and \(2, 4\)"):
        ranking.sampled_ranks(scores, candidates[:, 1:])


def test_metrics_by_hand():
    ranks = Ranks(np.array([0, 1, 2, 1, 9]), np.array([0, 0, 0, 2, 0]))
    # The fourth target stands at rank 2, 3 or 4 alike.
    np.testing.assert_allclose(ranking.hit_rate(ranks, 2), [1, 1, 0, 1 / 3, 0])
    np.testing.assert_allclose(ranking.hit_rate(ranks, 3), [1, 1, 1, 2 / 3, 0])
    np.testing.assert_allclose(
        ranking.ndcg(ranks, 3),
        [1, 1 / math.log2(3), 0.5, (1 / math.log2(3) + 0.5) / 3, 0],
    )
    np.testing.assert_allclose(ranking.hit_rate(ranks, 10), [1, 1, 1, 1, 1])
    np.testing.assert_allclose(ranking.ndcg(ranks, 10)[4], 1 / math.log2(11))


def test_ties_are_the_mean_over_all_orders():
    scores = np.array([1.0, 1.0, 2.0, 1.0, 0.0, 1.0])
    ranks = ranking.sampled_ranks(scores[None])
    hits, gains = [], []
    for order in itertools.permutations(range(6)):
        ordered = sorted(order, key=lambda item: -scores[item])
        place = ordered.index(0) + 1
        hits.append(place <= 3)
        gains.append(1 / math.log2(1 + place) if place <= 3 else 0.0)
    np.testing.assert_allclose(ranking.hit_rate(ranks, 3), [np.mean(hits)])
    np.testing.assert_allclose(ranking.ndcg(ranks, 3), [np.mean(gains)])


def test_constant_scores_are_worth_chance():
    ranks = ranking.sampled_ranks(np.zeros((4, 100)))
    np.testing.assert_allclose(ranking.hit_rate(ranks, 10), np.full(4, 0.1))


def test_full_ranks_leave_out_what_was_seen_but_not_the_target():
    scores = np.array([[9.0, 8, 7, 6, 5], [1.0, 2, 3, 4, 5]])
    targets = np.array([4, 1])
    seen = [np.array([1, 3, 4, 3]), np.array([5, 0])]
    left = ranking.without_seen(scores, targets, seen)
    np.testing.assert_array_equal(
        left, [[-np.inf, 8, -np.inf, 6, 5], [1, 2, 3, 4, -np.inf]]
    )
    ranks = ranking.full_ranks(left, targets)
    np.testing.assert_array_equal(ranks.greater, [1, 3])
    np.testing.assert_array_equal(ranks.ties, [0, 0])
    np.testing.assert_array_equal(scores[0], [9, 8, 7, 6, 5])


def test_full_ranks_against_counting():
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 6, (40, 30)).astype("float32")
    targets = rng.integers(1, 31, 40)
    seen = [rng.integers(1, 31, rng.integers(0, 12)) for _ in range(40)]
    ranks = ranking.full_ranks(ranking.without_seen(scores, targets, seen), targets)
    for row, (target, met) in enumerate(zip(targets, seen, strict=True)):
        others = set(range(1, 31)) - set(met.tolist()) - {target}
        value = scores[row, target - 1]
        assert ranks.greater[row] == sum(scores[row, i - 1] > value for i in others)
        assert ranks.ties[row] == sum(scores[row, i - 1] == value for i in others)


@pytest.mark.parametrize("k", [1, 5, 12])
def test_top_k_against_sorting(k):
    rng = np.random.default_rng(k)
    scores = rng.integers(0, 4, (50, 12)).astype("float32")
    scores[rng.random(scores.shape) < 0.4] = -np.inf
    scores[0] = -np.inf
    found = ranking.top_k(scores, k)
    assert found.dtype == np.int32
    for row, positions in zip(scores, found, strict=True):
        kept = [i for i in range(12) if row[i] > -np.inf]
        expected = sorted(kept, key=lambda i: (-row[i], i))[:k]
        np.testing.assert_array_equal(positions, expected + [-1] * (k - len(expected)))


def test_batches_are_one():
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 9, (10, 8)).astype("float32")
    parts = [ranking.sampled_ranks(scores[:4]), ranking.sampled_ranks(scores[4:])]
    joined, whole = ranking.concatenate(parts), ranking.sampled_ranks(scores)
    np.testing.assert_array_equal(joined.greater, whole.greater)
    np.testing.assert_array_equal(joined.ties, whole.ties)


def test_value_errors():
    scores, targets = np.zeros((2, 3)), np.array([1, 3])
    with pytest.raises(ValueError, match=r"rank 2 `\(E, C\)`.*scores.shape=\(3,\)"):
        ranking.sampled_ranks(np.zeros(3))
    with pytest.raises(ValueError, match="Received: NaN in row 1"):
        ranking.sampled_ranks(np.array([[0.0, 1.0], [0.0, np.nan]]))
    with pytest.raises(ValueError, match="Received: NaN in row 0"):
        ranking.full_ranks(np.array([[np.nan, 1.0]]), np.array([2]))
    with pytest.raises(ValueError, match=r"targets.shape=\(1,\)"):
        ranking.full_ranks(scores, np.array([1]))
    with pytest.raises(ValueError, match=r"`targets` must be.*\[1, 3\]. Received: 0"):
        ranking.full_ranks(scores, np.array([0, 1]))
    with pytest.raises(ValueError, match=r"`seen` must be.*\[0, 3\]. Received: 4"):
        ranking.without_seen(scores, targets, [np.array([4]), np.array([1])])
    with pytest.raises(ValueError, match="Received: 1 for 2 rows"):
        ranking.without_seen(scores, targets, [np.array([1])])
    with pytest.raises(ValueError, match="-inf in row 1, item 3"):
        ranking.full_ranks(np.array([[0.0, 0, 0], [0, 0, -np.inf]]), targets)
    with pytest.raises(ValueError, match=r"`k` must be in \[1, 3\]. Received: 4"):
        ranking.top_k(scores, 4)
    with pytest.raises(ValueError, match="`k` must be at least 1. Received: 0"):
        ranking.hit_rate(ranking.sampled_ranks(scores), 0)
