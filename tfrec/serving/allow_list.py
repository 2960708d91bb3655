"""Checks that a SavedModel computes and does nothing else, before it is loaded.

A version folder is data. Its `saved_model.pb` is parsed, and nothing of it is run:

- every node of every graph and function has an op of `allowed_ops`;
- ops that name files are where `file_ops` says;
- assets are files of the folder `assets`, and no link leads out of the version.

This is a rule about files, networks and processes. It is no sandbox: a model may still
take memory and time, and what is checked is what was on disk then.
"""

import os
import pathlib
from collections import Counter
from collections.abc import Iterable, Iterator

from google.protobuf.message import DecodeError
from tensorflow.core.framework import graph_pb2, node_def_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from tfrec.serving import allowed_ops
from tfrec.serving.apis import grpc
from tfrec.serving.errors import ServingError
from tfrec.serving.file_ops import FileOps
from tfrec.serving.file_paths import GRAPH, called

NAME = "saved_model.pb"
_SHOWN, _LENGTH = 5, 300  # problems in a message, and characters of each


def check(folder: str | os.PathLike) -> frozenset[str]:
    """Checks a version.

    Args:
        folder: of the version, with `saved_model.pb`.
    Returns: the names of the ops of its graphs and functions; those of Tfrec start with
        `Tfrec>` and need the op library.
    Raises: ServingError:
        NOT_FOUND: there is no `saved_model.pb`.
        INVALID_ARGUMENT: it can't be parsed.
        FAILED_PRECONDITION: a rule is broken; the message names op, node and rule.
    """
    folder = pathlib.Path(folder)
    saved = _read(folder)
    problems = list(_file_problems(folder))
    for meta in saved.meta_graphs:
        problems += _graph_problems(meta)
        problems += _asset_problems(folder, meta)
    if problems:
        shown = [text[:_LENGTH] for text in problems[:_SHOWN]]
        if len(problems) > _SHOWN:
            shown.append(f"and {len(problems) - _SHOWN} more")
        raise ServingError(
            grpc.StatusCode.FAILED_PRECONDITION,
            f"`{folder}` breaks the rules for models in docs/serving.md, which "
            f"--allow_all_ops switches off: {'; '.join(shown)}",
        )
    graphs = [meta.graph_def for meta in saved.meta_graphs]
    return frozenset(node.op for graph in graphs for _, node in _nodes(graph))


def _read(folder: pathlib.Path) -> saved_model_pb2.SavedModel:
    path = folder / NAME
    if not path.is_file():
        raise ServingError(
            grpc.StatusCode.NOT_FOUND, f"`{path}` must be a file of a SavedModel."
        )
    try:
        saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    except (OSError, DecodeError) as error:
        raise ServingError(
            grpc.StatusCode.INVALID_ARGUMENT,
            f"`{path}` must be a SavedModel. Received: {error}",
        ) from error
    if not saved.meta_graphs:
        raise ServingError(
            grpc.StatusCode.INVALID_ARGUMENT, f"`{path}` must hold a meta graph."
        )
    return saved


def _nodes(graph: graph_pb2.GraphDef) -> Iterator[tuple[str, node_def_pb2.NodeDef]]:
    """All nodes, each with the name of its function, or `GRAPH`."""
    for node in graph.node:
        yield GRAPH, node
    for function in graph.library.function:
        for node in function.node_def:
            yield function.signature.name, node


def _graph_problems(meta: meta_graph_pb2.MetaGraphDef) -> list[str]:
    graph = meta.graph_def
    functions = [function.signature.name for function in graph.library.function]
    known = set(functions)
    problems, files = [], []
    for function, node in _nodes(graph):
        if node.op in allowed_ops.FILES:
            files.append((function, node))
        else:
            problem = _node_problem(node, known)
            if problem:
                where = f"function `{function}`" if function else "the graph"
                problems.append(f"node `{node.name}` of {where} {problem}")
    repeated = list(_repeated(functions, "functions"))
    for function, names in _names(graph):
        repeated += _repeated(names, f"nodes of `{function}`")
    if problems or repeated:
        return problems + repeated
    return list(FileOps(meta, files).problems()) if files else []


def _node_problem(node: node_def_pb2.NodeDef, functions: set[str]) -> str | None:
    if node.op not in allowed_ops.COMPUTING:
        return (
            f"has the op `{node.op}`, and only TensorFlow's computing ops and Tfrec's "
            "are allowed"
        )
    rule = allowed_ops.ATTRIBUTES.get(node.op)
    if rule is not None and rule.attribute in node.attr:
        value = node.attr[rule.attribute]
        kind = value.WhichOneof("value")
        if kind != rule.kind or getattr(value, kind) not in rule.values:
            return (
                f"has the op `{node.op}`, whose `{rule.attribute}` must be "
                f"{rule.says}. Received: {value}".strip()
            )
    missing = [name for name in called(node) if name not in functions]
    if missing:
        return f"calls the function `{missing[0]}`, which must be in the library"
    return None


def _names(graph: graph_pb2.GraphDef) -> Iterator[tuple[str, list[str]]]:
    """The names of each body: a string names one of them, or one argument."""
    yield "the graph", [node.name for node in graph.node]
    for function in graph.library.function:
        arguments = [argument.name for argument in function.signature.input_arg]
        names = [node.name for node in function.node_def]
        yield function.signature.name, arguments + names


def _repeated(names: Iterable[str], what: str) -> Iterator[str]:
    for name, count in Counter(names).items():
        if count > 1 or not name:
            yield f"{what} must have names of their own. Received: {count} `{name}`"


def _asset_problems(
    folder: pathlib.Path, meta: meta_graph_pb2.MetaGraphDef
) -> Iterator[str]:
    assets = folder.resolve() / "assets"
    for asset in meta.asset_file_def:
        name = asset.filename
        if not (_inside(assets, name) and (assets / name).is_file()):
            yield f"an asset must be a file below `assets`. Received: {name!r}"


def _file_problems(folder: pathlib.Path) -> Iterator[str]:
    """What is neither a file nor a folder of the version, nor a link to one."""
    root = folder.resolve()
    for parent, folders, files in os.walk(root):
        for path in [pathlib.Path(parent, name) for name in (*folders, *files)]:
            name = path.relative_to(root)
            if not _inside(root, name) or not (path.is_file() or path.is_dir()):
                yield f"`{name}` must be a file or a folder of the version"


def _inside(root: pathlib.Path, name: str | os.PathLike) -> bool:
    """Whether there is something below `root` when links are followed."""
    if ".." in pathlib.PurePath(name).parts:
        return False
    try:
        return (root / name).resolve(strict=True).is_relative_to(root)
    except (OSError, RuntimeError, ValueError):  # too long, a loop, a zero byte
        return False
