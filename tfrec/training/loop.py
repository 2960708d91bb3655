"""The one training loop: a task supplies steps, the loop owns the rest."""

import dataclasses
import os
import pathlib

import tensorflow as tf

from tfrec.training import distribution
from tfrec.training.checkpoint import CheckpointStore
from tfrec.training.config import TrainingConfig
from tfrec.training.epoch import EpochRunner, Reporting
from tfrec.training.interrupt import InterruptFlag
from tfrec.training.optimizers import make_optimizer
from tfrec.training.progress import Progress
from tfrec.training.scalars import ScalarWriter
from tfrec.training.state import Record, TrainingState
from tfrec.training.task import MakeDataset, Task


@dataclasses.dataclass(frozen=True)
class FitResult:
    """What a run came to; the model holds the best epoch's weights.

    Args:
        history: a record an epoch: epoch, iteration, losses, metrics.
        best_epoch: index of the epoch whose weights the model holds.
        best_metrics: its validation metrics.
        seconds: time in training steps, over all resumed parts; without validation,
            checkpoints, and the first step of a process, which compiles.
        examples_per_second: global batch rows trained on in a second of these.
    """

    history: list[Record]
    best_epoch: int
    best_metrics: dict[str, float]
    seconds: float
    examples_per_second: float


def fit(
    task: Task,
    make_dataset: MakeDataset,
    config: TrainingConfig,
    output_dir: str | os.PathLike[str],
    *,
    resume: bool = True,
) -> FitResult:
    """Trains `task.model`, from the latest checkpoint in `output_dir` if there is one.

    Args:
        task: its model is built, in the strategy's scope.
        make_dataset: from an epoch's index to its global batches, the same ones at
            every call; each tensor's first dimension is the batch.
        config: call `configure(config)` before the model is built.
        output_dir: of this run; with several workers a folder that all of them share.
        resume: False starts anew and removes the checkpoints there.
    Returns: the result; `task.model` then holds the best epoch's weights.

    Raises:
        ValueError: the checkpoint is of another config or model, the data set is
            empty, the model is not built.
        FloatingPointError: a loss is not finite.
        TrainingInterrupted: after Ctrl-C, when the checkpoint is written.
    """
    if not task.model.trainable_variables:
        raise ValueError(
            "`task.model` must be built before `fit`. Received: a model without "
            "trainable variables"
        )
    strategy = task.model.distribute_strategy
    with strategy.scope():
        optimizer = make_optimizer(config)
        optimizer.build(task.model.trainable_variables)
    folder, is_chief = pathlib.Path(output_dir), distribution.is_chief(strategy)
    store = CheckpointStore(
        folder / "checkpoints", task.model, optimizer, config, writes=is_chief
    )
    if not resume:
        store.clear()
    state = store.restore() if resume else TrainingState()
    _check_same_start(strategy, state, folder)
    scalars = folder / "tensorboard" if config.tensorboard and is_chief else None
    with (
        InterruptFlag() as interrupt,
        Progress(config.epochs, shown=is_chief) as progress,
        ScalarWriter(scalars) as writer,
    ):
        reporting = Reporting(progress, writer, interrupt)
        runner = EpochRunner(task, optimizer, config, store, state, reporting)
        while not state.finished:
            runner.run(make_dataset(state.epoch))
    distribution.worker_mean(strategy, {"barrier": 0.0})
    store.restore_best(state.best_epoch)
    return FitResult(
        history=state.history,
        best_epoch=state.best_epoch,
        best_metrics=state.best_metrics,
        seconds=state.seconds,
        examples_per_second=state.examples / max(state.seconds, 1e-9),
    )


def _check_same_start(
    strategy: tf.distribute.Strategy, state: TrainingState, folder: pathlib.Path
) -> None:
    mean = distribution.worker_mean(strategy, {"iteration": float(state.iteration)})
    if mean["iteration"] != state.iteration:
        raise ValueError(
            "`output_dir` must be one folder that all workers share. Received: "
            f"{folder}, whose checkpoint is at iteration {state.iteration} here and "
            f"at {mean['iteration']} in the mean over the workers"
        )
