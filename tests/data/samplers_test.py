"""The unigram sampler's draws against its probabilities."""

import numpy as np
import pytest
import tensorflow as tf

from tfrec.data.errors import DataError
from tfrec.data.samplers import UnigramSampler

_COUNTS = np.array([50, 1, 0, 10, 100, 3, 0, 30])


def _chi_square(ids, probabilities):
    """Pearson's statistic, and its mean plus five deviations."""
    expected = ids.size * probabilities
    seen = np.bincount(ids, minlength=probabilities.size)
    possible = expected > 0
    assert not seen[~possible].any()
    statistic = ((seen - expected)[possible] ** 2 / expected[possible]).sum()
    freedom = possible.sum() - 1
    return statistic, freedom + 5 * np.sqrt(2 * freedom)


@pytest.mark.parametrize("power", [0.0, 0.5, 0.75, 1.0, 2.0])
def test_frequencies(power):
    weights = np.array([0, 1, 0, 10, 100, 3, 0, 30], float)
    weights[weights > 0] **= power
    sampler = UnigramSampler(_COUNTS, power)
    np.testing.assert_allclose(sampler.probabilities, weights / weights.sum())
    ids = sampler.sample(200_000, seed=tf.constant([3, 4])).numpy()
    assert ids.dtype == np.int32
    statistic, limit = _chi_square(ids, weights / weights.sum())
    assert statistic < limit
    other = (weights > 0) * np.arange(weights.size)  # the statistic can tell
    statistic, limit = _chi_square(ids, other / other.sum())
    assert statistic > limit


def test_many_items_of_long_tail():
    counts = np.concatenate([[0], 1e6 / np.arange(1, 50_001)]).astype(np.int64)
    sampler = UnigramSampler(counts, 0.75)
    ids = sampler.sample(1_000_000, seed=[1, 2]).numpy()
    buckets = np.searchsorted(np.cumsum(sampler.probabilities), np.arange(1, 21) / 20)
    group = np.searchsorted(buckets, ids)
    expected = np.bincount(
        np.searchsorted(buckets, np.arange(50_001)), sampler.probabilities, 21
    )
    statistic, limit = _chi_square(group, expected)
    assert statistic < limit


def test_a_seed_decides():
    sampler = UnigramSampler(_COUNTS)
    draw = tf.function(lambda num, seed: sampler.sample(num, seed))
    one = sampler.sample(100, [1, 2])
    np.testing.assert_array_equal(one, draw(tf.constant(100), tf.constant([1, 2])))
    assert not np.array_equal(one, sampler.sample(100, [1, 3]))
    assert sampler.sample(0, [1, 2]).shape == (0,)


def test_log_expected_count():
    sampler = UnigramSampler(_COUNTS)
    found = sampler.log_expected_count(tf.constant([[1, 4], [2, 0]]), 200)
    np.testing.assert_allclose(
        found, [[np.log(200 / 144), np.log(200 * 100 / 144)], [-np.inf, -np.inf]], 1e-6
    )
    ids = sampler.sample(144_000, seed=[5, 6]).numpy()
    mean = (ids == 4).mean() * 200
    np.testing.assert_allclose(mean, np.exp(found[0, 1]), rtol=0.01)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([1], r"must be \(N \+ 1,\). Received: \(1,\)"),
        ([[0, 1]], r"must be \(N \+ 1,\)"),
        ([5, 0, 0], "not all 0"),
        ([0, -1, 2], "not negative"),
        ([0, np.nan], "finite"),
    ],
)
def test_value_errors(counts, message):
    with pytest.raises(DataError, match=message):
        UnigramSampler(np.array(counts))
