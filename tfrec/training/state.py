"""How far a run has come: what a checkpoint holds beside the variables."""

import dataclasses
import math
from collections.abc import Mapping

from tfrec.training.config import TrainingConfig

Record = dict[str, object]


@dataclasses.dataclass
class TrainingState:
    """Progress of a run; plain numbers, so that JSON keeps it exactly.

    Args:
        epoch: epochs that are finished, validation included.
        step: steps done in the epoch after those.
        iteration: steps done over all epochs.
        loss_sums: each loss summed over the steps of the running epoch.
        history: one record a finished epoch.
        best_epoch: index of the best epoch so far, -1 before the first.
        best_metrics: what `task.validate()` returned there.
        stale_epochs: epochs since the best one.
        seconds: time in training steps, but for the first of a process.
        examples: rows trained on in that time.
        finished: nothing is left to train.
    """

    epoch: int = 0
    step: int = 0
    iteration: int = 0
    loss_sums: dict[str, float] = dataclasses.field(default_factory=dict)
    history: list[Record] = dataclasses.field(default_factory=list)
    best_epoch: int = -1
    best_metrics: dict[str, float] = dataclasses.field(default_factory=dict)
    stale_epochs: int = 0
    seconds: float = 0.0
    examples: int = 0
    finished: bool = False

    def mean_losses(self) -> dict[str, float]:
        """The running epoch's losses, averaged over its steps."""
        return {name: total / self.step for name, total in self.loss_sums.items()}

    def close_epoch(self, metrics: Mapping[str, float], config: TrainingConfig) -> bool:
        """Books a finished epoch; returns whether it is the best so far.

        Raises: ValueError: `config.monitor` is not among `metrics` or is not finite.
        """
        is_best = self._is_best(metrics, config)
        self.history.append(
            {
                "epoch": self.epoch,
                "iteration": self.iteration,
                "losses": self.mean_losses(),
                "metrics": dict(metrics),
            }
        )
        if is_best:
            self.best_epoch, self.best_metrics = self.epoch, dict(metrics)
        self.stale_epochs = 0 if is_best else self.stale_epochs + 1
        self.epoch, self.step, self.loss_sums = self.epoch + 1, 0, {}
        out_of_patience = (
            config.patience is not None and self.stale_epochs >= config.patience
        )
        self.finished = out_of_patience or self.epoch >= config.epochs
        return is_best

    def _is_best(self, metrics: Mapping[str, float], config: TrainingConfig) -> bool:
        if config.monitor is None:
            return True
        value = metrics.get(config.monitor, math.nan)
        if not math.isfinite(value):
            raise ValueError(
                f"`monitor` {config.monitor!r} must be a finite metric of "
                f"task.validate(). Received: {dict(metrics)}"
            )
        if self.best_epoch < 0:
            return True
        best = self.best_metrics[config.monitor]
        return value > best if config.mode == "max" else value < best
