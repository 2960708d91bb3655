"""A signature of a loaded SavedModel: checks inputs, runs, gives NumPy."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow.core.protobuf.meta_graph_pb2 import SignatureDef

from tfrec.serving import tensors
from tfrec.serving.apis import grpc
from tfrec.serving.errors import CODES, ServingError, invalid

DEFAULT = "serving_default"
CLASSIFY, PREDICT, REGRESS = (
    f"tensorflow/serving/{name}" for name in ("classify", "predict", "regress")
)
RUN_ERRORS = (tf.errors.OpError, UnicodeDecodeError)  # of a model that runs
_TRACES = re.compile(
    r"^Graph execution error:\s+|\{\{function_node \S+\}\} | \[Op:\w+\]$"
    r"|Detected at node \S+ defined at \(most recent call last\):\n"
    r"(<stack traces unavailable>\n|(  File .*\n\s*)*)"
)


class Signature:
    """One function of a model with its inputs and outputs by name.

    Args:
        name: of the signature.
        definition: from `saved_model.pb`.
        function: from `tf.saved_model.load(...).signatures`.

    Attributes:
        method: `method_name` of the definition.
        specs: what each input must be.
        outputs: names in order.
        call: keyword tensors to a dict of tensors; may be replaced by a batching one.
    """

    def __init__(self, name: str, definition: SignatureDef, function: Any):
        self.name = name
        self.definition = definition
        self.method = definition.method_name
        _, inputs = function.structured_input_signature
        self.specs = {k: tensors.Spec.of(k, inputs[k]) for k in sorted(inputs)}
        self.outputs = sorted(function.structured_outputs)
        self.call: Callable[..., dict[str, tf.Tensor]] = function

    def inputs(self, protos: Mapping[str, TensorProto]) -> dict[str, tf.Tensor]:
        """The tensors of a request, with the signature's defaults for what is absent.

        Raises: ServingError: INVALID_ARGUMENT: an input is missing, is none of the
            signature's, or has a wrong dtype, shape or encoding.
        """
        if protos.keys() != self.specs.keys():
            protos = self._with_defaults(protos)
        return {
            name: tf.constant(tensors.to_array(spec, protos[name]))
            for name, spec in self.specs.items()
        }

    def run(
        self, inputs: Mapping[str, tf.Tensor], names: Iterable[str]
    ) -> dict[str, np.ndarray]:
        """The outputs of these names; strings are arrays of bytes objects.

        Raises: ServingError: with the code of TensorFlow's error.
        """
        try:
            outputs = self.call(**inputs)
            return {name: np.asarray(outputs[name].numpy()) for name in names}
        except RUN_ERRORS as error:
            raise from_tensorflow(error) from error

    def filtered(self, output_filter: Iterable[str]) -> list[str]:
        """The outputs that a request asks for; all if it names none.

        Raises: ServingError: INVALID_ARGUMENT: there is none of a name, or it is asked
            for twice.
        """
        names = list(output_filter)
        for position, name in enumerate(names):
            if name not in self.outputs:
                raise invalid(
                    f"output tensor alias not found in signature: {name} Outputs "
                    f"expected to be in the set {_set(self.outputs)}."
                )
            if name in names[:position]:
                raise invalid(f"duplicate output tensor alias: {name}")
        return names or self.outputs

    def _with_defaults(
        self, protos: Mapping[str, TensorProto]
    ) -> Mapping[str, TensorProto]:
        """Adds the signature's defaults; the messages are TensorFlow Serving's."""
        defaults, expected = self.definition.defaults, self.specs.keys()
        extra, missing = protos.keys() - expected, expected - protos.keys()
        if extra or not missing <= defaults.keys():
            raise invalid(
                f"input size does not match signature: {len(protos)}!={len(expected)} "
                f"len({_set(protos)}) != len({_set(expected)}). "
                f"Sent extra: {_set(extra)}. Missing but required: {_set(missing)}."
            )
        return {**defaults, **protos}


def from_tensorflow(error: tf.errors.OpError | UnicodeDecodeError) -> ServingError:
    """TensorFlow's error for a client: its code, its message without stack traces.

    Python can't make an error of a message that quotes a client's bytes: of such a one
    the message is there, but not the code.
    """
    if isinstance(error, UnicodeDecodeError):
        code = grpc.StatusCode.INVALID_ARGUMENT
        text = error.object.decode(errors="replace")
    else:
        code = CODES.get(error.error_code, grpc.StatusCode.UNKNOWN)
        text = str(error.message)
    return ServingError(code, _TRACES.sub("", text).strip() or code.name)


def _set(names: Iterable[str]) -> str:
    return "{" + ",".join(sorted(names)) + "}"
