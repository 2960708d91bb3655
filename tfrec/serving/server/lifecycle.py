"""The life of one version of a model: loaded, restarted if it dies, drained, ended."""

import asyncio
import enum
import pathlib
import time
from collections.abc import Callable, Coroutine
from typing import Protocol, TypeVar

from absl import logging

from tfrec.serving.apis import grpc
from tfrec.serving.errors import ServingError
from tfrec.serving.server import versions
from tfrec.serving.server.config import LoadConfig
from tfrec.serving.server.worker_handle import VersionId, Worker

T = TypeVar("T")
_STEADY_SECONDS = 60.0
_LONGEST_PAUSE = 30.0


class State(enum.IntEnum):
    """TensorFlow Serving's states, by the numbers of ModelVersionStatus.State."""

    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


class StartsWorkers(Protocol):
    """What `Workers` does for a version."""

    async def start(self, version_id: VersionId, folder: pathlib.Path) -> Worker:
        """A worker that is ready. Raises: ServingError."""


LoadReport = Callable[[pathlib.Path, bool, float], None]


class ModelVersion:
    """A version and its worker.

    Attributes:
        id: name and number.
        folder: the SavedModel.
        state: as GetModelStatus tells it.
        error: why it could not be loaded, in state END.
        is_wanted: whether the model's policy wants it.
        worker: answers, in state AVAILABLE; None while it is started again.
        serves: whether requests are for this version: from the first time that it is
            AVAILABLE, through restarts of its worker, until it is released.

    Args:
        workers: starts the worker.
        load: retries and draining.
        slots: limits how many versions load at a time.
        changed: is called after each change of the attributes.
        loaded: is called with folder, success and seconds after each try to load.
    """

    def __init__(
        self,
        version_id: VersionId,
        folder: pathlib.Path,
        *,
        workers: StartsWorkers,
        load: LoadConfig,
        slots: asyncio.Semaphore,
        changed: Callable[["ModelVersion"], None],
        loaded: LoadReport,
    ):
        self.id = version_id
        self.folder = folder
        self.state = State.START
        self.error: ServingError | None = None
        self.is_wanted = True
        self.worker: Worker | None = None
        self.serves = False
        self._workers, self._load_config, self._slots = workers, load, slots
        self._changed, self._loaded = changed, loaded
        self._released = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def is_released(self) -> bool:
        """Whether `release` was called."""
        return self._released.is_set()

    @property
    def is_over(self) -> bool:
        """Whether it ended after it was no longer wanted: it may be loaded anew."""
        return self.state is State.END and not self.is_wanted

    def launch(self) -> None:
        """Starts to load; what follows happens by itself."""
        self._task = asyncio.create_task(self._live())

    def release(self) -> None:
        """Ends the version: a load is given up, requests in flight are finished."""
        self._released.set()

    async def ended(self) -> None:
        """Waits for the end, after `release`."""
        if self._task is not None:
            await self._task

    def _set(self, state: State, worker: Worker | None = None) -> None:
        self.state, self.worker = state, worker
        logging.info("Servable version %s is in state %s", self.id, state.name)
        self._changed(self)

    async def _live(self) -> None:
        deaths = 0
        try:
            while (worker := await self._load()) is not None:
                self.serves = True
                self._set(State.AVAILABLE, worker)
                since = time.monotonic()
                await self._unless_released(_ended(worker))
                if self._released.is_set():
                    await self._unload(worker)
                    return
                code = worker.exited.result()
                logging.error("The worker of %s ended, exit code %d.", self.id, code)
                self._set(State.LOADING)
                await worker.stop(0.0)
                is_steady = time.monotonic() - since >= _STEADY_SECONDS
                deaths = 0 if is_steady else deaths + 1
                await self._unless_released(asyncio.sleep(_pause(deaths)))
        except ServingError as error:
            self.error = error
            logging.error("Servable %s cannot be loaded: %s", self.id, error)
        finally:
            self.serves = False
            self._set(State.END)

    async def _load(self) -> Worker | None:
        """A worker that is ready, or None if the version is released meanwhile.

        Raises: ServingError: that of the last try.
        """
        retries = 0
        while not self._released.is_set():
            try:
                return await self._unless_released(self._try_to_load())
            except ServingError as error:
                if retries >= self._load_config.max_num_load_retries:
                    raise
                logging.error("Servable %s load failure: %s", self.id, error)
            retries += 1
            pause = self._load_config.load_retry_seconds
            await self._unless_released(asyncio.sleep(pause))
            logging.info("Retrying load of %s, retry %d", self.id, retries)
        return None

    async def _try_to_load(self) -> Worker:
        async with self._slots:
            self._set(State.LOADING)
            since = time.monotonic()
            is_loaded = False
            try:
                await asyncio.to_thread(versions.check_inside, self.folder)
                worker = await self._workers.start(self.id, self.folder)
                is_loaded = True
            except OSError as error:
                raise ServingError(grpc.StatusCode.INTERNAL, str(error)) from error
            finally:
                self._loaded(self.folder, is_loaded, time.monotonic() - since)
            return worker

    async def _unload(self, worker: Worker) -> None:
        self.serves = False
        self._set(State.UNLOADING)
        await worker.drain(self._load_config.drain_seconds)
        await worker.stop(self._load_config.drain_seconds)

    async def _unless_released(self, work: Coroutine[object, object, T]) -> T | None:
        """The result of `work`; None, and `work` is cancelled, if released before."""
        task = asyncio.ensure_future(work)
        released = asyncio.ensure_future(self._released.wait())
        try:
            await asyncio.wait((task, released), return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else None
        finally:
            for each in (task, released):
                each.cancel()
            await asyncio.gather(task, released, return_exceptions=True)


def _pause(deaths: int) -> float:
    """Seconds before a worker that died `deaths` times in a row is started again."""
    return min(2.0 ** (deaths - 2), _LONGEST_PAUSE) if deaths > 1 else 0.0


async def _ended(worker: Worker) -> None:
    await asyncio.shield(worker.exited)
