"""What the allow list accepts, and what it says of folders that are broken."""

import os

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.nann import exports as nann_exports
from tests.nann import problems as nann_problems
from tests.pdn import exports as pdn_exports
from tests.pdn import indexes as pdn_indexes
from tests.serving import half_plus_two, saved_models
from tfrec.nann.export import export as export_nann
from tfrec.serving import allow_list, allowed_ops
from tfrec.serving.apis import grpc
from tfrec.serving.errors import ServingError

NUM_MUTATIONS = 2000


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    """A model that is only read."""
    return saved_models.words(tmp_path_factory.mktemp("words"))


@pytest.fixture
def own_words(words, tmp_path):
    """A copy to change, in a folder `1`."""
    return copy(words, tmp_path / "1")


def copy(folder, to):
    for path in [folder, *sorted(folder.rglob("*"))]:
        target = to / path.relative_to(folder)
        if path.is_dir():
            target.mkdir()
        else:
            target.write_bytes(path.read_bytes())
    return to


def refused(folder, code=grpc.StatusCode.FAILED_PRECONDITION):
    """The message of the error."""
    with pytest.raises(ServingError) as error:
        allow_list.check(folder)
    assert error.value.code == code
    return error.value.message


def test_tables_examples_prints_and_xla_are_accepted(words):
    ops = allow_list.check(words)
    assert ops >= allowed_ops.FILES | {"ParseExampleV2", "LookupTableFindV2", "PrintV2"}
    functions = tf.saved_model.load(str(words)).signatures
    served = functions["serving_default"](tf.constant([saved_models.EXAMPLE]))
    assert served["y"].numpy().tolist() == [222]


@pytest.mark.parametrize("kind", ["custom", "reference"])
def test_nann_is_accepted(tmp_path, kind):
    model, index = nann_exports.nann("no_attention")
    features = {"category": nann_problems.categories()}
    folder = export_nann(
        model,
        index,
        nann_exports.NANN_WALK,
        tmp_path,
        max_history=nann_exports.MAX_HISTORY,
        item_features=features,
        ops=kind,
    )
    ops = {"Tfrec>GraphExpand", "Tfrec>VisitedInsert"} if kind == "custom" else set()
    assert allow_list.check(folder) & allowed_ops.TFREC == ops


@pytest.mark.parametrize("kind", ["custom", "reference"])
def test_pdn_is_accepted(tmp_path, kind):
    model = pdn_exports.model()
    folder = pdn_exports.write(model, pdn_indexes.build(model), tmp_path, ops=kind)
    ops = {"Tfrec>PathTopK"} if kind == "custom" else set()
    assert allow_list.check(folder) & allowed_ops.TFREC == ops


def test_half_plus_two_is_accepted(tmp_path):
    assert "ParseExampleV2" in allow_list.check(half_plus_two.write(tmp_path))


@pytest.mark.parametrize("how", ["export", "save"])
def test_keras_models_are_accepted(tmp_path, how):
    words = keras.Input([3], dtype="string")
    ids = keras.layers.StringLookup(vocabulary=["a", "b"])(words)
    x = keras.layers.Embedding(4, 8)(ids)
    x = keras.layers.MultiHeadAttention(2, 4)(x, x)
    x = keras.layers.Bidirectional(keras.layers.LSTM(5))(x)
    x = keras.layers.BatchNormalization()(keras.layers.Dropout(0.5)(x))
    model = keras.Model(words, keras.layers.Dense(1, "sigmoid")(x))
    folder = tmp_path / "1"
    if how == "export":
        model.export(str(folder), verbose=False)
    else:
        model.compile("adam", "mse")
        model.fit(tf.constant([["a", "b", "c"]]), np.zeros([1, 1]), verbose=0)
        tf.saved_model.save(model, str(folder))
    assert {"While", "MatMul"} <= allow_list.check(folder)


def test_an_op_of_others_is_refused(own_words):
    with saved_models.edited(own_words) as meta:
        graph = saved_models.function(meta, "ParseExampleV2")
        saved_models.node(graph.node_def, "PrintV2").op = "Evil>Run"
    message = refused(own_words)
    assert "has the op `Evil>Run`" in message
    assert f"of function `{graph.signature.name}`" in message


def test_an_op_in_the_graph_is_refused(own_words):
    with saved_models.edited(own_words) as meta:
        meta.graph_def.node.add(name="r", op="ReadFile", input=["Const"])
    assert "node `r` of the graph has the op `ReadFile`" in refused(own_words)


def test_all_meta_graphs_are_checked(own_words):
    path = own_words / "saved_model.pb"
    saved = saved_models.saved_model_pb2.SavedModel.FromString(path.read_bytes())
    saved.meta_graphs.add().graph_def.node.add(name="r", op="ReadFile")
    path.write_bytes(saved.SerializeToString())
    assert "has the op `ReadFile`" in refused(own_words)


def test_a_long_list_of_problems_is_cut(own_words):
    with saved_models.edited(own_words) as meta:
        for i in range(50):
            meta.graph_def.node.add(name=f"r{i}" + "x" * 10_000, op="ReadFile")
    message = refused(own_words)
    assert "and 45 more" in message
    assert len(message) < 3000


def test_a_handle_in_a_constant_is_refused(own_words):
    with saved_models.edited(own_words) as meta:
        handle = meta.graph_def.node.add(name="handle", op="Const")
        handle.attr["dtype"].type = tf.resource.as_datatype_enum
    assert "whose `dtype` must be neither a resource nor" in refused(own_words)


def test_an_attribute_that_is_left_open_is_refused(own_words):
    with saved_models.edited(own_words) as meta:
        graph = saved_models.function(meta, "ParseExampleV2")
        printed = saved_models.node(graph.node_def, "PrintV2")
        printed.attr["output_stream"].placeholder = "stream"
    assert "whose `output_stream` must be stderr or a log" in refused(own_words)


def test_a_function_that_is_not_there_is_refused(own_words):
    with saved_models.edited(own_words) as meta:
        call = meta.graph_def.node.add(name="call", op="PartitionedCall")
        call.attr["f"].func.name = "ReadFile"
    assert "calls the function `ReadFile`, which must be" in refused(own_words)


@pytest.mark.parametrize("what", ["functions", "nodes", "arguments", "unnamed"])
def test_two_things_of_one_name_are_refused(own_words, what):
    with saved_models.edited(own_words) as meta:
        graph = saved_models.function(meta, "RestoreV2")
        if what == "functions":
            meta.graph_def.library.function.add().CopyFrom(graph)
        elif what == "nodes":
            graph.node_def.add(name="RestoreV2", op="NoOp")
        elif what == "arguments":
            graph.node_def.add(name="file_prefix", op="NoOp")
        else:
            graph.node_def.add(op="NoOp")
    assert "must have names of their own" in refused(own_words)


@pytest.mark.parametrize(
    "name",
    ["../saved_model.pb", "/etc/passwd", "", ".", "none.txt", "a\0b", "x" * 5000],
)
def test_an_asset_that_is_not_in_the_folder_is_refused(own_words, name):
    with saved_models.edited(own_words) as meta:
        meta.asset_file_def[0].filename = name
    assert "an asset must be a file below `assets`" in refused(own_words)


@pytest.mark.parametrize("link", ["assets/words.txt", "assets", "variables", "extra"])
def test_a_link_out_of_the_version_is_refused(own_words, tmp_path, link):
    outside = tmp_path / "outside"
    path = own_words / link
    if path.exists():
        path.rename(outside)
    else:
        outside.write_text("x")
    path.symlink_to(outside)
    assert f"`{link}` must be a file or a folder of the version" in refused(own_words)


def test_a_link_out_of_assets_is_refused(own_words):
    asset = own_words / "assets" / saved_models.ASSET
    asset.unlink()
    asset.symlink_to("../saved_model.pb")
    assert "an asset must be a file below `assets`" in refused(own_words)


def test_a_link_within_assets_is_accepted(own_words):
    asset = own_words / "assets" / saved_models.ASSET
    asset.rename(asset.with_name("data"))
    asset.symlink_to("data")
    assert allow_list.check(own_words)


@pytest.mark.parametrize("kind", ["pipe", "loop", "dangling"])
def test_what_is_no_file_is_refused(own_words, kind):
    path = own_words / "odd"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("odd" if kind == "loop" else "nothing")
    assert "`odd` must be a file" in refused(own_words)


def test_a_folder_without_a_model_is_refused(tmp_path):
    message = refused(tmp_path / "none", grpc.StatusCode.NOT_FOUND)
    assert str(tmp_path / "none") in message
    os.mkfifo(tmp_path / "saved_model.pb")
    refused(tmp_path, grpc.StatusCode.NOT_FOUND)


def test_an_empty_file_is_refused(own_words):
    (own_words / "saved_model.pb").write_bytes(b"")
    assert "meta graph" in refused(own_words, grpc.StatusCode.INVALID_ARGUMENT)


def test_a_truncated_file_is_refused(own_words):
    path = own_words / "saved_model.pb"
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    for size in [1, *rng.integers(2, len(content), 50), len(content) - 1]:
        path.write_bytes(content[:size])
        message = refused(own_words, grpc.StatusCode.INVALID_ARGUMENT)
        assert str(path) in message


def test_random_changes_are_refused_or_accepted(own_words):
    """Bytes are changed, put in and left out; nothing but a ServingError is raised."""
    path = own_words / "saved_model.pb"
    content = np.frombuffer(path.read_bytes(), np.uint8)
    rng = np.random.default_rng(1)
    seen = set()
    for _ in range(NUM_MUTATIONS):
        changed = content.copy()
        places = rng.integers(0, changed.size, rng.integers(1, 4))
        changed[places] = rng.integers(0, 256, places.size)
        if rng.random() < 0.3:
            start, length = rng.integers(0, changed.size - 50), rng.integers(1, 50)
            changed = np.delete(changed, slice(start, start + length))
        path.write_bytes(changed.tobytes())
        try:
            allow_list.check(own_words)
            seen.add(None)
        except ServingError as error:
            seen.add(error.code)
    codes = grpc.StatusCode
    assert seen == {None, codes.INVALID_ARGUMENT, codes.FAILED_PRECONDITION}
