"""Ctrl-C lets the running step end, so that the checkpoint is a consistent one."""

import signal
import threading
from types import FrameType
from typing import Any


class TrainingInterrupted(KeyboardInterrupt):
    """Raised by `fit` after an interrupt; its message says how to go on."""


class InterruptFlag:
    """Context in which the first SIGINT is only noted; the second one interrupts.

    Signals reach Python's main thread only, so elsewhere this does nothing.
    """

    def __init__(self) -> None:
        self.is_set = False
        self._previous: Any = None

    def __enter__(self) -> "InterruptFlag":
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.is_set:
            raise KeyboardInterrupt
        self.is_set = True
