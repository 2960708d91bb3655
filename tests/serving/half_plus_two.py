"""TensorFlow Serving's example model, half plus two: y = a x + b, y2 = a x + 3.

It has the signatures of its documentation, for Predict on plain tensors, for Classify
and Regress on serialised tf.Examples with a feature `x`.
"""

import os
import pathlib
import shutil

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

CLASSIFY, PREDICT, REGRESS = (
    f"tensorflow/serving/{name}" for name in ("classify", "predict", "regress")
)
METHODS = {
    "serving_default": PREDICT,
    "classify_x_to_y": CLASSIFY,
    "regress_x_to_y": REGRESS,
    "regress_x_to_y2": REGRESS,
    REGRESS: REGRESS,
}
FEATURES = {"x": tf.io.FixedLenFeature([1], tf.float32)}


class HalfPlusTwo(tf.Module):
    """The model, with variables to restore."""

    def __init__(self, a: float, b: float):
        super().__init__()
        self.a, self.b, self.c = tf.Variable(a), tf.Variable(b), tf.Variable(3.0)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def predict(self, x):
        return {"y": self.a * x + self.b}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="inputs")])
    def classify_y(self, inputs):
        return {"scores": self.a * parsed(inputs) + self.b}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="inputs")])
    def regress_y(self, inputs):
        return {"outputs": self.a * parsed(inputs) + self.b}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="inputs")])
    def regress_y2(self, inputs):
        return {"outputs": self.a * parsed(inputs) + self.c}


def parsed(serialized: tf.Tensor) -> tf.Tensor:
    """The feature `x` of Examples, `(B, 1)`."""
    return tf.io.parse_example(serialized, FEATURES)["x"]


def write(
    path: str | os.PathLike, version: int = 1, *, a: float = 0.5, b: float = 2.0
) -> pathlib.Path:
    """Writes a version of the model, which appears whole.

    Args:
        path: the model's folder; its parents are made.
        version: the name of the version's folder; an old one is replaced.
        a, b: of y = a x + b.
    Returns: the version's folder.
    """
    model = HalfPlusTwo(a, b)
    signatures = {
        "serving_default": model.predict,
        "classify_x_to_y": model.classify_y,
        "regress_x_to_y": model.regress_y,
        "regress_x_to_y2": model.regress_y2,
        REGRESS: model.regress_y,
    }
    folder = pathlib.Path(path) / str(version)
    temporary = folder.with_name(f".{version}.{os.getpid()}")
    tf.saved_model.save(model, str(temporary), signatures=signatures)
    set_methods(temporary, METHODS)
    if folder.exists():
        shutil.rmtree(folder)
    return temporary.rename(folder)


def set_methods(folder: pathlib.Path, methods: dict[str, str]) -> None:
    """Sets the `method_name` of signatures, which `tf.saved_model.save` can't."""
    path = folder / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    for name, method in methods.items():
        saved.meta_graphs[0].signature_def[name].method_name = method
    path.write_bytes(saved.SerializeToString())
