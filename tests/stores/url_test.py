"""URLs of stores: what they mean, and which are refused."""

import pytest

from tfrec import stores
from tfrec.stores import RedisAddress, StoreError


@pytest.mark.parametrize(
    ("url", "address", "namespace", "num_buckets"),
    [
        (
            "redis://me:p%40ss%2C@h:7/2?namespace=pdn&timeout=0.5&retries=0",
            RedisAddress((("h", 7),), False, 2, "me", "p@ss,", False, 0.5, 0),
            "pdn",
            1024,
        ),
        ("redis://h", RedisAddress((("h", 6379),)), "tfrec", 1024),
        ("redis://[::1]:7/", RedisAddress((("::1", 7),)), "tfrec", 1024),
        (
            "rediss+cluster://:pw@a:1,b?num_buckets=5",
            RedisAddress((("a", 1), ("b", 6379)), True, password="pw", tls=True),
            "tfrec",
            5,
        ),
    ],
)
def test_redis(url, address, namespace, num_buckets):
    store = stores.open_store(url)
    assert isinstance(store, stores.RedisStore)
    assert store._redis.address == address
    assert (store.namespace, store.num_buckets) == (namespace, num_buckets)


def test_lmdb(tmp_path):
    store = stores.open_store(f"lmdb://{tmp_path}/a%20b?map_size=1048576")
    assert (tmp_path / "a b" / "data.mdb").is_file()
    assert store._env.map_size == 1048576
    store.close()
    store = stores.open_store(f"lmdb://{tmp_path}/a%20b?readonly=1")
    with pytest.raises(StoreError, match="to write. Received: readonly=True"):
        store.put("v1", [1], [b"a"])
    store.close()
    store = stores.open_store(f"lmdb://{tmp_path}/a%20b?readonly=0")
    store.put("v1", [1], [b"a"])
    store.close()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://h", "must begin with lmdb:// or redis.*Received: 'http'"),
        ("/folder", "must begin with lmdb://.*Received: ''"),
        ("lmdb://folder/a", "absolute path.*Received: lmdb://folder/a"),
        ("lmdb:folder", "absolute path.*Received: lmdb:folder"),
        ("lmdb:///a?namespace=x", r"among \['map_size', 'readonly'\].*\['namespace'\]"),
        ("lmdb:///a?readonly=yes", "`readonly` of `url` must be a number.*'yes'"),
        ("redis://h?map_size=1", r"Received: \['map_size'\]"),
        ("redis://h?timeout=soon", "`timeout` of `url` must be a number.*'soon'"),
        ("redis://h/first", "`db` of `url` must be a number. Received: 'first'"),
        ("redis://h:port", "host:port. Received: 'h:port'"),
        ("redis://", "host:port. Received: ''"),
        ("redis://a,b", "`hosts` must be one"),
        ("redis+cluster://a,,b", "host:port. Received: ''"),
        ("redis+cluster://a/1", "`db` of a cluster must be 0"),
    ],
)
def test_malformed(url, message):
    with pytest.raises(StoreError, match=message):
        stores.open_store(url)


def test_a_password_is_in_no_message():
    for url in ("redis://:sesame@h:port", "redis://:sesame@h?x=1", "ftp://:sesame@h"):
        with pytest.raises(StoreError) as caught:
            stores.open_store(url)
        assert "sesame" not in str(caught.value)
