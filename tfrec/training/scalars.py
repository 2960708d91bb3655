"""TensorBoard scalars of a run."""

import importlib.util
import pathlib
from collections.abc import Mapping

import tensorflow as tf


class ScalarWriter:
    """Writes groups of scalars to an event file; a context.

    Args:
        folder: where the event file goes; None writes nothing.
    Raises: ImportError: the package `tensorboard` is missing.
    """

    def __init__(self, folder: pathlib.Path | None) -> None:
        if folder and importlib.util.find_spec("tensorboard") is None:
            raise ImportError(
                "TensorBoard scalars need the package tensorboard: run `pip install "
                "tensorboard`, or train with TrainingConfig(tensorboard=False)."
            )
        self._writer = tf.summary.create_file_writer(str(folder)) if folder else None

    def __enter__(self) -> "ScalarWriter":
        return self

    def __exit__(self, *error: object) -> None:
        if self._writer:
            self._writer.close()

    def write(self, group: str, values: Mapping[str, float], iteration: int) -> None:
        """Writes each value as `<group>/<name>` at `iteration`."""
        if self._writer:
            with self._writer.as_default(step=iteration):
                for name, value in values.items():
                    tf.summary.scalar(f"{group}/{name}", value)
                self._writer.flush()
