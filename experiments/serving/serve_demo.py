"""Serves the last exports of NANN and PDN, and asks them.

    python -m experiments.serving.serve_demo

finds the exports below `runs/`, starts the model server on them, and asks each for one
user's items with the official stubs of tensorflow-serving-api. With `--keep` the server
stays until it is interrupted.
"""

import contextlib
import pathlib
import signal
import sys
from collections.abc import Mapping, Sequence

import tensorflow as tf
from absl import app, flags
from rich.console import Console

from experiments.serving import latest, server_process, user_requests
from tfrec import data
from tfrec.data.errors import DataError
from tfrec.data.prepared import PreparedDataset
from tfrec.serving.apis import (
    get_model_metadata_pb2,
    grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)
from tfrec.serving.client_calls import SignatureInfo, model_spec, signature_infos
from tfrec.serving.load import request_sources

_SIGNATURE = "retrieve"
_SECONDS = 30.0

_RUNS = flags.DEFINE_string("runs", "runs", "Where exports are looked for.")
_EXPORTS = {
    paper: flags.DEFINE_string(f"{paper}_export", None, "An export, if not the last.")
    for paper in latest.KINDS
}
_PORT = flags.DEFINE_integer("port", None, "Of gRPC; default: a free one.")
_REST_PORT = flags.DEFINE_integer("rest_api_port", None, "Of REST; likewise.")
_KEEP = flags.DEFINE_bool("keep", False, "Serve until interrupted.")
_USER = flags.DEFINE_integer("user", 1, "Whose items: an id of the data set.", 1)
_K = flags.DEFINE_integer("k", 5, "How many items.", 1)
_DATA_HOME = flags.DEFINE_string(
    "data_home", None, "Prepared data; default: $TFREC_DATA_HOME or ~/.cache/tfrec."
)


def find_exports(console: Console) -> dict[str, latest.Export]:
    """The exports by paper; says how to make one that is not there."""
    found = {}
    for paper, flag in _EXPORTS.items():
        try:
            if flag.value:
                found[paper] = latest.at(pathlib.Path(flag.value))
            else:
                found[paper] = latest.find(pathlib.Path(_RUNS.value), paper)
        except FileNotFoundError as error:
            console.print(str(error), soft_wrap=True, markup=False)
    return found


def ask(
    stub: prediction_service_pb2_grpc.PredictionServiceStub,
    paper: str,
    dataset: PreparedDataset | None,
    console: Console,
) -> None:
    """Asks a model for one user's items, and prints them."""
    spec = model_spec(paper, signature=_SIGNATURE)
    signatures = _signatures(stub, paper)
    if dataset is None:
        (request,) = request_sources.at_random(spec, signatures, 1, 1, 10, _USER.value)
        names: Mapping[int, str] = {}
    else:
        arrays = user_requests.request_of(
            dataset, signatures[_SIGNATURE], _USER.value, _K.value
        )
        request = predict_pb2.PredictRequest(model_spec=spec)
        for name, array in arrays.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(array))
        names = user_requests.titles(dataset)
    response = stub.Predict(request, timeout=_SECONDS)
    found = {k: tf.make_ndarray(v)[0] for k, v in response.outputs.items()}
    history = tf.make_ndarray(request.inputs["history"])[0][-5:].tolist()
    version = response.model_spec.version.value
    console.print(f"[bold]{paper}[/bold], version {version}")
    console.print("  last behaviours: " + _shown(history, names), markup=False)
    for place, (item, score) in enumerate(
        zip(found["ids"].tolist(), found["scores"].tolist(), strict=True)
    ):
        line = f"  {score:8.3f} {names.get(item, item)}"
        if "path_triggers" in found:
            triggers = [t for t in found["path_triggers"][place].tolist() if t != -1]
            line += f"  <- {_shown(triggers, names)}"
        console.print(line, soft_wrap=True, markup=False, highlight=False)


def main(arguments: Sequence[str]) -> None:
    """Serves and asks."""
    if len(arguments) > 1:
        raise app.UsageError(f"Unknown arguments: {arguments[1:]}")
    console = Console()
    exports = find_exports(console)
    if not exports:
        sys.exit(1)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    roots = {paper: export.root for paper, export in exports.items()}
    with (
        contextlib.suppress(KeyboardInterrupt),
        server_process.running(
            roots, port=_PORT.value, rest_port=_REST_PORT.value
        ) as server,
    ):
        with grpc.insecure_channel(server.address) as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            for paper, export in exports.items():
                console.print(f"{paper}: {export.folder}", soft_wrap=True)
                ask(stub, paper, _dataset(export.dataset, console), console)
        console.print(f"gRPC: {server.address}", soft_wrap=True)
        for paper in exports:
            url = f"{server.rest_address}/v1/models/{paper}/metadata"
            console.print(f"REST: curl {url}", soft_wrap=True)
        if _KEEP.value:
            console.print("Serving until interrupted (Ctrl-C).")
            server.process.wait()
            sys.exit(f"The server ended:\n{server.log_tail()}")


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _signatures(
    stub: prediction_service_pb2_grpc.PredictionServiceStub, model: str
) -> dict[str, SignatureInfo]:
    request = get_model_metadata_pb2.GetModelMetadataRequest(
        model_spec=model_spec(model), metadata_field=["signature_def"]
    )
    response = stub.GetModelMetadata(request, timeout=_SECONDS)
    found = get_model_metadata_pb2.SignatureDefMap()
    response.metadata["signature_def"].Unpack(found)
    return signature_infos(found.signature_def)


def _dataset(name: str | None, console: Console) -> PreparedDataset | None:
    """The data that a model was trained on, for titles; None where it is absent."""
    if name is None:
        return None
    try:
        return data.load(name, _DATA_HOME.value)
    except DataError as error:
        console.print(f"No titles: {error}", soft_wrap=True, markup=False)
        return None


def _shown(items: Sequence[int], names: Mapping[int, str]) -> str:
    return "; ".join(str(names.get(item, item)) for item in items)


if __name__ == "__main__":
    app.run(main)
