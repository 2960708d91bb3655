"""How PathTopK and its twin grow: with the items, a list's length, triggers and users.

One number is varied at a time and its points are timed in turns. TrigNet is left out:
triggers, weights and vectors are random.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from experiments import timing
from experiments.pdn import synthetic
from tfrec import ops as tfrec_ops

AXES = ("num_items", "k", "num_triggers", "batch")
WIDTH = 33
_TURNS = 16


@dataclasses.dataclass(frozen=True)
class Point:
    """What is retrieved.

    Attributes:
        num_items: N.
        k: length of a list.
        num_triggers: m.
        batch: B, users of a call.
        top_k: K.
    """

    num_items: int
    k: int
    num_triggers: int
    batch: int
    top_k: int


class Calls:
    """The op and its twin at one point.

    Args:
        point: the sizes.
        index: `index_tensors` of N and k.
        seed: of users and their triggers.
    """

    def __init__(self, point: Point, index: list[tf.Tensor], seed: int):
        random = np.random.default_rng([seed, 6])
        self.point = point
        n, m, turns = point.num_items, point.num_triggers, _TURNS * point.batch
        ranks = synthetic.popular_ranks(random, turns, m, n)
        triggers = synthetic.item_ranks(n, seed)[ranks]
        weights = random.standard_normal(triggers.shape, np.float32) - np.float32(3)
        users = random.standard_normal((turns, WIDTH), np.float32)
        self._users = [
            [tf.constant(part) for part in np.split(column, _TURNS)]
            for column in (triggers, weights, users)
        ]
        self._index = index
        self.op = self._graph(tfrec_ops.path_top_k)
        self.twin = self._graph(tfrec_ops.path_top_k_reference)

    def _graph(self, function: Any) -> Any:
        excluded = tf.zeros([self.point.batch, 0], tf.int32)
        available = tf.zeros([0], tf.bool)

        @tf.function
        def run(triggers: Any, weights: Any, users: Any, index: Any) -> tuple:
            return function(
                triggers,
                weights,
                *index[:3],
                users,
                index[3],
                excluded,
                available,
                self.point.top_k,
                num_paths=3,
            )

        def call(turn: int) -> Any:
            inputs = (part[turn % _TURNS] for part in self._users)
            return run(*inputs, self._index)

        return call


def measure(
    axis: str, base: Point, values: Sequence[int], rounds: int, seed: int
) -> list[dict[str, Any]]:
    """Times the points of one axis.

    Args:
        axis: of `AXES`.
        base: everything but the axis.
        values: along it.
        rounds: timed rounds.
        seed: of the index and the users.
    Returns: by point its value, median milliseconds of `op` and `twin`, the op's to
        that of the first value, and users a second.
    """
    points = [dataclasses.replace(base, **{axis: value}) for value in values]
    lists = _all_lists(points, seed)
    made = [Calls(p, lists[p.num_items, p.k], seed) for p in points]
    names = [f"{way}-{place}" for place in range(len(made)) for way in ("op", "twin")]
    functions = [call for point in made for call in (point.op, point.twin)]
    calls = dict(zip(names, functions, strict=True))
    wall = timing.interleaved_medians(calls, rounds).wall
    return [
        {
            axis: getattr(point, axis),
            "op": wall[f"op-{place}"],
            "twin": wall[f"twin-{place}"],
            "op_to_first": wall[f"op-{place}"] / wall["op-0"],
            "twin_over_op": wall[f"twin-{place}"] / wall[f"op-{place}"],
            "users_per_second": 1000 * point.batch / wall[f"op-{place}"],
        }
        for place, point in enumerate(points)
    ]


def index_tensors(
    index: tuple[np.ndarray, np.ndarray], k: int, seed: int
) -> list[tf.Tensor]:
    """The lists `(N, K)` cut to k: neighbours, similarities, row splits, q_i."""
    num_items = len(index[0])
    random = np.random.default_rng([seed, 7])
    vectors = random.standard_normal((num_items, WIDTH), np.float32)
    return [
        *(tf.constant(part[:, :k].reshape(-1)) for part in index),
        tf.constant(np.arange(num_items + 1, dtype=np.int64) * k),
        tf.constant(vectors / np.float32(WIDTH)),
    ]


def _all_lists(
    points: Sequence[Point], seed: int
) -> dict[tuple[int, int], list[tf.Tensor]]:
    """The index of every N and k, made once."""
    found = {}
    for num_items in {point.num_items for point in points}:
        lengths = {point.k for point in points if point.num_items == num_items}
        index = synthetic.path_index(num_items, max(lengths), seed)
        lists = tuple(
            part.reshape(num_items, -1)
            for part in (index.neighbours, index.similarities)
        )
        for k in lengths:
            found[num_items, k] = index_tensors(lists, k, seed)
    return found
