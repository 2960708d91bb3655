"""The full UserBehavior.csv must fit 8 GB: memory may not grow with its rows."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv

_CODE = """
import pathlib, resource, sys
from tfrec.data.readers import userbehavior
meta = {"name": "ub", "time_kind": "unix", "terms": "none", "source": "made up"}
userbehavior.prepare(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), meta)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.long
def test_peak_memory(tmp_path):
    """Users, items and buckets of full size, a twentieth of the rows."""
    rng = np.random.default_rng(0)
    num_rows, num_users, num_items = 5_000_000, 1_000_000, 4_200_000
    rows = {
        "user": rng.integers(1, num_users, num_rows),
        "item": rng.permutation(num_rows) % num_items + 1,
        "category": np.zeros([num_rows], np.int64),
        "behavior": np.array(["pv", "buy"])[rng.integers(0, 2, num_rows)],
        "timestamp": rng.integers(1_511_539_200, 1_512_316_800, num_rows),
    }
    options = csv.WriteOptions(include_header=False, quoting_style="none")
    csv.write_csv(pa.table(rows), tmp_path / "UserBehavior.csv", options)
    command = [sys.executable, "-c", _CODE, "UserBehavior.csv", "ub"]
    result = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) < 2_000_000  # KB
