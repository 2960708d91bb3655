"""A version in this process: loading, Predict, GetModelMetadata, refusals."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tests.nann import exports
from tests.serving import half_plus_two, requests
from tfrec.nann.export import export
from tfrec.serving import warmup
from tfrec.serving.apis import (
    get_model_metadata_pb2,
    grpc,
    prediction_log_pb2,
)
from tfrec.serving.errors import ServingError
from tfrec.serving.servable import Servable, ServableOptions

VERSION = 123


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return half_plus_two.write(tmp_path_factory.mktemp("models") / "half", VERSION)


@pytest.fixture(scope="module")
def half(folder) -> Servable:
    return Servable(folder, requests.MODEL, VERSION)


@pytest.fixture(scope="module", params=["custom", "reference"])
def nann_folder(request, tmp_path_factory):
    scorer, index = exports.toy()
    path = tmp_path_factory.mktemp("nann")
    return export(
        scorer,
        index,
        exports.TOY_WALK,
        path,
        max_history=exports.MAX_HISTORY,
        ops=request.param,
    )


@pytest.fixture(scope="module")
def nann(nann_folder) -> Servable:
    return Servable(nann_folder, "nann", 1)


@pytest.fixture
def copied(folder, tmp_path):
    """A version that a test may break."""
    return shutil.copytree(folder, tmp_path / "1")


def refused(code: grpc.StatusCode, message: str):
    """Expects a code and a message that begins so."""
    return pytest.raises(ServingError, match=f"^{code.name}: {message}")


def invalid(message: str):
    return refused(grpc.StatusCode.INVALID_ARGUMENT, message)


def changed(folder, change) -> None:
    """Applies a function to the SavedModel proto of a folder."""
    path = folder / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    change(saved.meta_graphs[0])
    path.write_bytes(saved.SerializeToString())


def outputs(response) -> dict[str, np.ndarray]:
    return {name: tf.make_ndarray(value) for name, value in response.outputs.items()}


def test_predict(half):
    response = half.predict(requests.predict({"x": np.float32([1, 2, 5])}))
    assert list(response.outputs) == ["y"]
    assert response.outputs["y"].float_val == [2.5, 3.0, 4.5]
    assert response.outputs["y"].tensor_shape.dim[0].size == 3
    assert response.model_spec.name == requests.MODEL
    assert response.model_spec.version.value == VERSION
    assert response.model_spec.signature_name == "serving_default"


def test_outputs_as_tensor_content(folder):
    options = ServableOptions(as_tensor_content=True)
    servable = Servable(folder, requests.MODEL, VERSION, options)
    value = servable.predict(requests.predict({"x": np.float32([1, 2])})).outputs["y"]
    assert not value.float_val
    assert value.tensor_content == np.float32([2.5, 3.0]).tobytes()


def test_not_a_number_passes_through(half):
    response = half.predict(requests.predict({"x": np.float32([np.nan, np.inf, 1])}))
    np.testing.assert_array_equal(outputs(response)["y"], [np.nan, np.inf, 2.5])


def test_no_rows(half):
    response = half.predict(requests.predict({"x": np.zeros(0, np.float32)}))
    assert outputs(response)["y"].shape == (0,)


def test_predict_by_a_signature_on_examples(half):
    inputs = {"inputs": [requests.example(x=[3.0]).SerializeToString()]}
    response = half.predict(requests.predict(inputs, "regress_x_to_y2"))
    np.testing.assert_array_equal(outputs(response)["outputs"], [[4.5]])


def test_unknown_signature(half):
    with refused(
        grpc.StatusCode.FAILED_PRECONDITION,
        'Serving signature key "other" not found.$',
    ):
        half.predict(requests.predict({"x": np.float32([1])}, "other"))


def test_a_signature_without_a_method(half):
    message = (
        r"Expected prediction signature method_name to be one of "
        r"{tensorflow/serving/predict, tensorflow/serving/classify, "
        r"tensorflow/serving/regress}. Was: $"
    )
    with refused(grpc.StatusCode.INTERNAL, message):
        half.predict(requests.predict({}, "__saved_model_init_op"))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), r"0!=1 len({}) != len({x}). Sent extra: {}. Missing but required: {x}."),
        (("x", "z", "a"), "3!=1 len({a,x,z}) != len({x}). Sent extra: {a,z}. Missing "),
        (("z",), "1!=1 len({z}) != len({x}). Sent extra: {z}. Missing but req.*: {x}."),
    ],
)
def test_missing_and_extra_inputs(half, names, message):
    pattern = message.replace("(", r"\(").replace(")", r"\)")
    with invalid(f"input size does not match signature: {pattern}"):
        half.predict(requests.predict({name: np.float32([1]) for name in names}))


def test_the_signatures_defaults_fill_in(copied):
    def add_default(graph):
        proto = tf.make_tensor_proto(np.float32([4.0]))
        graph.signature_def["serving_default"].defaults["x"].CopyFrom(proto)

    changed(copied, add_default)
    servable = Servable(copied, requests.MODEL, 1)
    assert outputs(servable.predict(requests.predict({})))["y"] == [4.0]
    given = servable.predict(requests.predict({"x": np.float32([2.0])}))
    assert outputs(given)["y"] == [3.0]
    with invalid("input size does not match signature: 1!=1 .*Sent extra: {z}"):
        servable.predict(requests.predict({"z": np.float32([2.0])}))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.int32([1]), "input `x` must be float32. Received: int32"),
        ([b"1"], "input `x` must be float32. Received: string"),
        (np.float32(1), r"input `x` must have the shape \[\?\]. Received: \[\]"),
        (np.float32([[1]]), r"input `x` must have the shape \[\?\]. Received: \[1, 1"),
    ],
)
def test_wrong_dtype_and_shape(half, value, message):
    with invalid(message):
        half.predict(requests.predict({"x": value}))


def test_output_filter(nann):
    history = np.array([[0]], np.int64)
    inputs = {"history": history, "k": np.int32(2)}
    response = nann.predict(requests.predict(inputs, "retrieve", ("scores",)))
    assert list(response.outputs) == ["scores"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ("y", "z"),
            "output tensor alias not found in signature: z Outputs expected to be in "
            "the set {y}.$",
        ),
        (("y", "y"), "duplicate output tensor alias: y$"),
    ],
)
def test_wrong_output_filter(half, names, message):
    with invalid(message):
        half.predict(requests.predict({"x": np.float32([1])}, outputs=names))


def test_an_error_of_the_model_has_its_code_and_no_stack_trace(half, nann):
    inputs = {"inputs": [b"no example"]}
    message = "Could not parse example input, value: 'no example'"
    with invalid(message) as caught:
        half.predict(requests.predict(inputs, "regress_x_to_y"))
    assert "Op:" not in caught.value.message
    inputs = {"history": np.array([[0]], np.int64), "k": np.int32(0)}
    with invalid(r"assertion failed: \[`k` must be at least 1"):
        nann.predict(requests.predict(inputs, "retrieve"))


def test_an_error_that_quotes_bytes_of_the_request(half):
    inputs = {"inputs": [b"\x89 no example"]}
    with invalid("Could not parse example input, value: '\ufffd no example'"):
        half.predict(requests.predict(inputs, "regress_x_to_y"))


def test_nann_answers_as_the_model_itself(nann, nann_folder):
    histories = exports.rectangle([[0, 10**9], [5 * 10**9], []])
    inputs = {"history": histories, "k": np.int32(7)}
    found = outputs(nann.predict(requests.predict(inputs, "retrieve")))
    loaded = tf.saved_model.load(str(nann_folder)).signatures["retrieve"]
    expected = loaded(**{name: tf.constant(value) for name, value in inputs.items()})
    assert set(found) == {"ids", "scores"}
    for name, value in found.items():
        np.testing.assert_array_equal(value, expected[name].numpy())
    assert found["ids"].dtype == np.int64


def test_metadata(half, folder):
    request = get_model_metadata_pb2.GetModelMetadataRequest()
    request.metadata_field.append("signature_def")
    response = half.metadata(request)
    assert response.model_spec.name == requests.MODEL
    assert response.model_spec.version.value == VERSION
    assert not response.model_spec.signature_name
    found = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(found)
    saved = saved_model_pb2.SavedModel.FromString(
        (folder / "saved_model.pb").read_bytes()
    )
    assert dict(found.signature_def) == dict(saved.meta_graphs[0].signature_def)
    assert found.signature_def["serving_default"].inputs["x"].dtype == 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ((), "GetModelMetadataRequest must specify at least one metadata_field$"),
        (("signature_def", "other"), "Metadata field other is not supported$"),
    ],
)
def test_wrong_metadata(half, fields, message):
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=fields)
    with invalid(message):
        half.metadata(request)


def test_warm_up_records_of_every_kind_run_before_others(copied, monkeypatch):
    logs = [prediction_log_pb2.PredictionLog() for _ in range(4)]
    one = [requests.example(x=[1.0])]
    request = requests.predict({"x": np.float32([1])})
    logs[0].predict_log.request.CopyFrom(request)
    logs[1].classify_log.request.CopyFrom(requests.classify(one))
    logs[2].regress_log.request.CopyFrom(requests.regress(one))
    tasks = [("regress_x_to_y", half_plus_two.REGRESS)]
    request = requests.multi_inference(one, tasks)
    logs[3].multi_inference_log.request.CopyFrom(request)
    warmup.write(copied, logs)
    called = []
    for name in ("predict", "classify", "regress", "multi_inference"):
        original = getattr(Servable, name)

        def call(self, request, name=name, original=original):
            called.append(name)
            return original(self, request)

        monkeypatch.setattr(Servable, name, call)
    Servable(copied, requests.MODEL, 1)
    assert called == ["predict", "classify", "regress", "multi_inference"]


def test_a_warm_up_record_that_fails_refuses_the_version(copied):
    good = warmup.predict_log("serving_default", {"x": np.float32([1])})
    bad = warmup.predict_log("serving_default", {"x": np.int32([1])})
    warmup.write(copied, [good, bad])
    with invalid("warm-up record 1 of `.*`: input `x` must be float32. Received: int"):
        Servable(copied, requests.MODEL, 1)


def test_a_warm_up_record_of_a_session_is_not_supported(copied):
    log = prediction_log_pb2.PredictionLog()
    log.session_run_log.SetInParent()
    warmup.write(copied, [log])
    with refused(grpc.StatusCode.UNIMPLEMENTED, "Unsupported log_type for warmup"):
        Servable(copied, requests.MODEL, 1)


def test_no_folder(tmp_path):
    with refused(grpc.StatusCode.NOT_FOUND, f"`{tmp_path}/7/saved_model.pb` must be a"):
        Servable(tmp_path / "7", requests.MODEL, 7)


def test_a_file_that_is_no_saved_model(copied):
    (copied / "saved_model.pb").write_bytes(b"no proto")
    with invalid("`.*saved_model.pb` must be a SavedModel. Received: "):
        Servable(copied, requests.MODEL, 1)


def test_a_graph_for_something_else(copied):
    def retag(graph):
        graph.meta_info_def.tags[:] = ["train"]

    changed(copied, retag)
    message = r"`.*` must have a graph with the tag 'serve'. Received: \[\['train'\]\]"
    with refused(grpc.StatusCode.NOT_FOUND, message):
        Servable(copied, requests.MODEL, 1)


def test_variables_that_are_missing_or_cut(copied):
    data = copied / "variables" / "variables.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:-1])
    with pytest.raises(ServingError, match="can't be loaded"):
        Servable(copied, requests.MODEL, 1)
    shutil.rmtree(copied / "variables")
    with pytest.raises(ServingError, match="can't be"):
        Servable(copied, requests.MODEL, 1)


def test_an_object_graph_that_makes_no_sense(copied):
    def cut(graph):
        del graph.object_graph_def.nodes[1:]

    changed(copied, cut)
    with invalid("`.*` can't be loaded: "):
        Servable(copied, requests.MODEL, 1)


_OP_LIBRARY = """
import sys, json
from tfrec.serving.errors import ServingError
from tfrec.serving.servable import Servable
try:
    Servable(sys.argv[1], "nann", 1)
    print(json.dumps("loaded"))
except ServingError as error:
    print(json.dumps(str(error)))
"""


def test_a_missing_op_library_is_named(nann_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("TFREC_OPS_LIBRARY", str(tmp_path / "none.so"))
    command = [sys.executable, "-c", _OP_LIBRARY, str(nann_folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    meta = json.loads((nann_folder / "meta.json").read_text())
    if meta["ops"] == "reference":
        assert found == "loaded"
    else:
        assert found.startswith("FAILED_PRECONDITION: ")
        assert "needs the op library. The op library must be a file" in found


def test_threads_can_be_set_only_before_tensorflow_runs(folder):
    assert tf.constant(1).numpy() == 1
    with refused(grpc.StatusCode.FAILED_PRECONDITION, "Intra op parallelism cannot be"):
        Servable(folder, requests.MODEL, 1, ServableOptions(intra_op_parallelism=7))


def test_an_op_that_is_not_allowed_is_refused_before_it_runs(tmp_path):
    class Reader(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([], tf.string)])
        def read(self, name):
            return {"text": tf.io.read_file(name)}

    reader = Reader()
    tf.saved_model.save(
        reader, str(tmp_path / "1"), signatures={"serving_default": reader.read}
    )
    with pytest.raises(ServingError, match="ReadFile"):
        Servable(tmp_path / "1", "reader", 1)
    allowed = Servable(tmp_path / "1", "reader", 1, ServableOptions(allow_all_ops=True))
    secret = tmp_path / "secret"
    secret.write_text("words")
    response = allowed.predict(requests.predict({"name": str(secret)}))
    assert response.outputs["text"].string_val == [b"words"]
