"""`python -m tfrec.pdn` on an exported model: in process, by Beam, and its errors."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.pdn import index_problems
from tfrec import ops
from tfrec.artifacts import ArtifactError
from tfrec.pdn import index as index_lib
from tfrec.pdn import index_build
from tfrec.pdn.index_shards import IndexConfig
from tfrec.pdn.saved_similarity import SavedSimilarity

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONFIG = IndexConfig(k=6, k_hat=20, items_per_shard=16)
FLAGS = ["--k=6", "--k_hat=20", "--items_per_shard=16", "--model_version=v1"]


def raw_similarity(triggers, items):
    """Exact in float32 on any machine: small integers, and quarters."""
    return tf.cast((triggers * 7 + items * 13) % 17, tf.float32) / 4.0


def save_model(folder, signature="similarities", names=("triggers", "items")):
    module = tf.Module()
    module.shift = tf.Variable(-2.0)  # lost if only the function were kept
    specs = [tf.TensorSpec([None], tf.int64, name=name) for name in names]

    @tf.function(input_signature=specs)
    def similarities(first, second):
        return {"similarities": raw_similarity(first, second) + module.shift}

    # Like PDN's export, the model holds a custom op beside the signature.
    @tf.function(input_signature=[tf.TensorSpec([1, 1], tf.int32)])
    def visit(ids):
        return {"visited": ops.visited_insert(ops.empty_bitmap(1, 9), ids)[0]}

    signatures = {signature: similarities, "visit": visit}
    tf.saved_model.save(module, str(folder), signatures=signatures)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> pathlib.Path:
    """A model and inputs."""
    folder = tmp_path_factory.mktemp("main")
    save_model(folder / "model")
    index_problems.make_inputs().save(folder / "inputs")
    return folder


def run(folder, output, *flags) -> subprocess.CompletedProcess:
    paths = [f"--saved_model={folder}/model", f"--inputs={folder}/inputs"]
    return subprocess.run(
        [sys.executable, "-m", "tfrec.pdn", *paths, f"--output={output}", *flags],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def expected():
    inputs = index_problems.make_inputs()

    def score_pairs(triggers, items):
        raw = inputs.item_ids
        return raw_similarity(raw[triggers - 1], raw[items - 1]).numpy() - 2

    return index_build.build(inputs, score_pairs, CONFIG, "v1")


def test_in_process_and_by_beam(folder, tmp_path):
    done = run(folder, tmp_path / "here", *FLAGS)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "pairs/s" in done.stderr
    index_problems.assert_equal(index_lib.load(tmp_path / "here"), expected())
    done = run(
        folder,
        tmp_path / "beam",
        *FLAGS,
        "--runner=DirectRunner",
        "--direct_running_mode=multi_processing",
        "--direct_num_workers=2",
    )
    assert done.returncode == 0, done.stderr[-3000:]
    pairs = f"{expected().meta['num_pairs']:,}"
    assert f"index: 60 items, {pairs} pairs in" in done.stderr
    for name in ("neighbours", "similarities", "row_splits", "item_ids"):
        files = [tmp_path / where / f"{name}.npy" for where in ("here", "beam")]
        assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--k_hatt=20"], "Flags of Beam need `--runner`. Received: ['--k_hatt=20']"),
        (["--k=2000"], "`k_hat` must be at least k=2000"),
        (["--runner=NoSuchRunner"], "NoSuchRunner"),
    ],
)
def test_errors_end_with_status_1(folder, tmp_path, flags, message):
    done = run(folder, tmp_path / "index", "--model_version=v1", *flags)
    assert done.returncode == 1
    assert message in done.stderr
    assert not (tmp_path / "index").exists()


def test_the_model_gets_raw_ids(folder):
    inputs = index_problems.make_inputs()
    score_pairs = SavedSimilarity(str(folder / "model"))(inputs)
    j, i = np.array([1, 60], np.int32), np.array([2, 3], np.int32)
    found = score_pairs(j, i)
    raw = inputs.item_ids
    np.testing.assert_array_equal(
        found, (raw[j - 1] * 7 + raw[i - 1] * 13) % 17 / 4 - 2
    )
    assert found.dtype == np.float32


def test_another_signature_is_refused(tmp_path):
    inputs = index_problems.make_inputs()
    save_model(tmp_path / "a", signature="scores")
    with pytest.raises(
        ArtifactError, match=r"'similarities'. Received: \['scores', 'visit'\]"
    ):
        SavedSimilarity(str(tmp_path / "a"))(inputs)
    save_model(tmp_path / "b", names=("left", "right"))
    with pytest.raises(ArtifactError, match=r"triggers and items.*\['left', 'right'\]"):
        SavedSimilarity(str(tmp_path / "b"))(inputs)
