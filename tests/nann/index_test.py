"""The index folder: what is read out of faiss, its rules, and its files."""

import dataclasses

import faiss
import numpy as np
import pytest

from tfrec.artifacts import ArtifactError
from tfrec.nann import index as index_lib
from tfrec.nann.config import IndexConfig
from tfrec.nann.index import HnswIndex, Level


def make_index(num_items: int = 300, m: int = 4) -> HnswIndex:
    """Returns an index over random vectors, raw ids 1000 up."""
    vectors = np.random.default_rng(0).normal(size=(num_items, 6))
    ids = np.arange(num_items) + 1000
    return index_lib.build(vectors, ids, IndexConfig(m, 40), num_threads=1)


def test_levels_hold_what_faiss_built():
    vectors = np.random.default_rng(0).normal(size=(300, 6)).astype(np.float32)
    graph = faiss.IndexHNSWFlat(6, 4)
    graph.hnsw.efConstruction = 40
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    graph.add(vectors)
    faiss.omp_set_num_threads(threads)
    all_links = faiss.vector_to_array(graph.hnsw.neighbors)
    index = make_index()
    assert len(index.levels) >= 3
    for number, level in enumerate(index.levels):
        for node in index.nodes(number):
            begin, end = np.zeros(1, np.uint64), np.zeros(1, np.uint64)
            graph.hnsw.neighbor_range(
                int(node), number, faiss.swig_ptr(begin), faiss.swig_ptr(end)
            )
            links = all_links[int(begin[0]) : int(end[0])]
            found = level.values[level.row_splits[node] : level.row_splits[node + 1]]
            assert found.tolist() == [link for link in links if link >= 0]


def test_levels_nest_and_shrink():
    index = make_index()
    sizes = [index.nodes(number).size for number in range(len(index.levels))]
    assert sizes[0] == 300
    assert sizes == sorted(sizes, reverse=True)
    for number in range(1, len(sizes)):
        assert np.isin(index.nodes(number), index.nodes(number - 1)).all()


def test_one_thread_builds_the_same_graph_again():
    first, second = make_index(), make_index()
    for left, right in zip(first.levels, second.levels, strict=True):
        np.testing.assert_array_equal(left.values, right.values)
        np.testing.assert_array_equal(left.row_splits, right.row_splits)


def test_equal_vectors_make_no_self_loops():
    vectors = np.zeros([50, 3], np.float32)
    index_lib.build(vectors, np.arange(50), IndexConfig(4, 40), num_threads=1).check()


def test_save_and_load_give_the_same_arrays(tmp_path):
    index = make_index()
    index_lib.save(index, tmp_path / "index")
    loaded = index_lib.load(tmp_path / "index")
    for name in ("vectors", "item_ids", "node_levels"):
        np.testing.assert_array_equal(getattr(index, name), getattr(loaded, name))
    for left, right in zip(index.levels, loaded.levels, strict=True):
        np.testing.assert_array_equal(left.values, right.values)
        assert left.row_splits.dtype == right.row_splits.dtype


def test_a_damaged_file_is_named(tmp_path):
    index_lib.save(make_index(), tmp_path / "index")
    path = tmp_path / "index" / "level0_values.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"level0_values\.npy"):
        index_lib.load(tmp_path / "index")


def test_an_existing_folder_is_kept(tmp_path):
    index_lib.save(make_index(), tmp_path / "index")
    with pytest.raises(ArtifactError, match="overwrite"):
        index_lib.save(make_index(50), tmp_path / "index")
    assert index_lib.load(tmp_path / "index").num_items == 300


def _with_level(index: HnswIndex, number: int, level: Level) -> HnswIndex:
    levels = list(index.levels)
    levels[number] = level
    return dataclasses.replace(index, levels=tuple(levels))


def _changed(array: np.ndarray, place: int, value: int) -> np.ndarray:
    array = array.copy()
    array[place] = value
    return array


def test_value_errors():
    index = make_index()
    base, upper = index.levels[:2]
    source = int(np.searchsorted(base.row_splits, 0, side="right") - 1)
    below = int(np.flatnonzero(index.node_levels == 0)[0])
    broken = {
        r"\[0, 300\)": _with_level(
            index, 0, Level(_changed(base.values, 0, 300), base.row_splits)
        ),
        "self loops": _with_level(
            index, 0, Level(_changed(base.values, 0, source), base.row_splits)
        ),
        "that level or above": _with_level(
            index, 1, Level(_changed(upper.values, 0, below), upper.row_splits)
        ),
        "rise from 0": _with_level(
            index, 0, Level(base.values, _changed(base.row_splits, 1, 10**6))
        ),
        "int32 values": _with_level(
            index, 0, Level(base.values.astype(np.int64), base.row_splits)
        ),
        "as many as": dataclasses.replace(index, levels=index.levels[:-1]),
        "`item_ids` must not repeat": dataclasses.replace(
            index, item_ids=_changed(index.item_ids, 0, 1001)
        ),
        "`node_levels` must be uint8": dataclasses.replace(
            index, node_levels=index.node_levels.astype(np.int32)
        ),
    }
    for message, bad in broken.items():
        with pytest.raises(ArtifactError, match=message):
            bad.check()
    with pytest.raises(ArtifactError, match="finite"):
        index_lib.build(np.full([5, 2], np.nan), np.arange(5), IndexConfig())
