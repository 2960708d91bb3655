"""TensorFlow Serving's services in this process: they echo, and fail as told."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent import futures

import tensorflow as tf

from tfrec.serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    grpc,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

MODEL, VERSION = "echo", 7
STATES = get_model_status_pb2.ModelVersionStatus
INPUTS = {
    "history": ("int64", [None, None]),
    "user_gender": ("string", [None]),
    "history_rating": ("float32", [None, None]),
    "k": ("int32", []),
    "anything": ("float32", None),
}


def free_port() -> int:
    """A port of the loopback that nothing listens on."""
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        return chosen.getsockname()[1]


def status(version: int, state: str, code: int = 0, message: str = ""):
    """What a server says of a version."""
    entry = STATES(version=version, state=STATES.State.Value(state))
    entry.status.error_code, entry.status.error_message = code, message
    return entry


class EchoServer(
    prediction_service_pb2_grpc.PredictionServiceServicer,
    model_service_pb2_grpc.ModelServiceServicer,
):
    """Answers with a request's inputs as outputs.

    Attributes:
        requests: what came, one for every try.
        failures: `(code, message)` of the next tries of any method.
        statuses: entries of the next answers of GetModelStatus; the last one stays.
        before_answer: called by each Predict before it answers.
    """

    def __init__(self):
        self.requests = []
        self.failures = []
        self.statuses = [[status(VERSION, "AVAILABLE")]]
        self.before_answer: Callable[[], object] = lambda: None
        self.address = ""
        self._lock = threading.Lock()

    def _arrive(self, request, context) -> None:
        with self._lock:
            self.requests.append(request)
            failure = self.failures.pop(0) if self.failures else None
        if failure:
            context.abort(*failure)

    def Predict(self, request, context):  # noqa: N802
        self._arrive(request, context)
        self.before_answer()
        response = predict_pb2.PredictResponse(model_spec=request.model_spec)
        response.model_spec.version.value = VERSION
        for name, value in request.inputs.items():
            response.outputs[name].CopyFrom(value)
        return response

    def GetModelMetadata(self, request, context):  # noqa: N802
        self._arrive(request, context)
        response = get_model_metadata_pb2.GetModelMetadataResponse(
            model_spec=request.model_spec
        )
        response.model_spec.version.value = VERSION
        signatures = get_model_metadata_pb2.SignatureDefMap()
        signature = signatures.signature_def["retrieve"]
        signature.method_name = "tensorflow/serving/predict"
        for name, (dtype, shape) in INPUTS.items():
            signature.inputs[name].dtype = tf.as_dtype(dtype).as_datatype_enum
            proto = tf.TensorShape(shape).as_proto()
            signature.inputs[name].tensor_shape.CopyFrom(proto)
        signature.outputs["ids"].CopyFrom(signature.inputs["history"])
        initialize = signatures.signature_def["__saved_model_init_op"]
        initialize.outputs["__saved_model_init_op"].name = "NoOp"
        response.metadata["signature_def"].Pack(signatures)
        return response

    def GetModelStatus(self, request, context):  # noqa: N802
        self._arrive(request, context)
        with self._lock:
            entries = self.statuses[0]
            if len(self.statuses) > 1:
                self.statuses.pop(0)
        return get_model_status_pb2.GetModelStatusResponse(model_version_status=entries)


@contextlib.contextmanager
def running(
    port: int = 0, credentials: grpc.ServerCredentials | None = None
) -> Iterator[EchoServer]:
    """A server on the loopback."""
    echo = EchoServer()
    options = [("grpc.max_receive_message_length", -1), ("grpc.so_reuseport", 0)]
    server = grpc.server(futures.ThreadPoolExecutor(16), options=options)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(echo, server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(echo, server)
    address = f"127.0.0.1:{port}"
    if credentials is None:
        port = server.add_insecure_port(address)
    else:
        port = server.add_secure_port(address, credentials)
    echo.address = f"127.0.0.1:{port}"
    server.start()
    try:
        yield echo
    finally:
        server.stop(None).wait()
