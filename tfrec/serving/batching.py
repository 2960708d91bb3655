"""Batching across requests: those that wait at the same time run as one.

TensorFlow's own batch function does it, with the parameters of TensorFlow Serving's
`--batching_parameters_file`. A request of a batch that fails runs again alone, so that
a bad one fails alone.
"""

import uuid
from typing import Any

import tensorflow as tf

from tfrec.serving.batching_parameters import BatchingParameters
from tfrec.serving.errors import invalid
from tfrec.serving.signature import RUN_ERRORS, Signature


def can_batch(signature: Signature) -> bool:
    """Whether requests can be merged along the first dimension, whoever sends them.

    All inputs and outputs begin with a dimension of any size, and no other dimension of
    an input is open: requests of different shapes can't be one batch.
    """
    inputs = [spec.dims for spec in signature.specs.values()]
    function: Any = signature.call
    outputs = [
        None if spec.shape.rank is None else tuple(spec.shape[:1])
        for spec in function.structured_outputs.values()
    ]
    return (
        bool(inputs)
        and all(dims and dims[0] is None and None not in dims[1:] for dims in inputs)
        and all(dims == (None,) for dims in outputs)
    )


def batch(signature: Signature, parameters: BatchingParameters) -> None:
    """Lets a signature merge requests, if `can_batch`; else leaves it as it is."""
    if can_batch(signature):
        signature.call = _Batched(signature, parameters)


class _Batched:
    """A signature's function, called for several requests at once.

    Args:
        signature: of which `can_batch` is true.
        parameters: how requests are merged.
    """

    def __init__(self, signature: Signature, parameters: BatchingParameters):
        self._alone = signature.call
        self._most = parameters.max_batch_size
        self._names = list(signature.specs)
        self._outputs = signature.outputs
        self._merged = tf.function(
            self._merging(parameters),
            input_signature=[
                tf.TensorSpec(spec.dims, spec.dtype)
                for spec in signature.specs.values()
            ],
            autograph=False,
        )

    def __call__(self, **inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        sizes = {name: len(value) for name, value in inputs.items()}
        if len(set(sizes.values())) > 1:
            raise invalid(
                "Batching session Run() input tensors must have equal 0th-dimension "
                f"size. Received: {sizes}"
            )
        (size,) = set(sizes.values())
        if size > self._most:
            raise invalid(
                f"Task size {size} is larger than maximum input batch size {self._most}"
            )
        if size == 0:
            return self._alone(**inputs)
        try:
            found = self._merged(*(inputs[name] for name in self._names))
        except tf.errors.UnavailableError:
            raise
        except RUN_ERRORS:
            return self._alone(**inputs)
        return dict(zip(self._outputs, found, strict=True))

    def _merging(self, parameters: BatchingParameters) -> Any:
        """The function to trace; TensorFlow keeps queues apart by the scope's name."""
        queue = uuid.uuid4().hex

        @tf.nondifferentiable_batch_function(
            num_batch_threads=parameters.num_batch_threads,
            max_batch_size=parameters.max_batch_size,
            batch_timeout_micros=parameters.batch_timeout_micros,
            allowed_batch_sizes=list(parameters.allowed_batch_sizes) or None,
            max_enqueued_batches=parameters.max_enqueued_batches,
            autograph=False,
            enable_large_batch_splitting=False,
        )
        def run(*tensors: tf.Tensor) -> list[tf.Tensor]:
            outputs = self._alone(**dict(zip(self._names, tensors, strict=True)))
            return [outputs[name] for name in self._outputs]

        def merged(*tensors: tf.Tensor) -> list[tf.Tensor]:
            with tf.name_scope(queue):
                return run(*tensors)

        return merged
