"""A table beyond the 2 GB of a protocol buffer: exported, reloaded, queried."""

import json
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

from tfrec import ops

ROOT = pathlib.Path(__file__).resolve().parents[2]
NUM_ITEMS = 8_800_000
TABLE_BYTES = NUM_ITEMS * 64 * 4
MEMORY_BYTES = 10 * 2**30

QUERY = """
import json, resource, sys
import numpy as np
import tensorflow as tf

library, model, expected = sys.argv[1:]
tf.load_op_library(library)
signatures = tf.saved_model.load(model).signatures
asked = np.load(expected)
history = tf.constant(asked["history"])
found = signatures["retrieve"](history=history, k=tf.constant(20))
items = np.broadcast_to(asked["items"], [2, asked["items"].size])
scored = signatures["score"](history=history, items=tf.constant(items))["scores"]
again = signatures["score"](history=history, items=found["ids"])["scores"]
print(json.dumps({
    "ids": found["ids"].numpy().tolist(),
    "retrieved": found["scores"].numpy().tolist(),
    "again": again.numpy().tolist(),
    "scored": scored.numpy().tolist(),
    "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
}))
"""


def run(*command):
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.long
def test_a_table_of_more_than_2_gb(tmp_path):
    if shutil.disk_usage(tmp_path).free < 3 * TABLE_BYTES:
        pytest.skip(f"needs {3 * TABLE_BYTES} bytes in {tmp_path}")
    try:
        memory = run("-m", "tests.nann.large_export", tmp_path, NUM_ITEMS)
        assert memory < MEMORY_BYTES
        model, expected = tmp_path / "model" / "1", np.load(tmp_path / "expected.npz")
        assert (model / "saved_model.pb").stat().st_size < 2**22
        meta = json.loads((model / "meta.json").read_text())
        sizes = [file["bytes"] for file in meta["files"].values()]
        assert max(sizes) > TABLE_BYTES > 2**31
        found = run("-c", QUERY, ops.library_path(), model, tmp_path / "expected.npz")
    finally:
        shutil.rmtree(tmp_path)
    assert found["memory"] < MEMORY_BYTES
    np.testing.assert_allclose(found["scored"], expected["scores"], atol=1e-4)
    scores = np.array(found["retrieved"])
    np.testing.assert_allclose(found["again"], scores, atol=1e-4)
    assert (np.diff(scores, axis=1) <= 0).all()
    assert all(len(set(ids)) == 20 and -1 not in ids for ids in found["ids"])
    # All entries are scored, so the best is at least as good; the walk meets others.
    assert (scores[:, 0] >= expected["scores"].max(1) - 1e-4).all()
    assert not np.isin(found["ids"], expected["items"]).all()
