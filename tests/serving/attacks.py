"""Models that read or write files when they are served, and what they do."""

import dataclasses
import pathlib
from collections.abc import Callable

import tensorflow as tf

SECRET = b"root:x:0:0"


@dataclasses.dataclass(frozen=True)
class Attack:
    """A model that leaves its folder.

    Attributes:
        op: that the message must name.
        make: of a file that holds `SECRET` and a file that must not appear: the
            function of the model, from strings `(B,)` to strings.
        writes: whether the other file appears; else the answer holds the secret.
    """

    op: str
    make: Callable[[str, str], Callable[[tf.Tensor], tf.Tensor]]
    writes: bool = False


def _read(secret, _):
    return lambda x: tf.io.read_file(secret)


def _read_what_a_client_names(secret, _):
    return lambda x: tf.io.read_file(tf.where(x[0] == "", tf.constant(secret), x[0]))


def _write(_, target):
    def run(x):
        with tf.control_dependencies([tf.io.write_file(target, x[0])]):
            return tf.identity(x)

    return run


def _nested(secret, _):
    @tf.function
    def inner(x):
        return tf.io.read_file(secret)

    @tf.function(reduce_retracing=True)
    def middle(x):
        return inner(x)

    return middle


def _in_a_loop(secret, _):
    def run(x):
        def body(i, _):
            return i + 1, tf.io.read_file(secret)

        start = (tf.size(x) - 1, tf.constant(""))
        return tf.while_loop(lambda i, _: i < 1, body, start)[1]

    return run


def _in_a_branch(secret, _):
    return lambda x: tf.cond(
        tf.size(x) > 0, lambda: tf.io.read_file(secret), lambda: tf.constant("")
    )


def _mapped(secret, _):
    return lambda x: tf.map_fn(lambda _: tf.io.read_file(secret), x)


def _python(secret, _):
    def run(x):
        return tf.py_function(lambda: pathlib.Path(secret).read_bytes(), [], tf.string)

    return run


def _numpy(secret, _):
    return lambda x: tf.numpy_function(
        lambda: pathlib.Path(secret).read_bytes(), [], tf.string, stateful=False
    )


def _dataset(secret, _):
    def run(x):
        lines = tf.raw_ops.TextLineDataset(
            filenames=secret, compression_type="", buffer_size=0
        )
        (line,) = tf.raw_ops.DatasetToSingleElement(
            dataset=lines, output_types=[tf.string], output_shapes=[[]]
        )
        return line + x

    return run


def _folder(secret, _):
    return lambda x: tf.io.matching_files(secret + "*") + SECRET


def _log(_, target):
    def run(x):
        tf.print(x, output_stream=f"file://{target}")
        return tf.identity(x)

    return run


def _summary(_, target):
    def run(x):
        writer = tf.raw_ops.SummaryWriter()
        created = tf.raw_ops.CreateSummaryFileWriter(
            writer=writer,
            logdir=target,
            max_queue=1,
            flush_millis=1,
            filename_suffix="",
        )
        with tf.control_dependencies([created]):
            return tf.identity(x)

    return run


def _table(secret, _):
    return lambda x: _first_line(tf.constant(secret))


def _table_that_a_client_names(secret, _):
    return lambda x: _first_line(tf.where(x[0] == "", tf.constant(secret), x[0]))


def _first_line(path: tf.Tensor) -> tf.Tensor:
    """The first line of a file, through a table of its lines by their numbers."""
    table = tf.raw_ops.AnonymousHashTable(key_dtype=tf.int64, value_dtype=tf.string)
    filled = tf.raw_ops.InitializeTableFromTextFileV2(
        table_handle=table, filename=path, key_index=-1, value_index=-2
    )
    with tf.control_dependencies([filled]):
        return tf.raw_ops.LookupTableFindV2(
            table_handle=table, keys=tf.constant([0], tf.int64), default_value=""
        )


def _checkpoint(secret, _):
    prefix = secret + ".checkpoint"
    tf.raw_ops.SaveV2(
        prefix=prefix, tensor_names=["s"], shape_and_slices=[""], tensors=[SECRET]
    )
    return lambda x: tf.raw_ops.RestoreV2(
        prefix=prefix, tensor_names=["s"], shape_and_slices=[""], dtypes=[tf.string]
    )[0]


def _save(_, target):
    def run(x):
        saved = tf.raw_ops.SaveV2(
            prefix=target, tensor_names=["x"], shape_and_slices=[""], tensors=[x]
        )
        with tf.control_dependencies([saved]):
            return tf.identity(x)

    return run


def _memory_map(secret, _):
    def run(x):
        mapped = tf.raw_ops.ImmutableConst(
            dtype=tf.uint8, shape=[len(SECRET)], memory_region_name=secret
        )
        names = tf.constant([chr(i) for i in range(128)])
        return tf.strings.reduce_join(tf.gather(names, tf.cast(mapped, tf.int32)))

    return run


ATTACKS = {
    "read": Attack("ReadFile", _read),
    "client": Attack("ReadFile", _read_what_a_client_names),
    "write": Attack("WriteFile", _write, writes=True),
    "nested": Attack("ReadFile", _nested),
    "loop": Attack("ReadFile", _in_a_loop),
    "branch": Attack("ReadFile", _in_a_branch),
    "mapped": Attack("ReadFile", _mapped),
    "python": Attack("EagerPyFunc", _python),
    "numpy": Attack("PyFuncStateless", _numpy),
    "dataset": Attack("TextLineDataset", _dataset),
    "folder": Attack("MatchingFiles", _folder),
    "log": Attack("PrintV2", _log, writes=True),
    "summary": Attack("CreateSummaryFileWriter", _summary, writes=True),
    "table": Attack("InitializeTableFromTextFileV2", _table),
    "client_table": Attack("InitializeTableFromTextFileV2", _table_that_a_client_names),
    "checkpoint": Attack("RestoreV2", _checkpoint),
    "save": Attack("SaveV2", _save, writes=True),
    "memory_map": Attack("ImmutableConst", _memory_map),
}


def write(attack: Attack, folder: pathlib.Path) -> pathlib.Path:
    """Saves an attack's model; its files are `secret` and `target` of the folder.

    Returns: the folder of the model.
    """
    secret, target = folder / "secret", folder / "target"
    secret.write_bytes(SECRET)
    run = tf.function(attack.make(str(secret), str(target)))
    module = tf.Module()
    module.variable = tf.Variable(1.0)
    module.run = run
    spec = tf.TensorSpec([None], tf.string, name="x")
    tf.saved_model.save(module, str(folder / "1"), run.get_concrete_function(spec))
    return folder / "1"
