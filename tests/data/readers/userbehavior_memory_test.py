"""The full UserBehavior.csv must fit 8 GB: memory may not grow with its rows."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv

_CODE = """
import resource, sys
from tfrec.data.__main__ import main
if main(sys.argv[1:]):
    sys.exit(1)
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
    prepare = ["prepare", "taobao-userbehavior"]
    options = ["--raw=UserBehavior.csv", "--data_home=home"]
    command = [sys.executable, "-c", _CODE, *prepare, *options]
    result = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    *described, kilobytes = result.stdout.splitlines()
    assert f"  num_users: {np.unique(rows['user']).size}" in described
    assert int(kilobytes) < 2_000_000
