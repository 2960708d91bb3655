"""One training loop for all papers; `docs/training.md` shows a whole run."""

from tfrec.training.config import TrainingConfig, configure
from tfrec.training.distribution import strategy
from tfrec.training.interrupt import TrainingInterrupted
from tfrec.training.loop import FitResult, fit
from tfrec.training.optimizers import Adagrad, Adam, AdamW, make_optimizer
from tfrec.training.task import StepContext, Task

__all__ = [
    "Adagrad",
    "Adam",
    "AdamW",
    "FitResult",
    "StepContext",
    "Task",
    "TrainingConfig",
    "TrainingInterrupted",
    "configure",
    "fit",
    "make_optimizer",
    "strategy",
]
