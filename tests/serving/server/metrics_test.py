"""The metrics have TensorFlow Serving's names, labels and buckets."""

import pathlib

from prometheus_client import parser

from tfrec.serving.server.metrics import Metrics

LATENCY = ":tensorflow:serving:request_latency"


def samples(metrics: Metrics) -> dict[tuple, float]:
    text = metrics.render().decode()
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in parser.text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_requests_are_counted_by_model_and_status():
    metrics = Metrics()
    for status in ("OK", "OK", "NOT_FOUND"):
        metrics.request("half", "Predict", "GRPC", status, 0.001)
    text = metrics.render().decode()
    name = ":tensorflow:serving:request_count"
    assert f'\n{name}{{model_name="half",status="OK"}} 2.0\n' in text
    assert f'\n{name}{{model_name="half",status="NOT_FOUND"}} 1.0\n' in text


def test_latencies_of_what_succeeds_are_microseconds_in_tensorflows_buckets():
    metrics = Metrics()
    metrics.request("half", "Predict", "GRPC", "OK", 15e-6)
    metrics.request("half", "Predict", "GRPC", "OK", 3600.0)
    metrics.request("half", "Predict", "GRPC", "INTERNAL", 15e-6)
    found = samples(metrics)
    labels = [("API", "Predict"), ("entrypoint", "GRPC"), ("model_name", "half")]
    by_bound = {
        dict(key[1:])["le"]: value
        for key, value in found.items()
        if key[0] == f"{LATENCY}_bucket"
    }
    assert list(by_bound)[:4] == ["10", "18", "32.4", "58.32"]
    assert "708235" in by_bound
    assert len(by_bound) == 34
    assert [by_bound[le] for le in ("10", "18", "708235", "+Inf")] == [0, 1, 1, 2]
    assert found[(f"{LATENCY}_count", *labels)] == 2
    assert found[(f"{LATENCY}_sum", *labels)] == 15 + 3600e6


def test_rest_names_its_methods_in_lower_case():
    metrics = Metrics()
    metrics.request("half", "Predict", "REST", "OK", 0.001)
    assert 'API="predict",entrypoint="REST"' in metrics.render().decode()


def test_loads_and_logs_are_counted():
    metrics = Metrics()
    folder = pathlib.Path("/models/half/1")
    metrics.load(folder, False, 1.0)
    metrics.load(folder, True, 2.0)
    metrics.logged("half", "OK")
    found = samples(metrics)
    model = ("model_path", str(folder))
    loads = ":tensorflow:cc:saved_model:load_attempt_count"
    assert found[loads, model, ("status", "fail")] == 1
    assert found[loads, model, ("status", "success")] == 1
    assert found[":tensorflow:cc:saved_model:load_latency", model] == 2e6
    log = ":tensorflow:serving:request_log_count"
    assert found[log, ("model_name", "half"), ("status_code", "OK")] == 1
