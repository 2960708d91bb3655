"""Which logged requests become warm-up records: one of each shape."""

import collections
import dataclasses
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from tfrec.serving.apis import input_pb2, model_pb2, prediction_log_pb2
from tfrec.serving.warmup import MAX_RECORDS

_WITH_REQUEST = ("predict_log", "classify_log", "regress_log", "multi_inference_log")
_DEFAULT_SIGNATURE = "serving_default"


@dataclasses.dataclass(frozen=True)
class Selection:
    """Warm-up records, and what became of the log.

    Attributes:
        records: without responses and versions; those that were there, then the most
            frequent shapes first.
        num_read: records of the log.
        num_shapes: different ones among those that fit.
        misfits: how many of the log can't be replayed, by the reason.
        num_beyond: shapes that are left out, as the records would be too many.
    """

    records: list[prediction_log_pb2.PredictionLog]
    num_read: int
    num_shapes: int
    misfits: Mapping[str, int]
    num_beyond: int


def select(
    log: Iterable[prediction_log_pb2.PredictionLog],
    signatures: Mapping[str, Any],
    there: Sequence[prediction_log_pb2.PredictionLog] = (),
    model: str | None = None,
) -> Selection:
    """Chooses one request of every shape, at most `MAX_RECORDS`.

    Two requests have one shape if they call the same function with tensors of the same
    types and shapes, or with as many examples.

    Args:
        log: what a server was asked.
        signatures: `SignatureDef` by name, of the model that is to be warmed up; a
            record that it could not answer would make its loading fail.
        there: records that it has: all stay, those of one shape too.
        model: leaves out the requests of others.
    Raises: ValueError: the log is of several models and `model` is None.
    """
    kept = {_shape(record) for record in there}
    first: dict[Hashable, prediction_log_pb2.PredictionLog] = {}
    counts: collections.Counter[Hashable] = collections.Counter()
    misfits: collections.Counter[str] = collections.Counter()
    models: set[str] = set()
    num_read = 0
    for record in log:
        num_read += 1
        if reason := _misfit(record, signatures, model):
            misfits[reason] += 1
            continue
        models.add(_specs(record)[0].name)
        shape = _shape(record)
        first.setdefault(shape, _bare(record))
        counts[shape] += 1
    if model is None and len(models) > 1:
        raise ValueError(f"The log must be of one model. Received: {sorted(models)}")
    records = [_bare(record) for record in there]
    records += [first[s] for s, _ in counts.most_common() if s not in kept]
    return Selection(
        records[:MAX_RECORDS],
        num_read,
        len(counts),
        dict(misfits),
        max(0, len(records) - MAX_RECORDS),
    )


def _request(record: prediction_log_pb2.PredictionLog) -> Any:
    return getattr(record, record.WhichOneof("log_type")).request


def _specs(record: prediction_log_pb2.PredictionLog) -> list[Any]:
    """The model specs in a request: several in a MultiInference."""
    request = _request(record)
    if record.WhichOneof("log_type") == "multi_inference_log":
        return [task.model_spec for task in request.tasks]
    return [request.model_spec]


def _signature(spec: model_pb2.ModelSpec) -> str:
    return spec.signature_name or _DEFAULT_SIGNATURE


def _misfit(
    record: prediction_log_pb2.PredictionLog,
    signatures: Mapping[str, Any],
    model: str | None,
) -> str | None:
    """Why a model of these signatures can't answer a request; None if it can."""
    kind = record.WhichOneof("log_type")
    if kind not in _WITH_REQUEST:
        return f"{kind or 'empty records'} can't be replayed"
    specs = _specs(record)
    if not specs:
        return "a MultiInference without tasks"
    for spec in specs:
        if _signature(spec) not in signatures:
            return f"no signature {_signature(spec)!r}"
        if model not in (None, spec.name):
            return f"of the model {spec.name!r}"
    if kind != "predict_log":
        return None
    return _misfit_of_inputs(_request(record).inputs, signatures[_signature(specs[0])])


def _misfit_of_inputs(tensors: Mapping[str, Any], signature: Any) -> str | None:
    missing = signature.inputs.keys() - tensors.keys()
    if tensors.keys() - signature.inputs.keys() or missing - signature.defaults.keys():
        return f"inputs {sorted(tensors)} instead of {sorted(signature.inputs)}"
    for name, tensor in tensors.items():
        wanted = signature.inputs[name]
        if tensor.dtype != wanted.dtype:
            return f"`{name}` of another type"
        shape = tf.TensorShape(tensor.tensor_shape)
        if not tf.TensorShape(wanted.tensor_shape).is_compatible_with(shape):
            return f"`{name}` of another shape"
    return None


def _shape(record: prediction_log_pb2.PredictionLog) -> Hashable:
    """Equal for requests that call the same functions with tensors of equal shapes."""
    kind, request = record.WhichOneof("log_type"), _request(record)
    calls: list[Hashable] = [_signature(spec) for spec in _specs(record)]
    if kind == "predict_log":
        sizes: Hashable = tuple(
            (name, tensor.dtype, *(dim.size for dim in tensor.tensor_shape.dim))
            for name, tensor in sorted(request.inputs.items())
        )
        calls += sorted(request.output_filter)
    else:
        sizes = _num_examples(request.input)
    return (kind, tuple(calls), sizes)


def _num_examples(examples: input_pb2.Input) -> int:
    kind = examples.WhichOneof("kind")
    return len(getattr(examples, kind).examples) if kind else 0


def _bare(record: prediction_log_pb2.PredictionLog) -> prediction_log_pb2.PredictionLog:
    """The request alone, of whatever version is loaded."""
    kind = record.WhichOneof("log_type")
    bare = prediction_log_pb2.PredictionLog()
    getattr(bare, kind).request.CopyFrom(_request(record))
    for spec in _specs(bare):
        spec.ClearField("version")
        spec.ClearField("version_label")
    return bare
