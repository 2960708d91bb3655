"""One epoch: its steps, what they report, its checkpoints and its validation."""

import dataclasses
import math
import pathlib
import time
from typing import Any

import keras
import tensorflow as tf

from tfrec.training import distribution
from tfrec.training.checkpoint import CheckpointStore
from tfrec.training.config import TrainingConfig
from tfrec.training.interrupt import InterruptFlag, TrainingInterrupted
from tfrec.training.progress import Progress
from tfrec.training.scalars import ScalarWriter
from tfrec.training.state import TrainingState
from tfrec.training.step import TrainStep, make_train_step
from tfrec.training.task import Batch, Task


@dataclasses.dataclass(frozen=True)
class Reporting:
    """Where a run tells how it goes, and hears that it shall stop."""

    progress: Progress
    scalars: ScalarWriter
    interrupt: InterruptFlag


class EpochRunner:
    """Runs epochs from where `state` stands; keeps `state` and `store` up to date.

    Losses stay on the device and are read every `config.log_every_steps` steps, so
    that the host does not wait for each step.
    """

    def __init__(
        self,
        task: Task,
        optimizer: keras.optimizers.Optimizer,
        config: TrainingConfig,
        store: CheckpointStore,
        state: TrainingState,
        reporting: Reporting,
    ) -> None:
        self._task = task
        self._optimizer = optimizer
        self._strategy = task.model.distribute_strategy
        self._config = config
        self._store = store
        self._state = state
        self._reporting = reporting
        self._step: TrainStep | None = None
        self._element_spec: Any = None
        self._unread: list[dict[str, tf.Tensor]] = []
        self._unread_examples = 0
        self._clock = 0.0
        self._is_compiled = False

    def run(self, dataset: tf.data.Dataset) -> None:
        """Trains on what is left of the epoch, validates, writes the checkpoint."""
        state, config = self._state, self._config
        if config.steps_per_epoch is not None:
            dataset = dataset.take(config.steps_per_epoch)
        train_step = self._train_step(dataset.element_spec)
        num_steps = int(dataset.cardinality())
        self._reporting.progress.start_epoch(
            state.epoch, state.step, num_steps if num_steps >= 0 else None
        )
        self._clock = time.monotonic()
        for batch in dataset.skip(state.step):
            self._unread.append(train_step(batch))
            self._count_examples(batch)
            state.step += 1
            state.iteration += 1
            self._after_step()
        self._read_losses()
        if state.step == 0:
            raise ValueError(
                "`make_dataset` must give at least one batch an epoch. Received: none "
                f"in epoch {state.epoch}"
            )
        self._close()

    def _train_step(self, element_spec: Any) -> TrainStep:
        if self._step is None or element_spec != self._element_spec:
            self._element_spec = element_spec
            self._step = make_train_step(
                self._task,
                self._optimizer,
                self._strategy,
                self._config.seed,
                element_spec,
            )
        return self._step

    def _count_examples(self, batch: Batch) -> None:
        """Starts the clock after the first step, which compiles."""
        if self._is_compiled:
            self._unread_examples += tf.nest.flatten(batch)[0].shape[0]
        else:
            self._is_compiled, self._clock = True, time.monotonic()

    def _after_step(self) -> None:
        state, config = self._state, self._config
        every = config.checkpoint_every_steps
        if state.step % config.log_every_steps == 0:
            self._read_losses()
        stops = self._reporting.interrupt.is_set
        if stops or (every > 0 and state.iteration % every == 0):
            self._read_losses()
            path = self._store.save(state)
            self._clock = time.monotonic()
            if stops:
                raise TrainingInterrupted(self._how_to_resume(path))

    def _read_losses(self) -> None:
        """Adds the losses of the steps since the last call; checks and reports them."""
        if not self._unread:
            return
        state, num_steps = self._state, len(self._unread)
        window: dict[str, float] = {}
        for i, losses in enumerate(self._unread):
            for name, tensor in losses.items():
                loss = float(tensor)
                if not math.isfinite(loss):
                    step = state.step - num_steps + i
                    raise FloatingPointError(
                        f"Loss `{name}` must be finite. Received: {loss} at step "
                        f"{step} of epoch {state.epoch}; the last checkpoint is "
                        f"{self._store.latest()}"
                    )
                state.loss_sums[name] = state.loss_sums.get(name, 0.0) + loss
                window[name] = window.get(name, 0.0) + loss / num_steps
        now = time.monotonic()
        rate = self._unread_examples / max(now - self._clock, 1e-9)
        state.seconds += now - self._clock
        state.examples += self._unread_examples
        self._unread, self._unread_examples, self._clock = [], 0, now
        self._report(window, rate)

    def _report(self, losses: dict[str, float], rate: float) -> None:
        state, reporting = self._state, self._reporting
        reporting.progress.advance(state.epoch, state.step, losses, rate)
        reporting.scalars.write("loss", losses, state.iteration)
        speed = {
            "learning_rate": float(self._optimizer.learning_rate.numpy()),
            "examples_per_second": rate,
        }
        reporting.scalars.write("train", speed, state.iteration)

    def _close(self) -> None:
        """Validates, books the epoch, keeps the best weights, writes a checkpoint."""
        state, reporting = self._state, self._reporting
        epoch, losses = state.epoch, state.mean_losses()
        metrics = {k: float(v) for k, v in self._task.validate().items()}
        metrics = distribution.worker_mean(self._strategy, metrics)
        if state.close_epoch(metrics, self._config):
            self._store.save_best(epoch)
        path = self._store.save(state)
        reporting.scalars.write("epoch_loss", losses, state.iteration)
        reporting.scalars.write("validation", metrics, state.iteration)
        reporting.progress.end_epoch(epoch, losses, metrics)
        if reporting.interrupt.is_set and not state.finished:
            raise TrainingInterrupted(self._how_to_resume(path))

    def _how_to_resume(self, path: pathlib.Path) -> str:
        return (
            f"Training was interrupted at step {self._state.step} of epoch "
            f"{self._state.epoch}. The checkpoint is {path}; run the same command "
            "again (`fit` with resume=True) and it goes on from there."
        )
