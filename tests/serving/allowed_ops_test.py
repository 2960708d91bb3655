"""The lists against the registry of the TensorFlow that is installed.

`refused` says why an op without state is not in the list. When a TensorFlow comes whose
ops differ, these tests fail, and somebody reads what the new ops do.
"""

import re

import pytest
import tensorflow as tf

from tests.serving import op_registry
from tfrec import ops
from tfrec.serving import allowed_ops

# An input, an output or an attribute with such a name leads out of the graph: to files,
# to hosts, to functions of Python, to a graph in a string.
OUTSIDE = re.compile(
    r"file|path(?!s)|url|address|token$|descriptor|graph_def|memory_region|debug_ops"
    r"|prefix|basename"
)
GROUPS = {
    "input pipelines, which read files": r"Dataset|Iterator|CompressElement"
    r"|UncompressElement|GetElement|^GetOptions|^WindowOp|^ComputeBatchSize",
    "the debugger, which writes files": r"^Debug",
    "XLA itself, and custom calls of it": r"^Xla",
    "other devices and hosts": r"^TPU|^Tpu|SparseCore|feed|Prelinearize|^DTensor|Mesh"
    r"|^Relayout",
    "an experiment that has no kernels": r"^Risc",
    "ends the process": r"^Abort$",
}


def refused(op) -> str | None:
    """Why an op without state is not allowed; None: it only computes."""
    if not hasattr(tf.raw_ops, op.name):
        return "TensorFlow's own use, and its tests"
    arguments = [*op.input_arg, *op.output_arg]
    for named in [*arguments, *op.attr]:
        if OUTSIDE.search(named.name):
            return f"{named.name} leads out of the graph"
    for reason, pattern in GROUPS.items():
        if re.search(pattern, op.name):
            return reason
    if any(argument.is_ref for argument in arguments):
        return "variables of TensorFlow 1"
    return None


@pytest.fixture(scope="module")
def registry():
    ops.load_library()
    return op_registry.ops()


def tensorflow_ops(registry, *, stateful):
    return {
        name
        for name, op in registry.items()
        if op.is_stateful == stateful and not name.startswith("Tfrec>")
    }


def test_an_op_without_state_is_in_the_list_unless_a_rule_refuses_it(registry):
    names = tensorflow_ops(registry, stateful=False)
    expected = {name for name in names if refused(registry[name]) is None}
    assert sorted(allowed_ops.STATELESS - expected) == []
    assert sorted(expected - allowed_ops.STATELESS) == []


def test_ops_with_state_are_ones_that_tensorflow_has(registry):
    assert allowed_ops.STATEFUL.issubset(tensorflow_ops(registry, stateful=True))
    for name in allowed_ops.STATEFUL:
        op = registry[name]
        names = [a.name for a in [*op.input_arg, *op.output_arg, *op.attr]]
        assert [n for n in names if OUTSIDE.search(n)] == [], name


def test_the_ops_of_tfrec_are_all_there(registry):
    assert {n for n in registry if n.startswith("Tfrec>")} == allowed_ops.TFREC


def test_ops_that_name_files_are_in_no_other_list(registry):
    assert set(registry) >= allowed_ops.FILES
    assert allowed_ops.FILES.isdisjoint(allowed_ops.COMPUTING)


def test_attributes_with_a_rule_exist(registry):
    for name, rule in allowed_ops.ATTRIBUTES.items():
        assert name in allowed_ops.COMPUTING
        (attribute,) = [a for a in registry[name].attr if a.name == rule.attribute]
        assert {"type": "type", "string": "s"}[attribute.type] == rule.kind


KNOWN = """
Abort AnonymousIteratorV3 CollectiveGatherV2 CopyHost CreateSummaryFileWriter
DataServiceDatasetV4 DatasetFromGraph DebugIdentity DebugIdentityV3 DecodeProtoV2
DumpTensor EagerPyFunc EncodeProto FileSystemSetConfiguration
FixedUnigramCandidateSampler GenerateVocabRemapping ImmutableConst
InitializeTableFromDataset InitializeTableFromTextFile LMDBReader LoadAndRemapMatrix
MatchingFiles NcclAllReduce OneShotIterator PyFunc PyFuncStateless ReadFile Recv
RemoteCall Restore RestoreSlice RpcCall RpcServer Save SaveSlices Send ShardedFilespec
Skipgram SnapshotDatasetV2 SqlDataset TextLineDataset WholeFileReaderV2 WriteFile
WriteGraphSummary XlaCallModule XlaCustomCallV2 _Send
"""


@pytest.mark.parametrize("name", KNOWN.split())
def test_known_ops_that_leave_the_graph_are_refused(registry, name):
    assert name in registry
    assert name not in allowed_ops.COMPUTING | allowed_ops.FILES
