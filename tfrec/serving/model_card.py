"""The model card of an export: what it is, of which data, and what it needs to run.

It is `assets.extra/tfrec.json` of a version folder. What the card says of the graph
is read from the SavedModel that was written, not from what its writer meant to write.
"""

import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tfrec import __version__, artifacts
from tfrec.serving.saved_model import ops_of

PATH = pathlib.PurePosixPath("assets.extra", "tfrec.json")
FORMAT = 1
_OP_PREFIX = "Tfrec>"


@dataclasses.dataclass(frozen=True)
class ModelCard:
    """What only the one who trained the model can tell.

    Attributes:
        paper: authors, year, title.
        config: a mapping, or a dataclass: what was trained, and how.
        dataset: name of the data that it was trained on.
        dataset_sha256: of that data.
        commit: of the code that trained it.
    """

    paper: str
    config: Any = None
    dataset: str | None = None
    dataset_sha256: str | None = None
    commit: str | None = None

    def content(self) -> dict[str, Any]:
        """The fields as they stand in the file.

        Raises: ValueError: `config` has what JSON has not.
        """
        config = self.config
        if dataclasses.is_dataclass(config) and not isinstance(config, type):
            config = dataclasses.asdict(config)
        try:
            json.dumps(config, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ValueError(f"`config` must be JSON. Received: {error}") from error
        return {
            "paper": self.paper,
            "config": config,
            "dataset": {"name": self.dataset, "sha256": self.dataset_sha256},
            "commit": self.commit,
        }


def write(card: ModelCard, folder: pathlib.Path) -> dict[str, Any]:
    """Adds the card to a folder that has a `saved_model.pb`.

    Returns: the content of the file.
    Raises: ValueError: `card.config` has what JSON has not.
    """
    path = folder / PATH
    content = {"format": FORMAT, **card.content(), **_facts(folder)}
    path.parent.mkdir(exist_ok=True)
    artifacts.write_json(path, content)
    return content


def read(folder: pathlib.Path) -> dict[str, Any]:
    """The card of a version folder.

    Raises: FileNotFoundError: it has none.
    """
    return json.loads((folder / PATH).read_text(encoding="utf-8"))


def _facts(folder: pathlib.Path) -> dict[str, Any]:
    """What the SavedModel itself tells."""
    text = (folder / "saved_model.pb").read_bytes()
    (graph,) = saved_model_pb2.SavedModel.FromString(text).meta_graphs
    ops = sorted({op for op in ops_of(graph.graph_def) if op.startswith(_OP_PREFIX)})
    functions = graph.graph_def.library.function
    return {
        "versions": {"tensorflow": tf.__version__, "tfrec": __version__},
        "op_library": {"file": "_tfrec_ops.so", "ops": ops} if ops else None,
        "jit": any(f.attr["_XlaMustCompile"].b for f in functions),
        "signatures": {
            name: {
                "inputs": _tensors(signature.inputs),
                "outputs": _tensors(signature.outputs),
            }
            for name, signature in sorted(graph.signature_def.items())
            if not name.startswith("__")
        },
    }


def _tensors(infos: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Dtype and shape by name; a dimension of any size is null, any shape too."""
    return {
        name: {
            "dtype": tf.as_dtype(info.dtype).name,
            "shape": tf.TensorShape(info.tensor_shape).as_list()
            if not info.tensor_shape.unknown_rank
            else None,
        }
        for name, info in sorted(infos.items())
    }
