"""Key-value stores behind one protocol: LMDB on one machine, Redis across machines."""

from tfrec.stores.errors import StoreError, StoreUnavailable
from tfrec.stores.lmdb_store import LmdbStore
from tfrec.stores.protocol import Store, put_all
from tfrec.stores.redis_client import RedisAddress
from tfrec.stores.redis_store import RedisStore
from tfrec.stores.url import open_store

__all__ = [
    "LmdbStore",
    "RedisAddress",
    "RedisStore",
    "Store",
    "StoreError",
    "StoreUnavailable",
    "open_store",
    "put_all",
]
