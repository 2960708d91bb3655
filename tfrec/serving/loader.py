"""Loads the folder of a version after it was checked."""

import dataclasses
import pathlib
from typing import Any

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf.meta_graph_pb2 import MetaGraphDef
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from tfrec import ops
from tfrec.serving import allow_list
from tfrec.serving.apis import get_model_metadata_pb2, grpc
from tfrec.serving.errors import ServingError, invalid
from tfrec.serving.saved_model import ops_of
from tfrec.serving.signature import Signature, from_tensorflow

FILE_NAME = "saved_model.pb"
_TAG = "serve"
_OUR_OPS = "Tfrec>"
_FAILED = grpc.StatusCode.FAILED_PRECONDITION
_BROKEN = (  # what `tf.saved_model.load` raises for a graph that makes no sense
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)


@dataclasses.dataclass(frozen=True)
class Loaded:
    """A version in memory.

    Attributes:
        definitions: the signatures as `saved_model.pb` defines them.
        signatures: those that can be called.
        model: what owns their variables.
    """

    definitions: get_model_metadata_pb2.SignatureDefMap
    signatures: dict[str, Signature]
    model: Any


def load(folder: pathlib.Path, allow_all_ops: bool = False) -> Loaded:
    """Checks a folder's ops, loads the op library if it has ours, then the model.

    Raises: ServingError: NOT_FOUND: there is no SavedModel. FAILED_PRECONDITION: the op
        library is missing or of another TensorFlow. INVALID_ARGUMENT: a file is broken.
        Others are the allow list's and TensorFlow's own.
    """
    graph = _read(folder)
    if not allow_all_ops:
        allow_list.check(folder)
    if any(op.startswith(_OUR_OPS) for op in ops_of(graph.graph_def)):
        try:
            ops.load_library()
        except ImportError as error:
            message = f"`{folder}` needs the op library. {error}"
            raise ServingError(_FAILED, message) from error
    definitions = get_model_metadata_pb2.SignatureDefMap()
    for name, definition in graph.signature_def.items():
        definitions.signature_def[name].CopyFrom(definition)
    model, functions = _load(folder)
    signatures = {
        name: Signature(name, definitions.signature_def[name], function)
        for name, function in functions.items()
    }
    return Loaded(definitions, signatures, model)


def set_threads(intra_op: int, inter_op: int) -> None:
    """Sets the threads of TensorFlow, which only a process that ran no op can.

    Args:
        intra_op: within an op; 0 leaves it as it is.
        inter_op: ops at the same time; 0 leaves it as it is.
    Raises: ServingError: FAILED_PRECONDITION: too late.
    """
    try:
        if intra_op:
            tf.config.threading.set_intra_op_parallelism_threads(intra_op)
        if inter_op:
            tf.config.threading.set_inter_op_parallelism_threads(inter_op)
    except RuntimeError as error:
        raise ServingError(_FAILED, str(error)) from error


def _read(folder: pathlib.Path) -> MetaGraphDef:
    """The graph for serving."""
    path = folder / FILE_NAME
    try:
        saved = SavedModel.FromString(path.read_bytes())
    except OSError as error:
        message = f"`{path}` must be a readable file. Received: {error}"
        raise ServingError(grpc.StatusCode.NOT_FOUND, message) from error
    except DecodeError as error:
        raise invalid(f"`{path}` must be a SavedModel. Received: {error}") from error
    for graph in saved.meta_graphs:
        if _TAG in graph.meta_info_def.tags:
            return graph
    tags = [list(graph.meta_info_def.tags) for graph in saved.meta_graphs]
    message = f"`{path}` must have a graph with the tag {_TAG!r}. Received: {tags}"
    raise ServingError(grpc.StatusCode.NOT_FOUND, message)


def _load(folder: pathlib.Path) -> tuple[Any, dict[str, Any]]:
    """The model, and the functions that its signatures call."""
    try:
        model = tf.saved_model.load(str(folder), tags=[_TAG])
        return model, dict(model.signatures)
    except tf.errors.OpError as error:
        found = from_tensorflow(error)
        message = f"`{folder}` can't be loaded: {found.message}"
        raise ServingError(found.code, message) from error
    except OSError as error:
        message = f"`{folder}` can't be read: {error}"
        raise ServingError(grpc.StatusCode.NOT_FOUND, message) from error
    except _BROKEN as error:
        message = f"`{folder}` can't be loaded: {type(error).__name__}: {error}"
        raise invalid(message) from error
