"""Stores to test: LMDB in a folder, one Redis server, and three in cluster mode."""

import dataclasses
import itertools
from collections.abc import Iterator

import pytest

from tests.stores import servers
from tfrec import stores

_NAMESPACES = itertools.count()


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a test has its store.

    Attributes:
        url: of `open_store`.
        store: opened.
    """

    url: str
    store: stores.Store


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory) -> Iterator[servers.Server]:
    """One server for all tests of a process; each takes a namespace of its own."""
    folder = tmp_path_factory.mktemp("redis")
    with servers.running(servers.Server(folder)) as server:
        yield server


@pytest.fixture(scope="session")
def redis_cluster(tmp_path_factory) -> Iterator[servers.Cluster]:
    """Three servers for all tests of a process; slots stay where they are."""
    folder = tmp_path_factory.mktemp("cluster")
    with servers.running(servers.Cluster(folder)) as cluster:
        yield cluster


@pytest.fixture(params=["lmdb", "redis", "cluster"])
def place(request, tmp_path) -> Iterator[Place]:
    """An empty store of each kind."""
    options = f"?namespace=t{next(_NAMESPACES)}&num_buckets=16&timeout=30"
    if request.param == "lmdb":
        url = f"lmdb://{tmp_path}/store"
    elif request.param == "redis":
        url = request.getfixturevalue("redis_server").url + options
    else:
        url = request.getfixturevalue("redis_cluster").url + options
    store = stores.open_store(url)
    yield Place(url, store)
    store.close()


@pytest.fixture
def store(place) -> stores.Store:
    """An empty store of each kind."""
    return place.store
