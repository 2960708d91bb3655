"""Redis: servers that go away, come back, lose data, refuse, or move a slot."""

import signal
import sys

import pytest

from tests.stores import servers
from tfrec import stores
from tfrec.stores import RedisAddress, RedisStore, StoreError, StoreUnavailable

DURABLE = ("--appendonly", "yes", "--appendfsync", "always")
CONTENT = {i: b"%d" % (i * i) for i in range(100)}
KEYS = list(CONTENT)
VALUES = list(CONTENT.values())


@pytest.fixture
def server(tmp_path):
    with servers.running(servers.Server(tmp_path, *DURABLE)) as server:
        yield server


@pytest.fixture
def cluster(tmp_path):
    with servers.running(servers.Cluster(tmp_path, *DURABLE)) as cluster:
        yield cluster


def _publish(url: str) -> RedisStore:
    store = stores.open_store(url)
    store.put("v1", KEYS, VALUES)
    store.commit("v1", {"model_version": "m1"})
    store.switch("v1")
    assert store.get(KEYS) == VALUES
    return store


def _url(server: servers.Server, timeout: float = 30) -> str:
    return f"{server.url}?num_buckets=16&timeout={timeout}"


def _every_call(store):
    return (
        lambda: store.get(KEYS),
        lambda: store.get(KEYS, "v1"),
        lambda: store.put("v2", KEYS, VALUES),
        lambda: store.commit("v1", {"model_version": "m1"}),
        lambda: store.switch("v1"),
        lambda: store.delete("v0"),
        lambda: store.verify("v1"),
        lambda: store.meta("v1"),
        store.current,
        store.versions,
    )


def test_a_server_that_goes_away_and_comes_back(server):
    store = _publish(_url(server))
    server.signal(signal.SIGKILL)
    for call in _every_call(store):
        with pytest.raises(StoreUnavailable, match=f"127.0.0.1:{server.port}` must"):
            call()
    server.start()
    assert store.get(KEYS) == VALUES
    store.verify("v1")
    assert store.meta("v1")["model_version"] == "m1"


def test_a_store_is_opened_before_its_server(server):
    server.signal(signal.SIGTERM)
    store = stores.open_store(_url(server))
    with pytest.raises(StoreUnavailable):
        store.current()
    server.start()
    assert store.current() is None


def test_a_server_that_does_not_answer_in_time(server):
    store = _publish(_url(server, timeout=0.2))
    server.signal(signal.SIGSTOP)
    with pytest.raises(StoreUnavailable, match="must answer within 0.2 s.*Timeout"):
        store.get(KEYS)
    server.signal(signal.SIGCONT)
    patient = stores.open_store(_url(server))
    assert patient.get(KEYS) == VALUES
    for keys in (KEYS[::-1], KEYS[:3], KEYS):
        assert store.get(keys) == [CONTENT[key] for key in keys]


@pytest.mark.parametrize("when", [0, 1])
def test_a_server_that_goes_away_between_two_commands(server, monkeypatch, when):
    store = _publish(_url(server))
    calls, pipeline = [], store._pipeline

    def fail(*arguments):
        calls.append(arguments)
        if len(calls) > when:
            server.signal(signal.SIGKILL)
        return pipeline(*arguments)

    monkeypatch.setattr(store, "_pipeline", fail)
    with pytest.raises(StoreUnavailable):
        for _ in range(2):
            store.get(KEYS)
    assert len(calls) == when + 1
    monkeypatch.undo()
    server.start()
    assert store.get(KEYS) == VALUES


def test_a_server_that_comes_back_empty(tmp_path):
    with servers.running(servers.Server(tmp_path)) as server:
        store = _publish(_url(server))
        server.signal(signal.SIGKILL)
        server.start()
        with pytest.raises(StoreError, match=r"Received: \[\], none current"):
            store.get(KEYS)


def test_an_evicted_bucket_is_no_answer(server):
    store = _publish(_url(server))
    with server.client() as client:
        assert client.delete("tfrec:v1:5") == 1
    with pytest.raises(
        StoreError, match="Bucket 5 of version 'v1' must carry the seal"
    ):
        store.get(KEYS)
    with pytest.raises(StoreError, match="`num_keys` of version 'v1' must be 100"):
        store.verify("v1")


def test_a_lost_answer_of_a_change_is_no_failure(server, monkeypatch):
    """The server took the change, and the client sent it again."""
    store = _publish(_url(server))
    store.put("v2", [1], [b"a"])
    with store._redis.commands() as client:
        evaluate = client.eval
        monkeypatch.setattr(client, "eval", lambda *a: evaluate(*a) and evaluate(*a))
        store.commit("v2", {"model_version": "m2"})
        store.switch("v2")
        store.delete("v1")
    assert store.current() == "v2"
    assert store.versions() == {"v2": "sealed"}


def test_a_catalog_that_never_stays(server, monkeypatch):
    store = _publish(_url(server))
    store.put("v2", [1], [b"a"])
    store.commit("v2")
    with store._redis.commands() as client:
        monkeypatch.setattr(client, "eval", lambda *_: 0)
        with pytest.raises(StoreUnavailable, match="tfrec:catalog` must stay.*8 chan"):
            store.switch("v2")
    assert store.current() == "v1"


def test_deletion_leaves_nothing(server):
    store = _publish(_url(server))
    store.put("v2", KEYS, VALUES)
    store.commit("v2")
    store.delete("v2")
    with server.client() as client:
        names = set(client.scan_iter())
    assert names == {b"tfrec:catalog"} | {b"tfrec:v1:%d" % i for i in range(16)}


def test_namespaces_and_databases_are_apart(server):
    store = _publish(_url(server))
    for url in (
        _url(server) + "&namespace=other",
        _url(server).replace("?", "/1?"),
    ):
        other = stores.open_store(url)
        assert other.versions() == {}
        other.put("v1", [1], [b"other"])
        other.commit("v1")
        other.switch("v1")
        assert other.get([1, 2]) == [b"other", None]
    assert store.get(KEYS) == VALUES


def test_buckets_of_a_version_stay_as_they_were_begun(server):
    store = _publish(_url(server))
    other = stores.open_store(_url(server).replace("num_buckets=16", "num_buckets=3"))
    assert other.get(KEYS) == VALUES
    other.put("v2", KEYS, VALUES)
    assert other.commit("v2")["checksum"] == other.meta("v1")["checksum"]
    with server.client() as client:
        assert client.exists("tfrec:v2:2", "tfrec:v2:3") == 1
    store.put("v3", KEYS[:50], VALUES[:50])
    other.put("v3", KEYS[50:], VALUES[50:])
    other.put("v3", KEYS[:50], VALUES[:50])
    assert other.commit("v3")["checksum"] == other.meta("v1")["checksum"]
    assert store.get(KEYS, "v3") == VALUES


def test_a_password(tmp_path):
    with servers.running(servers.Server(tmp_path)) as server:
        with server.client() as client:
            client.config_set("requirepass", "open:sesame")
        host = f"{servers.HOST}:{server.port}"
        options = "?num_buckets=16"
        _publish(f"redis://:open%3Asesame@{host}{options}")
        for login in ("", ":shut%3Asesame@"):
            store = stores.open_store(f"redis://{login}{host}{options}")
            with pytest.raises(StoreError, match="must accept") as caught:
                store.get(KEYS)
            assert not isinstance(caught.value, StoreUnavailable)
            assert "sesame" not in str(caught.value)


def test_a_full_server(server):
    store = _publish(_url(server))
    with server.client() as client:
        client.config_set("maxmemory", "1mb")
    with pytest.raises(StoreError, match="must accept.*OutOfMemory"):
        store.put("v2", KEYS, [bytes(20_000)] * 100)
    assert store.get(KEYS) == VALUES
    with server.client() as client:
        client.config_set("maxmemory", "0")
    store.put("v2", KEYS, VALUES)
    assert store.commit("v2")["checksum"] == store.meta("v1")["checksum"]


def test_one_of_three_servers_goes_away_and_comes_back(cluster):
    store = _publish(f"{cluster.url}?num_buckets=16&timeout=5")
    for gone in cluster.servers:
        gone.signal(signal.SIGKILL)
        with pytest.raises(StoreUnavailable, match="must answer"):
            store.get(KEYS)
        gone.start()
        gone.until(lambda gone=gone: servers.sees_all(gone))
        gone.until(lambda: _reads(store))
        store.verify("v1")


def test_all_three_servers_go_away_and_come_back(cluster):
    store = _publish(f"{cluster.url}?num_buckets=16&timeout=5")
    for server in cluster.servers:
        server.signal(signal.SIGKILL)
    for call in _every_call(store):
        with pytest.raises(StoreUnavailable, match="must answer"):
            call()
    for server in cluster.servers:
        server.start()
    cluster.servers[0].until(lambda: _reads(store))


def _reads(store) -> bool:
    """Whether the store answers; if it does, then whole and right."""
    try:
        assert store.get(KEYS) == VALUES
    except StoreUnavailable:
        return False
    return True


def test_a_server_of_three_that_comes_back_empty(tmp_path):
    with servers.running(servers.Cluster(tmp_path)) as cluster:
        store = _publish(f"{cluster.url}?num_buckets=16&timeout=5")
        slot = _slot(store, "tfrec:catalog")
        lost = next(s for s in cluster.servers if s is not cluster.owner(slot))
        lost.signal(signal.SIGKILL)
        lost.start()
        lost.until(lambda: servers.sees_all(lost))
        lost.until(lambda: _is_known_lost(store))


def _is_known_lost(store) -> bool:
    with pytest.raises(StoreError) as caught:
        store.get(KEYS)
    return "must carry the seal" in str(caught.value)


def _slot(store, name: str) -> int:
    with store._redis.commands() as client:
        return client.keyslot(name)


@pytest.mark.parametrize("what", ["tfrec:catalog", "tfrec:v1:3"])
def test_a_client_with_the_old_map_follows_moved(cluster, what):
    store = _publish(f"{cluster.url}?num_buckets=16&timeout=30")
    slot = _slot(store, what)
    source = cluster.owner(slot)
    target = next(server for server in cluster.servers if server is not source)
    cluster.move_slot(slot, source, target)
    assert source.count_errors("MOVED") == 0
    assert store.get(KEYS) == VALUES
    assert source.count_errors("MOVED") > 0
    store.put("v2", KEYS, VALUES)
    store.commit("v2")
    store.switch("v2")
    assert store.get(KEYS[:5]) == VALUES[:5]
    store.delete("v1")
    assert store.versions() == {"v2": "sealed"}


def test_writes_of_a_client_with_the_old_map_follow_moved(cluster):
    store = _publish(f"{cluster.url}?num_buckets=16&timeout=30")
    slot = _slot(store, "tfrec:v2:3")
    source = cluster.owner(slot)
    target = next(server for server in cluster.servers if server is not source)
    cluster.move_slot(slot, source, target)
    store.put("v2", KEYS, VALUES)
    assert source.count_errors("MOVED") > 0
    assert store.commit("v2")["checksum"] == store.meta("v1")["checksum"]


def test_a_slot_on_its_way_is_read_and_written(cluster):
    store = _publish(f"{cluster.url}?num_buckets=16&timeout=30")
    store.put("v2", KEYS[:50], VALUES[:50])
    slot = _slot(store, "tfrec:v2:3")
    source = cluster.owner(slot)
    target = next(server for server in cluster.servers if server is not source)
    cluster.begin_move(slot, source, target)
    cluster.move_keys(["tfrec:v2:3"], source, target)
    store.put("v2", KEYS[50:], VALUES[50:])
    assert source.count_errors("ASK") > 0
    store.commit("v2")
    assert store.get(KEYS, "v2") == VALUES


def test_one_server_without_cluster_mode(server):
    store = stores.open_store(_url(server).replace("redis://", "redis+cluster://"))
    with pytest.raises(StoreUnavailable, match="Cluster mode is not enabled"):
        store.current()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hosts": ()}, "`hosts` must be one"),
        ({"hosts": (("a", 1), ("b", 2))}, "`hosts` must be one"),
        ({"cluster": True, "db": 1}, "`db` of a cluster must be 0. Received: 1"),
        ({"timeout": 0}, "`timeout` must be above 0"),
        ({"retries": -1}, "`retries` at least 0"),
    ],
)
def test_malformed_addresses(options, message):
    with pytest.raises(StoreError, match=message):
        RedisAddress(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"namespace": "a:b"}, "`namespace` must be 1 to 64 letters"),
        ({"num_buckets": 0}, r"`num_buckets` must be in \[1, 2\*\*20\]. Received: 0"),
    ],
)
def test_malformed_options(options, message):
    with pytest.raises(StoreError, match=message):
        RedisStore(RedisAddress(), **options)


def test_the_password_is_not_printed():
    address = RedisAddress(username="me", password="sesame")
    assert "sesame" not in f"{address} {address!r}"


def test_without_redis_py(monkeypatch):
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ImportError, match=r'pip install "tfrec\[redis\]"'):
        RedisStore(RedisAddress())
