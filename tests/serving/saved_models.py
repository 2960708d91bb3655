"""A model with all that TensorFlow's saver writes, and ways to change what it wrote."""

import contextlib
import pathlib
from collections.abc import Iterator

import tensorflow as tf
from tensorflow.core.framework import function_pb2, node_def_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

ASSET = "words.txt"
EXAMPLE = tf.train.Example(
    features=tf.train.Features(
        feature={"word": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"b"]))}
    )
).SerializeToString()


class Words(tf.Module):
    """Tables from a file, from tensors and one that is saved; a variable; XLA."""

    def __init__(self, path: str):
        super().__init__()
        lines = tf.lookup.TextFileInitializer(
            path, tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, -1
        )
        self.file = tf.lookup.StaticHashTable(lines, -1)
        pairs = tf.lookup.KeyValueTensorInitializer(["b"], tf.constant([10], tf.int64))
        self.pairs = tf.lookup.StaticHashTable(pairs, -1)
        self.saved = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, -1)
        self.saved.insert(["b"], tf.constant([100], tf.int64))
        self.scale = tf.Variable(2, dtype=tf.int64)

    @tf.function(jit_compile=True)
    def scaled(self, x):
        return self.scale * x

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def serve(self, examples):
        parsed = tf.io.parse_example(examples, {"word": tf.io.VarLenFeature(tf.string)})
        words = parsed["word"].values
        tf.print("words:", words)
        tables = [self.file, self.pairs, self.saved]
        return {"y": self.scaled(tf.add_n([t.lookup(words) for t in tables]))}


def words(folder: pathlib.Path) -> pathlib.Path:
    """Saves `Words`, which answers `EXAMPLE` with 2 * (1 + 10 + 100); its folder."""
    vocabulary = folder / ASSET
    vocabulary.write_text("a\nb\n")
    module = Words(str(vocabulary))
    tf.saved_model.save(module, str(folder / "1"), signatures=module.serve)
    vocabulary.unlink()
    return folder / "1"


@contextlib.contextmanager
def edited(folder: pathlib.Path) -> Iterator[meta_graph_pb2.MetaGraphDef]:
    """Gives the meta graph to change, and writes it."""
    path = folder / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    yield saved.meta_graphs[0]
    path.write_bytes(saved.SerializeToString())


def function(meta: meta_graph_pb2.MetaGraphDef, op: str) -> function_pb2.FunctionDef:
    """The function with an op."""
    functions = meta.graph_def.library.function
    (found,) = [f for f in functions if op in {n.op for n in f.node_def}]
    return found


def node(nodes, op: str) -> node_def_pb2.NodeDef:
    """The node with an op."""
    (found,) = [n for n in nodes if n.op == op]
    return found


def caller(meta: meta_graph_pb2.MetaGraphDef, name: str) -> node_def_pb2.NodeDef:
    """The node of the graph that calls a function."""
    (found,) = [n for n in meta.graph_def.node if n.attr["f"].func.name == name]
    return found


def text(name: str, value: str) -> node_def_pb2.NodeDef:
    """A constant string."""
    with tf.Graph().as_default():
        return tf.constant(value, name=name).op.node_def
