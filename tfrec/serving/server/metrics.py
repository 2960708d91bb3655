"""Counters and histograms with TensorFlow Serving's names, for Prometheus."""

import bisect
import collections
import dataclasses
import itertools
import pathlib
from collections.abc import Iterator, Mapping

import prometheus_client
from prometheus_client import core

_SERVING = ":tensorflow:serving:"
_SAVED_MODEL = ":tensorflow:cc:saved_model:"
_BOUNDS = tuple(10 * 1.8**power for power in range(33))  # microseconds, as there
_BOUND_LABELS = (*(f"{bound:g}" for bound in _BOUNDS), "+Inf")
_MICROSECONDS = 1e6

Labels = tuple[str, ...]


@dataclasses.dataclass
class _Histogram:
    counts: list[int] = dataclasses.field(
        default_factory=lambda: [0] * len(_BOUND_LABELS)
    )
    total: float = 0.0

    def add(self, value: float) -> None:
        self.counts[bisect.bisect_right(_BOUNDS, value)] += 1
        self.total += value


class Metrics:
    """What the server counts; a collector of prometheus-client."""

    def __init__(self) -> None:
        self._requests: dict[Labels, int] = collections.defaultdict(int)
        self._latencies: dict[Labels, _Histogram] = collections.defaultdict(_Histogram)
        self._logged: dict[Labels, int] = collections.defaultdict(int)
        self._loads: dict[Labels, int] = collections.defaultdict(int)
        self._load_times: dict[Labels, int] = collections.defaultdict(int)
        self._registry = prometheus_client.CollectorRegistry()
        self._registry.register(self)

    def request(
        self, model: str, method: str, entrypoint: str, status: str, seconds: float
    ) -> None:
        """Counts a request; of those that succeed, the time too.

        Args:
            model: its name; empty: nobody knows it.
            method: as PredictionService names it; REST's are in lower case there.
            entrypoint: "GRPC" or "REST".
            status: name of the code.
        """
        self._requests[model, status] += 1
        if status == "OK":
            api = method.lower() if entrypoint == "REST" else method
            labels = (model, api, entrypoint)
            self._latencies[labels].add(seconds * _MICROSECONDS)

    def load(self, folder: pathlib.Path, is_loaded: bool, seconds: float) -> None:
        """Counts a try to load a version."""
        self._loads[str(folder), "success" if is_loaded else "fail"] += 1
        if is_loaded:
            self._load_times[(str(folder),)] += round(seconds * _MICROSECONDS)

    def logged(self, model: str, status: str) -> None:
        """Counts a request that was, or could not be, written to a log."""
        self._logged[model, status] += 1

    def render(self) -> bytes:
        """All of it in Prometheus' text format."""
        return prometheus_client.generate_latest(self._registry)

    def collect(self) -> Iterator[core.Metric]:
        """The metrics, for prometheus-client."""
        yield _counter(
            f"{_SERVING}request_count",
            "The total number of requests.",
            ("model_name", "status"),
            self._requests,
        )
        yield _histogram(
            f"{_SERVING}request_latency",
            "Distribution of wall time (in microseconds) for Tensorflow Serving "
            "request.",
            ("model_name", "API", "entrypoint"),
            self._latencies,
        )
        yield _counter(
            f"{_SERVING}request_log_count",
            "The total number of requests logged from the model server sliced down by "
            "model_name and status code.",
            ("model_name", "status_code"),
            self._logged,
        )
        yield _counter(
            f"{_SAVED_MODEL}load_attempt_count",
            "The number of times a SavedModel was successfully loaded.",
            ("model_path", "status"),
            self._loads,
        )
        yield _counter(
            f"{_SAVED_MODEL}load_latency",
            "Latency in microseconds for SavedModels that were successfully loaded.",
            ("model_path",),
            self._load_times,
        )


def _counter(
    name: str, text: str, label_names: Labels, values: Mapping[Labels, int]
) -> core.Metric:
    # As a counter, prometheus-client would end the name with `_total`.
    metric = core.Metric(name, text, "unknown")
    for labels, value in dict(values).items():  # a thread may count meanwhile
        metric.add_sample(name, dict(zip(label_names, labels, strict=True)), value)
    return metric


def _histogram(
    name: str, text: str, label_names: Labels, values: Mapping[Labels, _Histogram]
) -> core.Metric:
    metric = core.HistogramMetricFamily(name, text, labels=label_names)
    for labels, value in values.items():
        cumulated = itertools.accumulate(value.counts)
        buckets = list(zip(_BOUND_LABELS, cumulated, strict=True))
        metric.add_metric(labels, buckets, value.total)
    return metric
