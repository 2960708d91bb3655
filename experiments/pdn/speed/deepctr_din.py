"""DeepCTR's DIN as a process of its own environment: no import of this project.

    python experiments/pdn/speed/deepctr_din.py batches.npz THREADS

Prints a line of JSON when it is ready. Then it trains one step for every number of a
batch that it reads, and answers each with a line: the loss.
"""

import importlib.metadata
import json
import sys

import numpy as np
import tensorflow as tf

EMBEDDING, ATTENTION, UNITS = 32, (32,), (80, 40)  # as in tfrec.baselines.config
PACKAGES = ("deepctr", "tensorflow", "keras", "tf-keras")


def make_model(sizes, length):
    """The network: attention over item fields, other behaviour fields are averaged.

    Activations are the package's own, ReLU and Dice: its PReLU is not built here.

    Args:
        sizes: of each field's table, by part: `user`, `candidates`, `behaviour`.
        length: L.
    """
    from deepctr.feature_column import SparseFeat, VarLenSparseFeat
    from deepctr.models import DIN

    def sparse(name, size, table=None):
        return SparseFeat(name, size, embedding_dim=EMBEDDING, embedding_name=table)

    columns = [
        sparse(name, size)
        for part in ("user", "candidates")
        for name, size in sizes[part].items()
    ]
    columns += [
        VarLenSparseFeat(sparse(f"hist_{name}", size, name), length)
        for name, size in sizes["candidates"].items()
    ]
    columns += [
        VarLenSparseFeat(sparse(name, size), length, combiner="mean")
        for name, size in sizes["behaviour"].items()
    ]
    model = DIN(
        columns,
        list(sizes["candidates"]),
        dnn_hidden_units=UNITS,
        att_hidden_size=ATTENTION,
        l2_reg_embedding=0,
    )
    model.compile("adam", "binary_crossentropy")
    return model


def read_batches(path):
    """Returns sizes, L, and each batch as tensors of one row a candidate."""
    with np.load(path) as file:
        sizes = json.loads(str(file["sizes"]))
        columns = {name: file[name] for name in file.files if name != "sizes"}
    labels = columns.pop("labels")
    batches = [
        (
            {name: tf.constant(values[turn]) for name, values in columns.items()},
            tf.constant(labels[turn]),
        )
        for turn in range(len(labels))
    ]
    return sizes, columns["hist_item"].shape[-1], batches


def say(answer):
    """Answers the process that started this one."""
    print(json.dumps(answer), flush=True)


def versions():
    """Of the packages that are there."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def main():
    """Builds the model, then trains a step a line."""
    tf.config.threading.set_intra_op_parallelism_threads(int(sys.argv[2]))
    tf.config.threading.set_inter_op_parallelism_threads(int(sys.argv[2]))
    sizes, length, batches = read_batches(sys.argv[1])
    model = make_model(sizes, length)
    model.train_on_batch(*batches[0])
    say({"versions": versions()})
    for line in sys.stdin:
        loss = model.train_on_batch(*batches[int(line) % len(batches)])
        say({"loss": float(loss)})


if __name__ == "__main__":
    main()
