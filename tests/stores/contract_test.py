"""What every store keeps: LMDB, one Redis server, and three in cluster mode."""

import hashlib
import json
import pathlib
import signal
import subprocess
import sys
import threading
from concurrent import futures

import numpy as np
import pytest

from tfrec import stores
from tfrec.stores import StoreError

_IMPORTS = "import sys\nfrom tfrec import stores"
ROOT = pathlib.Path(__file__).resolve().parents[2]


def _pairs(seed: int, num: int = 200) -> dict[int, bytes]:
    rng = np.random.default_rng(seed)
    keys = rng.integers(-(2**63), 2**63, num, dtype=np.int64).tolist()
    keys[:4] = [0, -1, 2**63 - 1, -(2**63)]
    return {key: rng.bytes(rng.integers(0, 300)) for key in keys}


def _publish(store, version, content, meta=None, *, switch=True):
    stores.put_all(store, version, content.items())
    done = store.commit(version, meta)
    if switch:
        store.switch(version)
    return done


def _checksum(content: dict[int, bytes]) -> str:
    total = 0
    for key, value in content.items():
        text = key.to_bytes(8, "big", signed=True) + value
        digest = hashlib.blake2b(text, digest_size=8).digest()
        total += int.from_bytes(digest, "big")
    return f"{total % 2**64:016x}"


def _damage(store, version: str, key: int, change) -> None:
    """Replaces what is stored for a key by `change` of it; None removes it.

    Version "v1" must be the first that the store had, "v2" the second.
    """
    encoded = key.to_bytes(8, "big", signed=True)
    if isinstance(store, stores.LmdbStore):
        name = b"pair/" + int(version[1:]).to_bytes(8, "big") + encoded

        def edit(transaction):
            stored = change(bytes(transaction.get(name)))
            if stored is None:
                transaction.delete(name)
            else:
                transaction.put(name, stored)

        store._env.write(edit)
        return
    with store._redis.commands() as client:
        for bucket in range(16):
            name = f"{store.namespace}:{version}:{bucket}"
            if (stored := client.hget(name, encoded)) is not None:
                stored = change(stored)
                if stored is None:
                    client.hdel(name, encoded)
                else:
                    client.hset(name, encoded, stored)
                return
    raise AssertionError(f"{key} is in no bucket")


def test_it_keeps_the_protocol(store):
    assert isinstance(store, stores.Store)
    assert store.current() is None
    assert store.versions() == {}


def test_batches_are_read_in_the_order_asked(store):
    content = _pairs(0)
    _publish(store, "v1", content)
    rng = np.random.default_rng(1)
    for size in (0, 1, 3, 257):
        keys = rng.choice(np.array([*content, 5, 6, -7]), size)
        assert store.get(keys) == [content.get(key) for key in keys.tolist()]
    assert store.get([]) == []
    assert store.get(np.array([5, 5], np.int32)) == [None, None]


def test_a_later_put_of_a_key_replaces_it(store):
    store.put("v1", [1, 2, 1], [b"first", b"two", b"again"])
    store.put("v1", [2, 3], [b"", b"three"])
    meta = store.commit("v1")
    assert (meta["num_keys"], meta["num_bytes"]) == (3, len(b"againthree"))
    assert store.get([1, 2, 3], "v1") == [b"again", b"", b"three"]


def test_checksum_is_that_of_the_pairs_in_any_order_and_batches(store):
    content = _pairs(2)
    expected = {"num_keys": 200, "checksum": _checksum(content)}
    expected["num_bytes"] = sum(map(len, content.values()))
    stores.put_all(store, "a", content.items(), batch_size=7)
    stores.put_all(store, "b", reversed(content.items()))
    assert store.commit("a", {"model": "m1"}) == {"model": "m1", **expected}
    assert store.commit("b") == expected
    assert store.meta("b") == expected


def test_a_version_without_pairs(store):
    store.put("v1", [], [])
    assert store.commit("v1")["checksum"] == "0" * 16
    store.switch("v1")
    assert store.get([1]) == [None]
    store.verify("v1")


def test_only_sealed_versions_are_read_and_current(store):
    with pytest.raises(StoreError, match="must be current.*none current"):
        store.get([1])
    store.put("v1", [1], [b"a"])
    assert store.versions() == {"v1": "open"}
    for call in (store.switch, store.meta, store.verify, lambda v: store.get([1], v)):
        with pytest.raises(StoreError, match="'v1' must be sealed.*Received: open"):
            call("v1")
        with pytest.raises(StoreError, match=r"one of \['v1'\]. Received: 'v2'"):
            call("v2")
    with pytest.raises(StoreError, match="Received: 'v2'"):
        store.commit("v2")
    assert store.current() is None


def test_a_sealed_version_stays_as_it_is(store):
    _publish(store, "v1", {1: b"a"}, {"model": "m1"})
    with pytest.raises(StoreError, match="'v1' must be open.*Received: sealed"):
        store.put("v1", [1], [b"b"])
    assert store.commit("v1", {"model": "m1"}) == store.meta("v1")
    with pytest.raises(StoreError, match="'m1'.*Received.*'m2'"):
        store.commit("v1", {"model": "m2"})
    assert store.get([1]) == [b"a"]


def test_the_old_version_is_read_until_the_switch(store):
    old, new = _pairs(3), {key: value + b"new" for key, value in _pairs(3).items()}
    keys = list(old)
    _publish(store, "v1", old)
    stores.put_all(store, "v2", new.items())
    assert store.get(keys) == list(old.values())
    store.commit("v2")
    assert store.get(keys) == list(old.values())
    assert store.get(keys, "v2") == list(new.values())
    store.switch("v2")
    assert store.current() == "v2"
    assert store.get(keys) == list(new.values())
    assert store.get(keys, "v1") == list(old.values())
    store.switch("v1")
    assert store.get(keys) == list(old.values())


def test_another_model_version_is_refused_with_both_named(store):
    _publish(store, "v1", {1: b"a"}, {"model_version": "m1"})
    assert store.get([1], expect={"model_version": "m1"}) == [b"a"]
    _publish(store, "v2", {1: b"b"}, {"model_version": "m2"})
    with pytest.raises(
        StoreError, match="`model_version` of version 'v2' must be 'm1'. Received: 'm2'"
    ):
        store.get([1], expect={"model_version": "m1"})
    assert store.get([1], "v1", expect={"model_version": "m1"}) == [b"a"]
    with pytest.raises(StoreError, match="`kind` of .* must be 'pdn'. Received: None"):
        store.get([1], expect={"kind": "pdn"})


def test_delete_takes_one_version_alone(store):
    first, second = _pairs(4), _pairs(5)
    for name in ("v1", "v1.1", "v10", "v"):
        _publish(store, name, first if name == "v1" else second)
    with pytest.raises(StoreError, match="must not be the current.*'v'"):
        store.delete("v")
    store.switch("v10")
    store.delete("v1")
    store.delete("v1")
    store.put("half", [1], [b"a"])
    store.delete("half")
    assert store.versions() == {"v1.1": "sealed", "v10": "sealed", "v": "sealed"}
    with pytest.raises(StoreError, match="Received: 'v1'"):
        store.get(list(first), "v1")
    for name in ("v1.1", "v10", "v"):
        store.verify(name)
    store.put("v1", [123], [b"fresh"])
    assert store.commit("v1")["num_keys"] == 1
    assert store.get(list(first), "v1") == [None] * len(first)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda stored: stored[:-1] + bytes([stored[-1] ^ 1]), "is damaged"),
        (lambda stored: stored[:-1], "is damaged"),
        (lambda stored: b"", "is damaged"),
        (lambda stored: bytes([stored[0] ^ 1]) + stored[1:], "is damaged"),
        (lambda stored: None, "`num_keys` of version 'v1' must be 2. Received: 1"),
    ],
)
def test_damage_is_found(store, change, message):
    _publish(store, "v1", {-7: b"seven", 8: b"eight"})
    store.verify("v1")
    _damage(store, "v1", -7, change)
    if message == "is damaged":
        message = "key -7 in version 'v1' is damaged"
        with pytest.raises(StoreError, match=message):
            store.get([8, -7])
    with pytest.raises(StoreError, match=message):
        store.verify("v1")
    assert store.get([8]) == [b"eight"]


def test_another_keys_value_is_damage(store):
    content = {1: b"one", 2: b"two"}
    _publish(store, "v1", content)
    taken = []
    _damage(store, "v1", 1, lambda stored: taken.append(stored) or stored)
    _damage(store, "v1", 2, lambda stored: taken[0])
    with pytest.raises(StoreError, match="key 2 in version 'v1' is damaged"):
        store.get([1, 2])


def test_a_sealed_version_with_another_value_is_found(store):
    _publish(store, "v1", {1: b"one"})
    _publish(store, "v2", {1: b"two"})
    taken = []
    _damage(store, "v2", 1, lambda stored: taken.append(stored) or stored)
    _damage(store, "v1", 1, lambda stored: taken[0])
    with pytest.raises(StoreError, match="`checksum` of version 'v1' must be"):
        store.verify("v1")


def test_damage_is_found_before_the_seal(store):
    store.put("v1", [1], [b"one"])
    _damage(store, "v1", 1, lambda stored: stored[:-1])
    with pytest.raises(StoreError, match="key 1 in version 'v1' is damaged"):
        store.commit("v1")
    assert store.versions() == {"v1": "open"}
    store.put("v1", [1], [b"one"])
    store.commit("v1")


@pytest.mark.parametrize(
    ("keys", "values", "message"),
    [
        ([[1]], [b"a"], r"rank 1.*shape=\(1, 1\)"),
        ([1.0], [b"a"], "within int64.*float64"),
        (np.array([2**63], np.uint64), [b"a"], "within int64.*uint64"),
        ([True], [b"a"], "integers.*bool"),
        ([1, 2], [b"a"], "as many as `keys`, 2. Received: 1"),
        ([1], ["a"], "must be bytes. Received: str"),
    ],
)
def test_malformed_pairs(store, keys, values, message):
    with pytest.raises(StoreError, match=message):
        store.put("v1", keys, values)
    assert store.versions() == {}


@pytest.mark.parametrize("name", ["", "a/b", "a b", "a:b", "{a}", "x" * 65, 7, "é"])
def test_malformed_names(store, name):
    with pytest.raises(StoreError, match="`version` must be 1 to 64 letters"):
        store.put(name, [1], [b"a"])


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        ({"a": object()}, "must be JSON"),
        ({"a": "x" * 16384}, "at most 16384 bytes"),
        ({"checksum": ""}, r"must not name.*Received: \['checksum'\]"),
    ],
)
def test_malformed_meta(store, meta, message):
    store.put("v1", [1], [b"a"])
    with pytest.raises(StoreError, match=message):
        store.commit("v1", meta)
    assert store.versions() == {"v1": "open"}


def test_a_batch_is_of_one_version_while_versions_come_and_go(store):
    keys = np.arange(64)
    _publish(store, "v0", dict.fromkeys(keys.tolist(), b"0"))
    done = threading.Event()

    def read():
        seen = [set(store.get(keys))]
        while not done.is_set():
            seen.append(set(store.get(keys)))
        return seen

    with futures.ThreadPoolExecutor() as pool:
        readers = [pool.submit(read) for _ in range(2)]
        try:
            for i in range(1, 16):
                _publish(store, f"v{i}", dict.fromkeys(keys.tolist(), b"%d" % i))
                store.delete(f"v{i - 1}")
        finally:
            done.set()
        batches = [batch for reader in readers for batch in reader.result()]
    assert [batch for batch in batches if len(batch) != 1 or None in batch] == []
    assert len(set.union(*batches)) > 1


def test_several_writers_of_versions_of_their_own(store):
    def write(name):
        for i in range(10):
            store.put(name, [i], [name.encode()])
        store.commit(name)

    with futures.ThreadPoolExecutor() as pool:
        list(pool.map(write, ("v0", "v1", "v2")))
    assert store.versions() == dict.fromkeys(("v0", "v1", "v2"), "sealed")
    for name in store.versions():
        assert store.get([0, 9], name) == [name.encode()] * 2


def _run(code: str, *arguments: str, returncode: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-c", f"{_IMPORTS}\n{code}", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == returncode, done.stderr
    return done.stdout


def test_another_process_reads_what_is_current(place):
    read = "store = stores.open_store(sys.argv[1])\nprint(store.get([1, 2]))"
    _publish(place.store, "v1", {1: b"a"})
    assert _run(read, place.url) == "[b'a', None]\n"
    _publish(place.store, "v2", {1: b"b", 2: b"c"})
    assert _run(read, place.url) == "[b'b', b'c']\n"


def test_a_writer_that_is_killed_leaves_the_last_good_state(place):
    content = {i: b"%d" % (i * i) for i in range(500)}
    _publish(place.store, "v1", {1: b"old"})
    killed = (
        "import os, signal\n"
        "store = stores.open_store(sys.argv[1])\n"
        "for i in range(0, 500, 50):\n"
        "    keys = range(i, i + 50)\n"
        "    store.put('v2', list(keys), [b'unlike' for k in keys])\n"
        "    if i == 300:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    _run(killed, place.url, returncode=-signal.SIGKILL)
    assert place.store.versions() == {"v1": "sealed", "v2": "open"}
    assert place.store.get([1, 2]) == [b"old", None]
    place.store.verify("v1")
    with pytest.raises(StoreError, match="must be sealed"):
        place.store.switch("v2")
    done = _publish(place.store, "v2", content)
    assert done["checksum"] == _checksum(content)
    assert place.store.get(list(content)) == list(content.values())


def test_meta_comes_back_as_json(store):
    meta = {"model": "m1", "sizes": (1, 2), "nested": {"a": None}, "text": "é"}
    _publish(store, "v1", {1: b"a"}, meta)
    found = store.meta("v1")
    assert {k: found[k] for k in meta} == json.loads(json.dumps(meta))
    assert store.commit("v1", meta) == found


def test_put_all_refuses_a_batch_of_none(store):
    with pytest.raises(ValueError, match="`batch_size` must be at least 1"):
        stores.put_all(store, "v1", [(1, b"a")], batch_size=0)


def test_close_twice(place):
    place.store.close()
    place.store.close()
