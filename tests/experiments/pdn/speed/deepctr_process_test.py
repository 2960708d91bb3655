"""The process and its protocol, with a stand-in for the package DeepCTR."""

import pathlib
import sys

import numpy as np
import pytest

from experiments.pdn.speed import deepctr_process

_SIZES = {
    "user": {"user": 9, "age": 4},
    "candidates": {"item": 20, "category": 5},
    "behaviour": {"rating": 6},
}
_COLUMNS = """
class SparseFeat:
    def __init__(self, name, size, embedding_dim, embedding_name=None):
        self.name, self.size, self.table = name, size, embedding_name or name

class VarLenSparseFeat:
    def __init__(self, sparse, length, combiner=None):
        self.name, self.size, self.table = sparse.name, sparse.size, sparse.table
"""
# The loss says which batch it was: the sum of its labels, then of every column.
_MODELS = """
import os
print("A line of its own")

class DIN:
    def __init__(self, columns, history, **settings):
        if os.environ.get("TF_USE_LEGACY_KERAS") != "1":
            raise AttributeError("'tuple' object has no attribute 'rank'")
        if BROKEN:
            raise ValueError("never")
        self.names = {column.name for column in columns}
    def compile(self, *args):
        pass
    def train_on_batch(self, columns, labels):
        assert self.names == set(columns), (self.names, set(columns))
        parts = [labels, *(columns[name] for name in sorted(columns))]
        return sum(float(part.numpy().sum()) for part in parts)
"""


def _batch(seed):
    random = np.random.default_rng(seed)
    draw = lambda size, *shape: random.integers(1, size, shape, np.int32)  # noqa: E731
    return {
        "user": {"user": draw(9, 2), "age": draw(4, 2)},
        "history": {
            "item": draw(20, 2, 6),
            "category": draw(5, 2, 6),
            "rating": draw(6, 2, 6),
        },
        "candidates": {"item": draw(20, 2, 3), "category": draw(5, 2, 3)},
        "labels": np.tile(np.float32([1, 0, 0]), [2, 1]),
    }


def _sum(batch):
    """Candidates and labels stand once, users and histories once a candidate."""
    users = [*batch["user"].values(), *batch["history"].values()]
    once = [*batch["candidates"].values(), batch["labels"]]
    return float(3 * sum(v.sum() for v in users) + sum(v.sum() for v in once))


@pytest.fixture
def start(tmp_path, monkeypatch):
    def start(broken):
        package = tmp_path / "deepctr"
        package.mkdir()
        (package / "__init__.py").touch()
        (package / "feature_column.py").write_text(_COLUMNS)
        (package / "models.py").write_text(f"BROKEN = {broken}\n{_MODELS}")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        path = tmp_path / "batches.npz"
        deepctr_process.save_batches(path, _SIZES, [_batch(0), _batch(1)])
        return deepctr_process.DeepCtr(pathlib.Path(sys.executable), path, 1)

    return start


def test_falls_back_to_keras_2_and_trains_on_the_batches(start):
    with start(broken=False) as process:
        assert process.errors == [
            "AttributeError: 'tuple' object has no attribute 'rank'"
        ]
        assert process.found["environment"] == {"TF_USE_LEGACY_KERAS": "1"}
        assert process.found["versions"]["tensorflow"]
        losses = [process.step(turn) for turn in (0, 1, 2)]
    sums = [_sum(_batch(0)), _sum(_batch(1))]
    assert losses == [*sums, sums[0]]
    assert sums[0] != sums[1]


def test_says_why_it_runs_nowhere(start):
    with start(broken=True) as process:
        assert process.found is None
        assert process.errors[1] == "ValueError: never"
