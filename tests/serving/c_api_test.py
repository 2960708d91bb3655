"""A C program runs an exported model through TensorFlow's C API, without Python."""

import os
import pathlib
import subprocess

import numpy as np
import pytest
import tensorflow as tf

from tests.nann import exports, problems
from tfrec import ops
from tfrec.nann.export import export

SOURCE = pathlib.Path(__file__).parent / "retrieve.c"
FLAGS = ["-std=c99", "-O1", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
K = 7


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The program, linked to the TensorFlow that is installed."""
    path = tmp_path_factory.mktemp("c_api") / "retrieve"
    libraries = tf.sysconfig.get_lib()
    subprocess.run(
        [
            os.environ.get("CC", "gcc"),
            *FLAGS,
            *("-isystem", tf.sysconfig.get_include()),
            SOURCE,
            *("-o", path),
            f"-L{libraries}",
            "-l:libtensorflow_cc.so.2",
            "-l:libtensorflow_framework.so.2",
            f"-Wl,-rpath,{libraries}",
        ],
        check=True,
    )
    return path


@pytest.fixture(scope="module")
def problem():
    return exports.nann("no_attention")


@pytest.fixture(scope="module")
def folders(problem, tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    features = {"category": problems.categories()}
    return {
        kind: export(
            *problem,
            exports.NANN_WALK,
            path,
            max_history=exports.MAX_HISTORY,
            item_features=features,
            ops=kind,
        )
        for kind in ("custom", "reference")
    }


def run(program, library, model, history, k=K):
    return subprocess.run(
        [program, library, model, str(k), str(len(history)), *map(str, history.flat)],
        env={"PATH": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
    )


def parse(text):
    pairs = [[pair.split(":") for pair in line.split()] for line in text.splitlines()]
    ids = [[int(raw) for raw, _ in row] for row in pairs]
    return ids, [[float(score) for _, score in row] for row in pairs]


@pytest.mark.parametrize("kind", ["custom", "reference"])
def test_c_gives_what_python_gives(program, problem, folders, kind):
    raw = problem[1].item_ids.tolist()
    history = exports.rectangle([raw[:8], [raw[4], 77, raw[9]], []])
    library = ops.library_path() if kind == "custom" else "-"
    done = run(program, library, folders[kind], history)
    assert done.returncode == 0, done.stderr
    ids, scores = parse(done.stdout)
    ops.load_library()
    retrieve = tf.saved_model.load(str(folders[kind])).signatures["retrieve"]
    expected = retrieve(history=tf.constant(history), k=tf.constant(K))
    np.testing.assert_array_equal(ids, expected["ids"])
    np.testing.assert_allclose(scores, expected["scores"], rtol=1e-5, atol=1e-5)


def test_c_reports_errors(program, folders):
    history = np.array([[1]], np.int64)
    done = run(program, "-", folders["custom"], history)
    assert done.returncode == 1
    assert "Op type not registered 'Tfrec>" in done.stderr
    done = run(program, "-", folders["reference"], history, k=0)
    assert done.returncode == 1
    assert "`k` must be at least 1" in done.stderr
