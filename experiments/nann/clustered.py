"""A graph of levels like HNSW's over clustered vectors, made in seconds.

Building the real index of 1.3 million items takes minutes; what a walk costs depends
on the degrees, on how far neighbourhoods overlap, and on where in memory they lie.
"""

import dataclasses

import numpy as np

_CLUSTER = 128
_LEVEL_STRIDE = 32


@dataclasses.dataclass(frozen=True)
class Level:
    """One level of the graph, highest levels are the smallest.

    Attributes:
        nodes: int32, ascending ids of the level's nodes.
        values: int32 `(E,)`, neighbours by id.
        row_splits: int32 `(N + 1,)`, empty lists for nodes of lower levels alone.
    """

    nodes: np.ndarray
    values: np.ndarray
    row_splits: np.ndarray


def clustered_vectors(num_items: int, width: int, seed: int) -> np.ndarray:
    """Returns float32 `(N, D)`: clusters of clusters, neighbours in position."""
    random = np.random.default_rng(seed)
    position = np.arange(num_items)

    def centers(members: int, deviation: float) -> np.ndarray:
        count = num_items // members + 1
        points = random.standard_normal((count, width), np.float32) * deviation
        return points[position // members]

    vectors = random.standard_normal((num_items, width), np.float32) * np.float32(0.3)
    vectors += centers(_CLUSTER, 0.6)
    vectors += centers(_CLUSTER * _LEVEL_STRIDE, 1.0)
    return vectors


def clustered_level(num_items: int, stride: int, degree: int, seed: int) -> Level:
    """Returns one level: every `stride`-th item, most of the links local.

    Local links stay in the node's cluster of 128; one in twenty reaches up to 16
    clusters away; both count in the level's own nodes. There are no self loops.
    """
    random = np.random.default_rng(seed)
    count = -(-num_items // stride)
    num_far = degree // 20
    own = np.arange(count, dtype=np.int32)[:, np.newaxis]
    near = random.integers(1, _CLUSTER, (count, degree - num_far), np.int32)
    near = own // _CLUSTER * _CLUSTER + (own + near) % _CLUSTER
    reach = 16 * _CLUSTER
    far = own + random.integers(-reach, reach, (count, num_far), np.int32)
    links = np.clip(np.concatenate([near, far], axis=1), 0, count - 1)
    links = np.where(links == own, (own + 1) % count, links) * np.int32(stride)
    degrees = np.zeros(num_items + 1, np.int64)
    degrees[1::stride] = degree if count > 1 else 0
    row_splits = np.cumsum(degrees).astype(np.int32)
    values = links.reshape(-1)[: row_splits[-1]]
    return Level(own[:, 0] * np.int32(stride), values, row_splits)


def clustered_levels(num_items: int, seed: int) -> list[Level]:
    """Returns levels 0, 1, 2, each with a 32nd of the nodes of the one below.

    The degrees, 28 on level 0 and 16 above, stand for lists of up to 64 and 32 that
    HNSW leaves partly empty and that overlap more. With ef 200/500/1000 and T 1/1/2 a
    walk scores about as many nodes as the paper's benchmark, 17,000.
    """
    return [
        clustered_level(num_items, _LEVEL_STRIDE**level, degree, seed + level)
        for level, degree in enumerate((28, 16, 16))
    ]
