"""One version of a model, loaded in this process, that answers requests.

The codes and messages are TensorFlow Serving's where its clients would notice.
"""

import dataclasses
import os
import pathlib
from typing import Any

from tfrec.serving import batching, examples, loader, tensors, warmup
from tfrec.serving import signature as signature_lib
from tfrec.serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    grpc,
    inference_pb2,
    model_pb2,
    predict_pb2,
    prediction_log_pb2,
    regression_pb2,
)
from tfrec.serving.batching_parameters import BatchingParameters
from tfrec.serving.errors import ServingError, invalid
from tfrec.serving.signature import Signature

_METADATA_FIELD = "signature_def"
_METHODS = (signature_lib.PREDICT, signature_lib.CLASSIFY, signature_lib.REGRESS)


@dataclasses.dataclass(frozen=True)
class ServableOptions:
    """How a version is loaded and run.

    Attributes:
        intra_op_parallelism: threads within an op; 0: one a core (TensorFlow Serving).
        inter_op_parallelism: ops at the same time; 0: one a core.
        allow_all_ops: load the model whatever its ops do (ours).
        as_tensor_content: numbers of Predict's outputs go into `tensor_content`; else
            into `float_val` and so on (TensorFlow Serving's default).
        batching: merge concurrent requests; None: not.
    """

    intra_op_parallelism: int = 0
    inter_op_parallelism: int = 0
    allow_all_ops: bool = False
    as_tensor_content: bool = False
    batching: BatchingParameters | None = None


class Servable:
    """Loads a version and runs its warm-up records; then threads may share it.

    Args:
        folder: of the version, with `saved_model.pb`.
        name: of the model, for answers.
        version: likewise.
        options: how it is loaded and run.

    Attributes:
        signatures: what can be called, by name.

    Raises: ServingError: the folder holds no SavedModel, its ops are not allowed, it
        can't be loaded, or a warm-up record fails.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        name: str,
        version: int,
        options: ServableOptions = ServableOptions(),
    ):
        self.name, self.version = name, version
        self._as_content = options.as_tensor_content
        folder = pathlib.Path(folder)
        loader.set_threads(options.intra_op_parallelism, options.inter_op_parallelism)
        self._loaded = loader.load(folder, options.allow_all_ops)
        self.signatures = self._loaded.signatures
        if options.batching is not None:
            for signature in self.signatures.values():
                batching.batch(signature, options.batching)
        for number, record in enumerate(warmup.read(folder)):
            self._warm_up(record, f"warm-up record {number} of `{folder}`")

    def predict(
        self, request: predict_pb2.PredictRequest
    ) -> predict_pb2.PredictResponse:
        """Runs any signature on tensors.

        Raises: ServingError: FAILED_PRECONDITION: there is no such signature.
            INVALID_ARGUMENT: the inputs or the filter of outputs do not fit it. Others
            are the model's own.
        """
        name = request.model_spec.signature_name or signature_lib.DEFAULT
        signature = self._predictor(name)
        inputs = signature.inputs(request.inputs)
        outputs = signature.run(inputs, signature.filtered(request.output_filter))
        response = predict_pb2.PredictResponse()
        self.describe(response.model_spec, name)
        for key, value in outputs.items():
            tensors.fill(response.outputs[key], value, self._as_content)
        return response

    def classify(
        self, request: classification_pb2.ClassificationRequest
    ) -> classification_pb2.ClassificationResponse:
        """Classes and scores of tf.Examples; see `examples.classify`."""
        response = classification_pb2.ClassificationResponse()
        name = request.model_spec.signature_name or signature_lib.DEFAULT
        self.describe(response.model_spec, name)
        examples.classify(self.signatures, name, request.input, response.result)
        return response

    def regress(
        self, request: regression_pb2.RegressionRequest
    ) -> regression_pb2.RegressionResponse:
        """A value for each tf.Example; see `examples.regress`."""
        response = regression_pb2.RegressionResponse()
        name = request.model_spec.signature_name or signature_lib.DEFAULT
        self.describe(response.model_spec, name)
        examples.regress(self.signatures, name, request.input, response.result)
        return response

    def multi_inference(
        self, request: inference_pb2.MultiInferenceRequest
    ) -> inference_pb2.MultiInferenceResponse:
        """Several signatures on the same Examples; see `examples.multi_inference`."""
        response = inference_pb2.MultiInferenceResponse()
        examples.multi_inference(self.signatures, request, response)
        for task, result in zip(request.tasks, response.results, strict=True):
            name = task.model_spec.signature_name or signature_lib.DEFAULT
            self.describe(result.model_spec, name)
        return response

    def metadata(
        self, request: get_model_metadata_pb2.GetModelMetadataRequest
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        """The signatures' definitions.

        Raises: ServingError: INVALID_ARGUMENT: another field than `signature_def`, or
            none, is asked for.
        """
        if not request.metadata_field:
            raise invalid(
                "GetModelMetadataRequest must specify at least one metadata_field"
            )
        for field in request.metadata_field:
            if field != _METADATA_FIELD:
                raise invalid(f"Metadata field {field} is not supported")
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        self.describe(response.model_spec, "")
        response.metadata[_METADATA_FIELD].Pack(self._loaded.definitions)
        return response

    def describe(self, spec: model_pb2.ModelSpec, signature: str) -> None:
        """Says who answered."""
        spec.name, spec.version.value = self.name, self.version
        spec.signature_name = signature

    def _predictor(self, name: str) -> Signature:
        definitions = self._loaded.definitions.signature_def
        if name in definitions and definitions[name].method_name not in _METHODS:
            raise ServingError(
                grpc.StatusCode.INTERNAL,
                "Expected prediction signature method_name to be one of "
                f"{{{', '.join(_METHODS)}}}. Was: {definitions[name].method_name}",
            )
        if name not in self.signatures:
            raise ServingError(
                grpc.StatusCode.FAILED_PRECONDITION,
                f'Serving signature key "{name}" not found.',
            )
        return self.signatures[name]

    def _warm_up(self, record: prediction_log_pb2.PredictionLog, name: str) -> None:
        calls: dict[str, Any] = {
            "predict_log": self.predict,
            "classify_log": self.classify,
            "regress_log": self.regress,
            "multi_inference_log": self.multi_inference,
        }
        kind = record.WhichOneof("log_type")
        if kind not in calls:
            raise ServingError(
                grpc.StatusCode.UNIMPLEMENTED,
                f"Unsupported log_type for warmup: {kind}: {name}",
            )
        try:
            calls[kind](getattr(record, kind).request)
        except ServingError as error:
            raise ServingError(error.code, f"{name}: {error.message}") from error
