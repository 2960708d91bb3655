"""The whole walk against scoring as many candidates at once.

What the walk adds to scoring, expansions, gathers, top-k and the padding of several
smaller calls, is what is left when one padded call of as many candidates is taken off.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from experiments import timing
from experiments.nann import clustered
from tfrec.data.schema import Field, Schema
from tfrec.nann import config
from tfrec.nann.index import HnswIndex, Level, build
from tfrec.nann.model import Nann
from tfrec.nann.retrieval import GraphRetriever, Retrieved

NUM_PROFILE_FIELDS = 51
_PROFILE_SIZE = 1000

Features = dict[str, dict[str, tf.Tensor]]


def industrial_model(num_items: int, seed: int) -> Nann:
    """Returns the network of figure 8 with random weights, 51 profile fields."""
    tf.keras.utils.set_random_seed(seed)
    item = (Field("item", num_items + 1),)
    profile = tuple(
        Field(f"profile_{i}", _PROFILE_SIZE) for i in range(NUM_PROFILE_FIELDS)
    )
    return Nann(config.industrial(), Schema(profile, item, item), num_items)


def random_requests(num_items: int, count: int, seed: int) -> list[Features]:
    """Returns requests of one user each: a profile and up to 50 behaviours."""
    random = np.random.default_rng(seed)
    length = config.industrial().max_history
    requests = []
    for _ in range(count):
        history = random.integers(1, num_items + 1, (1, length))
        history[:, random.integers(1, length + 1) :] = 0
        profile = random.integers(1, _PROFILE_SIZE, (NUM_PROFILE_FIELDS, 1))
        user = {
            f"profile_{i}": tf.constant(ids, tf.int32) for i, ids in enumerate(profile)
        }
        requests.append(
            {"user": user, "history": {"item": tf.constant(history, tf.int32)}}
        )
    return requests


def clustered_index(num_items: int, width: int, seed: int) -> HnswIndex:
    """Returns the synthetic graph as an index; see `clustered`."""
    levels = clustered.clustered_levels(num_items, seed)
    node_levels = np.zeros(num_items, np.uint8)
    for number, level in enumerate(levels):
        node_levels[level.nodes] = number
    return HnswIndex(
        clustered.clustered_vectors(num_items, width, seed),
        np.arange(1, num_items + 1, dtype=np.int64),
        node_levels,
        tuple(Level(level.values, level.row_splits) for level in levels),
    )


def built_index(num_items: int, width: int, seed: int) -> HnswIndex:
    """Returns faiss's HNSW over the same vectors; minutes for a million."""
    vectors = clustered.clustered_vectors(num_items, width, seed)
    item_ids = np.arange(1, num_items + 1, dtype=np.int64)
    return build(vectors, item_ids, config.IndexConfig())


class Service:
    """What a server would export: graphs that take requests of any batch size."""

    def __init__(self, model: Nann, index: HnswIndex, walk: config.WalkConfig, k: int):
        request = random_requests(1, 1, seed=0)[0]
        signature = tf.nest.map_structure(
            lambda x: tf.TensorSpec((None, *x.shape[1:]), x.dtype), request
        )
        count = tf.TensorSpec((), tf.int32)
        self.retriever = GraphRetriever(model, index, walk)
        reference = GraphRetriever(model, index, walk, ops="reference")
        reference.score_entries = self.retriever.score_entries
        reference.score_candidates = self.retriever.score_candidates

        @tf.function(input_signature=[signature])
        def retrieve(features: Features) -> Retrieved:
            return self.retriever.retrieve(features, k)

        @tf.function(input_signature=[signature])
        def retrieve_reference(features: Features) -> Retrieved:
            return reference.retrieve(features, k)

        @tf.function(input_signature=[signature, count])
        def score_at_once(features: Features, num_candidates: tf.Tensor) -> tf.Tensor:
            state = model.user_state(features)
            ids_c = tf.range(num_candidates)
            batch = tf.shape(tf.nest.flatten(features)[0])[0]
            ids_bc = tf.repeat(ids_c[tf.newaxis], batch, axis=0)
            vectors_bcd = tf.gather(self.retriever.vectors, ids_bc)
            return self.retriever.score_candidates(state, vectors_bcd)

        self.retrieve = retrieve
        self.retrieve_reference = retrieve_reference
        self.score_at_once = score_at_once

    def warm_up(self, request: Features) -> None:
        """Meets every size of the grid, so that no later request compiles."""
        self.retrieve(request)
        for size in self.retriever.buckets:
            self.score_at_once(request, tf.constant(size))


@dataclasses.dataclass(frozen=True)
class Walk:
    """What a walk costs.

    Attributes:
        num_scored: median nodes that a walk scored.
        milliseconds: median of a request by `walk`, by `walk_reference` (the twins in
            place of the ops), and of scoring as many candidates in `one_call`.
        cpu_milliseconds: the same of the work of all threads.
        num_buckets: sizes of the grid.
        warmup_compilations: programs that XLA compiled to warm up.
        num_requests: requests of random users that followed.
        request_compilations: programs that they made XLA compile.
    """

    num_scored: int
    milliseconds: dict[str, float]
    cpu_milliseconds: dict[str, float]
    num_buckets: int
    warmup_compilations: int
    num_requests: int
    request_compilations: int

    @property
    def over_one_call(self) -> float:
        """The walk's time as a multiple of scoring as many candidates at once."""
        return self.milliseconds["walk"] / self.milliseconds["one_call"]

    @property
    def cpu_over_one_call(self) -> float:
        """The same ratio of the work of all threads."""
        return self.cpu_milliseconds["walk"] / self.cpu_milliseconds["one_call"]


def measure_walk(
    index: HnswIndex,
    walk: config.WalkConfig,
    count_compilations: Callable[[], int],
    *,
    k: int = 200,
    num_requests: int = 500,
    rounds: int = 30,
    seed: int = 0,
) -> Walk:
    """Warms up, counts compilations over random users, times the walk.

    Args:
        index: vectors and graph.
        walk: `ef` and steps a level.
        count_compilations: programs compiled so far in this process.
        k: K, results a request.
        num_requests: requests of random users, one user each.
        rounds: timed rounds.
        seed: of the model's weights and the requests.
    """
    model = industrial_model(index.num_items, seed)
    service = Service(model, index, walk, k)
    requests = random_requests(index.num_items, num_requests, seed + 1)
    cold = count_compilations()
    service.warm_up(requests[0])
    warm = count_compilations()
    num_scored = [int(service.retrieve(r).num_scored[0]) for r in requests]
    served = count_compilations()
    counts = [tf.constant(n) for n in num_scored]

    def pick(items: list[Any], turn: int) -> Any:
        return items[turn % len(items)]

    medians = timing.interleaved_medians(
        {
            "walk": lambda turn: service.retrieve(pick(requests, turn)),
            "walk_reference": lambda turn: service.retrieve_reference(
                pick(requests, turn)
            ),
            "one_call": lambda turn: service.score_at_once(
                pick(requests, turn), pick(counts, turn)
            ),
        },
        rounds,
    )
    return Walk(
        int(np.median(num_scored)),
        medians.wall,
        medians.cpu,
        len(service.retriever.buckets),
        warm - cold,
        num_requests,
        served - warm,
    )
