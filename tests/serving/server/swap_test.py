"""Versions are swapped in while clients ask: nothing fails, and nothing is mixed."""

import threading
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from tests.serving import half_plus_two
from tests.serving.server import fakes, running
from tfrec.serving.apis import (
    get_model_status_pb2,
    grpc,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

NAME = "half"
FAKE = "tests.serving.server.fake_server"
PREDICT = "/tensorflow.serving.PredictionService/Predict"


class Load:
    """Clients that ask without a pause until `end`.

    Attributes:
        versions: those that answered.
        problems: answers that are errors, or a mix of versions.

    Args:
        ask: asks through a channel; the version, and whether the whole answer is its.
    """

    def __init__(
        self,
        server: running.Server,
        ask: Callable[[grpc.Channel], tuple[int, bool]],
        num_clients: int = 3,
    ):
        self.versions: set[int] = set()
        self.problems: list[str] = []
        self._server, self._ask = server, ask
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(num_clients)]
        for thread in self._threads:
            thread.start()

    def until(self, version: int) -> None:
        """Waits until a version answers."""
        running.until(lambda: version in self.versions or self.problems)

    def end(self) -> None:
        """Ends the clients."""
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        with self._server.channel() as channel:
            while not self._is_over.is_set():
                try:
                    version, is_whole = self._ask(channel)
                except grpc.RpcError as error:
                    self.problems.append(f"{error.code()}: {error.details()}")
                    continue
                if not is_whole:
                    self.problems.append(f"version {version} is mixed")
                self.versions.add(version)


def ask_half_plus_two(channel) -> tuple[int, bool]:
    """Version v has y = v x + v: two outputs tell a and b."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = NAME
    request.inputs["x"].CopyFrom(tf.make_tensor_proto(np.float32([0, 1])))
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    response = stub.Predict(request, timeout=60.0)
    version = response.model_spec.version.value
    outputs = tf.make_ndarray(response.outputs["y"]).tolist()
    return version, outputs == [version, 2.0 * version]


def swap(tmp_path, write, ask, last: int, module: str = running.MODULE) -> None:
    """Serves version 1, and writes the versions to `last` while clients ask."""
    models = tmp_path / NAME
    write(models, 1)
    flags = (
        f"--model_name={NAME}",
        f"--model_base_path={models}",
        "--file_system_poll_wait_seconds=0.05",
    )
    with running.running(tmp_path, *flags, module=module) as server:
        load = Load(server, ask)
        try:
            for version in range(2, last + 1):
                write(models, version)
                load.until(version)
        finally:
            load.end()
        assert load.problems == []
        assert load.versions == set(range(1, last + 1))
        with server.channel() as channel:
            running.until(lambda: states(channel).count("END") == last - 1)
            assert states(channel)[0] == "AVAILABLE"
        running.until(lambda: len(server.workers()) == 1)


def states(channel) -> list[str]:
    """Of all versions, the highest first."""
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = NAME
    stub = model_service_pb2_grpc.ModelServiceStub(channel)
    response = stub.GetModelStatus(request, timeout=60.0)
    kind = get_model_status_pb2.ModelVersionStatus.State
    return [kind.Name(status.state) for status in response.model_version_status]


def write_half_plus_two(models, version: int) -> None:
    half_plus_two.write(models, version, a=float(version), b=float(version))


def test_two_swaps(tmp_path):
    swap(tmp_path, write_half_plus_two, ask_half_plus_two, 3)


@pytest.mark.long
def test_twenty_versions(tmp_path):
    swap(tmp_path, write_half_plus_two, ask_half_plus_two, 20)


def test_twenty_versions_of_fake_workers(tmp_path):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = NAME
    processes: dict[int, int] = {}

    def ask(channel) -> tuple[int, bool]:
        answer = channel.unary_unary(PREDICT)(request.SerializeToString(), timeout=60.0)
        version, process = int(answer.split(b"/")[1]), fakes.pid_of(answer)
        return version, processes.setdefault(version, process) == process

    swap(tmp_path, fakes.write, ask, 20, FAKE)
