"""LMDB: a map that grows, several processes, a full disk, writers that are killed."""

import pathlib
import signal
import subprocess
import sys
from concurrent import futures

import pytest

from tfrec import stores
from tfrec.stores import LmdbStore, StoreError

ROOT = pathlib.Path(__file__).resolve().parents[2]
_IMPORTS = "import os, resource, signal, sys\nfrom tfrec import stores"
SMALL_MAP = 64 * 1024


def _start(code: str, *arguments: object) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", f"{_IMPORTS}\n{code}", *map(str, arguments)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _values(seed: int, num: int = 300) -> list[bytes]:
    return [b"%d/%d " % (seed, i) * 300 for i in range(num)]


def _publish(store, version, values):
    store.put(version, range(len(values)), values)
    store.commit(version)
    store.switch(version)


def test_the_map_grows_as_much_as_it_must(tmp_path):
    with LmdbStore(tmp_path, map_size=SMALL_MAP) as store:
        for version in ("v1", "v2"):
            _publish(store, version, _values(int(version[1])))
        assert store._env.map_size > sum(map(len, _values(1))) > 4 * SMALL_MAP
        assert store.get(range(300), "v1") == _values(1)
    with LmdbStore(tmp_path, map_size=SMALL_MAP) as store:
        assert store.get(range(300)) == _values(2)
        store.verify("v1")


def test_the_map_grows_while_threads_read(tmp_path):
    with LmdbStore(tmp_path, map_size=SMALL_MAP) as store:
        _publish(store, "v0", _values(0))
        before = store._env.map_size
        with futures.ThreadPoolExecutor() as pool:
            reads = [pool.submit(store.get, range(300), "v0") for _ in range(200)]
            for i in range(1, 5):
                _publish(store, f"v{i}", _values(i))
        assert all(read.result() == _values(0) for read in reads)
        assert store._env.map_size > before


def test_a_process_notices_that_another_made_the_map_grow(tmp_path):
    with LmdbStore(tmp_path, map_size=SMALL_MAP) as store:
        store.put("v1", [1], [b"small"])
        store.commit("v1")
        store.switch("v1")
        code = (
            f"store = stores.LmdbStore(sys.argv[1], map_size={SMALL_MAP})\n"
            "print(store.get([1]), flush=True)\n"
            "input()\n"
            "print(store.current(), len(b''.join(store.get(range(300)))), flush=True)\n"
            "store.put('v3', [1], [b'written'])\n"
        )
        reader = _start(code, tmp_path)
        assert reader.stdout.readline() == "[b'small']\n"
        _publish(store, "v2", _values(2))
        printed, _ = reader.communicate("\n", timeout=60)
        assert printed == f"v2 {len(b''.join(_values(2)))}\n"
        assert reader.returncode == 0
        assert store.versions()["v3"] == "open"


@pytest.mark.parametrize("call", ["put", "commit", "delete"])
def test_a_process_killed_within_a_transaction_changes_nothing(tmp_path, call):
    with LmdbStore(tmp_path) as store:
        _publish(store, "v1", _values(1))
        store.put("v2", [1, 2], [b"one", b"two"])
    code = (
        "from tfrec.stores import catalog\n"
        "store = stores.LmdbStore(sys.argv[1])\n"
        "method = {'put': 'begin', 'commit': 'seal', 'delete': 'begin_delete'}\n"
        "def kill(*_):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "setattr(catalog.Catalog, method[sys.argv[2]], kill)\n"
        "arguments = ([1], [b'x']) if sys.argv[2] == 'put' else ()\n"
        "getattr(store, sys.argv[2])('v2', *arguments)\n"
    )
    killed = _start(code, tmp_path, call)
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    with LmdbStore(tmp_path) as store:
        assert store.versions() == {"v1": "sealed", "v2": "open"}
        assert store.get(range(300)) == _values(1)
        store.commit("v2")
        assert store.get([1, 2], "v2") == [b"one", b"two"]


def test_a_deletion_that_was_killed_is_made_again(tmp_path):
    with LmdbStore(tmp_path) as store:
        _publish(store, "v1", _values(1))
        _publish(store, "v2", _values(2))
    code = (
        "from tfrec.stores import catalog\n"
        "def kill(*_):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "catalog.Catalog.end_delete = kill\n"
        "stores.LmdbStore(sys.argv[1]).delete('v1')\n"
    )
    killed = _start(code, tmp_path)
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    with LmdbStore(tmp_path) as store:
        assert store.versions() == {"v1": "deleting", "v2": "sealed"}
        for call in (
            lambda: store.get([1], "v1"),
            lambda: store.put("v1", [1], [b"a"]),
            lambda: store.commit("v1"),
            lambda: store.switch("v1"),
        ):
            with pytest.raises(StoreError, match="'v1' must be .*Received: deleting"):
                call()
        store.delete("v1")
        store.put("v1", [7], [b"fresh"])
        assert store.commit("v1")["num_keys"] == 1


def test_ascending_keys_fill_the_pages(tmp_path):
    with LmdbStore(tmp_path) as store:
        for version in ("v9", "v1"):
            for start in range(0, 2000, 100):
                store.put(version, range(start, start + 100), [bytes(1600)] * 100)
            store.commit(version)
            store.verify(version)
    assert (tmp_path / "data.mdb").stat().st_size < 2 * 2000 * 1600 * 1.5


def test_many_pairs_are_deleted_in_batches(tmp_path):
    with LmdbStore(tmp_path) as store:
        for version in ("v1", "v2"):
            _publish(store, version, [b"%d" % i for i in range(25_000)])
        store.delete("v1")
        assert store.versions() == {"v2": "sealed"}
        store.verify("v2")
        left = store._env.read(lambda transaction: transaction.stat()["entries"])
        assert left == 25_000 + 1


def test_a_full_disk(tmp_path):
    with LmdbStore(tmp_path) as store:
        _publish(store, "v1", _values(1))
    size = (tmp_path / "data.mdb").stat().st_size
    code = (
        "limit = int(sys.argv[2])\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))\n"
        "store = stores.LmdbStore(sys.argv[1])\n"
        "try:\n"
        "    store.put('v2', range(1000), [bytes(4000)] * 1000)\n"
        "except stores.StoreError as error:\n"
        "    print(error)\n"
        "print(store.versions(), len(store.get([1])[0]))\n"
    )
    full = _start(code, tmp_path, size + 100_000)
    printed, _ = full.communicate(timeout=60)
    assert full.returncode == 0
    message, state = printed.splitlines()
    assert f"`{tmp_path}` must be readable and writable by LMDB" in message
    assert state == str({"v1": "sealed"}) + f" {len(_values(1)[1])}"
    with LmdbStore(tmp_path) as store:
        store.verify("v1")
        _publish(store, "v2", _values(2))
        store.verify("v2")


def test_readonly(tmp_path):
    with pytest.raises(StoreError, match=f"must hold an LMDB store.*{tmp_path}/none"):
        LmdbStore(tmp_path / "none", readonly=True)
    assert not (tmp_path / "none").exists()
    with LmdbStore(tmp_path) as store:
        _publish(store, "v1", _values(1))
    with LmdbStore(tmp_path, readonly=True) as store:
        assert store.get([3]) == [_values(1)[3]]
        for call in (
            lambda: store.put("v2", [1], [b"a"]),
            lambda: store.commit("v1"),
            lambda: store.switch("v1"),
            lambda: store.delete("v1"),
        ):
            with pytest.raises(StoreError, match="to write. Received: readonly=True"):
                call()


def test_no_lmdb_file(tmp_path):
    (tmp_path / "data.mdb").write_bytes(b"something else" * 1000)
    with pytest.raises(StoreError, match=f"`{tmp_path}` must be readable.*Invalid"):
        LmdbStore(tmp_path)


def test_opened_twice_in_one_process(tmp_path):
    with LmdbStore(tmp_path), pytest.raises(StoreError, match="already open"):
        LmdbStore(tmp_path)


def test_another_format_is_refused(tmp_path):
    with LmdbStore(tmp_path) as store:
        for raw, message in (
            (b'{"format": 2}', "format must be 1. Received: 2"),
            (b"\xff", "catalog must be JSON with `format`"),
            (b"[]", "catalog must be JSON with `format`"),
        ):
            store._env.write(lambda t, raw=raw: t.put(b"catalog", raw))
            with pytest.raises(StoreError, match=message):
                store.current()


def test_without_lmdb(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "lmdb", None)
    with pytest.raises(ImportError, match=r'pip install "tfrec\[lmdb\]"'):
        stores.LmdbStore(tmp_path)
