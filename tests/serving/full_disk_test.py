"""An export while the disk fills, at each file in turn: nothing is left."""

import json
import os
import pathlib
import subprocess

import pytest

from tests import own_process
from tests.serving import exporting

SOURCE = pathlib.Path(__file__).parent / "full_disk.c"
FILES = [
    "assets.extra/tf_serving_warmup_requests",
    "assets.extra/tfrec.json",
    "fingerprint.pb",
    "meta.json",
    "saved_model.pb",
    "variables/variables.data-00000-of-00001",
    "variables/variables.index",
]


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    path = tmp_path_factory.mktemp("full_disk") / "full_disk.so"
    compiler = os.environ.get("CC", "gcc")
    flags = ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([compiler, *flags, SOURCE, "-o", path, "-ldl"], check=True)
    return path


@pytest.mark.parametrize("num_bytes", [0, 64], ids=["full", "nearly_full"])
def test_nothing_is_left_and_the_file_is_named(library, tmp_path, num_bytes):
    lines = own_process.lines(
        *("-m", "tests.serving.exporting", tmp_path / "model"),
        LD_PRELOAD=str(library),
        FULL_DISK_BYTES=str(num_bytes),
    )
    tries = json.loads(lines[-1])
    assert sorted(tries) == FILES
    for name, (error, left) in tries.items():
        assert "/model/2` can't be written; nothing of it is left" in error, name
        assert exporting.part_of(name) in error.partition("Received:")[2], name
        assert "File too large" in error, name
        assert left == ["1"], name
    assert sorted(p.name for p in (tmp_path / "model").iterdir()) == ["1", "2"]
    exporting.check(tmp_path / "model" / "2")
