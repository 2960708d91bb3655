"""A small model to export, and a process that exports it while the disk fills.

    LD_PRELOAD=full_disk.so FULL_DISK_BYTES=0 python -m tests.serving.exporting FOLDER

exports it once, then once more for each file that this wrote, the disk filling at that
file, and once more on a disk with room. Prints `{file: [error, what is in FOLDER]}`.
"""

import json
import os
import pathlib
import resource
import sys

import numpy as np
import tensorflow as tf

from tfrec import artifacts
from tfrec.serving import warmup
from tfrec.serving.export import ExportError, export
from tfrec.serving.model_card import ModelCard

KIND, FORMAT = "line-export", 2
CARD = ModelCard("Someone 2020, Lines", {"degree": 1}, "points", "ab12", "c0ffee")
X = np.array([1.0, 2.0], np.float32)


class Line(tf.Module):
    """y = slope x + 1, and a variable that is not read."""

    def __init__(self, slope: float):
        super().__init__()
        self.slope, self.offset = tf.Variable(slope), tf.Variable(1.0)
        self.unread = tf.Variable(tf.zeros([100]))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def line(self, x):
        return {"y": self.slope * x + self.offset}


def write(path: pathlib.Path, **options: object) -> pathlib.Path:
    """Exports the line; `options` take the place of the defaults."""
    defaults = {
        "kind": KIND,
        "format": FORMAT,
        "meta": {"degree": 1},
        "card": CARD,
        "warmup": [warmup.predict_log("line", {"x": X})] * 3,
    }
    model = Line(3.0)
    signatures = {"line": model.line.get_concrete_function()}
    return export(signatures, path, **{**defaults, **options})


def check(folder: pathlib.Path) -> None:
    """A version is whole and works."""
    artifacts.load(folder, kind=KIND, format=FORMAT, verify=True)
    served = tf.saved_model.load(str(folder)).signatures["line"]
    for record in warmup.read(folder):
        sent = record.predict_log.request.inputs["x"]
        found = served(x=tf.constant(tf.make_ndarray(sent)))
        np.testing.assert_array_equal(found["y"], [4.0, 7.0])


def part_of(name: str) -> str:
    """What the temporary file of a file has in its name too."""
    return pathlib.PurePath(name).name.removeprefix("variables")


def main(path: pathlib.Path) -> None:
    """Exports again and again."""
    first = write(path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    tries = {}
    for file in [p for p in first.rglob("*") if p.is_file()]:
        name = file.relative_to(first).as_posix()
        os.environ["FULL_DISK_AT"] = part_of(name)
        try:
            write(path)
        except ExportError as error:
            tries[name] = [str(error), sorted(p.name for p in path.iterdir())]
        del os.environ["FULL_DISK_AT"]
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    write(path)
    print(json.dumps(tries))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
