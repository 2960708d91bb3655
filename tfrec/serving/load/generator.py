"""Sends Predict requests, by clients that wait for answers or at a rate.

Closed loop: each client sends its next request when the last one is answered, so a
server that stops is sent nothing, and the latencies do not show how long others would
have waited. Open loop: requests are due at random times of a given rate, whatever the
server does, and a latency is counted from the time when its request was due.
"""

import dataclasses
import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from typing import Any

import numpy as np

from tfrec.serving.apis import grpc, predict_pb2, prediction_service_pb2_grpc
from tfrec.serving.channels import ChannelConfig
from tfrec.serving.load.samples import Samples

_SECONDS_BETWEEN_LOOKS = 0.1


@dataclasses.dataclass(frozen=True)
class LoadConfig:
    """How a server is loaded.

    Attributes:
        clients: connections; in the closed loop as many requests are in flight.
        rate: requests due a second; None: the closed loop.
        seconds: that are measured.
        warmup_seconds: before them, not measured.
        timeout: seconds of a request, from when it is sent.
        seed: of the times of the open loop.
    """

    clients: int = 8
    rate: float | None = None
    seconds: float = 10.0
    warmup_seconds: float = 2.0
    timeout: float = 10.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("clients", "rate", "seconds", "timeout"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"`{name}` must be positive. Received: {value}")
        if self.warmup_seconds < 0:
            raise ValueError(
                f"`warmup_seconds` must not be negative. Received: "
                f"{self.warmup_seconds}"
            )


def run(
    channel: ChannelConfig,
    requests: Sequence[predict_pb2.PredictRequest],
    config: LoadConfig,
    stop: threading.Event,
    on_progress: Callable[[float, Samples], object] = lambda seconds, samples: None,
) -> Samples:
    """Loads a server until the time is over, or `stop` is set.

    Args:
        channel: how to reach it.
        requests: sent in turns.
        config: how.
        stop: when set, nothing more is sent, and calls in flight are cancelled; they
            are in no sample.
        on_progress: is called now and then in this thread, with the seconds since the
            warm-up ended (negative in it) and the samples so far.
    """
    if not requests:
        raise ValueError("`requests` must hold at least one. Received: 0")
    samples = Samples(time.perf_counter() + config.warmup_seconds)
    channels = [channel.open() for _ in range(config.clients)]
    loop = _Loop(channels, requests, config, stop, samples)
    with futures.ThreadPoolExecutor(config.clients) as pool:
        if config.rate is None:
            running = [pool.submit(loop.wait_for_answers, one) for one in channels]
        else:
            running = [pool.submit(loop.follow_rate)]
        try:
            _watch(running, stop, samples, on_progress)
        finally:
            if stop.is_set():
                _close(channels)
            futures.wait(running)
            _close(channels)
        for future in running:
            future.result()
    samples.end(min(time.perf_counter() - samples.origin, config.seconds))
    return samples


def _watch(
    running: Sequence[futures.Future],
    stop: threading.Event,
    samples: Samples,
    on_progress: Callable[[float, Samples], object],
) -> None:
    """Waits for the end, or for `stop`; an error here stops the others."""
    try:
        while not (stop.is_set() or all(future.done() for future in running)):
            stop.wait(_SECONDS_BETWEEN_LOOKS)
            on_progress(time.perf_counter() - samples.origin, samples)
    except BaseException:
        stop.set()
        raise


class _Loop:
    """What the threads of a run share."""

    def __init__(
        self,
        channels: Sequence[grpc.Channel],
        requests: Sequence[predict_pb2.PredictRequest],
        config: LoadConfig,
        stop: threading.Event,
        samples: Samples,
    ):
        self._channels = channels
        self._next_request = itertools.cycle(requests).__next__
        self._config = config
        self._stop = stop
        self._samples = samples
        self._in_flight = threading.Semaphore(0)

    def wait_for_answers(self, channel: grpc.Channel) -> None:
        """One client of the closed loop."""
        predict = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict
        end = self._samples.origin + self._config.seconds
        while (start := time.perf_counter()) < end and not self._stop.is_set():
            try:
                answer = predict(self._next_request(), timeout=self._config.timeout)
            except (grpc.RpcError, ValueError) as error:  # ValueError: closed
                self._fail(start, start, error)
            else:
                self._samples.answered(start, start, answer.model_spec.version.value)

    def follow_rate(self) -> None:
        """The open loop: sends what is due, then waits for what is in flight."""
        stubs = [
            prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict
            for channel in self._channels
        ]
        sent = 0
        for due, predict in zip(self._due_times(), itertools.cycle(stubs)):
            if self._stop.wait(max(0.0, due - time.perf_counter())):
                break
            start = time.perf_counter()
            try:
                call = predict.future(
                    self._next_request(), timeout=self._config.timeout
                )
            except ValueError:  # closed by `stop`
                break
            call.add_done_callback(lambda call, at=(due, start): self._done(call, *at))
            sent += 1
        for _ in range(sent):
            self._in_flight.acquire()

    def _due_times(self) -> Iterator[float]:
        """Poisson arrivals: gaps of an exponential distribution."""
        assert self._config.rate is not None
        rng = np.random.default_rng(self._config.seed)
        due = self._samples.origin - self._config.warmup_seconds
        while True:
            due += rng.exponential(1.0 / self._config.rate)
            if due >= self._samples.origin + self._config.seconds:
                return
            yield due

    def _done(self, call: Any, due: float, start: float) -> None:
        try:
            answer = call.result()
        except (grpc.RpcError, grpc.FutureCancelledError) as error:
            self._fail(due, start, error)
        else:
            self._samples.answered(due, start, answer.model_spec.version.value)
        finally:
            self._in_flight.release()

    def _fail(self, due: float, start: float, error: Exception) -> None:
        if self._stop.is_set():
            return
        if not isinstance(error, grpc.RpcError):
            raise error
        self._samples.failed(due, start, error.code(), error.details())


def _close(channels: Sequence[grpc.Channel]) -> None:
    for channel in channels:
        channel.close()
