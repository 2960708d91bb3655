"""Stores by their URL."""

import urllib.parse
from typing import Any

from tfrec.stores.errors import StoreError
from tfrec.stores.lmdb_store import LmdbStore
from tfrec.stores.protocol import Store
from tfrec.stores.redis_client import RedisAddress
from tfrec.stores.redis_store import RedisStore

_DEFAULT_PORT = 6379
_REDIS_SCHEMES = ("redis", "rediss", "redis+cluster", "rediss+cluster")
_LMDB_OPTIONS = {"map_size": int, "readonly": lambda text: bool(int(text))}
_ADDRESS_OPTIONS = {"timeout": float, "retries": int}
_STORE_OPTIONS = {"namespace": str, "num_buckets": int}


def open_store(url: str) -> Store:
    """Opens a store.

    Args:
        url: one of
            `lmdb:///folder?map_size=<bytes>&readonly=1`,
            `redis://user:password@host:port/db?namespace=<name>`,
            `redis+cluster://host:port,host:port?namespace=<name>`.
            `rediss` and `rediss+cluster` encrypt. Options of Redis besides `namespace`:
            `num_buckets`, `timeout` (seconds) and `retries`; every one may be left out.
    Raises: StoreError: the URL breaks a rule. Redis is not asked before the first call.
    """
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "lmdb":
        return _open_lmdb(parts)
    if parts.scheme in _REDIS_SCHEMES:
        return _open_redis(parts)
    raise StoreError(
        f"`url` must begin with lmdb:// or {', '.join(_REDIS_SCHEMES)}://. "
        f"Received: {parts.scheme!r}"
    )


def _open_lmdb(parts: urllib.parse.SplitResult) -> LmdbStore:
    if parts.netloc or not parts.path.startswith("/"):
        raise StoreError(
            "`url` of LMDB must have an absolute path, lmdb:///folder. "
            f"Received: {parts.geturl()}"
        )
    path = urllib.parse.unquote(parts.path)
    return LmdbStore(path, **_options(parts, _LMDB_OPTIONS))


def _open_redis(parts: urllib.parse.SplitResult) -> RedisStore:
    login, _, servers = parts.netloc.rpartition("@")
    username, _, password = (urllib.parse.unquote(p) for p in login.partition(":"))
    options = _options(parts, _ADDRESS_OPTIONS | _STORE_OPTIONS)
    of_address = {k: v for k, v in options.items() if k in _ADDRESS_OPTIONS}
    of_store = {k: v for k, v in options.items() if k in _STORE_OPTIONS}
    address = RedisAddress(
        hosts=tuple(_host(server) for server in servers.split(",")),
        cluster=parts.scheme.endswith("+cluster"),
        db=_number("db", parts.path.strip("/") or "0"),
        username=username or None,
        password=password or None,
        tls=parts.scheme.startswith("rediss"),
        **of_address,
    )
    return RedisStore(address, **of_store)


def _host(server: str) -> tuple[str, int]:
    split = urllib.parse.urlsplit(f"//{server}")
    try:
        host, port = split.hostname, split.port
    except ValueError as error:
        raise StoreError(f"`url` must have host:port. Received: {server!r}") from error
    if not host:
        raise StoreError(f"`url` must have host:port. Received: {server!r}")
    return host, _DEFAULT_PORT if port is None else port


def _options(parts: urllib.parse.SplitResult, kinds: dict[str, Any]) -> dict[str, Any]:
    given = dict(urllib.parse.parse_qsl(parts.query, keep_blank_values=True))
    if unknown := sorted(set(given) - set(kinds)):
        raise StoreError(
            f"Options of `url` must be among {sorted(kinds)}. Received: {unknown}"
        )
    options = {}
    for name, text in given.items():
        try:
            options[name] = kinds[name](text)
        except ValueError as error:
            raise StoreError(
                f"`{name}` of `url` must be a number. Received: {text!r}"
            ) from error
    return options


def _number(name: str, text: str) -> int:
    if not text.isdecimal():
        raise StoreError(f"`{name}` of `url` must be a number. Received: {text!r}")
    return int(text)
