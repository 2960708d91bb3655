"""Where a string in a SavedModel comes from: the saver, an asset, or elsewhere.

Followed back are identities, arguments of functions to what their callers and the
object graph give, and variables of the graph that one op alone assigns to: that is how
`tf.saved_model.save` hands on paths. Anything else ends the search.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator

from tensorflow.core.framework import node_def_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from tfrec.serving import allowed_ops

GRAPH = ""
SAVER, ASSET = "the saver's path", "an asset"
# Words, or what to follow: a function, or `GRAPH`, and a tensor in it.
Source = str | tuple[str, str]

_FED = ("Const", "Placeholder", "PlaceholderWithDefault")
_USES_OF_A_PATH = {"AssignVariableOp", "ReadVariableOp", "VarIsInitializedOp"}
_OTHER_VARIABLE = "a variable that others may assign to"


class FilePaths:
    """The functions of a meta graph, who calls them, and with what.

    Args:
        meta: its functions have names of their own, and so have arguments and nodes
            within each.

    Attributes:
        functions: by name.
        nodes: of each function and of `GRAPH`, by name.
        callers: of a function: nodes, each with the function that it is in.
        concrete: the functions that the object graph offers, by name.
        gradients: names of functions that are a gradient.
    """

    def __init__(self, meta: meta_graph_pb2.MetaGraphDef):
        library = meta.graph_def.library
        self.functions = {f.signature.name: f for f in library.function}
        bodies = {name: f.node_def for name, f in self.functions.items()}
        self.nodes = {
            function: {node.name: node for node in nodes}
            for function, nodes in [(GRAPH, meta.graph_def.node), *bodies.items()]
        }
        self.callers = defaultdict(list)
        self._handles: Counter[bytes] = Counter()
        for function, nodes in self.nodes.items():
            for node in nodes.values():
                for name in called(node):
                    self.callers[name].append((function, node))
                if node.op == "VarHandleOp":
                    self._handles[_shared_name(node) or node.name.encode()] += 1
        self._users = defaultdict(list)
        for node in self.nodes[GRAPH].values():
            for name in data_inputs(node):
                self._users[node_of(name)].append(node)
        self.concrete = meta.object_graph_def.concrete_functions
        self.gradients = {g.gradient_func for g in library.gradient} | {
            g.gradient_func for g in library.registered_gradients
        }
        self._objects = meta.object_graph_def.nodes
        self._saver = meta.saver_def.filename_tensor_name
        self._assets = {a.tensor_info.name for a in meta.asset_file_def}

    def sources(self, function: str, tensor: str) -> set[str]:
        """All that a string may be: `SAVER`, `ASSET`, or words for a message.

        Args:
            function: where the string is used, or `GRAPH`.
            tensor: its name there.
        """
        found: set[str] = set()
        seen: set[tuple[str, str]] = set()
        pending = [(function, tensor)]
        while pending:
            item = pending.pop()
            if item in seen:
                continue
            seen.add(item)
            for source in self._step(*item):
                if isinstance(source, str):
                    found.add(source)
                else:
                    pending.append(source)
        return found

    def _step(self, function: str, tensor: str) -> Iterator[Source]:
        if function == GRAPH:
            yield self._in_graph(tensor)
            return
        arguments = [a.name for a in self.functions[function].signature.input_arg]
        if tensor in arguments:
            yield from self._argument(function, arguments.index(tensor))
            return
        node = self.nodes[function].get(node_of(tensor))
        if node is not None and node.op == "Identity":
            yield function, data_input(node, 0)
        else:
            yield _output_of(node)

    def _argument(self, function: str, index: int) -> Iterator[Source]:
        """What callers, and the object graph, give for an argument."""
        arguments = self.functions[function].signature.input_arg
        if any(a.number_attr or a.type_list_attr for a in arguments):
            yield "an argument that is a list"
        for caller, node in self.callers[function]:
            if node.op in allowed_ops.CALLS and called(node) == [function]:
                yield caller, data_input(node, index)
            else:
                yield f"an argument that `{node.op}` gives"
        if function in self.concrete:
            bound = self.concrete[function].bound_inputs
            place = index - (len(arguments) - len(bound))
            yield self._bound(bound[place]) if place >= 0 else "a caller"

    def _bound(self, node_id: int) -> str:
        known = 0 <= node_id < len(self._objects)
        kind = self._objects[node_id].WhichOneof("kind") if known else None
        return ASSET if kind == "asset" else f"an object of kind `{kind}`"

    def _in_graph(self, tensor: str) -> Source:
        node = self.nodes[GRAPH].get(node_of(tensor))
        if node is None:
            return _output_of(node)
        full = tensor if ":" in tensor else f"{tensor}:0"
        if full == self._saver and node.op in _FED:
            return SAVER
        if full in self._assets and node.op in _FED:
            return ASSET
        if node.op == "Identity":
            return GRAPH, data_input(node, 0)
        if node.op == "ReadVariableOp":
            return self._assigned(data_input(node, 0))
        return _output_of(node)

    def _assigned(self, name: str) -> Source:
        """What a variable of the graph holds that one op alone assigns to."""
        handle = self.nodes[GRAPH].get(name)
        users = self._users[name]
        values = [data_input(n, 1) for n in users if n.op == "AssignVariableOp"]
        if (
            handle is None
            or handle.op != "VarHandleOp"
            or self._handles[_shared_name(handle)] != 1
            or {n.op for n in users} - _USES_OF_A_PATH
            or len(values) != 1
        ):
            return _OTHER_VARIABLE
        return GRAPH, values[0]


def called(node: node_def_pb2.NodeDef) -> list[str]:
    """The functions that a node's attributes name."""
    names = []
    for value in node.attr.values():
        kind = value.WhichOneof("value")
        if kind == "func":
            names.append(value.func.name)
        elif kind == "list":
            names += [function.name for function in value.list.func]
    return names


def node_of(tensor: str) -> str:
    """The node of a tensor or of a control input."""
    return tensor.removeprefix("^").partition(":")[0]


def data_inputs(node: node_def_pb2.NodeDef) -> list[str]:
    """The tensors that a node takes."""
    return [name for name in node.input if not name.startswith("^")]


def data_input(node: node_def_pb2.NodeDef, index: int) -> str:
    """One of them, or "" where there are fewer."""
    inputs = data_inputs(node)
    return inputs[index] if index < len(inputs) else ""


def _shared_name(handle: node_def_pb2.NodeDef) -> bytes:
    return handle.attr["shared_name"].s


def _output_of(node: node_def_pb2.NodeDef | None) -> str:
    return "no node" if node is None else f"the output of `{node.op}`"
