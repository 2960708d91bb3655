"""The inputs' folder, digest and rules."""

import dataclasses

import numpy as np
import pytest
from scipy import sparse

from tests.pdn import index_problems
from tfrec.artifacts import ArtifactError
from tfrec.pdn import index_inputs
from tfrec.pdn.candidates import Candidates
from tfrec.pdn.index_inputs import Csr, IndexInputs, Ragged


@pytest.mark.parametrize("popularity", [None, np.arange(61)])
def test_save_and_load(tmp_path, popularity):
    inputs = index_problems.make_inputs(popularity=popularity)
    inputs.save(tmp_path / "inputs")
    loaded = index_inputs.load(tmp_path / "inputs")
    assert loaded.sha256() == inputs.sha256()
    assert list(loaded.profile) == ["category", "tags"]
    items = np.arange(1, 61)
    found, expected = (
        Candidates(i, 30).candidate_items(items) for i in (loaded, inputs)
    )
    np.testing.assert_array_equal(found.values, expected.values)
    np.testing.assert_array_equal(found.row_splits, expected.row_splits)
    assert (loaded.popularity is None) == (popularity is None)


def test_empty_counts_and_no_profile(tmp_path):
    empty = Csr(np.zeros(0), np.zeros(0, np.int32), np.zeros(4, np.int32))
    IndexInputs(np.arange(2), empty).save(tmp_path / "inputs")
    loaded = index_inputs.load(tmp_path / "inputs")
    assert Candidates(loaded, 3).candidate_items([1, 2]).row_splits.tolist() == [0] * 3


def test_the_digest_sees_every_array():
    inputs = index_problems.make_inputs()
    counts = inputs.counts.copy()
    counts.data[5] += 1
    category, tags = inputs.profile["category"].copy(), inputs.profile["tags"]
    category[3] += 1
    changed = Ragged(tags.values[::-1], tags.row_splits)
    changes = [
        {"item_ids": inputs.item_ids[::-1]},
        {"counts": counts},
        {"profile": {"category": category, "tags": tags}},
        {"profile": {"category": inputs.profile["category"], "tags": changed}},
        {"popularity": inputs.popularity + 1},
        {"popularity": None},
    ]
    digests = {dataclasses.replace(inputs, **change).sha256() for change in changes}
    assert len(digests | {inputs.sha256()}) == 1 + len(changes)
    assert inputs.sha256() == index_problems.make_inputs().sha256()


def test_damage_is_named(tmp_path):
    index_problems.make_inputs().save(tmp_path / "inputs")
    file = tmp_path / "inputs" / "popularity.npy"
    file.write_bytes(file.read_bytes()[:-1] + b"\x07")
    with pytest.raises(ArtifactError, match=r"popularity\.npy.*must have sha256"):
        index_inputs.load(tmp_path / "inputs")


def _unsorted():
    return Csr(
        np.ones(2), np.array([3, 2]), np.array([0, 0, 2] + [2] * 59, dtype=np.int32)
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"item_ids": np.ones(60, np.int64)}, "`item_ids` must not repeat.*1 60 times"),
        ({"item_ids": np.arange(60, dtype=np.int32)}, r"must be int64 \(N,\).*int32"),
        ({"item_ids": np.zeros(0, np.int64)}, "N >= 1"),
        ({"counts": sparse.csr_matrix((60, 61))}, r"`counts.indptr` must be \(62,\)"),
        ({"counts": sparse.eye(61, 62, k=1).tocsr()}, r"be \(61, 61\).*up to 61"),
        ({"counts": -sparse.eye(61).tocsr()}, "finite and not negative. Received: -1"),
        ({"counts": sparse.eye(61).tocsr() * np.nan}, "finite and not negative"),
        ({"counts": _unsorted()}, "ascending columns.*Received: column 2"),
        ({"profile": {"c": np.zeros(60, int)}}, r"`profile\['c'\]` must be \(61,\)"),
        ({"profile": {"c": np.zeros(61)}}, "must be integers >= 0. Received: float64"),
        ({"profile": {"c": np.full(61, -2)}}, "integers >= 0.*smallest -2"),
        (
            {"profile": {"c": Ragged(np.ones(3, int), np.arange(62))}},
            "rise from 0 and end at 3",
        ),
        ({"popularity": np.zeros(60)}, r"`popularity` must be \(61,\)"),
        ({"popularity": np.full(61, np.nan)}, "61 NaN"),
    ],
)
def test_rules(change, message):
    with pytest.raises(ArtifactError, match=message):
        index_problems.make_inputs(**change).check()


def test_columns_that_fall_between_rows_are_in_order():
    index_problems.make_inputs(counts=sparse.eye(61, k=-1).tocsr()).check()
    rows = np.array([1, 1, 4]), np.array([8, 9, 2])
    counts = sparse.csr_matrix((np.ones(3), rows), (61, 61))
    index_problems.make_inputs(counts=counts).check()
