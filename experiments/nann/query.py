"""Asks an export for one user's items: needs TensorFlow and the op library, no tfrec.

    python experiments/nann/query.py --export=runs/demo/export/1 \
        --library=tfrec/ops/_tfrec_ops.so --history=50,181,172 --k=10

prints one line of JSON: raw ids and scores, best first. Profile fields are unknown (0).
"""

import json
from collections.abc import Sequence

import tensorflow as tf
from absl import app, flags

_EXPORT = flags.DEFINE_string("export", None, "A version folder.", required=True)
_LIBRARY = flags.DEFINE_string(
    "library", None, "The op library; not needed for an export with reference ops."
)
_HISTORY = flags.DEFINE_list("history", [], "Raw item ids, the most recent last.")
_K = flags.DEFINE_integer("k", 10, "How many items.", lower_bound=1)


def main(argv: Sequence[str]) -> None:
    """Loads the export and prints what it retrieves."""
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    if _LIBRARY.value:
        tf.load_op_library(_LIBRARY.value)
    retrieve = tf.saved_model.load(_EXPORT.value).signatures["retrieve"]
    history = tf.constant([[int(item) for item in _HISTORY.value]], tf.int64)
    _, inputs = retrieve.structured_input_signature
    profile = {k: tf.zeros([1], tf.int32) for k in inputs if k.startswith("user_")}
    found = retrieve(history=history, k=tf.constant(_K.value), **profile)
    ids, scores = found["ids"][0].numpy(), found["scores"][0].numpy()
    print(json.dumps({"ids": ids.tolist(), "scores": scores.tolist()}))


if __name__ == "__main__":
    app.run(main)
