"""A process that imports TensorFlow and nothing of ours asks an exported model."""

import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Mapping

import numpy as np

_ONLY_TENSORFLOW = """
import json, sys
import tensorflow as tf

library, model, request = sys.argv[1:]
if library != "-":
    tf.load_op_library(library)
retrieve = tf.saved_model.load(model).signatures["retrieve"]
specs = retrieve.structured_input_signature[1]
inputs = {
    name: tf.constant(value, specs[name].dtype)
    for name, value in json.loads(request).items()
}
found = retrieve(**inputs)
assert not [name for name in sys.modules if name.partition(".")[0] == "tfrec"]
print(json.dumps({name: value.numpy().tolist() for name, value in found.items()}))
"""


def retrieve(
    library: str, model: pathlib.Path, request: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Runs the signature `retrieve`.

    Args:
        library: the op library; "-" loads none.
        model: a version folder.
        request: all inputs by name, as arrays or numbers.
    """
    sent = json.dumps({k: np.asarray(v).tolist() for k, v in request.items()})
    done = subprocess.run(
        [sys.executable, "-c", _ONLY_TENSORFLOW, library, model, sent],
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
        cwd=model.anchor,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {k: np.array(v) for k, v in json.loads(done.stdout).items()}
