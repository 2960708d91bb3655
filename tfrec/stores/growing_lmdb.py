"""An LMDB environment whose map grows by itself, in every process that has it open."""

import contextlib
import os
import pathlib
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from tfrec.stores.errors import StoreError

Result = TypeVar("Result")


class GrowingLmdb:
    """Runs functions of a transaction; doubles the map when it is full.

    LMDB moves the map when it grows, so no thread may be in a transaction then: threads
    wait for each other. The environment must not be used after a fork.

    Args:
        path: a folder, made unless `readonly`.
        map_size: bytes of the map at first; a larger one that is there is kept.
        readonly: whether writes are refused.
    """

    def __init__(self, path: str | os.PathLike, map_size: int, readonly: bool):
        self.path = pathlib.Path(path)
        self.readonly = readonly
        self._lmdb = _import_lmdb()
        self._idle = threading.Condition()
        self._num_active = 0
        self._num_resizing = 0
        if readonly and not (self.path / "data.mdb").is_file():
            raise StoreError(
                "`path` must hold an LMDB store; opened for writing it is made. "
                f"Received: {self.path}"
            )
        with self._translated():
            self._env = self._lmdb.open(
                str(self.path),
                map_size=map_size,
                readonly=readonly,
                max_readers=1024,
                metasync=True,
                sync=True,
                create=not readonly,
            )
            self._env.reader_check()  # frees the slots of readers that were killed

    @property
    def map_size(self) -> int:
        """Bytes of the map in this process."""
        return self._env.info()["map_size"]

    def read(self, work: Callable[[Any], Result]) -> Result:
        """Returns `work(transaction)` on one snapshot; it may run more than once."""
        return self._run(work, write=False)

    def write(self, work: Callable[[Any], Result]) -> Result:
        """Returns `work(transaction)`: all of it is written to disk, or nothing is.

        It may run more than once.
        """
        if self.readonly:
            raise StoreError(
                f"`{self.path}` must be opened to write. Received: readonly=True"
            )
        return self._run(work, write=True)

    def close(self) -> None:
        """Closes the environment; a second time does nothing."""
        self._env.close()

    def _run(self, work: Callable[[Any], Result], write: bool) -> Result:
        while True:
            with self._translated():
                try:
                    with (
                        self._active(),
                        self._env.begin(write=write, buffers=True) as t,
                    ):
                        return work(t)
                except self._lmdb.MapFullError:
                    self._resize(2 * self.map_size)
                except self._lmdb.MapResizedError:  # by another process
                    self._resize(0)

    @contextlib.contextmanager
    def _active(self) -> Iterator[None]:
        with self._idle:
            self._idle.wait_for(lambda: not self._num_resizing)
            self._num_active += 1
        try:
            yield
        finally:
            with self._idle:
                self._num_active -= 1
                self._idle.notify_all()

    def _resize(self, size: int) -> None:
        with self._idle:
            self._num_resizing += 1
            try:
                self._idle.wait_for(lambda: not self._num_active)
                self._env.set_mapsize(size)
            finally:
                self._num_resizing -= 1
                self._idle.notify_all()

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (self._lmdb.Error, OSError) as error:
            raise StoreError(
                f"`{self.path}` must be readable and writable by LMDB. "
                f"Received: {type(error).__name__}: {error}"
            ) from error


def _import_lmdb() -> Any:
    try:
        import lmdb
    except ImportError as error:
        raise ImportError(
            'The LMDB store needs lmdb: pip install "tfrec[lmdb]"'
        ) from error
    return lmdb
