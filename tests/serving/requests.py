"""Requests as official clients write them, for the tests of what answers them."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from tfrec.serving.apis import (
    classification_pb2,
    inference_pb2,
    predict_pb2,
    regression_pb2,
)

MODEL = "half_plus_two"


def predict(
    inputs: Mapping[str, Any], signature: str = "", outputs: tuple[str, ...] = ()
) -> predict_pb2.PredictRequest:
    """A Predict request; values are arrays or what `tf.make_tensor_proto` takes."""
    request = predict_pb2.PredictRequest(output_filter=outputs)
    request.model_spec.name = MODEL
    request.model_spec.signature_name = signature
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return request


def example(**features: list) -> tf.train.Example:
    """An Example; numbers are floats, others bytes."""
    made = tf.train.Example()
    for name, values in features.items():
        if values and isinstance(values[0], bytes):
            made.features.feature[name].bytes_list.value.extend(values)
        else:
            made.features.feature[name].float_list.value.extend(values)
    return made


def classify(
    examples: list[tf.train.Example], signature: str = "classify_x_to_y"
) -> classification_pb2.ClassificationRequest:
    """A Classify request without context."""
    request = classification_pb2.ClassificationRequest()
    _fill(request, examples, signature)
    return request


def regress(
    examples: list[tf.train.Example], signature: str = "regress_x_to_y"
) -> regression_pb2.RegressionRequest:
    """A Regress request without context."""
    request = regression_pb2.RegressionRequest()
    _fill(request, examples, signature)
    return request


def multi_inference(
    examples: list[tf.train.Example], tasks: list[tuple[str, str]], model: str = MODEL
) -> inference_pb2.MultiInferenceRequest:
    """A MultiInference request of tasks `(signature, method)`."""
    request = inference_pb2.MultiInferenceRequest()
    request.input.example_list.examples.extend(examples)
    for signature, method in tasks:
        task = request.tasks.add(method_name=method)
        task.model_spec.name = model
        task.model_spec.signature_name = signature
    return request


def _fill(request: Any, examples: list[tf.train.Example], signature: str) -> None:
    request.model_spec.name = MODEL
    request.model_spec.signature_name = signature
    request.input.example_list.examples.extend(examples)
