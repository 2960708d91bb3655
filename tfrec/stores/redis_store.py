"""A store across machines, by Redis or Valkey, alone or in cluster mode."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tfrec.stores import pairs
from tfrec.stores.catalog import Catalog, Version, check_name, checked_meta
from tfrec.stores.errors import StoreError, StoreUnavailable
from tfrec.stores.redis_client import LazyRedis, RedisAddress

_SEAL = b"seal"  # no key of a pair: those have 8 bytes
_PIPELINED = 4096
_ATTEMPTS = 8
_COMPARE_AND_SET = """
if (redis.call('GET', KEYS[1]) or '') == ARGV[1] then
  redis.call('SET', KEYS[1], ARGV[2])
  return 1
end
return 0
"""


class RedisStore:
    """A `Store` in hashes of Redis.

    `<namespace>:catalog` holds the versions and which is current, and is compared and
    set in one step. A version's pairs are spread over `<namespace>:<version>:<bucket>`,
    hashes that a cluster spreads over its servers. On commit each of them gets a seal,
    and a read asks for it too: a server that comes back without its data is noticed.

    Nothing is connected before the first call, and a call after a failure connects
    again. Threads may share a store; a forked process makes its own.

    Args:
        address: where the servers are.
        namespace: letters, digits, `.`, `_` and `-`: what the store's keys begin with.
        num_buckets: hashes of a version that is begun here. A bucket is read whole by
            `commit` and moves whole between servers, so keep it under some 10 MB.
    """

    def __init__(
        self,
        address: RedisAddress,
        namespace: str = "tfrec",
        num_buckets: int = 1024,
    ):
        check_name("namespace", namespace)
        if not 1 <= num_buckets <= 2**20:
            raise StoreError(
                f"`num_buckets` must be in [1, 2**20]. Received: {num_buckets}"
            )
        self.namespace = namespace
        self.num_buckets = num_buckets
        self._redis = LazyRedis(address)

    def __enter__(self) -> "RedisStore":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def put(self, version: str, keys: Any, values: Sequence[bytes]) -> None:
        """See `Store.put`."""
        encoded = pairs.encode_keys(keys)
        pairs.check_values(values, len(encoded))
        catalog = self._update(lambda c: c.begin(version, self.num_buckets))
        found = catalog.find(version)
        buckets = _bucket_of(keys, found.num_buckets)
        for start in range(0, len(encoded), _PIPELINED):
            commands: dict[int, list[bytes]] = {}
            for i in range(start, min(start + _PIPELINED, len(encoded))):
                stored = pairs.pack(encoded[i], values[i])
                commands.setdefault(buckets[i], []).extend((encoded[i], stored))
            self._pipeline(version, "HSET", commands)

    def commit(
        self, version: str, meta: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """See `Store.commit`."""
        meta = checked_meta(meta)
        found = self._catalog().find(version)
        totals = self._totals(version, found).as_dict()
        if found.state == "open":
            seal = totals["checksum"].encode()
            for start in range(0, found.num_buckets, _PIPELINED):
                buckets = range(start, min(start + _PIPELINED, found.num_buckets))
                self._pipeline(version, "HSET", {b: [_SEAL, seal] for b in buckets})
        sealed = self._update(lambda c: c.seal(version, meta, totals))
        return dict(sealed.find(version).meta)

    def switch(self, version: str) -> None:
        """See `Store.switch`."""
        self._update(lambda c: c.switch(version))

    def current(self) -> str | None:
        """See `Store.current`."""
        return self._catalog().current

    def versions(self) -> dict[str, str]:
        """See `Store.versions`."""
        return {name: v.state for name, v in self._catalog().versions.items()}

    def meta(self, version: str) -> dict[str, Any]:
        """See `Store.meta`."""
        return dict(self._catalog().readable(version)[1].meta)

    def get(
        self,
        keys: Any,
        version: str | None = None,
        expect: Mapping[str, Any] | None = None,
    ) -> list[bytes | None]:
        """See `Store.get`. Two round trips: the catalog, then the buckets."""
        encoded = pairs.encode_keys(keys)
        for _ in range(_ATTEMPTS):
            name, found = self._catalog().readable(version, expect)
            buckets = _bucket_of(keys, found.num_buckets)
            stored, lost = self._read(name, found, encoded, buckets)
            if lost is None:
                return [
                    None if value is None else pairs.unpack(key, value, name)
                    for key, value in zip(encoded, stored, strict=True)
                ]
            if self._catalog().versions.get(name) == found:
                raise StoreError(
                    f"Bucket {lost} of version {name!r} must carry the seal "
                    f"{found.meta['checksum']}: its server lost or evicted data. "
                    "Write the version again"
                )
        raise StoreUnavailable(
            f"`version` must stay while a batch is read. Received: {_ATTEMPTS} "
            "deletions in a row"
        )

    def verify(self, version: str) -> None:
        """See `Store.verify`."""
        _, found = self._catalog().readable(version)
        self._totals(version, found).check(found.meta, version)

    def delete(self, version: str) -> None:
        """See `Store.delete`."""
        catalog = self._update(lambda c: c.begin_delete(version))
        if version not in catalog.versions:
            return
        num_buckets = catalog.versions[version].num_buckets
        for start in range(0, num_buckets, _PIPELINED):
            buckets = range(start, min(start + _PIPELINED, num_buckets))
            self._pipeline(version, "UNLINK", {bucket: [] for bucket in buckets})
        self._update(lambda c: c.end_delete(version))

    def close(self) -> None:
        """See `Store.close`."""
        self._redis.close()

    def _key(self, version: str, bucket: int) -> str:
        return f"{self.namespace}:{version}:{bucket}"

    def _catalog(self) -> Catalog:
        with self._redis.commands() as client:
            return Catalog.from_bytes(client.get(f"{self.namespace}:catalog"))

    def _update(self, change: Callable[[Catalog], Catalog]) -> Catalog:
        """Replaces the catalog by `change` of it, with nothing in between."""
        key = f"{self.namespace}:catalog"
        for _ in range(_ATTEMPTS):
            with self._redis.commands() as client:
                raw = client.get(key)
                old = Catalog.from_bytes(raw)
                new = change(old)
                if new == old:
                    return new
                args = (raw or b"", new.to_bytes())
                if client.eval(_COMPARE_AND_SET, 1, key, *args):
                    return new
        raise StoreUnavailable(
            f"`{key}` must stay for the length of a call. Received: {_ATTEMPTS} "
            "changes by others in a row"
        )

    def _pipeline(
        self, version: str, command: str, args_of: Mapping[int, Sequence[bytes]]
    ) -> list[Any]:
        """Sends a command a bucket and returns all answers, or raises."""
        with self._redis.commands() as client:
            pipeline = client.pipeline(transaction=False)
            for bucket, args in args_of.items():
                pipeline.execute_command(command, self._key(version, bucket), *args)
            return pipeline.execute()

    def _read(
        self, name: str, found: Version, encoded: list[bytes], buckets: list[int]
    ) -> tuple[list[bytes | None], int | None]:
        """Returns what is stored, and a bucket without its seal if there is one."""
        rows: dict[int, list[int]] = {}
        for row, bucket in enumerate(buckets):
            rows.setdefault(bucket, []).append(row)
        fields = {b: [_SEAL, *(encoded[i] for i in r)] for b, r in rows.items()}
        answers = self._pipeline(name, "HMGET", fields) if fields else []
        seal = found.meta["checksum"].encode()
        stored: list[bytes | None] = [None] * len(encoded)
        for (bucket, in_bucket), answer in zip(rows.items(), answers, strict=True):
            if answer[0] != seal:
                return stored, bucket
            for row, value in zip(in_bucket, answer[1:], strict=True):
                stored[row] = value
        return stored, None

    def _totals(self, version: str, found: Version) -> pairs.Totals:
        totals = pairs.Totals()
        for bucket in range(found.num_buckets):
            for key, stored in self._scan(self._key(version, bucket)):
                totals.add(key, stored, version)
        return totals

    def _scan(self, key: str) -> Iterator[tuple[bytes, bytes]]:
        with self._redis.commands() as client:  # a scan may give a field twice
            fields = dict(client.hscan_iter(key, count=512))
        fields.pop(_SEAL, None)
        yield from fields.items()


def _bucket_of(keys: Any, num_buckets: int) -> list[int]:
    """Spreads keys evenly, also those of a stride."""
    mixed = pairs.checked_keys(keys).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return ((mixed >> np.uint64(33)) % np.uint64(num_buckets)).tolist()
