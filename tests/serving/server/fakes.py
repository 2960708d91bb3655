"""Models of fake versions, and what serves them in the test's process."""

import asyncio
import contextlib
import json
import os
import pathlib
import sys
import time
from collections.abc import AsyncIterator, Callable

from tfrec.serving.server.config import LoadConfig, WorkerConfig
from tfrec.serving.server.manager import Manager
from tfrec.serving.server.model_config import Config, ModelRules
from tfrec.serving.server.models import Models
from tfrec.serving.server.worker_handle import Workers

_DEADLINE_SECONDS = 30.0
COMMAND = (sys.executable, str(pathlib.Path(__file__).with_name("fake_worker.py")))
LOAD = LoadConfig(max_num_load_retries=0, load_retry_seconds=0.01)


def write(base_path: pathlib.Path, version: int, **plan) -> pathlib.Path:
    """Writes a version, whole, with its plan; `fake_worker` says what that holds."""
    folder = base_path / str(version)
    temporary = folder.with_name(f".{version}")
    temporary.mkdir(parents=True)
    (temporary / "plan.json").write_text(json.dumps(plan))
    return temporary.rename(folder)


def config_of(*base_paths: pathlib.Path) -> Config:
    """A configuration with a model for each path, which has the folder's name."""
    config = Config()
    for path in base_paths:
        config.model_config_list.config.add(
            name=path.name, base_path=str(path), model_platform="tensorflow"
        )
    return config


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def starts(folder: pathlib.Path) -> list[int]:
    """The process ids of the workers that were started for a version."""
    path = folder / "starts"
    return [int(pid) for pid in path.read_text().split()] if path.exists() else []


async def until(is_true: Callable[[], object]) -> None:
    """Lets others run until a condition holds, for a limited time."""
    end = time.monotonic() + _DEADLINE_SECONDS
    while not is_true():
        assert time.monotonic() < end, "the condition never held"
        await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def managing(
    load: LoadConfig = LOAD, loaded=lambda *_: None
) -> AsyncIterator[Manager]:
    """A manager of fake workers."""
    workers = Workers(WorkerConfig(command=COMMAND))
    manager = Manager(workers, load, loaded)
    try:
        yield manager
    finally:
        await manager.stop()
        workers.close()


@contextlib.asynccontextmanager
async def serving(
    root: pathlib.Path, *, load: LoadConfig = LOAD, any_label: bool = False
) -> AsyncIterator[Models]:
    """Models of fake workers, whose base paths are below `root`."""
    async with managing(load) as manager:
        rules = ModelRules((root.resolve(),), root / "logs")
        yield Models(manager, rules, any_label)


def pid_of(answer: bytes) -> int:
    """The process that answered."""
    return int(answer.split(b"/")[2])


def signal(pid: int, number: int) -> None:
    """Sends a signal to a process that a test started."""
    os.kill(pid, number)
