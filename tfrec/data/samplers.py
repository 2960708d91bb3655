"""Negative samplers, stateless: a seed decides the draw."""

import numpy as np
import tensorflow as tf

from tfrec.data.errors import DataError


class UnigramSampler:
    """Draws item ids with replacement, in proportion to count ** power.

    Attributes:
        probabilities: float64 `(N + 1,)`, 0 for padding and for items never seen.
        power: 1: the unigram distribution; 0: uniform over items that were seen.
    Source: Chen et al. 2022 (NANN), section 4.2; power as in Mikolov et al. 2013.
    """

    def __init__(self, counts: np.ndarray, power: float = 1.0):
        """Makes the sampler.

        Args:
            counts: `(N + 1,)`, not negative, by item id; padding's count is ignored.
            power: exponent of the counts.
        Raises: DataError: a count is negative or not finite, or all are 0.
        """
        counts = np.asarray(counts, np.float64).copy()
        if counts.ndim != 1 or counts.size < 2:
            raise DataError(f"`counts` must be (N + 1,). Received: {counts.shape}")
        counts[0] = 0.0
        if not np.all(np.isfinite(counts)) or counts.min() < 0 or counts.max() == 0:
            raise DataError(
                "`counts` must be finite, not negative and not all 0. "
                f"Received: from {counts.min()} to {counts.max()}"
            )
        weights = np.where(counts > 0, counts**power, 0.0)
        self.power = power
        self.probabilities = weights / weights.sum()
        cdf = np.cumsum(self.probabilities)
        self._cdf = tf.constant(cdf / cdf[-1])
        with np.errstate(divide="ignore"):
            self._log_probabilities = tf.constant(
                np.log(self.probabilities).astype(np.float32)
            )

    def sample(self, num: int | tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Draws ids with replacement.

        Args:
            num: how many, K.
            seed: int32 or int64 `(2,)`; the same seed gives the same ids.
        Returns: int32 `(K,)`, ids in `[1, N]` whose count is not 0.
        """
        uniform = tf.random.stateless_uniform([num], seed, dtype=tf.float64)
        # The first id whose cdf exceeds the draw: an id of probability 0 is never it.
        return tf.searchsorted(self._cdf, uniform, side="right", out_type=tf.int32)

    def log_expected_count(self, ids: tf.Tensor, num: int | tf.Tensor) -> tf.Tensor:
        """Log of how often an id is expected among `num` draws: log(num * p).

        Args:
            ids: int, any shape, in `[0, N]`.
            num: the number of draws.
        Returns: float32 of the shape of `ids`; -inf where the probability is 0.
        """
        return tf.gather(self._log_probabilities, ids) + tf.math.log(
            tf.cast(num, tf.float32)
        )
