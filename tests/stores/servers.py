"""Starts real Redis servers on free loopback ports, alone or three as a cluster."""

import contextlib
import pathlib
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator

import pytest

HOST = "127.0.0.1"
SLOTS = 16384
_POLL_SECONDS = 0.02
_POLLS = 1500
_MISSING = "redis-server is not installed: tools/install_debian_packages.sh installs it"


def require_redis() -> None:
    """Skips the test where redis-server or its Python client is missing."""
    if shutil.which("redis-server") is None:
        pytest.skip(_MISSING)
    pytest.importorskip("redis", reason='redis is missing: pip install "tfrec[redis]"')


class Server:
    """A redis-server process that may be stopped, killed, frozen and started again.

    Args:
        folder: its data; a later `start` reads what is there.
        options: of the command line, such as `("--appendonly", "yes")`.
        cluster: whether it runs in cluster mode.
    """

    def __init__(self, folder: pathlib.Path, *options: str, cluster: bool = False):
        self.folder = folder
        self.port, self.bus_port = _free_ports()
        self._options = options
        self._cluster = cluster
        self._process: subprocess.Popen | None = None

    @property
    def url(self) -> str:
        """URL of `open_store`, without options."""
        return f"redis://{HOST}:{self.port}"

    def start(self) -> None:
        """Starts the process and returns when it answers."""
        is_first = self._process is None
        self.folder.mkdir(parents=True, exist_ok=True)
        command = ["redis-server", "--port", str(self.port), "--bind", HOST]
        command += ["--dir", str(self.folder), "--save", "", *self._options]
        if self._cluster:
            command += ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"]
            command += ["--cluster-port", str(self.bus_port)]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        self.until(lambda: self._answers() or (is_first and self._has_no_port()))
        if is_first and self._has_no_port():
            self._process = None
            self.port, self.bus_port = _free_ports()
            self.start()

    def until(self, condition: Callable[[], bool]) -> None:
        """Returns when `condition` holds; fails when the process ends, or in 30 s."""
        assert self._process is not None
        for _ in range(_POLLS):
            if condition():
                return
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = self._process.wait(_POLL_SECONDS)
                if condition():
                    return
                log = (self.folder / "log").read_text()[-2000:]
                pytest.fail(f"redis-server ended with {code}:\n{log}")
        pytest.fail(f"redis-server at {self.port}: {condition} does not hold")

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal; after SIGTERM or SIGKILL returns when the process is gone."""
        assert self._process is not None
        self._process.send_signal(number)
        if number in (signal.SIGTERM, signal.SIGKILL):
            self._process.wait(30)

    def close(self) -> None:
        """Ends the process, if it runs."""
        if self._process is not None and self._process.poll() is None:
            self.signal(signal.SIGKILL)

    @contextlib.contextmanager
    def client(self) -> Iterator:
        """A plain client of this server alone."""
        import redis

        with redis.Redis(host=HOST, port=self.port, socket_timeout=10) as client:
            yield client

    def count_errors(self, name: str) -> int:
        """How often the server answered with an error such as `"MOVED"`."""
        with self.client() as client:
            stats = client.info("errorstats")
        return stats.get(f"errorstat_{name}", {"count": 0})["count"]

    def _has_no_port(self) -> bool:
        """Whether the process has ended because another one took its port."""
        assert self._process is not None
        log = (self.folder / "log").read_text()
        in_use = "Address already in use" in log.rpartition("Redis is starting")[2]
        return self._process.poll() is not None and in_use

    def _answers(self) -> bool:
        """Whether this process answers, and not another one at its port."""
        import redis

        assert self._process is not None
        once = redis.retry.Retry(redis.backoff.NoBackoff(), 0)
        with redis.Redis(
            host=HOST, port=self.port, socket_timeout=1, retry=once
        ) as client:
            try:
                return client.info("server")["process_id"] == self._process.pid
            except (redis.ConnectionError, redis.TimeoutError):
                return False


class Cluster:
    """Three servers in cluster mode, each with a third of the slots."""

    def __init__(self, folder: pathlib.Path, *options: str):
        self.servers = [
            Server(folder / str(i), *options, cluster=True) for i in range(3)
        ]

    @property
    def url(self) -> str:
        """URL of `open_store`, without options."""
        hosts = ",".join(f"{HOST}:{server.port}" for server in self.servers)
        return f"redis+cluster://{hosts}"

    def start(self) -> None:
        """Starts the servers, joins them and returns when all see all slots."""
        bounds = [SLOTS * i // 3 for i in range(4)]
        first = self.servers[0]
        for i, server in enumerate(self.servers):
            server.start()
            with server.client() as client:
                client.execute_command("CLUSTER SET-CONFIG-EPOCH", i + 1)
                client.execute_command(
                    "CLUSTER ADDSLOTSRANGE", bounds[i], bounds[i + 1] - 1
                )
                meet = ("CLUSTER MEET", HOST, first.port, first.bus_port)
                client.execute_command(*meet)
        for server in self.servers:
            server.until(lambda server=server: sees_all(server))

    def owner(self, slot: int) -> Server:
        """The server that has a slot, as the cluster was made."""
        return self.servers[(slot * 3 + 2) // SLOTS]

    def move_slot(self, slot: int, source: Server, target: Server) -> None:
        """Moves a slot with its keys, as `redis-cli --cluster reshard` does."""
        self.begin_move(slot, source, target)
        with source.client() as client:
            while keys := client.execute_command("CLUSTER GETKEYSINSLOT", slot, 100):
                self.move_keys(keys, source, target)
        with target.client() as client:
            node = client.execute_command("CLUSTER MYID")
        for server in (target, source, *self.servers):
            with server.client() as client:
                client.execute_command("CLUSTER SETSLOT", slot, "NODE", node)

    def begin_move(self, slot: int, source: Server, target: Server) -> None:
        """Marks a slot as on its way; from now on keys may be on either server."""
        with source.client() as old, target.client() as new:
            old_id, new_id = (c.execute_command("CLUSTER MYID") for c in (old, new))
            new.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", old_id)
            old.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", new_id)

    def move_keys(self, keys: list, source: Server, target: Server) -> None:
        """Moves keys of a slot that is on its way."""
        with source.client() as client:
            migrate = ("MIGRATE", HOST, target.port, "", 0, 5000, "KEYS")
            client.execute_command(*migrate, *keys)

    def close(self) -> None:
        """Ends all servers."""
        for server in self.servers:
            server.close()


@contextlib.contextmanager
def running(server: Server | Cluster) -> Iterator:
    """Starts a server or a cluster, and ends it."""
    require_redis()
    try:
        server.start()
        yield server
    finally:
        server.close()


def sees_all(server: Server) -> bool:
    """Whether a server of a cluster of three is in touch with the others."""
    with server.client() as client:
        info = client.execute_command("CLUSTER INFO")
    text = info if isinstance(info, dict) else _parsed(info)
    return text["cluster_state"] == "ok" and text["cluster_known_nodes"] == "3"


def _parsed(info: bytes | str) -> dict[str, str]:
    text = info.decode() if isinstance(info, bytes) else info
    return dict(line.split(":", 1) for line in text.split("\r\n") if ":" in line)


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        one.bind((HOST, 0))
        other.bind((HOST, 0))
        return one.getsockname()[1], other.getsockname()[1]
