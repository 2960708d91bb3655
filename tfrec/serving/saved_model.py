"""Saving functions as the signatures of a SavedModel, and what is in its graph."""

import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf
from tensorflow.core.framework.graph_pb2 import GraphDef


def save_signatures(
    name: str, signatures: Mapping[str, Any], folder: pathlib.Path
) -> None:
    """Saves functions and the variables that they read, each once.

    A Keras variable is not tracked itself: TensorFlow would save a copy, and a session
    (a model server, the C API) would restore the copy alone.

    Args:
        name: of the module that holds the variables.
        signatures: concrete functions by name.
        folder: gets `saved_model.pb` and `variables/`.
    """
    root = tf.Module(name=name)
    used = {id(v): v for f in signatures.values() for v in f.variables}
    root.used = list(used.values())
    tf.saved_model.save(root, str(folder), signatures=dict(signatures))


def ops_of(graph: GraphDef) -> Iterator[str]:
    """The op of each node of a graph and of its functions."""
    functions = (function.node_def for function in graph.library.function)
    for nodes in (graph.node, *functions):
        yield from (node.op for node in nodes)
