"""Retrieval from a store against the index in the process: LMDB and real Redis."""

import dataclasses
import signal

import numpy as np
import pytest
import tensorflow as tf

from tests.pdn import indexes, problems
from tests.stores import servers
from tfrec import stores
from tfrec.pdn.index_store import write_to_store
from tfrec.pdn.retrieval import PathRetriever
from tfrec.pdn.store_retrieval import StoreRetriever
from tfrec.stores import StoreError, StoreUnavailable

FEATURES = {"category": problems.categories()}
K = 6


@pytest.fixture(scope="module", params=[(6, 4), ()], ids=["direct", "no-direct"])
def parts(request):
    model = problems.model(seed=3, direct_units=request.param)
    return model, indexes.build(model)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    durable = ("--appendonly", "yes", "--appendfsync", "always")
    folder = tmp_path_factory.mktemp("redis")
    with servers.running(servers.Server(folder, *durable)) as server:
        yield server


@pytest.fixture(params=["lmdb", "redis"])
def store(request, tmp_path):
    url = f"lmdb://{tmp_path}/store"
    if request.param == "redis":
        server = request.getfixturevalue("server")
        with server.client() as client:
            client.flushall()
        url = f"{server.url}?num_buckets=16&timeout=30"
    with stores.open_store(url) as opened:
        yield opened


def publish(store, index, version="1"):
    write_to_store(index, store, version)
    store.switch(version)


def retriever(model, index, m=4):
    return PathRetriever(model, index, FEATURES, m, num_paths=2)


def without_lists(index):
    """The same items with no list: what a process has whose index is elsewhere."""
    return dataclasses.replace(
        index,
        neighbours=index.neighbours[:0],
        similarities=index.similarities[:0],
        row_splits=np.zeros_like(index.row_splits),
    )


def shorter(index):
    """Another index of the same model: the first entry of each list."""
    begin, end = index.row_splits[:-1], index.row_splits[1:]
    kept = begin[end > begin]
    return dataclasses.replace(
        index,
        neighbours=index.neighbours[kept],
        similarities=index.similarities[kept],
        row_splits=np.append(0, np.cumsum(end > begin)),
    )


def assert_same(found, expected):
    np.testing.assert_array_equal(found.positions, expected.positions)
    np.testing.assert_array_equal(found.path_triggers, expected.path_triggers)
    for name in ("scores", "path_contributions"):
        np.testing.assert_allclose(
            getattr(found, name), getattr(expected, name), rtol=1e-6
        )


@pytest.mark.parametrize("m", [1, 8])
def test_store_gives_what_the_index_gives(parts, store, m):
    model, index = parts
    publish(store, index)
    local = retriever(model, index, m)
    served = StoreRetriever(
        retriever(model, without_lists(index), m), store, indexes.VERSION
    )
    features = problems.features()
    for k in (1, K, 40):
        expected = local.retrieve(features, k)
        assert_same(served.retrieve(features, k), expected)
    excluded = expected.positions.numpy()[:, 1:4]
    excluded[:, 1] = -1
    found = served.retrieve(features, K, excluded)
    assert_same(found, local.retrieve(features, K, excluded))
    available = np.ones(index.num_items, bool)
    available[expected.positions.numpy()[0, :2]] = False
    found = served.retrieve(features, K, excluded, available)
    assert_same(found, local.retrieve(features, K, excluded, available))
    assert not np.isin(found.positions, np.flatnonzero(~available)).any()
    everything = np.zeros(0, bool)
    assert_same(
        served.retrieve(features, K, excluded, everything),
        local.retrieve(features, K, excluded),
    )
    with pytest.raises(ValueError, match="`available` must have a value for each of"):
        served.retrieve(features, K, None, available[1:])
    assert served.model is model
    with pytest.raises(tf.errors.InvalidArgumentError, match="k"):
        served.retrieve(features, 0)


def test_no_triggers_at_all(parts, store):
    model, index = parts
    publish(store, index)
    served = StoreRetriever(retriever(model, index), store, indexes.VERSION)
    features = problems.features()
    nobody = {k: v * 0 for k, v in features["history"].items()}
    none = {k: v[:, :0] for k, v in features["history"].items()}
    for history in (nobody, none):
        found = served.retrieve({**features, "history": history}, K)
        assert found.positions.shape == (5, K)
        assert (np.asarray(found.positions) == -1).all()
        assert (found.scores.numpy() == -np.inf).all()
        assert (np.asarray(found.path_triggers) == -1).all()


def test_an_index_of_another_model_is_refused_with_both_named(parts, store):
    model, index = parts
    other = dataclasses.replace(index, meta={**index.meta, "model_version": "model-2"})
    publish(store, other)
    served = StoreRetriever(retriever(model, index), store, indexes.VERSION)
    message = "must be 'model-1'. Received: 'model-2'"
    with pytest.raises(StoreError, match=message):
        served.retrieve(problems.features(), K)
    publish(store, index, "2")
    served.retrieve(problems.features(), K)
    store.switch("1")
    with pytest.raises(StoreError, match=message):
        served.retrieve(problems.features(), K)


def test_a_switch_between_two_calls(parts, store):
    model, index = parts
    publish(store, index, "1")
    write_to_store(shorter(index), store, "2")
    served = StoreRetriever(retriever(model, index), store, indexes.VERSION)
    features = problems.features()
    expected = {
        "1": retriever(model, index).retrieve(features, K),
        "2": retriever(model, shorter(index)).retrieve(features, K),
    }
    assert (expected["1"].positions.numpy() != expected["2"].positions.numpy()).any()
    for version in ("1", "2", "1"):
        store.switch(version)
        assert_same(served.retrieve(features, K), expected[version])


def test_a_server_that_goes_away_and_comes_back(parts, server):
    model, index = parts
    with server.client() as client:
        client.flushall()
    features = problems.features()
    with stores.open_store(f"{server.url}?num_buckets=16&timeout=30") as store:
        publish(store, index)
        served = StoreRetriever(retriever(model, index), store, indexes.VERSION)
        expected = retriever(model, index).retrieve(features, K)
        assert_same(served.retrieve(features, K), expected)
        server.signal(signal.SIGKILL)
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                served.retrieve(features, K)
        server.start()
        assert_same(served.retrieve(features, K), expected)


class GoesAway:
    """A store whose server is gone once some positions have been asked for."""

    def __init__(self, store, server):
        self._store, self._server = store, server
        self.asked = []

    def get(self, keys, version=None, expect=None):
        self.asked.append(keys)
        self._server.signal(signal.SIGKILL)
        return self._store.get(keys, version, expect)


def test_a_server_that_goes_away_within_a_call(parts, server):
    model, index = parts
    with server.client() as client:
        client.flushall()
    with stores.open_store(f"{server.url}?num_buckets=16&timeout=30") as store:
        publish(store, index)
        broken = GoesAway(store, server)
        served = StoreRetriever(retriever(model, index), broken, indexes.VERSION)
        with pytest.raises(StoreUnavailable):
            served.retrieve(problems.features(), K)
        assert len(broken.asked) == 1  # one batch, so one version: nothing partial
        server.start()
