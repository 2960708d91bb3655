"""Where the ops of a SavedModel that name files run, and which files these are.

Three kinds may be there, each for one purpose alone:

- the saver's write (`SaveV2`, and what makes its names) runs when somebody saves, so
  never in a server;
- the saver's `RestoreV2` runs when a model is loaded, on the path that is fed then;
- a table's `InitializeTableFromTextFileV2` runs when a model is loaded, on an asset.

Who runs a node is found by going up the calls from its function to nodes of the graph,
and up the graph from what a loader or a request asks for. What can't be followed is
refused.
"""

from collections.abc import Iterable, Iterator

from tensorflow.core.framework import node_def_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from tfrec.serving import allowed_ops
from tfrec.serving.file_paths import (
    ASSET,
    GRAPH,
    SAVER,
    FilePaths,
    data_input,
    node_of,
)

_INIT = "__saved_model_init_op"
_SAVING, _RESTORING, _LOADING = "saving", "restoring", "loading"
_REQUEST = "a signature"
# Of others, the runtime may put one function in the place of another.
_FUNCTION_ATTRIBUTES = {"_construction_context", "_input_shapes"}


class FileOps:
    """The ops of a meta graph that name files.

    Args:
        meta: as `FilePaths`.
        nodes: the nodes to check, each with the name of its function, or `GRAPH`.
    """

    def __init__(
        self,
        meta: meta_graph_pb2.MetaGraphDef,
        nodes: Iterable[tuple[str, node_def_pb2.NodeDef]],
    ):
        self._nodes = nodes
        self._paths = FilePaths(meta)
        signatures = dict(meta.signature_def)
        init = [signatures.pop(_INIT)] if _INIT in signatures else []
        collections = meta.collection_def.values()
        loading = [name for c in collections for name in c.node_list.value]
        self._runs = {
            _SAVING: self._upstream([meta.saver_def.save_tensor_name]),
            _RESTORING: self._upstream([meta.saver_def.restore_op_name]),
            _LOADING: self._upstream([*loading, *_outputs(init)]),
            _REQUEST: self._upstream(_outputs(signatures.values())),
        }

    def problems(self) -> Iterator[str]:
        """A sentence for each node that is not where it may be."""
        for function, node in self._nodes:
            problem = self._problem(function, node)
            if problem:
                where = f"function `{function}`" if function else "the graph"
                yield f"`{node.op}` (node `{node.name}` of {where}) must {problem}"

    def _problem(self, function: str, node: node_def_pb2.NodeDef) -> str | None:
        if node.op in allowed_ops.SAVE:
            return self._wrong_run(function, node, _SAVING)
        if node.op in allowed_ops.RESTORE:
            when, place, rule = _RESTORING, 0, SAVER
        else:
            when, place, rule = _LOADING, 1, ASSET
        found = self._paths.sources(function, data_input(node, place))
        if found != {rule}:
            return f"get its path from {rule}. Received: {_listed(found)}"
        return self._wrong_run(function, node, when)

    def _wrong_run(
        self, function: str, node: node_def_pb2.NodeDef, when: str
    ) -> str | None:
        """The rule that is broken by who runs a node."""
        functions, top = self._above(function, node)
        for name in sorted(functions):
            attributes = set(self._paths.functions[name].attr) - _FUNCTION_ATTRIBUTES
            if attributes:
                return f"be in a function without the attributes {_listed(attributes)}"
        others = {key for key, names in self._runs.items() if names & top} - {when}
        loaded = functions & set(self._paths.concrete)
        if when != _LOADING:  # functions of the object graph may be run at any time
            others |= {f"the function `{name}`" for name in loaded}
        others |= {
            f"the gradient `{name}`" for name in functions & self._paths.gradients
        }
        if others:
            return f"run in {when} alone. Received: also in {_listed(others)}"
        if not top <= self._runs[when] or not (top or loaded):
            return f"run in {when}. Received: it does not"
        return None

    def _above(
        self, function: str, node: node_def_pb2.NodeDef
    ) -> tuple[set[str], set[str]]:
        """The functions that run a node, and the nodes of the graph that do."""
        functions: set[str] = set()
        top: set[str] = set()
        pending = [(function, node)]
        while pending:
            function, node = pending.pop()
            if function == GRAPH:
                top.add(node.name)
            elif function not in functions:
                functions.add(function)
                pending += self._paths.callers[function]
        return functions, top

    def _upstream(self, tensors: Iterable[str]) -> set[str]:
        """The nodes of the graph that run when some are asked for."""
        graph = self._paths.nodes[GRAPH]
        found: set[str] = set()
        pending = [node_of(tensor) for tensor in tensors]
        while pending:
            name = pending.pop()
            if name in graph and name not in found:
                found.add(name)
                pending += [node_of(tensor) for tensor in graph[name].input]
        return found


def _outputs(signatures: Iterable[meta_graph_pb2.SignatureDef]) -> Iterator[str]:
    for signature in signatures:
        for info in signature.outputs.values():
            yield from _tensors(info)


def _tensors(info: meta_graph_pb2.TensorInfo) -> Iterator[str]:
    sparse = info.coo_sparse
    yield from (
        info.name,
        sparse.values_tensor_name,
        sparse.indices_tensor_name,
        sparse.dense_shape_tensor_name,
    )
    for component in info.composite_tensor.components:
        yield from _tensors(component)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"
