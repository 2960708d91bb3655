"""A C program runs an exported model through TensorFlow's C API, without Python."""

import os
import pathlib
import subprocess

import numpy as np
import pytest
import tensorflow as tf

from tests.nann import exports as nann_exports
from tests.nann import problems as nann_problems
from tests.pdn import exports as pdn_exports
from tests.pdn import indexes as pdn_indexes
from tfrec import ops
from tfrec.nann.export import export as export_nann

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


def nann(path):
    """Exports of NANN by their ops, and a request: a history of integers."""
    model, index = nann_exports.nann("no_attention")
    folders = {
        kind: export_nann(
            model,
            index,
            nann_exports.NANN_WALK,
            path,
            max_history=nann_exports.MAX_HISTORY,
            item_features={"category": nann_problems.categories()},
            ops=kind,
        )
        for kind in ("custom", "reference")
    }
    raw = index.item_ids.tolist()
    history = nann_exports.rectangle([raw[:8], [raw[4], 77, raw[9]], []])
    return folders, {"history": tf.constant(history)}


def pdn(path):
    """The same of PDN: integers, floats and strings."""
    model = pdn_exports.model()
    index = pdn_indexes.build(model)
    folders = {
        kind: pdn_exports.write(model, index, path, ops=kind)
        for kind in ("custom", "reference")
    }
    return folders, {k: v[:4] for k, v in pdn_exports.request().items()}


@pytest.fixture(scope="module", params=[nann, pdn], ids=lambda make: make.__name__)
def exported(request, tmp_path_factory):
    return request.param(tmp_path_factory.mktemp("model"))


def run(program, library, model, request):
    arguments = []
    for name, value in request.items():
        array = np.asarray(value)
        texts = [v.decode() if isinstance(v, bytes) else str(v) for v in array.flat]
        shape = "x".join(map(str, array.shape)) or "-"
        kind = {"float32": "float", "object": "string"}.get(array.dtype.name)
        arguments += [name, kind or array.dtype.name, shape, ",".join(texts)]
    return subprocess.run(
        [program, library, model, *arguments],
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
def test_c_gives_what_python_gives(program, exported, kind):
    folders, request = exported
    request = {**request, "k": tf.constant(K)}
    library = ops.library_path() if kind == "custom" else "-"
    done = run(program, library, folders[kind], request)
    assert done.returncode == 0, done.stderr
    ids, scores = parse(done.stdout)
    ops.load_library()
    retrieve = tf.saved_model.load(str(folders[kind])).signatures["retrieve"]
    expected = retrieve(**request)
    np.testing.assert_array_equal(ids, expected["ids"])
    np.testing.assert_allclose(scores, expected["scores"], rtol=1e-5, atol=1e-5)


def test_c_reports_errors(program, exported):
    folders, request = exported
    done = run(program, "-", folders["custom"], request)
    assert done.returncode == 1
    assert "Op type not registered 'Tfrec>" in done.stderr
    no_items = {**request, "k": tf.constant(0)}
    done = run(program, "-", folders["reference"], no_items)
    assert done.returncode == 1
    assert "`k` must be at least 1" in done.stderr
