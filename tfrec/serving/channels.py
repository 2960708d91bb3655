"""gRPC channels to a model server: message size, TLS, which failures are tried again.

gRPC itself tries again (its proposal A6): the whole call, all tries together, has one
deadline. Only UNAVAILABLE is tried again: nobody was reached, a connection broke, or
the server was too busy. What a request asks for is read from a model, so that it may
run twice. Every other code is final: INVALID_ARGUMENT would come again, and after
DEADLINE_EXCEEDED there is no time left.
"""

import dataclasses
import json
import os
import pathlib

from tfrec.serving.apis import grpc

MAX_MESSAGE_BYTES = 2**31 - 1
_RECONNECT_MS = (100, 1000)
_LEAST_BACKOFF = 0.01


@dataclasses.dataclass(frozen=True)
class Retries:
    """How a call that was UNAVAILABLE is tried again; gRPC adds jitter of 20 %.

    Attributes:
        attempts: most tries of a call; gRPC allows 1 to 5 (its proposal A6).
        initial_backoff: seconds before the second try, at least 0.01: gRPC never makes
            the second try after a wait that it rounds to 0 ms (ours).
        max_backoff: most seconds between two tries (ours).
        multiplier: of the wait, after each try (ours).
        budget: a try that fails takes 1 from it, a call that succeeds gives 0.1 back;
            below one half nothing is tried again, so that a server in trouble is not
            flooded (proposal A6; the number is ours).
    """

    attempts: int = 5
    initial_backoff: float = 0.1
    max_backoff: float = 2.0
    multiplier: float = 2.0
    budget: int = 100

    def __post_init__(self) -> None:
        if not 1 <= self.attempts <= 5:
            raise ValueError(
                f"`attempts` must be from 1 to 5. Received: {self.attempts}"
            )
        if self.initial_backoff < _LEAST_BACKOFF:
            raise ValueError(
                f"`initial_backoff` must be at least {_LEAST_BACKOFF}. "
                f"Received: {self.initial_backoff}"
            )

    def service_config(self) -> str:
        """The policy as gRPC's service config, in JSON."""
        if self.attempts == 1:
            return "{}"
        policy = {
            "maxAttempts": self.attempts,
            "initialBackoff": f"{self.initial_backoff:.3f}s",
            "maxBackoff": f"{self.max_backoff:.3f}s",
            "backoffMultiplier": self.multiplier,
            "retryableStatusCodes": ["UNAVAILABLE"],
        }
        return json.dumps(
            {
                "methodConfig": [{"name": [{}], "retryPolicy": policy}],
                "retryThrottling": {"maxTokens": self.budget, "tokenRatio": 0.1},
            }
        )


@dataclasses.dataclass(frozen=True)
class Tls:
    """Files in PEM format.

    Attributes:
        root_certificates: who may sign the server's certificate; None: gRPC's own list.
        private_key, certificate_chain: the client's own, where the server asks for it.
        server_name: the name that the certificate must have; None: the address's.
    """

    root_certificates: str | os.PathLike | None = None
    private_key: str | os.PathLike | None = None
    certificate_chain: str | os.PathLike | None = None
    server_name: str | None = None

    def credentials(self) -> grpc.ChannelCredentials:
        """Reads the files."""
        return grpc.ssl_channel_credentials(
            _read(self.root_certificates),
            _read(self.private_key),
            _read(self.certificate_chain),
        )


RETRIES = Retries()
NO_RETRIES = Retries(attempts=1)


@dataclasses.dataclass(frozen=True)
class ChannelConfig:
    """Where a channel leads, and how.

    Attributes:
        address: `host:port`, or `unix:<path>`.
        tls: None: not encrypted.
        max_message_bytes: of a request and of a response; the default is the most that
            protocol buffers can hold.
        retries: what is tried again.
    """

    address: str
    tls: Tls | None = None
    max_message_bytes: int = MAX_MESSAGE_BYTES
    retries: Retries = RETRIES

    def open(self) -> grpc.Channel:
        """A channel with a connection of its own, made at the first call."""
        if self.tls is None:
            return grpc.insecure_channel(self.address, self._options())
        return grpc.secure_channel(
            self.address, self.tls.credentials(), self._options()
        )

    def open_async(self) -> grpc.aio.Channel:
        """The same for asyncio."""
        if self.tls is None:
            return grpc.aio.insecure_channel(self.address, self._options())
        return grpc.aio.secure_channel(
            self.address, self.tls.credentials(), self._options()
        )

    def _options(self) -> list[tuple[str, int | str]]:
        options: list[tuple[str, int | str]] = [
            ("grpc.max_send_message_length", self.max_message_bytes),
            ("grpc.max_receive_message_length", self.max_message_bytes),
            # By default a request beyond 256 KiB is sent once.
            ("grpc.per_rpc_retry_buffer_size", self.max_message_bytes),
            ("grpc.service_config", self.retries.service_config()),
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.initial_reconnect_backoff_ms", _RECONNECT_MS[0]),
            ("grpc.max_reconnect_backoff_ms", _RECONNECT_MS[1]),
        ]
        if self.tls is not None and self.tls.server_name is not None:
            options.append(("grpc.ssl_target_name_override", self.tls.server_name))
        return options


def _read(path: str | os.PathLike | None) -> bytes | None:
    return None if path is None else pathlib.Path(path).read_bytes()
