"""The inverted index without a model: the lists of all behaviours, summed by item.

What item-based CF does online. In NumPy by sorting, in TensorFlow by hashing; the
benchmark compares with the faster one.
"""

import numpy as np
import tensorflow as tf

from tfrec.pdn.retrieval import PathRetriever


def array_of(variable: tf.Variable) -> np.ndarray:
    """What a variable holds, without a copy."""
    return np.asarray(memoryview(variable.read_value()))


class Lookup:
    """Looks up the same lists as PathTopK, of one user.

    Args:
        retriever: holds the index.
        top_k: K.

    Attributes:
        arrays: neighbours, similarities and row splits, in NumPy: the retriever's own
            memory, as a copy of it would be colder than what others read too.
    """

    def __init__(self, retriever: PathRetriever, top_k: int):
        self._neighbours = retriever.neighbours
        self._similarities = retriever.similarities
        self._row_splits = retriever.row_splits
        self.arrays = [
            array_of(variable)
            for variable in (self._neighbours, self._similarities, self._row_splits)
        ]
        self._top_k = top_k
        self._in_graph = tf.function(self._sum_by_hashing)

    def entries(self, triggers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Items and similarities of the lists, one after the other: `(E,)` each."""
        neighbours, similarities, splits = self.arrays
        lists = [slice(splits[j], splits[j + 1]) for j in triggers.tolist() if j >= 0]
        items = np.concatenate([neighbours[each] for each in lists])
        return items, np.concatenate([similarities[each] for each in lists])

    def by_numpy(self, triggers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The best items and their sums, at most K; triggers int32 `(m,)`."""
        items, similarities = self.entries(triggers)
        order = np.argsort(items)
        items = items[order]
        first = np.flatnonzero(np.diff(items, prepend=-1))
        sums = np.add.reduceat(similarities[order], first)
        items = items[first]
        if sums.size > self._top_k:
            best = np.argpartition(sums, sums.size - self._top_k)[-self._top_k :]
            items, sums = items[best], sums[best]
        order = np.argsort(-sums)
        return items[order], sums[order]

    def by_tensorflow(self, triggers: np.ndarray) -> tuple[tf.Tensor, tf.Tensor]:
        """The same in a graph."""
        return self._in_graph(tf.convert_to_tensor(triggers))

    def check(self, triggers: np.ndarray) -> None:
        """Raises: ValueError: both ways do not give the same sums."""
        ours, theirs = self.by_numpy(triggers)[1], self.by_tensorflow(triggers)[1]
        if not np.allclose(ours, theirs, rtol=1e-4, atol=1e-4):
            raise ValueError(
                "`by_numpy` and `by_tensorflow` must give the same sums. "
                f"Received: {np.abs(ours - theirs).max()} apart"
            )

    def _sum_by_hashing(self, triggers: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        triggers = tf.boolean_mask(triggers, triggers >= 0)
        row_splits = tf.convert_to_tensor(self._row_splits)
        neighbours = tf.convert_to_tensor(self._neighbours)
        begin = tf.gather(row_splits, triggers)
        end = tf.gather(row_splits, triggers + 1)
        places = tf.ragged.range(begin, end).flat_values
        items, segments = tf.unique(tf.gather(neighbours, places))
        similarities = tf.gather(tf.convert_to_tensor(self._similarities), places)
        sums = tf.math.unsorted_segment_sum(similarities, segments, tf.size(items))
        sums, best = tf.math.top_k(sums, tf.minimum(self._top_k, tf.size(sums)))
        return tf.gather(items, best), sums
