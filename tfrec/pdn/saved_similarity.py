"""SimNet of an exported model, as the function that the index build calls.

TensorFlow is imported where a model is loaded: who only starts a pipeline needs none.
"""

import dataclasses
from typing import Any

import numpy as np

from tfrec.artifacts import ArtifactError
from tfrec.pdn.index_inputs import IndexInputs
from tfrec.pdn.index_shards import ScorePairs

SIGNATURE = "similarities"


@dataclasses.dataclass(frozen=True)
class SavedSimilarity:
    """Makes `score_pairs` from a SavedModel; picklable.

    Args:
        path: a SavedModel with a signature `similarities(triggers, items)`, raw ids
            int64 `(P,)` each, to one output, s_ji, float32 `(P,)`.
    """

    path: str

    def __call__(self, inputs: IndexInputs) -> ScorePairs:
        """Loads the model.

        Args:
            inputs: gives the raw id of each id.
        Raises: ArtifactError: the signature is missing, or is another one.
        """
        return _SavedScores(self.path, np.asarray(inputs.item_ids, np.int64))


class _SavedScores:
    """`score_pairs` of a model that it keeps: the variables are the model's."""

    def __init__(self, path: str, raw_ids: np.ndarray):
        import tensorflow as tf

        from tfrec import ops

        ops.load_library()  # other signatures of the export hold PathTopK
        self._model = tf.saved_model.load(path)
        self._function = _signature(self._model, path)
        (self._output,) = self._function.structured_outputs
        self._as_tensor = tf.constant
        self._raw_ids = raw_ids

    def __call__(self, triggers: np.ndarray, items: np.ndarray) -> np.ndarray:
        scores = self._function(
            triggers=self._as_tensor(self._raw_ids[triggers - 1]),
            items=self._as_tensor(self._raw_ids[items - 1]),
        )
        return scores[self._output].numpy()


def _signature(model: Any, path: str) -> Any:
    if SIGNATURE not in model.signatures:
        raise ArtifactError(
            f"`{path}` must have the signature {SIGNATURE!r}. "
            f"Received: {sorted(model.signatures)}"
        )
    found = model.signatures[SIGNATURE]
    inputs = sorted(found.structured_input_signature[1])
    outputs = sorted(found.structured_outputs)
    if inputs != ["items", "triggers"] or len(outputs) != 1:
        raise ArtifactError(
            f"`{SIGNATURE}` of {path} must take triggers and items and have one "
            f"output. Received: {inputs} to {outputs}"
        )
    return found
