"""Asks a PDN export for one user's items: needs TensorFlow and the op library alone.

    python experiments/pdn/query.py --export=runs/pdn/export/1 \
        --library=tfrec/ops/_tfrec_ops.so --request=runs/pdn/request.json --k=10

The request is JSON: each input of `retrieve` but k by name, with a batch of one. Prints
one line of JSON: raw ids, scores, and of each item the triggers and their shares.
"""

import json
import pathlib
from collections.abc import Sequence

import tensorflow as tf
from absl import app, flags

_EXPORT = flags.DEFINE_string("export", None, "A version folder.", required=True)
_LIBRARY = flags.DEFINE_string(
    "library", None, "The op library; not needed for an export with reference ops."
)
_REQUEST = flags.DEFINE_string("request", None, "A JSON file.", required=True)
_K = flags.DEFINE_integer("k", 10, "How many items.", lower_bound=1)


def main(argv: Sequence[str]) -> None:
    """Loads the export and prints what it retrieves."""
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    if _LIBRARY.value:
        tf.load_op_library(_LIBRARY.value)
    retrieve = tf.saved_model.load(_EXPORT.value).signatures["retrieve"]
    _, specs = retrieve.structured_input_signature
    request = json.loads(pathlib.Path(_REQUEST.value).read_text(encoding="utf-8"))
    if missing := sorted(set(specs) - {"k"} - set(request)):
        raise app.UsageError(
            f"--request must hold {sorted(set(specs) - {'k'})}. Missing: {missing}"
        )
    inputs = {name: tf.constant(request[name], specs[name].dtype) for name in request}
    found = retrieve(k=tf.constant(_K.value), **inputs)
    paths = [
        [[trigger, share] for trigger, share in zip(*pair, strict=True) if share > 0]
        for pair in zip(
            found["path_triggers"][0].numpy().tolist(),
            found["path_contributions"][0].numpy().tolist(),
            strict=True,
        )
    ]
    ids, scores = found["ids"][0].numpy(), found["scores"][0].numpy()
    print(json.dumps({"ids": ids.tolist(), "scores": scores.tolist(), "paths": paths}))


if __name__ == "__main__":
    app.run(main)
