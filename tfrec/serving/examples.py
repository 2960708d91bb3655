"""Classify, Regress and MultiInference: signatures on serialised tf.Examples.

The rules for signatures and their outputs, the codes and the messages are TensorFlow
Serving's. One differs: MultiInference there needs signatures with the very same input
tensor, which no SavedModel of TensorFlow 2 has; here inputs must be alike.
"""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf
from tensorflow.core.framework.tensor_pb2 import TensorProto

from tfrec.serving import signature as signature_lib
from tfrec.serving.apis import (
    classification_pb2,
    grpc,
    inference_pb2,
    input_pb2,
    regression_pb2,
)
from tfrec.serving.errors import ServingError, invalid
from tfrec.serving.signature import Signature

INPUTS = "inputs"
CLASSES, SCORES = "classes", "scores"
OUTPUTS = "outputs"
_KINDS = {
    signature_lib.CLASSIFY: "classification",
    signature_lib.REGRESS: "regression",
}


def classify(
    signatures: Mapping[str, Signature],
    name: str,
    source: input_pb2.Input,
    result: classification_pb2.ClassificationResult,
) -> None:
    """Adds the classes and scores of each Example.

    Args:
        signatures: of the model, by name.
        name: of one with the method `tensorflow/serving/classify`.
        source: the Examples.
        result: gets B lists of classes; the outputs are `classes` string `(B, C)`,
            `scores` float32 `(B, C)`, or both.
    Raises: ServingError: INVALID_ARGUMENT: there is no such signature, it is of another
        method, there are no Examples, or the outputs are not as they must be.
    """
    signature = _named(signatures, name, signature_lib.CLASSIFY)
    check_classify(signature)
    serialized = serialized_examples(source)
    add_classes(signature, serialized, result)


def regress(
    signatures: Mapping[str, Signature],
    name: str,
    source: input_pb2.Input,
    result: regression_pb2.RegressionResult,
) -> None:
    """Adds the value of each Example.

    Args:
        signatures, name, source: as for `classify`, of `tensorflow/serving/regress`.
        result: gets B values; the output is `outputs` float32 `(B,)` or `(B, 1)`.
    Raises: ServingError: likewise.
    """
    signature = _named(signatures, name, signature_lib.REGRESS)
    check_regress(signature)
    serialized = serialized_examples(source)
    add_values(signature, serialized, result)


def multi_inference(
    signatures: Mapping[str, Signature],
    request: inference_pb2.MultiInferenceRequest,
    response: inference_pb2.MultiInferenceResponse,
) -> None:
    """Adds the result of each task, all on the same Examples.

    Args:
        signatures: of the model, by name.
        request: the tasks name different signatures of one model.
        response: gets a result a task, without `model_spec`.
    Raises: ServingError: INVALID_ARGUMENT: as `classify`, or tasks do not go together.
        UNIMPLEMENTED: a method other than classify and regress.
    """
    tasks = [(task.method_name, _of_task(signatures, task)) for task in request.tasks]
    _check_tasks(request, [signature for _, signature in tasks])
    serialized = serialized_examples(request.input)
    for method, signature in tasks:
        result = response.results.add()
        if method == signature_lib.CLASSIFY:
            add_classes(signature, serialized, result.classification_result)
        else:
            add_values(signature, serialized, result.regression_result)


def serialized_examples(source: input_pb2.Input) -> list[bytes]:
    """The Examples, each merged with the context if there is one.

    Raises: ServingError: INVALID_ARGUMENT: there are none.
    """
    context = b""
    found = source.example_list.examples
    if source.WhichOneof("kind") == "example_list_with_context":
        context = source.example_list_with_context.context.SerializeToString()
        found = source.example_list_with_context.examples
    if not found:
        raise invalid("Input is empty.")
    return [context + example.SerializeToString() for example in found]


def check_classify(signature: Signature) -> None:
    """Whether a signature has the inputs and outputs of Classify."""
    _check_method(signature, signature_lib.CLASSIFY)
    if len(signature.outputs) not in (1, 2):
        count = len(signature.outputs)
        raise invalid(f"Expected one or two output Tensors, found {count}")
    if not {CLASSES, SCORES} & set(signature.outputs):
        raise _precondition(
            "Expected classification signature outputs to contain at least one of "
            f'"{CLASSES}" or "{SCORES}". Signature was: {signature.definition}'
        )


def check_regress(signature: Signature) -> None:
    """Whether a signature has the input and the output of Regress."""
    _check_method(signature, signature_lib.REGRESS)
    if len(signature.outputs) != 1:
        raise invalid("Expected one output Tensor.")
    if OUTPUTS not in signature.outputs:
        raise _precondition(
            "No regression outputs found in SignatureDef: " + str(signature.definition)
        )


def add_classes(
    signature: Signature,
    serialized: list[bytes],
    result: classification_pb2.ClassificationResult,
) -> None:
    """Runs a signature that `check_classify` accepts."""
    names = [name for name in (CLASSES, SCORES) if name in signature.outputs]
    found = _run(signature, serialized, names)
    for name, values in found.items():
        dtype = np.dtype(object if name == CLASSES else np.float32)
        _check_classes(name, values, dtype, len(serialized))
    widths = {values.shape[1] for values in found.values()}
    if len(widths) > 1:
        raise invalid(
            "Tensors class and score should match in dim_size(1). Got "
            f"{found[CLASSES].shape[1]} vs. {found[SCORES].shape[1]}"
        )
    rows = zip(*(values.tolist() for values in found.values()), strict=True)
    for row in rows:
        added = result.classifications.add()
        for pair in zip(*row, strict=True):
            one = dict(zip(found, pair, strict=True))
            label = one.get(CLASSES, b"").decode(errors="replace")
            added.classes.add(label=label, score=one.get(SCORES, 0.0))


def add_values(
    signature: Signature,
    serialized: list[bytes],
    result: regression_pb2.RegressionResult,
) -> None:
    """Runs a signature that `check_regress` accepts."""
    values = _run(signature, serialized, [OUTPUTS])[OUTPUTS]
    shape = list(values.shape)
    if len(shape) not in (1, 2) or shape[1:] not in ([], [1]):
        raise invalid(
            "Expected output Tensor shape to be either [batch_size] or "
            f"[batch_size, 1] but got {shape}"
        )
    if shape[0] != len(serialized):
        raise invalid(
            "Input batch size did not match output batch size: "
            f"{len(serialized)} vs. {shape[0]}"
        )
    _check_dtype("output", values, np.dtype(np.float32))
    for value in values.ravel().tolist():
        result.regressions.add(value=value)


def _named(signatures: Mapping[str, Signature], name: str, method: str) -> Signature:
    if name not in signatures:
        raise invalid(f"No signature was found with the name: {name}")
    _check_method(signatures[name], method)
    return signatures[name]


def _of_task(
    signatures: Mapping[str, Signature], task: inference_pb2.InferenceTask
) -> Signature:
    if not task.model_spec.name:
        raise invalid("Found ModelSpec with an empty model name.")
    name = task.model_spec.signature_name or signature_lib.DEFAULT
    if name not in signatures:
        raise invalid(f"Requested signature not found in model graph: {name}")
    if task.method_name == signature_lib.CLASSIFY:
        check_classify(signatures[name])
    elif task.method_name == signature_lib.REGRESS:
        check_regress(signatures[name])
    else:
        raise ServingError(
            grpc.StatusCode.UNIMPLEMENTED,
            f"Unsupported signature method_name: {task.method_name}",
        )
    return signatures[name]


def _check_tasks(
    request: inference_pb2.MultiInferenceRequest, signatures: list[Signature]
) -> None:
    if not signatures:
        raise invalid("`tasks` must not be empty.")
    if len({task.model_spec.name for task in request.tasks}) > 1:
        raise invalid(
            "All ModelSpecs in a MultiInferenceRequest must access the same model name."
        )
    names = [signature.name for signature in signatures]
    for position, name in enumerate(names):
        if name in names[:position]:
            raise invalid(f"Duplicate evaluation of signature: {name}")
    if len({signature.specs[INPUTS] for signature in signatures}) > 1:
        raise invalid("Input tensor must be the same for all Signatures.")


def _check_method(signature: Signature, method: str) -> None:
    if signature.method != method:
        raise invalid(
            f"Expected {_KINDS[method]} signature method_name to be {method}. "
            f"Was: {signature.method}"
        )
    if len(signature.specs) != 1:
        raise invalid("Expected one input Tensor.")
    if INPUTS not in signature.specs:
        raise _precondition(
            f"No {_KINDS[method]} inputs found in SignatureDef: {signature.definition}"
        )


def _run(
    signature: Signature, serialized: list[bytes], names: list[str]
) -> dict[str, np.ndarray]:
    proto = TensorProto(dtype=tf.string.as_datatype_enum, string_val=serialized)
    proto.tensor_shape.dim.add(size=len(serialized))
    return signature.run(signature.inputs({INPUTS: proto}), names)


def _check_classes(
    name: str, values: np.ndarray, dtype: np.dtype, num_examples: int
) -> None:
    if values.ndim != 2:
        raise invalid(
            "Expected Tensor shape: [batch_size num_classes] but got "
            f"{list(values.shape)}"
        )
    _check_dtype(name, values, dtype)
    if len(values) != num_examples:
        raise invalid(
            f"Expected {name} output batch size of {num_examples}. Got: {len(values)}"
        )


def _check_dtype(name: str, values: np.ndarray, dtype: np.dtype) -> None:
    if values.dtype != dtype:
        expected = "DT_STRING" if dtype.kind == "O" else "DT_FLOAT"
        got = "string" if values.dtype.kind == "O" else values.dtype.name
        raise invalid(f"Expected {name} Tensor of {expected}. Got: {got}")


def _precondition(message: str) -> ServingError:
    return ServingError(grpc.StatusCode.FAILED_PRECONDITION, message)
