"""The index's folder, its rules, and the model version that it carries."""

import dataclasses

import numpy as np
import pytest

from tests.pdn import index_problems
from tests.pdn.index_build_test import build
from tfrec.artifacts import ArtifactError
from tfrec.pdn import index as index_lib
from tfrec.pdn.index import PathIndex

META = {"model_version": "v1", "k": 2, "k_hat": 3, "data_sha256": "", "num_pairs": 4}


def small() -> PathIndex:
    """0: [1, 2]; 1: []; 2: [0]."""
    return PathIndex(
        np.array([1, 2, 0], np.int32),
        np.array([0.5, 0.5, -1], np.float32),
        np.array([0, 2, 2, 3]),
        np.array([70, 50, 60]),
        META,
    )


def test_save_and_load(tmp_path):
    index = build()
    index_lib.save(index, tmp_path / "index")
    index_problems.assert_equal(index_lib.load(tmp_path / "index"), index)
    index_problems.assert_equal(index_lib.load(tmp_path / "index", "v1"), index)
    with pytest.raises(ArtifactError, match="must not exist"):
        index_lib.save(index, tmp_path / "index")


def test_another_model_version_is_refused(tmp_path):
    index_lib.save(build(), tmp_path / "index")
    with pytest.raises(ArtifactError, match=r"must be '7'\. Received: 'v1'"):
        index_lib.load(tmp_path / "index", "7")


def test_damage_and_absence_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"meta\.json"):
        index_lib.load(tmp_path / "index")
    index_lib.save(build(), tmp_path / "index")
    file = tmp_path / "index" / "neighbours.npy"
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(ArtifactError, match=r"neighbours\.npy` must have \d+ bytes"):
        index_lib.load(tmp_path / "index")


def test_small_is_right():
    small().check()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"neighbours": np.array([1, 2, 0])}, r"`neighbours` must be int32 \(3,\)"),
        ({"similarities": np.zeros(2, np.float32)}, r"`similarities` must be float32"),
        ({"row_splits": np.array([0, 2, 2, 3], np.int32)}, "must be int64.*int32"),
        ({"row_splits": np.array([0, 2, 1, 3])}, "`row_splits` must be.* rise"),
        ({"row_splits": np.array([0, 2, 2, 2])}, "end at 3"),
        ({"item_ids": np.array([70, 50, 50])}, "`item_ids` must not repeat.*50 2 time"),
        ({"neighbours": np.array([1, 3, 0], np.int32)}, r"must be in \[0, 3\).*to 3"),
        ({"neighbours": np.array([1, -1, 0], np.int32)}, "from -1"),
        ({"neighbours": np.array([1, 2, 2], np.int32)}, "own list.*position 2"),
        ({"neighbours": np.array([1, 1, 0], np.int32)}, "twice.*1 in the list of 0"),
        ({"neighbours": np.array([2, 1, 0], np.int32)}, "ascend at equal.*position 0"),
        ({"similarities": np.array([1, 2, 0], np.float32)}, "descend.*position 0"),
        ({"similarities": np.array([1, np.inf, 0], np.float32)}, "finite.*inf"),
        ({"meta": {"k": 3}}, "`meta` must hold.*no .*'model_version'"),
    ],
)
def test_rules(change, message):
    with pytest.raises(ArtifactError, match=message):
        dataclasses.replace(small(), **change).check()
