"""A training step of PDN, of this project's DIN and of DeepCTR's, on the same batches.

An example is a positive with the negatives drawn beside it. Ours draw these in the
step and share a user among its candidates; DeepCTR's DIN reads a row a candidate, and
gets the negatives drawn. Steps are those of `tfrec.training.fit`, as the experiments
run them: deterministic ops, row-sparse Adam. Batches are made before.
"""

import dataclasses
import pathlib
import tempfile
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from experiments import timing
from experiments.pdn import problem as problem_lib
from experiments.pdn import settings
from experiments.pdn.problem import Problem
from experiments.pdn.rankers import PdnRanker
from experiments.pdn.speed.deepctr_process import DeepCtr, save_batches
from experiments.pdn.train import build_ranker
from tfrec.baselines.task import PointwiseTask
from tfrec.pdn.task import PdnTask
from tfrec.training import configure
from tfrec.training.optimizers import make_optimizer
from tfrec.training.step import make_train_step

MODELS = ("pdn", "din")
_NUM_BATCHES = 16


@dataclasses.dataclass(frozen=True)
class Training:
    """What a step costs.

    Attributes:
        dataset: name.
        batch_size: B, examples a step.
        num_negatives: S, drawn an example.
        max_history: L.
        milliseconds: median of a step by `pdn`, `din` and, where it ran, `deepctr_din`.
        examples_per_second: of these.
        ratios: examples a second of one by another's.
        deepctr: versions, and `errors`: why it did not run in an environment.
    """

    dataset: str
    batch_size: int
    num_negatives: int
    max_history: int
    milliseconds: dict[str, float]
    examples_per_second: dict[str, float]
    ratios: dict[str, float]
    deepctr: dict[str, Any]


def our_step(problem: Problem, batches: list[Any], spec: Any) -> Callable[[int], Any]:
    """A step on the batch of a turn."""
    ranker = build_ranker(problem)
    task_class = PdnTask if isinstance(ranker, PdnRanker) else PointwiseTask
    task = task_class(ranker.model, problem.negatives, dict)
    training = problem.setting.training
    optimizer = make_optimizer(training)
    optimizer.build(task.model.trainable_variables)
    strategy = task.model.distribute_strategy
    step = make_train_step(task, optimizer, strategy, training.seed, spec)
    return lambda turn: step(batches[turn % len(batches)])


def measure(
    dataset: str,
    python: pathlib.Path | None,
    *,
    threads: int,
    rounds: int = 40,
    seed: int = 0,
    data_home: str | None = None,
    testing: bool = False,
) -> Training:
    """Times steps in turns.

    Args:
        dataset: of `settings.DATASETS`.
        python: of the environment that has DeepCTR; None: it is left out.
        threads: of TensorFlow in DeepCTR's process; as in this one.
        rounds: timed rounds.
        seed: of weights, order and negatives.
        data_home: where the prepared data are.
        testing: small batches.
    """
    chosen = [settings.setting_for(dataset, name, seed, testing) for name in MODELS]
    configure(chosen[0].training)
    problem = problem_lib.load(chosen[0], seed, data_home)
    data = problem.training_batches(0).take(_NUM_BATCHES)
    batches = list(data)
    calls: dict[str, Callable[[int], Any]] = {}
    for setting in chosen:
        of_model = dataclasses.replace(problem, setting=setting)
        calls[setting.model] = our_step(of_model, batches, data.element_spec)
    if python is None:
        return _result(problem, timing.interleaved_medians(calls, rounds), {})
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "batches.npz"
        save_batches(path, table_sizes(problem), drawn(problem, batches, seed))
        with DeepCtr(python, path, threads) as other:
            if other.found:
                calls["deepctr_din"] = other.step
            medians = timing.interleaved_medians(calls, rounds)
    found = {**(other.found or {}), "errors": other.errors}
    return _result(problem, medians, found)


def drawn(problem: Problem, batches: list[Any], seed: int) -> list[Any]:
    """The batches with their negatives: candidates and labels `(B, 1 + S)`."""
    found = []
    for turn, batch in enumerate(batches):
        draw = tf.constant([seed, turn], tf.int64)
        items, labels, _ = problem.negatives.candidates(batch, draw)
        found.append({**batch, "candidates": items, "labels": labels})
    return found


def table_sizes(problem: Problem) -> dict[str, dict[str, int]]:
    """Rows of each field's table, by part."""
    schema = problem.schema
    return {
        part: {field.name: field.size for field in getattr(schema, part)}
        for part in ("user", "candidates", "behaviour")
    }


def _result(
    problem: Problem, medians: timing.Medians, deepctr: dict[str, Any]
) -> Training:
    setting, wall = problem.setting, medians.wall
    rate = {name: 1000 * setting.batch_size / ms for name, ms in wall.items()}
    ratios = {"pdn_over_din": rate["pdn"] / rate["din"]}
    if "deepctr_din" in rate:
        for name in MODELS:
            ratios[f"{name}_over_deepctr_din"] = rate[name] / rate["deepctr_din"]
    return Training(
        setting.dataset,
        setting.batch_size,
        setting.num_negatives,
        setting.max_history,
        wall,
        rate,
        ratios,
        deepctr,
    )
