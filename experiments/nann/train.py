"""The training stage: a model whose weights are the best epoch's."""

import pathlib
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from experiments.nann.problem import Problem
from tfrec.artifacts import write_json
from tfrec.evaluation.brute_force import BruteForce
from tfrec.evaluation.metrics import recall
from tfrec.nann.model import Nann
from tfrec.nann.task import NannTask
from tfrec.training import TrainingConfig, distribution, fit

WEIGHTS = "model.weights.h5"
RECORD = "training.json"


def build_model(problem: Problem) -> Nann:
    """An untrained model of the setting."""
    return Nann(problem.setting.model, problem.schema, problem.dataset.num_items)


def item_vectors_fn(model: Nann, problem: Problem) -> Callable[[], tf.Tensor]:
    """Returns a function: e_v of every item by position, float32 `(N, D)`."""
    items = {name: tf.constant(ids) for name, ids in problem.items.items()}
    return tf.function(lambda: tf.cast(model.item_vectors(items), tf.float32))


def make_task(model: Nann, problem: Problem, jit_compile: bool = True) -> NannTask:
    """The training step, validated by recall-all@M."""
    setting, examples = problem.setting, problem.split.validation
    item_vectors = item_vectors_fn(model, problem)
    brute_force = BruteForce(model, item_vectors(), setting.top_m)

    def validate() -> dict[str, float]:
        brute_force.assign(item_vectors())
        found = brute_force.run(problem.example_batches(examples))
        lists = found.positions + 1
        hits = recall(lists, examples.targets, examples.target_splits)
        return {"recall": float(hits.mean())}

    return NannTask(
        model,
        problem.sampler,
        problem.dataset.item_features,
        setting.loss,
        validate,
        jit_compile,
    )


def train(
    problem: Problem,
    config: TrainingConfig,
    folder: pathlib.Path,
    strategy: tf.distribute.Strategy,
    resume: bool,
) -> tuple[Nann, dict[str, Any]]:
    """Trains, or loads what an earlier run finished.

    Returns: the model and a record: history, best epoch, seconds, examples a second.
    """
    with strategy.scope():
        model = build_model(problem)
    single = strategy.num_replicas_in_sync == 1
    task = make_task(model, problem, jit_compile=single)
    result = fit(task, problem.training_batches, config, folder, resume=resume)
    record = {
        "history": result.history,
        "best_epoch": result.best_epoch,
        "best_metrics": result.best_metrics,
        "seconds": result.seconds,
        "examples_per_second": result.examples_per_second,
    }
    if distribution.is_chief(strategy):
        partial = folder / f"partial-{WEIGHTS}"
        model.save_weights(partial)
        partial.replace(folder / WEIGHTS)
        write_json(folder / RECORD, record)
    return model, record
