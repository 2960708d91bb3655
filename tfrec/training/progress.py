"""What a user sees of a run: a rich bar on a terminal, else a log line now and then."""

import time
from collections.abc import Mapping

import rich.console
import rich.progress
from absl import logging

SECONDS_BETWEEN_LINES = 30.0


class Progress:
    """Shows epoch, step, losses, examples a second and time left; a context.

    Args:
        num_epochs: the most that the run may take.
        shown: False on workers other than the chief: nothing is shown.
        console: where to; standard error by default.
    """

    def __init__(
        self,
        num_epochs: int,
        shown: bool = True,
        console: rich.console.Console | None = None,
    ) -> None:
        self._num_epochs = num_epochs
        self._shown = shown
        self._console = console or rich.console.Console(stderr=True)
        self._bar: rich.progress.Progress | None = None
        self._bar_task = rich.progress.TaskID(0)
        self._num_steps: int | None = None
        self._last_line = time.monotonic()

    def __enter__(self) -> "Progress":
        if self._shown and self._console.is_terminal:
            self._bar = rich.progress.Progress(
                rich.progress.TextColumn("{task.description}"),
                rich.progress.BarColumn(),
                rich.progress.MofNCompleteColumn(),
                rich.progress.TimeRemainingColumn(),
                rich.progress.TextColumn("{task.fields[text]}"),
                console=self._console,
            )
            self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar:
            self._bar.stop()

    def start_epoch(self, epoch: int, step: int, num_steps: int | None) -> None:
        """Begins epoch `epoch` at `step`; `num_steps` is None where it is not known."""
        self._num_steps = num_steps
        if self._bar:
            self._bar_task = self._bar.add_task(
                f"epoch {epoch + 1}/{self._num_epochs}",
                total=num_steps,
                completed=step,
                text="",
            )

    def advance(
        self, epoch: int, step: int, losses: Mapping[str, float], rate: float
    ) -> None:
        """Shows the means of `losses` at `step` and the examples a second."""
        text = f"{_format(losses)}  {rate:,.0f} examples/s"
        if self._bar:
            self._bar.update(self._bar_task, completed=step, text=text, refresh=True)
        elif time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES:
            self._line(f"epoch {epoch + 1} step {step}/{self._num_steps or '?'} {text}")

    def end_epoch(
        self, epoch: int, losses: Mapping[str, float], metrics: Mapping[str, float]
    ) -> None:
        """Leaves one line for the epoch."""
        text = f"epoch {epoch + 1}/{self._num_epochs} {_format(losses)}"
        self._line(f"{text}  validation: {_format(metrics)}" if metrics else text)

    def _line(self, text: str) -> None:
        self._last_line = time.monotonic()
        if self._bar:
            self._bar.remove_task(self._bar_task)
            self._bar.refresh()
            self._bar.console.print(text, highlight=False)
        elif self._shown:
            logging.info("%s", text)


def _format(values: Mapping[str, float]) -> str:
    return " ".join(f"{name} {value:.4f}" for name, value in values.items())
