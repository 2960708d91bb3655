"""The evaluation stage: brute force once, then every walk of the setting."""

import dataclasses
import pathlib
import time
from typing import Any

import numpy as np
import tensorflow as tf
from rich.progress import track

from experiments.nann.problem import EVALUATION_BATCH, Problem
from tfrec.evaluation import retrieval
from tfrec.evaluation.brute_force import BruteForce, TopK
from tfrec.nann.config import WalkConfig
from tfrec.nann.index import HnswIndex
from tfrec.nann.model import Nann
from tfrec.nann.retrieval import GraphRetriever

EXACT = "brute_force.npz"


def brute_force(
    model: Nann, index: HnswIndex, problem: Problem, folder: pathlib.Path, resume: bool
) -> TopK:
    """The exact lists of the test users, from `folder` if they are there."""
    path = folder / EXACT
    if resume and path.exists():
        return retrieval.load_top_k(path)
    exact = BruteForce(model, index.vectors, problem.setting.top_m)
    found = exact.run(
        _batches(problem, "brute force"), seen=problem.setting.filter_seen
    )
    retrieval.save_top_k(path, found)
    return found


def walk(
    model: Nann, index: HnswIndex, problem: Problem, config: WalkConfig, exact: TopK
) -> dict[str, Any]:
    """One walk's metrics against targets and against brute force."""
    # Compiling every padded size would take longer than the few batches here.
    retriever = GraphRetriever(model, index, config, jit_compile=False)
    filter_seen = problem.setting.filter_seen

    @tf.function(reduce_retracing=True)
    def retrieve(features: Any) -> Any:
        seen = features["history"]["item"] - 1 if filter_seen else None
        return retriever.retrieve(features, problem.setting.top_m, seen=seen)

    start = time.perf_counter()
    found = [
        retrieve(features)
        for features in _batches(problem, f"walk ef={config.ef} T={config.steps}")
    ]
    seconds = time.perf_counter() - start
    positions = np.concatenate([result.positions for result in found])
    num_scored = np.concatenate([result.num_scored for result in found])
    return {
        **dataclasses.asdict(config),
        "entry_level": retriever.entry_level,
        **retrieval.against_exact(positions, exact.positions, problem.split.test),
        "share": float(num_scored.mean() / index.num_items),
        "seconds": seconds,
    }


def mean_recall(problem: Problem, positions: np.ndarray) -> float:
    """Mean recall@M of the test users' lists."""
    return retrieval.mean_recall(positions, problem.split.test)


def _batches(problem: Problem, description: str) -> Any:
    test = problem.split.test
    return track(
        problem.example_batches(test),
        description,
        total=-(-test.size // EVALUATION_BATCH),
    )
