"""One face for every model of the tables: scores of candidates and of all items."""

import abc
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from experiments.pdn.problem import Problem
from tfrec.baselines.base import Baseline
from tfrec.baselines.closed_form import history_matrix
from tfrec.data.splits import Examples
from tfrec.pdn.exact import ExactPaths
from tfrec.pdn.model import Pdn

_ITEMS_AT_ONCE = 512
_VECTOR_ITEMS_AT_ONCE = 100  # their paths are vectors: B L C P at once


class Ranker(abc.ABC):
    """Scores for a batch of users; arrays by position are item ids less 1."""

    @abc.abstractmethod
    def sampled(
        self, examples: Examples, rows: slice, features: Any, candidates: np.ndarray
    ) -> np.ndarray:
        """Scores `(B, C)` of item ids `(B, C)`."""

    @abc.abstractmethod
    def full(self, examples: Examples, rows: slice, features: Any) -> np.ndarray:
        """Scores `(B, N)` of all items."""

    @abc.abstractmethod
    def item_to_item(
        self, examples: Examples, rows: slice, features: Any
    ) -> np.ndarray | None:
        """The same from the history and item similarities alone; None: it has none."""


class PdnRanker(Ranker):
    """PDN: the candidates by the model itself, all items by `ExactPaths`.

    Vectors of all pairs take too much memory for that, so vector-based PDN scores all
    items as it does candidates; what an item is to an item needs a user there.
    """

    def __init__(self, model: Pdn, problem: Problem):
        self._problem = problem
        self._exact: ExactPaths | None = None
        self.model = model
        self._has_scalars = model.config.path_width == 1
        self._sampled = tf.function(
            lambda features, items: model.score(model.user_state(features), items),
            reduce_retracing=True,
        )

    def sampled(self, examples, rows, features, candidates):  # noqa: D102
        items = self._problem.with_item_fields(candidates)
        return self._sampled(features, items).numpy()

    def full(self, examples, rows, features):  # noqa: D102
        if self._has_scalars:
            return self.exact.scores(features)
        ids = np.arange(1, self._problem.dataset.num_items + 1, dtype=np.int32)
        blocks = np.array_split(ids, -(-len(ids) // _VECTOR_ITEMS_AT_ONCE))
        shape = rows.stop - rows.start, 1
        scores = [
            self.sampled(examples, rows, features, np.tile(block, shape))
            for block in blocks
        ]
        return np.concatenate(scores, axis=1)

    def item_to_item(self, examples, rows, features):  # noqa: D102
        return self.exact.item_to_item(features) if self._has_scalars else None

    @property
    def exact(self) -> ExactPaths:
        """All pairs scored, when first asked for."""
        if self._exact is None:
            self._exact = ExactPaths(self.model, self._problem.fields.item)
        return self._exact


class NeuralRanker(Ranker):
    """A neural baseline; item-to-item is the inner product of item vectors."""

    def __init__(self, model: Baseline, problem: Problem):
        self._problem = problem
        self._vectors: tf.Tensor | None = None
        self.model = model
        # One for candidates of each user, one for a block of items for all.
        self._score_own = tf.function(self._score, reduce_retracing=True)
        self._score_shared = tf.function(self._score, reduce_retracing=True)

    def sampled(self, examples, rows, features, candidates):  # noqa: D102
        items = self._problem.with_item_fields(candidates)
        return self._score_own(features, self.model.item_vectors(items)).numpy()

    def full(self, examples, rows, features):  # noqa: D102
        blocks = [
            self.vectors[begin : begin + _ITEMS_AT_ONCE]
            for begin in range(0, len(self.vectors), _ITEMS_AT_ONCE)
        ]
        scores = [self._score_shared(features, block).numpy() for block in blocks]
        return np.concatenate(scores, axis=1)

    def item_to_item(self, examples, rows, features):  # noqa: D102
        history = features["history"]["item"]
        vectors = tf.gather(self.vectors, tf.maximum(history - 1, 0))
        mask = tf.cast(history > 0, tf.float32)[..., tf.newaxis]
        summed = tf.reduce_sum(vectors * mask, axis=1)
        return tf.matmul(summed, self.vectors, transpose_b=True).numpy()

    @property
    def vectors(self) -> tf.Tensor:
        """Of all items by position, `(N, D)`, when first asked for."""
        if self._vectors is None:
            ids = np.arange(1, self._problem.dataset.num_items + 1, dtype=np.int32)
            items = self._problem.with_item_fields(ids)
            self._vectors = self.model.item_vectors(items)
        return self._vectors

    def _score(self, features: Mapping[str, Any], vectors: tf.Tensor) -> Any:
        return self.model.score(self.model.user_state(features), vectors)


class ClosedFormRanker(Ranker):
    """A closed form: it sees the whole history, and has no features."""

    def __init__(self, model: Any, problem: Problem):
        self.model = model
        self._relates = problem.setting.model != "popularity"
        self._num_items = problem.dataset.num_items

    def sampled(self, examples, rows, features, candidates):  # noqa: D102
        scores = self.full(examples, rows, features)
        return np.take_along_axis(scores, candidates - 1, axis=1)

    def full(self, examples, rows, features):  # noqa: D102
        part = examples.take(np.arange(rows.start, rows.stop))
        users = history_matrix(part.history, part.history_splits, self._num_items)
        return self.model.score(users)

    def item_to_item(self, examples, rows, features):  # noqa: D102
        return self.full(examples, rows, features) if self._relates else None
