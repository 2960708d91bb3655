"""Which versions of models live: new ones are loaded before old ones are let go.

The order is that of TensorFlow Serving's AvailabilityPreservingPolicy.
"""

import asyncio
import dataclasses
import os
import pathlib
from collections.abc import Collection, Mapping

from absl import logging

from tfrec.serving.apis import grpc
from tfrec.serving.errors import ServingError
from tfrec.serving.server.config import LoadConfig
from tfrec.serving.server.lifecycle import (
    LoadReport,
    ModelVersion,
    StartsWorkers,
    State,
)
from tfrec.serving.server.worker_handle import VersionId

_ENDED_KEPT = 100


@dataclasses.dataclass
class _Model:
    """The versions of a model.

    Attributes:
        wanted: folders of the versions that it should have.
        versions: by number; those that ended stay, for GetModelStatus.
        serving: those that requests may ask for.
        latest: the highest of `serving`.
    """

    wanted: dict[int, pathlib.Path] = dataclasses.field(default_factory=dict)
    versions: dict[int, ModelVersion] = dataclasses.field(default_factory=dict)
    serving: dict[int, ModelVersion] = dataclasses.field(default_factory=dict)
    latest: ModelVersion | None = None


class Manager:
    """Starts and ends the versions of all models; of one event loop.

    Args:
        workers: starts workers.
        load: retries and draining.
        loaded: is called after each try to load a version.
    """

    def __init__(self, workers: StartsWorkers, load: LoadConfig, loaded: LoadReport):
        self._workers, self._load, self._loaded = workers, load, loaded
        self._models: dict[str, _Model] = {}
        self._slots = asyncio.Semaphore(os.cpu_count() or 1)
        self._waiters: list[asyncio.Future[None]] = []

    def want(self, name: str, folders: Mapping[int, pathlib.Path]) -> None:
        """Sets the versions that a model should have; the rest follows by itself."""
        model = self._models.setdefault(name, _Model())
        model.wanted = dict(folders)
        self._reconcile(name, model)

    def resolve(self, name: str, number: int | None) -> ModelVersion:
        """The version that answers a request; None: the latest one.

        Raises: ServingError (NOT_FOUND): TensorFlow Serving's message.
        """
        model = self._models.get(name)
        version = None
        if model is not None:
            version = model.latest if number is None else model.serving.get(number)
        if version is None:
            which = f"Latest({name})"
            if number is not None:
                which = f"Specific({name}, {number})"
            raise ServingError(
                grpc.StatusCode.NOT_FOUND, f"Servable not found for request: {which}"
            )
        return version

    def versions(self, name: str) -> list[ModelVersion]:
        """All versions of a model that are or were, the highest first."""
        model = self._models.get(name)
        numbered = sorted(model.versions.items(), reverse=True) if model else []
        return [version for _, version in numbered]

    def is_ready(self, names: Collection[str]) -> bool:
        """Whether each of the models has an available version."""
        return all(
            any(version.state is State.AVAILABLE for version in self.versions(name))
            for name in names
        )

    def change(self) -> asyncio.Future[None]:
        """Is done at the next change of any version after this call."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        return waiter

    async def wait_for(self, names: Collection[str]) -> None:
        """Waits until each of the models has an available version.

        Raises: ServingError (UNKNOWN): all wanted versions of a model ended.
        """
        while not self.is_ready(names):
            failed = [error for name in names if (error := self._failure(name))]
            if failed:
                raise ServingError(
                    grpc.StatusCode.UNKNOWN,
                    f"{len(failed)} model(s) did not become available: "
                    f"{{{', '.join(failed)}}}",
                )
            await self.change()

    async def stop(self) -> None:
        """Ends all versions, and waits for that."""
        for model in self._models.values():
            model.wanted = {}
        lives = [v for m in self._models.values() for v in m.versions.values()]
        for version in lives:
            if version.state is not State.END:
                version.release()
        ended = (version.ended() for version in lives)
        for problem in await asyncio.gather(*ended, return_exceptions=True):
            if problem is not None:
                logging.error("A version did not end as it should: %r", problem)

    def _failure(self, name: str) -> str | None:
        model = self._models.get(name, _Model())
        wanted = [model.versions[number] for number in model.wanted]
        if not wanted or any(version.state is not State.END for version in wanted):
            return None
        worst = max(wanted, key=lambda version: version.id.version)
        return f"{{{worst.id} due to error: {worst.error}}}"

    def _on_change(self, version: ModelVersion) -> None:
        model = self._models[version.id.name]
        model.serving = {n: v for n, v in sorted(model.versions.items()) if v.serves}
        model.latest = model.serving[max(model.serving)] if model.serving else None
        self._reconcile(version.id.name, model)
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _reconcile(self, name: str, model: _Model) -> None:
        for number, version in model.versions.items():
            if number not in model.wanted:
                version.is_wanted = False
        for number in sorted(model.wanted, reverse=True):
            old = model.versions.get(number)
            if old is None or old.is_over:
                self._start(name, model, number)
            elif not old.is_released:
                old.is_wanted = True
        for version in _no_longer_needed(model):
            version.release()
        over = [n for n, v in sorted(model.versions.items()) if v.is_over]
        for number in over[:-_ENDED_KEPT]:
            del model.versions[number]

    def _start(self, name: str, model: _Model, number: int) -> None:
        model.versions[number] = ModelVersion(
            VersionId(name, number),
            model.wanted[number],
            workers=self._workers,
            load=self._load,
            slots=self._slots,
            changed=self._on_change,
            loaded=self._loaded,
        )
        model.versions[number].launch()


def _no_longer_needed(model: _Model) -> list[ModelVersion]:
    """The unwanted versions to let go: one serves on until a wanted one is there."""
    unwanted = [v for v in model.versions.values() if not (v.is_wanted or v.is_over)]
    unwanted = [version for version in unwanted if not version.is_released]
    is_replaced = not model.wanted or any(
        model.versions[number].state is State.AVAILABLE for number in model.wanted
    )
    serving = sorted((v for v in unwanted if v.serves), key=lambda v: v.id.version)
    kept = [] if is_replaced else serving[-1:]
    return [version for version in unwanted if version not in kept]
