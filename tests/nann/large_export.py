"""Exports a catalogue whose vectors take 2.2 GB, and says what a query must give.

    python large_export.py FOLDER NUM_ITEMS

writes versions of the export and `expected.npz` into FOLDER and prints the peak of the
process's memory in bytes.
"""

import pathlib
import resource
import sys

import numpy as np
import tensorflow as tf

from tfrec.nann.config import WalkConfig
from tfrec.nann.export import export
from tfrec.nann.index import HnswIndex, Level

WIDTH = 64
NUM_ENTRIES = 256
NEIGHBOURS = (1, -1, 97, -97)


class Table:
    """The user is the sum of the vectors of the history, cut to a few columns."""

    def __init__(self, vectors: np.ndarray, width: int = 8):
        rows = np.zeros([len(vectors) + 1, width], np.float32)
        rows[1:] = vectors[:, :width]
        self.width = width
        self.rows = tf.Variable(rows)

    def user_state(self, features):
        return tf.reduce_sum(tf.gather(self.rows, features["history"]["item"]), 1)

    def score(self, state, vectors):
        shared = vectors.shape.rank == 2
        equation = "bd,cd->bc" if shared else "bd,bcd->bc"
        return tf.einsum(equation, state, vectors[..., -self.width :])


def make_index(num_items: int) -> HnswIndex:
    """Random vectors, links along the catalogue, and entries all over it."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal([num_items, WIDTH], np.float32)
    node_levels = np.zeros([num_items], np.uint8)
    entries = np.linspace(0, num_items - 1, NUM_ENTRIES).astype(np.int32)
    node_levels[entries] = 1
    nodes = np.arange(num_items, dtype=np.int32)[:, np.newaxis]
    links = (nodes + np.array(NEIGHBOURS, np.int32)) % num_items
    splits = np.arange(num_items + 1, dtype=np.int32) * len(NEIGHBOURS)
    above = np.zeros([num_items + 1], np.int32)
    above[entries + 1] = 1
    levels = (
        Level(links.ravel(), splits),
        Level(np.roll(entries, 1), np.cumsum(above, dtype=np.int32)),
    )
    item_ids = rng.permutation(num_items) * 1_000_003
    return HnswIndex(vectors, item_ids, node_levels, levels)


def main(folder: pathlib.Path, num_items: int) -> None:
    """Exports, and scores the entries for two users by NumPy."""
    index = make_index(num_items)
    scorer = Table(index.vectors)
    walk = WalkConfig(ef=(64, 64), steps=(1, 2))
    export(scorer, index, walk, folder / "model", max_history=4)
    history = np.array([[0, num_items - 1, 5], [num_items // 2, 17, num_items - 2]])
    items = index.nodes(1)
    user = index.vectors[history][..., : scorer.width].sum(1)
    np.savez(
        folder / "expected.npz",
        history=index.item_ids[history],
        items=index.item_ids[items],
        scores=user @ index.vectors[items, -scorer.width :].T,
    )
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), int(sys.argv[2]))
