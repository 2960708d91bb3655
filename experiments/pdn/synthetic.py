"""Items, users and an index of any size, for benchmarks: seeded, popular ones first.

Everything that is drawn follows Zipf's law, popularity falling as 1 / rank, so that
the lists of a user's triggers overlap as those of a real index do.
"""

import numpy as np
import tensorflow as tf

from tfrec.data.schema import Field, Schema
from tfrec.data.split_parts import TargetRows
from tfrec.pdn.config import CooccurrenceConfig, PdnConfig
from tfrec.pdn.cooccurrence import Cooccurrence
from tfrec.pdn.index import PathIndex
from tfrec.pdn.model import Pdn

NUM_USERS = 10_000
NUM_CATEGORIES = 100
_PROFILE = {"gender": 2, "age": 7, "occupation": 21}
_ENTRIES_AT_ONCE = 1 << 22

Features = dict[str, dict[str, tf.Tensor]]


def popular_ranks(
    random: np.random.Generator, rows: int, count: int, limit: int
) -> np.ndarray:
    """Draws rows of different ranks, rank r about as often as 1 / (r + 1).

    Args:
        random: the generator.
        rows: R.
        count: C, at most `limit`.
        limit: ranks are in `[0, limit)`.
    Returns: int64 `(R, C)`, ascending in a row. A rank that was drawn twice becomes the
        next one that is free.
    Raises: ValueError: `count` is above `limit`.
    """
    if count > limit:
        raise ValueError(
            f"`count` must be at most limit={limit}. Received: count={count}"
        )
    drawn = np.power(float(limit), random.random((rows, count))) - 1
    drawn = np.sort(drawn.astype(np.int64), axis=1)
    places = np.arange(count)
    ascending = np.maximum.accumulate(drawn - places, axis=1) + places
    return np.minimum(ascending, limit - count + places)


def item_ranks(num_items: int, seed: int) -> np.ndarray:
    """The item position of each rank, int32 `(N,)`: ranks do not lie in order."""
    return np.random.default_rng(seed).permutation(num_items).astype(np.int32)


def path_index(num_items: int, k: int, seed: int) -> PathIndex:
    """An index whose lists all have k different items, none its own.

    Args:
        num_items: N, above k.
        k: length of every list.
        seed: of items and similarities, about N(-3, 1) as SimNet's are.
    """
    random = np.random.default_rng([seed, 1])
    items_of_ranks = item_ranks(num_items, seed)
    neighbours = np.empty((num_items, k), np.int32)
    similarities = np.empty((num_items, k), np.float32)
    step = max(1, _ENTRIES_AT_ONCE // k)
    for begin in range(0, num_items, step):
        ranks = np.arange(begin, min(begin + step, num_items))[:, np.newaxis]
        others = popular_ranks(random, ranks.size, k, num_items - 1)
        others += others >= ranks
        owners = items_of_ranks[ranks[:, 0]]
        neighbours[owners] = random.permuted(items_of_ranks[others], axis=1)
        similarities[owners] = _descending(random, others.shape)
    return PathIndex(
        neighbours.reshape(-1),
        similarities.reshape(-1),
        np.arange(num_items + 1, dtype=np.int64) * k,
        np.arange(1, num_items + 1, dtype=np.int64),
        {
            "model_version": "synthetic",
            "k": k,
            "k_hat": k,
            "data_sha256": "",
            "num_pairs": num_items * k,
        },
    )


def _descending(random: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Rows of different numbers, float32, about N(-3, 1), the largest first."""
    scores = -np.sort(random.standard_normal(shape, np.float32), axis=1) - np.float32(3)
    before, after = scores[:, :-1], scores[:, 1:]
    while (equal := after >= before).any():
        after[equal] = np.nextafter(before[equal], np.float32(-np.inf))
    return scores


def schema(num_items: int, history: int) -> Schema:
    """Fields like those of ml-1m, the tables of users small."""
    item = (Field("item", num_items + 1), Field("category", NUM_CATEGORIES + 1))
    behaviour = (Field("rating", 6), Field("recency", history + 1))
    profile = (Field(name, size + 1) for name, size in _PROFILE.items())
    return Schema(
        user=(Field("user", NUM_USERS + 1), *profile),
        history=(*item, *behaviour),
        candidates=item,
    )


def item_features(num_items: int, seed: int) -> dict[str, np.ndarray]:
    """A category of each item id, int32 `(N + 1,)`; 0 is padding's."""
    random = np.random.default_rng([seed, 2])
    categories = random.integers(1, NUM_CATEGORIES + 1, num_items + 1, np.int32)
    categories[0] = 0
    return {"category": categories}


def train_rows(num_users: int, num_items: int, length: int, seed: int) -> TargetRows:
    """Rows of users who met `length` different items each."""
    random = np.random.default_rng([seed, 3])
    ranks = popular_ranks(random, num_users, length, num_items)
    items = random.permuted(item_ranks(num_items, seed)[ranks], axis=1).reshape(-1) + 1
    users = np.repeat(np.arange(1, num_users + 1, dtype=np.int32), length)
    rows = np.arange(users.size)
    begin = rows // length * length
    return TargetRows(users, items.astype(np.int32), rows, rows, begin, rows, True)


def model(train: TargetRows, num_items: int, history: int, seed: int) -> Pdn:
    """The default network with random weights, and co-occurrences of `train`."""
    tf.keras.utils.set_random_seed(seed)
    config = PdnConfig(bias_net=False, max_history=history)
    counts = Cooccurrence(train, num_items, CooccurrenceConfig())
    return Pdn(config, schema(num_items, history), counts)


def requests(num_items: int, history: int, count: int, seed: int) -> list[Features]:
    """Users with full histories of different items, one a request."""
    random = np.random.default_rng([seed, 4])
    ranks = popular_ranks(random, count, history, num_items)
    items = random.permuted(item_ranks(num_items, seed)[ranks], axis=1) + 1
    categories = item_features(num_items, seed)["category"][items]
    ratings = random.integers(1, 6, items.shape)
    recency = np.arange(history, 0, -1)
    sizes = {"user": NUM_USERS, **_PROFILE}
    users = {k: random.integers(1, size + 1, count) for k, size in sizes.items()}

    def one(row: int) -> Features:
        behaviours = {
            "item": items[row],
            "category": categories[row],
            "rating": ratings[row],
            "recency": recency,
        }
        return {
            "user": {k: tf.constant([v[row]], tf.int32) for k, v in users.items()},
            "history": {k: tf.constant([v], tf.int32) for k, v in behaviours.items()},
        }

    return [one(row) for row in range(count)]
