"""Small catalogues for the tests of the export, and what clients send."""

import pathlib

import numpy as np
import tensorflow as tf

from tests.nann import problems
from tests.serving import fresh_process
from tfrec.nann import index as index_lib
from tfrec.nann.config import IndexConfig, NannConfig, WalkConfig
from tfrec.nann.index import HnswIndex

MAX_HISTORY = 6
NUM_TOY_ITEMS, TOY_WIDTH = 120, 8
NANN_WALK = WalkConfig(ef=(3, 5), steps=(1, 2))
TOY_WALK = WalkConfig(ef=(4, 8, 16), steps=(1, 1, 2))


class Toy(tf.Module):
    """A scorer that is not ours: the mean of the history's vectors, and a profile."""

    def __init__(self, seed: int = 0):
        super().__init__()
        rng = np.random.default_rng(seed)
        shape = (NUM_TOY_ITEMS + 1, TOY_WIDTH)
        self.table = tf.Variable(rng.normal(size=shape).astype("float32"))
        self.kernel = tf.Variable(rng.normal(size=shape[1:] * 2).astype("float32"))

    def user_state(self, features):
        ids = features["history"]["item"]
        is_real = tf.cast(ids > 0, tf.float32)[..., tf.newaxis]
        total = tf.reduce_sum(tf.gather(self.table, ids) * is_real, 1)
        mean = total / tf.maximum(tf.reduce_sum(is_real, 1), 1.0)
        if "age" in features["user"]:
            mean += tf.cast(features["user"]["age"], tf.float32)[:, tf.newaxis] / 50.0
        return {"user": mean}

    def score(self, state, vectors):
        shared = vectors.shape.rank == 2
        equation = "bd,cd->bc" if shared else "bd,bcd->bc"
        return tf.einsum(equation, state["user"], tf.tanh(vectors @ self.kernel))


def raw_ids(num_items: int) -> np.ndarray:
    """Raw ids in no order, 0 among them, some of them beyond int32."""
    ids = np.arange(num_items, dtype=np.int64) * 10**9
    return np.random.default_rng(3).permutation(ids)


def nann(architecture: str = "attention"):
    """NANN with a category, untrained, and its index."""
    model = problems.model(NannConfig(architecture=architecture))
    fields = problems.item_fields(np.arange(1, problems.NUM_ITEMS + 1))
    vectors = model.item_vectors({k: tf.constant(v) for k, v in fields.items()})
    return model, index(vectors.numpy(), 2)


def toy():
    """The toy scorer and its index."""
    scorer = Toy()
    return scorer, index(scorer.table.numpy()[1:], 4)


def index(vectors: np.ndarray, links: int) -> HnswIndex:
    """HNSW with several levels over few vectors."""
    config = IndexConfig(m=links, ef_construction=10)
    return index_lib.build(vectors, raw_ids(len(vectors)), config, num_threads=1)


def expected_history(index: HnswIndex, histories: list[list[int]]) -> np.ndarray:
    """What the scorer must see: item ids `(B, L)` of the latest known raw ids."""
    item_id = {raw: p + 1 for p, raw in enumerate(index.item_ids.tolist())}
    rows = np.zeros([len(histories), MAX_HISTORY], np.int32)
    for row, history in zip(rows, histories, strict=True):
        known = [item_id[raw] for raw in history if raw in item_id][-MAX_HISTORY:]
        row[: len(known)] = known
    return rows


def rectangle(histories: list[list[int]]) -> np.ndarray:
    """Histories as a client sends them: int64, padded by -1 at the end."""
    width = max(map(len, histories))
    return np.array([[*h, *[-1] * (width - len(h))] for h in histories], np.int64)


def run_only_tensorflow(
    library: str, model: pathlib.Path, histories: list[list[int]], k: int
) -> dict[str, np.ndarray]:
    """Runs `retrieve` in a process that imports TensorFlow and nothing of ours."""
    request = {"history": rectangle(histories), "k": k}
    return fresh_process.retrieve(library, model, request)
