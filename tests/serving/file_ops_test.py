"""Where ops that name files may be: what TensorFlow's saver wrote, changed by hand."""

import random

import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tests.serving import saved_models
from tests.serving.saved_models import caller, edited, function, node
from tfrec.serving import allow_list
from tfrec.serving.errors import ServingError

TABLE, RESTORE, SAVE = "InitializeTableFromTextFileV2", "RestoreV2", "SaveV2"
NUM_CHANGES = 500


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    """The folder of a model, and what is in its `saved_model.pb`."""
    folder = saved_models.words(tmp_path_factory.mktemp("words"))
    return folder, (folder / "saved_model.pb").read_bytes()


@pytest.fixture
def folder(content):
    """The folder as it was written."""
    path, written = content
    (path / "saved_model.pb").write_bytes(written)
    return path


def refused(folder):
    """The message of the error."""
    with pytest.raises(ServingError) as error:
        allow_list.check(folder)
    return error.value.message


def call(nodes, name, inputs=(), op="StatefulPartitionedCall", key="f"):
    """Adds a node that calls a function."""
    added = nodes.add(name="added", op=op, input=inputs)
    added.attr[key].func.name = name
    return added


def output(meta):
    """An output that is added to the signature."""
    return meta.signature_def["serving_default"].outputs["added"]


def test_a_path_in_the_model_is_not_restored(folder):
    with edited(folder) as meta:
        graph = function(meta, RESTORE)
        graph.node_def.append(saved_models.text("path", "/etc/passwd"))
        node(graph.node_def, RESTORE).input[0] = "path:output:0"
    message = refused(folder)
    assert f"`RestoreV2` (node `RestoreV2` of function `{graph.signature.name}`)" in (
        message
    )
    assert "path from the saver's path. Received: the output of `Const`" in message


def test_a_path_beside_the_checkpoint_is_not_restored(folder):
    with edited(folder) as meta:
        graph = function(meta, RESTORE)
        graph.node_def.append(saved_models.text("path", "/../../other"))
        inputs = ["file_prefix", "path:output:0"]
        graph.node_def.add(name="joined", op="StringJoin", input=inputs)
        node(graph.node_def, RESTORE).input[0] = "joined:output:0"
    assert "Received: the output of `StringJoin`" in refused(folder)


def test_a_path_is_fed_by_the_loader_alone(folder):
    with edited(folder) as meta:
        node = {n.name: n for n in meta.graph_def.node}["saver_filename"]
        node.op, node.input[:] = "StringJoin", ["Const"]
    assert "Received: the output of `StringJoin`" in refused(folder)


@pytest.mark.parametrize("op", [RESTORE, SAVE, TABLE])
def test_a_request_does_not_run_them(folder, op):
    """A function that is served calls the saver's with what a client sent."""
    with edited(folder) as meta:
        name = function(meta, op).signature.name
        served = function(meta, "ParseExampleV2")
        argument = served.signature.input_arg[0].name
        call(served.node_def, name, [argument, argument])
    message = refused(folder)
    assert f"`{op}`" in message
    if op == SAVE:
        assert "run in saving alone. Received: also in a signature" in message
        assert f"the function `{served.signature.name}`" in message
    else:
        assert "a caller" in message


@pytest.mark.parametrize("op", [RESTORE, SAVE])
def test_the_object_graph_does_not_offer_the_saver(folder, op):
    with edited(folder) as meta:
        name = function(meta, op).signature.name
        meta.object_graph_def.concrete_functions[name].SetInParent()
    found = "the function `" if op == SAVE else "a caller, the saver's path"
    assert f"Received: {'also in ' * (op == SAVE)}{found}" in refused(folder)


@pytest.mark.parametrize("op", [RESTORE, SAVE, TABLE])
@pytest.mark.parametrize("how", ["output", "control", "sparse", "composite"])
def test_a_signature_of_the_graph_does_not_run_them(folder, op, how):
    with edited(folder) as meta:
        runs = caller(meta, function(meta, op).signature.name).name
        if how == "output":
            output(meta).name = f"{runs}:0"
        elif how == "control":
            meta.graph_def.node.add(name="a", op="Identity", input=["Const"])
            meta.graph_def.node.add(name="b", op="NoOp", input=[f"^{runs}"])
            meta.graph_def.node[-2].input.append("^b")
            output(meta).name = "a:0"
        elif how == "sparse":
            output(meta).coo_sparse.indices_tensor_name = f"{runs}:0"
        else:
            output(meta).composite_tensor.components.add().name = f"{runs}:0"
    assert "alone. Received: also in a signature" in refused(folder)


@pytest.mark.parametrize(("op", "when"), [(RESTORE, "restoring"), (SAVE, "saving")])
def test_the_saver_does_not_run_when_tables_are_made(folder, op, when):
    with edited(folder) as meta:
        runs = caller(meta, function(meta, op).signature.name).name
        init = meta.signature_def["__saved_model_init_op"].outputs
        name = init["__saved_model_init_op"].name
        {n.name: n for n in meta.graph_def.node}[name].input.append(f"^{runs}")
    assert f"run in {when} alone. Received: also in loading" in refused(folder)


def test_a_main_op_of_tensorflow_1_counts_as_loading(folder):
    with edited(folder) as meta:
        runs = caller(meta, function(meta, SAVE).signature.name).name
        meta.collection_def["legacy_init_op"].node_list.value.append(runs)
    assert "run in saving alone. Received: also in loading" in refused(folder)


def test_restoring_does_not_write(folder):
    with edited(folder) as meta:
        inputs = ["file_prefix"] * 3
        function(meta, RESTORE).node_def.add(name="s", op=SAVE, input=inputs)
    assert "run in saving alone. Received: also in restoring" in refused(folder)


def test_a_saver_must_be_named(folder):
    with edited(folder) as meta:
        meta.ClearField("saver_def")
    message = refused(folder)
    assert "run in saving. Received: it does not" in message
    assert "Received: the output of `Placeholder`" in message


def test_a_saver_that_nothing_runs_is_refused(folder):
    with edited(folder) as meta:
        meta.graph_def.node.remove(caller(meta, function(meta, SAVE).signature.name))
    assert "run in saving. Received: it does not" in refused(folder)


@pytest.mark.parametrize("op", [SAVE, TABLE])
def test_a_gradient_does_not_run_them(folder, op):
    with edited(folder) as meta:
        name = function(meta, op).signature.name
        meta.graph_def.library.gradient.add(function_name="f", gradient_func=name)
    assert "alone. Received: also in the gradient" in refused(folder)


@pytest.mark.parametrize("op", [RESTORE, TABLE])
@pytest.mark.parametrize(
    ("caller_op", "key"), [("If", "then_branch"), ("PartitionedCall", "other")]
)
def test_what_others_than_calls_give_is_not_known(folder, op, caller_op, key):
    with edited(folder) as meta:
        name = function(meta, op).signature.name
        added = call(meta.graph_def.node, name, ["saver_filename"] * 3, caller_op, key)
        added.attr["f"].func.name = name
    assert f"an argument that `{caller_op}` gives" in refused(folder)


@pytest.mark.parametrize("op", [RESTORE, SAVE, TABLE])
def test_the_runtime_puts_them_in_no_other_place(folder, op):
    with edited(folder) as meta:
        function(meta, op).attr["api_implements"].s = b"parse"
    assert "without the attributes api_implements" in refused(folder)


def test_a_table_is_not_filled_from_a_path_in_the_model(folder):
    with edited(folder) as meta:
        graph = function(meta, TABLE)
        graph.node_def.append(saved_models.text("path", "/etc/passwd"))
        node(graph.node_def, TABLE).input[1] = "path:output:0"
    assert "from an asset. Received: the output of `Const`" in refused(folder)


@pytest.mark.parametrize("bound", [0, 10**6, -1])
def test_a_table_is_filled_from_an_object_that_is_an_asset(folder, bound):
    with edited(folder) as meta:
        name = function(meta, TABLE).signature.name
        meta.object_graph_def.concrete_functions[name].bound_inputs[0] = bound
    assert "Received: an asset, an object of kind" in refused(folder)


def test_a_table_is_not_filled_from_what_a_caller_gives(folder):
    with edited(folder) as meta:
        name = function(meta, TABLE).signature.name
        del meta.object_graph_def.concrete_functions[name].bound_inputs[:]
    assert "Received: a caller, an asset" in refused(folder)


def test_a_table_of_the_graph_is_filled_from_an_asset(folder):
    with edited(folder) as meta:
        meta.graph_def.node.append(saved_models.text("path", "/etc/passwd"))
        caller(meta, function(meta, TABLE).signature.name).input[0] = "path"
    assert "Received: an asset, the output of `Const`" in refused(folder)


def test_an_asset_that_is_not_named_is_none(folder):
    with edited(folder) as meta:
        meta.asset_file_def[0].tensor_info.name = "other:0"
    assert "Received: an asset, the output of `Placeholder`" in refused(folder)


@pytest.mark.parametrize("how", ["assigned", "handed_on", "shared", "no_name"])
def test_the_variable_with_a_path_is_assigned_once(folder, how):
    with edited(folder) as meta:
        graph = meta.graph_def
        runs = caller(meta, function(meta, TABLE).signature.name)
        nodes = {n.name: n for n in graph.node}
        variable = nodes[nodes[runs.input[0]].input[0]]
        if how == "assigned":
            inputs = [variable.name, "saver_filename"]
            graph.node.add(name="evil", op="AssignVariableOp", input=inputs)
        elif how == "handed_on":
            restores = caller(meta, function(meta, RESTORE).signature.name)
            restores.input.append(variable.name)
        elif how == "shared":
            function(meta, RESTORE).node_def.add().CopyFrom(variable)
        else:
            variable.attr["shared_name"].s = b""
    assert "a variable that others may assign to" in refused(folder)


def test_a_long_way_is_followed(folder):
    """Functions that call the next, and identities, are followed without recursion."""
    with edited(folder) as meta:
        graph = function(meta, RESTORE)
        last = "file_prefix"
        for i in range(3000):
            graph.node_def.add(name=f"i{i}", op="Identity", input=[last])
            last = f"i{i}:output:0"
        node(graph.node_def, RESTORE).input[0] = last
    allow_list.check(folder)


def test_functions_that_call_themselves_end(folder):
    with edited(folder) as meta:
        graph = function(meta, TABLE)
        arguments = [a.name for a in graph.signature.input_arg]
        call(graph.node_def, graph.signature.name, arguments)
    allow_list.check(folder)


def test_a_saver_in_the_graph_is_accepted(tmp_path):
    """As TensorFlow 1 wrote it: nodes instead of functions."""
    with tf.Graph().as_default() as graph:
        x = tf.raw_ops.Placeholder(dtype=tf.float32, shape=[], name="x")
        variable = tf.raw_ops.VarHandleOp(dtype=tf.float32, shape=[], shared_name="v")
        value = tf.raw_ops.ReadVariableOp(resource=variable, dtype=tf.float32)
        tf.add(x, value, name="y")
        path = tf.raw_ops.PlaceholderWithDefault(input="model", shape=[], name="path")
        shard = tf.raw_ops.ShardedFilename(basename=path, shard=0, num_shards=1)
        entries = {"tensor_names": ["v"], "shape_and_slices": [""]}
        saved = tf.raw_ops.SaveV2(prefix=shard, tensors=[value], **entries)
        with tf.control_dependencies([saved]):
            tf.identity(path, name="save")
        restored = tf.raw_ops.RestoreV2(prefix=path, dtypes=[tf.float32], **entries)
        tf.raw_ops.AssignVariableOp(resource=variable, value=restored[0], name="load")
    model = saved_model_pb2.SavedModel()
    meta = model.meta_graphs.add(graph_def=graph.as_graph_def())
    meta.saver_def.filename_tensor_name = "path:0"
    meta.saver_def.save_tensor_name = "save:0"
    meta.saver_def.restore_op_name = "load"
    meta.signature_def["serving_default"].outputs["y"].name = "y:0"
    (tmp_path / "saved_model.pb").write_bytes(model.SerializeToString())
    assert {RESTORE, SAVE, "ShardedFilename"} <= allow_list.check(tmp_path)
    with edited(tmp_path) as meta:
        node(meta.graph_def.node, RESTORE).input[0] = "RestoreV2/tensor_names"
    assert "the saver's path. Received: the output of `Const`" in refused(tmp_path)


def test_graphs_that_make_no_sense_are_refused_or_accepted(folder, content):
    """Inputs, names and functions are exchanged; only a ServingError is raised."""
    rng = random.Random(0)
    outcomes = set()
    for _ in range(NUM_CHANGES):
        saved = saved_model_pb2.SavedModel.FromString(content[1])
        meta = saved.meta_graphs[0]
        graph = meta.graph_def
        graphs = [graph.node, *(f.node_def for f in graph.library.function)]
        nodes = [n for some in graphs for n in some]
        names = [*(n.name for n in nodes), *(i for n in nodes for i in n.input), ""]
        for _ in range(rng.randrange(1, 4)):
            changed = rng.choice(nodes)
            if changed.input and rng.random() < 0.7:
                changed.input[rng.randrange(len(changed.input))] = rng.choice(names)
            elif rng.random() < 0.5:
                del changed.input[:]
            else:
                changed.op = rng.choice(nodes).op
        (folder / "saved_model.pb").write_bytes(saved.SerializeToString())
        try:
            allow_list.check(folder)
            outcomes.add("accepted")
        except ServingError:
            outcomes.add("refused")
    assert outcomes == {"accepted", "refused"}
