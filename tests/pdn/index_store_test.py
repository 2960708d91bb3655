"""The index in a store: the layout, a batch of lists, all of it."""

import struct

import numpy as np
import pytest

from tests.pdn import index_problems
from tests.pdn.index_build_test import build
from tests.pdn.index_test import small
from tfrec import stores
from tfrec.artifacts import ArtifactError
from tfrec.pdn import index_store
from tfrec.stores import StoreError


@pytest.fixture
def store(tmp_path):
    with stores.LmdbStore(tmp_path / "store") as opened:
        yield opened


def publish(store, index, version="1"):
    index_store.write_to_store(index, store, version)
    store.switch(version)


def test_whole_index_comes_back(store, monkeypatch):
    monkeypatch.setattr(index_store, "_BATCH", 7)
    index = build()
    publish(store, index)
    index_problems.assert_equal(index_store.read_from_store(store, "v1"), index)
    index_store.write_to_store(small(), store, "2")
    found = index_store.read_from_store(store, "v1", "2")
    index_problems.assert_equal(found, small())


def test_layout(store):
    publish(store, small())
    assert store.get(np.arange(4)) == [
        struct.pack("<Iqiiff", 2, 70, 1, 2, 0.5, 0.5),
        struct.pack("<Iq", 0, 50),
        struct.pack("<Iqif", 1, 60, 0, -1.0),
        None,
    ]
    meta = store.meta("1")
    assert meta["model_version"] == "v1"
    assert meta["kind"] == "pdn-index"


def test_lists_of_a_few_items(store):
    publish(store, small())
    positions = np.array([2, -1, 0, 1, 0, 99])
    lists, similarities = index_store.read_lists(store, positions, "v1")
    assert lists.row_splits.tolist() == [0, 1, 1, 3, 3, 5, 5]
    assert lists.values.tolist() == [0, 1, 2, 1, 2]
    assert similarities.tolist() == [-1.0, 0.5, 0.5, 0.5, 0.5]
    assert lists.values.dtype == np.int32
    lists, similarities = index_store.read_lists(store, np.zeros(0, int), "v1")
    assert lists.row_splits.tolist() == [0]
    assert similarities.dtype == np.float32


@pytest.mark.parametrize(
    "read",
    [
        lambda store: index_store.read_lists(store, np.arange(3), "v2"),
        lambda store: index_store.read_from_store(store, "v2"),
        lambda store: index_store.read_from_store(store, "v2", "1"),
    ],
)
def test_another_model_version_is_refused(store, read):
    publish(store, small())
    message = r"`model_version` of version '1' must be 'v2'. Received: 'v1'"
    with pytest.raises(StoreError, match=message):
        read(store)


def test_an_interrupted_write_is_made_again_and_a_sealed_one_refused(store):
    index = build()
    store.put("1", [0, 1], [b"cut", b"off"])
    publish(store, index)
    with pytest.raises(StoreError, match="sealed"):
        index_store.write_to_store(small(), store, "1")
    index_problems.assert_equal(index_store.read_from_store(store, "v1"), index)


@pytest.mark.parametrize("changed", [{"kind": "nann-index"}, {"format": 2}])
def test_another_layout_is_refused(store, changed):
    store.put("1", [0], [struct.pack("<Iq", 0, 70)])
    store.commit("1", {"kind": "pdn-index", "format": 1, **small().meta, **changed})
    with pytest.raises(StoreError, match=f"`{next(iter(changed))}` of version '1'"):
        index_store.read_lists(store, np.array([0]), "v1", "1")


def test_none_is_current(store):
    with pytest.raises(StoreError, match="must be current"):
        index_store.read_from_store(store, "v1")


def test_a_broken_value_is_refused(store):
    store.put("1", [0], [struct.pack("<Iqi", 2, 70, 1)])
    store.commit("1", {"kind": "pdn-index", "format": 1, **small().meta})
    with pytest.raises(ArtifactError, match="12 \\+ 8 n bytes.*16 bytes, 02000000"):
        index_store.read_lists(store, np.array([0]), "v1", "1")


def test_a_missing_position_is_named(store):
    store.put("1", [0, 2], [struct.pack("<Iq", 0, 70)] * 2)
    meta = {"kind": "pdn-index", "format": 1, **small().meta}
    store.commit("1", meta)
    lost = "Version '1' must hold position 1. Received: no value"
    with pytest.raises(ArtifactError, match=lost):
        index_store.read_from_store(store, "v1", "1")
    store.switch("1")
    for version in ("1", None):
        with pytest.raises(ArtifactError, match=lost):
            index_store.read_lists(store, np.array([0, 1]), "v1", version)
