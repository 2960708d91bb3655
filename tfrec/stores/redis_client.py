"""Connections to Redis: made at first use, with timeouts; failures told apart."""

import contextlib
import dataclasses
import threading
from collections.abc import Iterator
from typing import Any

from tfrec.stores.errors import StoreError, StoreUnavailable

_BACKOFF_SECONDS = 0.05


@dataclasses.dataclass(frozen=True)
class RedisAddress:
    """Where Redis, or Valkey, answers.

    Attributes:
        hosts: host and port; of a cluster, servers to ask first, one of them suffices.
        cluster: whether the servers run in cluster mode.
        db: number of the database; a cluster has only 0.
        username, password: of the server's access list; neither is ever printed.
        tls: whether connections are encrypted.
        timeout: seconds until a connection is made, and until an answer comes.
        retries: how often a command without answer is sent again. All commands of the
            store may be: each has the same effect once or twice.
    """

    hosts: tuple[tuple[str, int], ...] = (("localhost", 6379),)
    cluster: bool = False
    db: int = 0
    username: str | None = dataclasses.field(default=None, repr=False)
    password: str | None = dataclasses.field(default=None, repr=False)
    tls: bool = False
    timeout: float = 5.0
    retries: int = 2

    def __post_init__(self) -> None:
        if not self.hosts or (len(self.hosts) > 1 and not self.cluster):
            raise StoreError(
                f"`hosts` must be one host and port, or more of a cluster. "
                f"Received: {self.hosts}"
            )
        if self.cluster and self.db:
            raise StoreError(f"`db` of a cluster must be 0. Received: {self.db}")
        if self.timeout <= 0 or self.retries < 0:
            raise StoreError(
                "`timeout` must be above 0 and `retries` at least 0. "
                f"Received: timeout={self.timeout}, retries={self.retries}"
            )

    def __str__(self) -> str:
        hosts = ",".join(f"{host}:{port}" for host, port in self.hosts)
        return f"redis{'+cluster' if self.cluster else ''}://{hosts}"


class LazyRedis:
    """A client of redis-py that connects when it is first needed.

    Threads may share it. What redis-py raises leaves `commands` as `StoreUnavailable`
    (no connection, no answer in time, a cluster without the slot, a server that is
    loading or a replica) or `StoreError` (the server refused).
    """

    def __init__(self, address: RedisAddress):
        self.address = address
        self._redis = _import_redis()
        self._client: Any = None
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def commands(self) -> Iterator[Any]:
        """Gives the client; translates errors of the block."""
        errors = self._redis.exceptions
        try:
            yield self._connected()
        except (errors.AuthenticationError, errors.AuthorizationError) as error:
            raise self._refused(error) from error
        except (
            errors.ConnectionError,
            errors.TimeoutError,
            errors.ClusterError,
            errors.TryAgainError,
            errors.AskError,
            errors.ReadOnlyError,
            errors.RedisClusterException,
        ) as error:
            raise StoreUnavailable(
                f"`{self.address}` must answer within {self.address.timeout} s. "
                f"Received: {type(error).__name__}: {error}"
            ) from error
        except errors.RedisError as error:
            raise self._refused(error) from error

    def close(self) -> None:
        """Closes the connections; the next use makes new ones."""
        with self._lock:
            if self._client is not None:
                self._client.close()
            self._client = None

    def _refused(self, error: Exception) -> StoreError:
        return StoreError(
            f"`{self.address}` must accept the store's commands. "
            f"Received: {type(error).__name__}: {error}"
        )

    def _connected(self) -> Any:
        with self._lock:
            if self._client is None:
                self._client = self._make_client()
            return self._client

    def _make_client(self) -> Any:
        redis, address = self._redis, self.address
        backoff = redis.backoff.ConstantBackoff(_BACKOFF_SECONDS)
        options: dict[str, Any] = {
            "username": address.username,
            "password": address.password,
            "socket_timeout": address.timeout,
            "socket_connect_timeout": address.timeout,
            "retry": redis.retry.Retry(backoff, address.retries),
            **({"ssl": True} if address.tls else {}),
        }
        if address.cluster:
            nodes = [redis.cluster.ClusterNode(*host) for host in address.hosts]
            return redis.RedisCluster(startup_nodes=nodes, **options)
        host, port = address.hosts[0]
        return redis.Redis(host=host, port=port, db=address.db, **options)


def _import_redis() -> Any:
    try:
        import redis
        import redis.backoff
        import redis.cluster
        import redis.exceptions
        import redis.retry
    except ImportError as error:
        raise ImportError(
            'The Redis store needs redis: pip install "tfrec[redis]"'
        ) from error
    return redis
