"""What a user sees of an index being built: a bar on a terminal, else log lines."""

import time

import rich.console
import rich.progress
from absl import logging

SECONDS_BETWEEN_LINES = 30.0


class IndexProgress:
    """Shows items done, pairs a second and time left; a context.

    Args:
        num_items: how many there are.
        num_done: how many an earlier run has done.
        console: where to; standard error by default.
    """

    def __init__(
        self,
        num_items: int,
        num_done: int = 0,
        console: rich.console.Console | None = None,
    ):
        self.num_items = num_items
        self.num_done = num_done
        self.num_pairs = 0
        self._console = console or rich.console.Console(stderr=True)
        self._bar: rich.progress.Progress | None = None
        self._bar_task = rich.progress.TaskID(0)
        self._begin = self._last_line = time.monotonic()

    def __enter__(self) -> "IndexProgress":
        self._begin = self._last_line = time.monotonic()
        if self._console.is_terminal:
            self._bar = rich.progress.Progress(
                rich.progress.TextColumn("{task.description}"),
                rich.progress.BarColumn(),
                rich.progress.MofNCompleteColumn(),
                rich.progress.TimeRemainingColumn(),
                rich.progress.TextColumn("{task.fields[text]}"),
                console=self._console,
            )
            self._bar_task = self._bar.add_task(
                "index", total=self.num_items, completed=self.num_done, text=""
            )
            self._bar.start()
        if self.num_done:
            self._line(f"{self.num_done} items are done already")
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar:
            self._bar.stop()
            self._bar = None
        self._line(str(self))

    def __str__(self) -> str:
        seconds = max(time.monotonic() - self._begin, 1e-9)
        return (
            f"{self.num_done}/{self.num_items} items, {self.num_pairs:,} pairs in "
            f"{seconds:.1f} s, {self.num_pairs / seconds:,.0f} pairs/s"
        )

    def advance(self, num_items: int, num_pairs: int) -> None:
        """Counts a shard."""
        self.num_done += num_items
        self.num_pairs += num_pairs
        if self._bar:
            seconds = max(time.monotonic() - self._begin, 1e-9)
            text = f"{self.num_pairs / seconds:,.0f} pairs/s"
            self._bar.update(self._bar_task, completed=self.num_done, text=text)
        elif time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES:
            self._line(str(self))

    def _line(self, text: str) -> None:
        self._last_line = time.monotonic()
        if self._console.is_terminal:
            self._console.print(f"index: {text}", highlight=False)
        else:
            logging.info("index: %s", text)
