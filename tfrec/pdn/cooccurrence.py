"""c_ji: what item-based CF knows of a pair of items, from training rows alone.

Of each pair: how many users have both, and how many met i within w rows after j (the
position gap), as shares of j's users and of i's: the latter tell of rare items. A
training pair must not see itself: `statistics` takes the target's own user out of the
counts of its pairs, else training reads a signal that test pairs do not have.
"""

from typing import Any

import numpy as np
import tensorflow as tf

from tfrec.data.pair_table import PairTable
from tfrec.data.split_parts import TargetRows
from tfrec.pdn.config import CooccurrenceConfig

NAMES = ("count", "cosine")
NUM_BUCKETS = 32
_SMALLEST_SHARE = 2.0**-15  # of the shares' buckets, two an octave


class Cooccurrence(tf.Module):
    """Counts of pairs of items, for lookups in a graph.

    Args:
        train: rows of users; what is held out is not among them.
        num_items: N.
        config: windows of the position gap.

    Attributes:
        counts: scipy CSR `(N + 1, N + 1)`, users who have both items; diagonal 0.
        feature_names: of the columns of `buckets`.
    Raises: ImportError: SciPy is missing.
    """

    def __init__(self, train: TargetRows, num_items: int, config: CooccurrenceConfig):
        super().__init__(name="cooccurrence")
        self.config = config
        self.windows = config.windows if train.ordered else ()
        shares = ("conditional", *(f"within_{w}" for w in self.windows))
        reverse = tuple(f"{name}_of_item" for name in shares)
        self.feature_names = (*NAMES, *shares, *reverse)
        users_items = _user_item_matrix(train, num_items)
        self.counts = _pair_counts(users_items)
        pairs = self.counts.tocoo()
        self._table = PairTable(pairs.row, pairs.col, num_items + 1)
        columns = [pairs.data]
        for window in self.windows:
            near = _within(train, num_items, window)
            columns.append(np.asarray(near[pairs.row, pairs.col]).ravel())
        values = np.stack(columns, 1)[self._table.order].astype(np.float32)
        values = np.pad(values, [[1, 0], [0, 0]])
        item_counts = np.asarray(users_items.sum(0)).ravel().astype(np.float32)
        self._values = tf.Variable(values, trainable=False, name="pair_counts")
        self._item_counts = tf.Variable(
            item_counts, trainable=False, name="item_counts"
        )

    def statistics(
        self,
        triggers: tf.Tensor,
        items: tf.Tensor,
        own: tf.Tensor | None = None,
        gaps: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """The features of pairs as numbers.

        Args:
            triggers: int32 item ids j, broadcastable with `items`.
            items: int32 item ids i.
            own: float32, 1 where the pair is of a training row whose user is counted,
                broadcastable; the user is then taken out. None: no pair is.
            gaps: int32, rows from the trigger to that row; needed with `own`.
        Returns: float32 `(..., F)`: count; cosine; P(i | j), then for each window the
            share of j's users who met i within it; P(j | i), then for each window the
            share of i's users who had met j within it before.
        """
        values = tf.gather(self._values, self._table.find(triggers, items))
        shape = tf.shape(values)[:-1]
        of_trigger = tf.broadcast_to(tf.gather(self._item_counts, triggers), shape)
        of_item = tf.broadcast_to(tf.gather(self._item_counts, items), shape)
        if own is not None:
            values -= self._own(own, gaps)
            of_item -= own
        values = tf.maximum(values, 0.0)
        of_trigger = tf.maximum(of_trigger, 1.0)[..., tf.newaxis]
        of_item = tf.maximum(of_item, 1.0)[..., tf.newaxis]
        count = values[..., :1]
        cosine = count * tf.math.rsqrt(of_trigger * of_item)
        return tf.concat([count, cosine, values / of_trigger, values / of_item], -1)

    def buckets(self, *pairs: Any) -> tf.Tensor:
        """`statistics` discretised: int32 `(..., F)`, in `[0, NUM_BUCKETS)`; 0: none.

        Two buckets an octave: of 1 + count, and of a share times 2**15.
        """
        values = self.statistics(*pairs)
        scale = [1.0] + [1.0 / _SMALLEST_SHARE] * (len(self.feature_names) - 1)
        octaves = tf.math.log(1.0 + values * scale) / np.log(2.0)
        numbers = tf.cast(tf.math.ceil(2.0 * octaves), tf.int32)
        return tf.minimum(numbers, NUM_BUCKETS - 1)

    def _own(self, own: tf.Tensor, gaps: tf.Tensor | None) -> tf.Tensor:
        """What the target's user adds to each count of a pair."""
        if gaps is None:
            if self.windows:
                raise ValueError(
                    "`gaps` must be given with `own`: there are windows. "
                    f"Received: gaps=None, windows={self.windows}"
                )
            return own[..., tf.newaxis]
        near = [own * tf.cast(gaps <= w, tf.float32) for w in self.windows]
        return tf.stack([tf.broadcast_to(own, tf.shape(near[0])), *near], -1)


def _user_item_matrix(train: TargetRows, num_items: int) -> Any:
    """CSR `(U + 1, N + 1)` of ones: the user has a row of the item."""
    sparse = _scipy_sparse()
    shape = (int(train.users.max(initial=0)) + 1, num_items + 1)
    ones = np.ones(train.users.size, np.float32)
    matrix = sparse.csr_matrix((ones, (train.users, train.items)), shape)
    matrix.data[:] = 1.0  # an item that came back counts once
    return matrix


def _pair_counts(users_items: Any) -> Any:
    counts = (users_items.T @ users_items).tocsr()
    counts.setdiag(0)
    counts.eliminate_zeros()
    counts.sort_indices()
    return counts


def _within(train: TargetRows, num_items: int, window: int) -> Any:
    """CSR `(N + 1, N + 1)`: users who met i at most `window` rows after j."""
    sparse = _scipy_sparse()
    total = sparse.csr_matrix((num_items + 1, num_items + 1), dtype=np.float32)
    for gap in range(1, window + 1):
        same = train.users[gap:] == train.users[:-gap]
        pairs = train.items[:-gap][same], train.items[gap:][same]
        ones = np.ones(pairs[0].size, np.float32)
        total += sparse.csr_matrix((ones, pairs), total.shape)
    return total


def _scipy_sparse() -> Any:
    try:
        from scipy import sparse
    except ImportError as error:
        raise ImportError('PDN needs SciPy: pip install "tfrec[pdn]"') from error
    return sparse
