"""Checkpoints from which a run goes on to the same bytes.

`<folder>/checkpoint-<epoch>-<step>/` holds all variables of the model and the
optimiser, and the `TrainingState`; `<folder>/best-<epoch>/` the model's of that epoch.
Both are written aside and renamed, so that a killed process leaves none half-written.
"""

import dataclasses
import pathlib
import re
import shutil
from typing import Any

import keras
import numpy as np

from tfrec import artifacts
from tfrec.training.config import TrainingConfig
from tfrec.training.state import TrainingState

KIND = "checkpoint"
FORMAT = 1
NUM_KEPT = 2
# Ours, and what a killed process may have left of them half-written.
_FOLDERS = re.compile(r"\.?(checkpoint-\d{5}-\d{8}|best-\d{5})(\..*)?")


class CheckpointStore:
    """Writes, finds, restores and prunes one run's checkpoints.

    Args:
        folder: of this run alone.
        model: built; all its variables are kept, batch norm's statistics included.
        optimizer: built on the model's trainable variables.
        config: the run's; its numeric fields must be the checkpoint's at a resume.
        writes: False on workers other than the chief, which only read.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        config: TrainingConfig,
        writes: bool = True,
    ) -> None:
        self.folder = folder
        self.writes = writes
        self._variables = {"model": model.variables, "optimizer": optimizer.variables}
        self._identity: dict[str, Any] = {
            "config": config.numeric_fields(),
            "model": _signature(model.variables),
        }

    def latest(self) -> pathlib.Path | None:
        """The newest checkpoint's folder, None where there is none."""
        return max(self.folder.glob("checkpoint-*-*"), default=None, key=_order)

    def save(self, state: TrainingState) -> pathlib.Path:
        """Writes the state of now and removes what is older than the last two."""
        path = self.folder / f"checkpoint-{state.epoch:05d}-{state.step:08d}"
        if self.writes:
            meta = {**self._identity, "state": dataclasses.asdict(state)}
            self._write(path, ("model", "optimizer"), meta)
            self._prune()
        return path

    def save_best(self, epoch: int) -> None:
        """Keeps the model's variables as those of the best epoch so far."""
        if self.writes:
            path = self.folder / f"best-{epoch:05d}"
            self._write(path, ("model",), self._identity)

    def restore(self) -> TrainingState:
        """Loads the newest checkpoint into the variables; a fresh state without one.

        Raises: ValueError: it belongs to another config or another model.
        """
        path = self.latest()
        if path is None:
            return TrainingState()
        state = self._read(path, ("model", "optimizer"))["state"]
        return TrainingState(**state)

    def restore_best(self, epoch: int) -> None:
        """Loads the model's variables of the best epoch."""
        self._read(self.folder / f"best-{epoch:05d}", ("model",))

    def clear(self) -> None:
        """Removes all checkpoints of earlier runs."""
        if self.writes:
            for path in self._folders():
                shutil.rmtree(path)

    def _write(self, path: pathlib.Path, groups: tuple[str, ...], meta: dict) -> None:
        with artifacts.create(
            path, kind=KIND, format=FORMAT, meta=meta, overwrite=True
        ) as folder:
            for group in groups:
                arrays = {
                    f"{i:05d}": variable.numpy()
                    for i, variable in enumerate(self._variables[group])
                }
                np.savez(pathlib.Path(folder) / f"{group}.npz", **arrays)

    def _read(self, path: pathlib.Path, groups: tuple[str, ...]) -> dict:
        meta = artifacts.load(path, kind=KIND, format=FORMAT, verify=True)
        for thing, expected in self._identity.items():
            if meta[thing] != expected:
                raise ValueError(
                    f"`{thing}` must be that of the checkpoint {path}, or resume must "
                    f"be False. Received: {_difference(expected, meta[thing])}"
                )
        for group in groups:
            with np.load(path / f"{group}.npz") as arrays:
                for i, variable in enumerate(self._variables[group]):
                    variable.assign(arrays[f"{i:05d}"])
        return meta

    def _folders(self) -> list[pathlib.Path]:
        found = self.folder.iterdir() if self.folder.exists() else ()
        return [path for path in found if _FOLDERS.fullmatch(path.name)]

    def _prune(self) -> None:
        checkpoints = sorted(self.folder.glob("checkpoint-*-*"), key=_order)
        kept = set(checkpoints[-NUM_KEPT:])
        for path in checkpoints[-NUM_KEPT:]:
            meta = artifacts.load(path, kind=KIND, format=FORMAT, verify=False)
            best = meta["state"]["best_epoch"]
            if best >= 0:
                kept.add(self.folder / f"best-{best:05d}")
        for path in set(self._folders()) - kept:
            shutil.rmtree(path)


def _order(path: pathlib.Path) -> str:
    return path.name


def _signature(variables: list[keras.Variable]) -> list[str]:
    """One line a variable: its own name (its layer's may be numbered), shape, dtype."""
    return [f"{v.name} {tuple(v.shape)} {v.dtype}" for v in variables]


def _difference(ours: dict | list, theirs: dict | list) -> str:
    """What differs, ours against the checkpoint's; only the differing entries."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        names = sorted(
            name
            for name in {*ours, *theirs}
            if ours.get(name, "none") != theirs.get(name, "none")
        )
        return "; ".join(
            f"{name}={ours.get(name, 'none')!r}, "
            f"checkpoint's {name}={theirs.get(name, 'none')!r}"
            for name in names
        )
    only_ours = [line for line in ours if line not in theirs]
    only_theirs = [line for line in theirs if line not in ours]
    return (
        f"{len(ours)} variables, not in the checkpoint: {only_ours[:5]}; "
        f"checkpoint's {len(theirs)} variables, not in the model: {only_theirs[:5]}"
    )
