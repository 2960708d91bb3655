"""DeepCTR's DIN in an environment of its own, a step whenever it is asked for one.

Version 0.9.4 does not build on Keras 3 where behaviours have two fields (its `Concat`
layer reads the rank of a shape that is a tuple there). So it is tried as it is, and
then on Keras 2 (`tf-keras`), which the same TensorFlow still runs.
"""

import json
import os
import pathlib
import subprocess
import venv
from typing import Any

import numpy as np

PACKAGES = ("deepctr==0.9.4", "tensorflow==2.21.*", "tf-keras==2.21.*", "setuptools")
_SCRIPT = pathlib.Path(__file__).with_name("deepctr_din.py")
_ENVIRONMENTS = ({}, {"TF_USE_LEGACY_KERAS": "1"})


def make_environment(cache: pathlib.Path) -> pathlib.Path:
    """Installs DeepCTR below `cache`, if it is not there; returns its Python."""
    folder = cache / "deepctr"
    python, done = folder / "bin" / "python", folder / "installed"
    if not done.exists():
        venv.create(folder, with_pip=True, clear=True)
        command = [str(python), "-m", "pip", "install", "--quiet", *PACKAGES]
        subprocess.run(command, check=True)
        done.touch()
    return python


class DeepCtr:
    """The process; a context.

    Args:
        python: the interpreter that has DeepCTR.
        batches: what `save_batches` wrote; errors are logged beside it.
        threads: of TensorFlow there.

    Attributes:
        errors: what each environment that was tried failed with.
        found: versions; None: it ran in no environment.
    """

    def __init__(self, python: pathlib.Path, batches: pathlib.Path, threads: int):
        self.errors: list[str] = []
        self.found: dict[str, Any] | None = None
        self._process: subprocess.Popen | None = None
        self._stderr = batches.with_suffix(".stderr")
        for extra in _ENVIRONMENTS:
            self._start([str(python), str(_SCRIPT), str(batches), str(threads)], extra)
            answer = self._read()
            if "error" not in answer:
                self.found = {**answer, "environment": extra}
                return
            self.errors.append(answer["error"])
            self._stop()

    def step(self, turn: int) -> float:
        """Trains on batch `turn`, of those that there are; returns the loss.

        Raises: RuntimeError: the process ended.
        """
        self._process.stdin.write(f"{turn}\n")
        self._process.stdin.flush()
        answer = self._read()
        if "error" in answer:
            raise RuntimeError(f"DeepCTR's DIN must train. Received: {answer['error']}")
        return answer["loss"]

    def __enter__(self) -> "DeepCtr":
        return self

    def __exit__(self, *error: object) -> None:
        self._stop()

    def _start(self, command: list[str], extra: dict[str, str]) -> None:
        with self._stderr.open("w") as stderr:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **extra},
            )

    def _read(self) -> dict[str, Any]:
        """The next line of JSON; DeepCTR prints lines of its own."""
        for line in self._process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        code = self._process.wait()
        lines = self._stderr.read_text().splitlines()
        return {"error": next(filter(_is_error, lines), f"Exit code {code}")}

    def _stop(self) -> None:
        if self._process is not None:
            self._process.stdin.close()
            self._process.wait()
            self._process.stdout.close()
            self._process = None


def _is_error(line: str) -> bool:
    """Whether this is where a traceback names its exception."""
    return line.split(":")[0].endswith(("Error", "Exception"))


def save_batches(path: pathlib.Path, sizes: dict[str, Any], batches: list[Any]) -> None:
    """Writes batches as DeepCTR reads them: a row a candidate, its user repeated.

    Args:
        path: an npz file.
        sizes: of each field's table, by part: `user`, `candidates`, `behaviour`.
        batches: of the schema, candidates and labels `(B, C)`.
    """
    rows = [_pointwise(batch, sizes) for batch in batches]
    columns = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    np.savez(path, sizes=json.dumps(sizes), **columns)


def _pointwise(batch: Any, sizes: dict[str, Any]) -> dict[str, np.ndarray]:
    candidates = {k: np.asarray(v) for k, v in batch["candidates"].items()}
    count = candidates["item"].shape[1]
    repeat = lambda values: np.repeat(np.asarray(values), count, axis=0)  # noqa: E731
    history = batch["history"]
    return {
        **{name: repeat(batch["user"][name])[:, np.newaxis] for name in sizes["user"]},
        **{name: values.reshape(-1, 1) for name, values in candidates.items()},
        **{f"hist_{name}": repeat(history[name]) for name in sizes["candidates"]},
        **{name: repeat(history[name]) for name in sizes["behaviour"]},
        "labels": np.asarray(batch["labels"]).reshape(-1, 1),
    }
