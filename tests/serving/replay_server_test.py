"""A server's own request log warms up the version that it loads next."""

import subprocess
import sys

import numpy as np
import pytest

from experiments.serving import server_process, synthetic_exports
from tests.serving.served_models import REQUESTS, SIGNATURE
from tests.serving.server import running
from tfrec.serving import Client, warmup
from tfrec.serving.replay import logs as logs_lib

LOG = """
logging_config {
  log_collector_config { type: "tfrecord" filename_prefix: "pdn" }
  sampling_config { sampling_rate: 1.0 }
}
"""


@pytest.fixture
def logging_models(monkeypatch):
    """Adds the log to every model's configuration."""
    plain = server_process.models_config

    def with_log(models):
        text = plain(models)
        assert text.count("config {") == 1
        return text.replace("  config {", "  config {" + LOG)

    monkeypatch.setattr(server_process, "models_config", with_log)


def test_from_the_log_to_the_next_version(tmp_path, logging_models):
    export, logs = tmp_path / "pdn", tmp_path / "logs"
    logs.mkdir()
    first = synthetic_exports.pdn(export, 400)
    num_there = len(list(warmup.read(first)))
    request = REQUESTS["pdn"]
    two = {k: np.concatenate([v, v]) if v.ndim else v for k, v in request.items()}
    with (
        server_process.running({"pdn": export}, f"--request_log_dir={logs}") as server,
        Client(server.address) as client,
    ):
        for inputs in (request, two, two, request):
            expected = client.predict("pdn", inputs, SIGNATURE)
        flags = (f"--request_log={logs}", f"--export={export}")
        running.until(lambda: len(list(logs_lib.read([logs]))) == 4)
        done = subprocess.run(
            [sys.executable, "-m", "tfrec.serving.replay", *flags],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "requests of 2 shapes" in done.stdout
        assert client.wait_until_ready("pdn", version=2, timeout=300) == 2
        found = client.predict("pdn", request, SIGNATURE, version=2)
    np.testing.assert_array_equal(found["ids"], expected["ids"])
    assert len(list(warmup.read(export / "2"))) == num_there + 2
