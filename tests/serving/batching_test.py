"""Requests that wait at the same time run as one, and each gets its own answer."""

import threading
from concurrent import futures

import numpy as np
import pytest
import tensorflow as tf

from tests.serving import requests
from tfrec.serving import batching, batching_parameters
from tfrec.serving.apis import grpc
from tfrec.serving.batching_parameters import BatchingParameters
from tfrec.serving.errors import ServingError
from tfrec.serving.servable import Servable, ServableOptions

LONG = 60_000_000  # microseconds: a batch that is not full would time a test out
FLOATS = tf.TensorSpec([None], tf.float32)


class Model(tf.Module):
    """Functions that tell how many rows ran with a row."""

    def __init__(self):
        super().__init__()
        self.slope = tf.Variable(2.0)

    @tf.function(input_signature=[FLOATS, tf.TensorSpec([None, 2], tf.int64)])
    def rows(self, x, pairs):
        size = tf.fill([tf.size(x)], tf.size(x))
        product = self.slope * x + tf.cast(tf.reduce_sum(pairs, 1), tf.float32)
        return {"y": product, "size": size}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def numbers(self, texts):
        return {"y": tf.strings.to_number(texts)}

    @tf.function(input_signature=[FLOATS])
    def total(self, x):
        return {"y": tf.reduce_sum(x)}

    @tf.function(input_signature=[tf.TensorSpec([], tf.int32), FLOATS])
    def scaled(self, k, x):
        return {"y": tf.cast(k, tf.float32) * x}

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.float32)])
    def ragged(self, x):
        return {"y": tf.reduce_sum(x, 1)}

    @tf.function(input_signature=[tf.TensorSpec(None, tf.float32)])
    def anything(self, x):
        return {"y": x}

    @tf.function(input_signature=[tf.TensorSpec([3], tf.float32)])
    def three(self, x):
        return {"y": x}


NAMES = ("rows", "numbers", "total", "scaled", "ragged", "anything", "three")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    model, folder = Model(), tmp_path_factory.mktemp("batched") / "1"
    signatures = {name: getattr(model, name) for name in NAMES}
    tf.saved_model.save(model, str(folder), signatures=signatures)
    return folder


def load(folder, **parameters) -> Servable:
    given = {"num_batch_threads": 2, "batch_timeout_micros": LONG, **parameters}
    options = ServableOptions(batching=BatchingParameters(**given))
    return Servable(folder, "batched", 1, options)


def rows(*values: float):
    """A request of rows whose pairs are (1, 2)."""
    pairs = np.tile(np.int64([[1, 2]]), [len(values), 1])
    return requests.predict({"x": np.float32(values), "pairs": pairs}, "rows")


def answer(servable: Servable, request):
    """The response to a request, or its error."""
    try:
        return servable.predict(request)
    except ServingError as error:
        return error


def together(servable: Servable, sent: list) -> list:
    """The answers, or errors, of requests that are sent at the same time."""
    start = threading.Barrier(len(sent))

    def send(request):
        start.wait()
        return answer(servable, request)

    with futures.ThreadPoolExecutor(len(sent)) as pool:
        return list(pool.map(send, sent))


def values(response, name: str = "y") -> list:
    return tf.make_ndarray(response.outputs[name]).tolist()


def invalid(message: str):
    return pytest.raises(ServingError, match=f"^INVALID_ARGUMENT: {message}")


def test_off_by_default(folder):
    servable = Servable(folder, "batched", 1)
    found = together(servable, [rows(1.0), rows(2.0)])
    assert [values(one, "size") for one in found] == [[1], [1]]


def test_merges_what_waits_and_splits_the_answers(folder):
    servable = load(folder, max_batch_size=6)
    found = together(servable, [rows(1.0), rows(2.0, 3.0), rows(4.0, 5.0, 6.0)])
    assert [values(one) for one in found] == [[5.0], [7.0, 9.0], [11.0, 13.0, 15.0]]
    assert [values(one, "size") for one in found] == [[6], [6, 6], [6, 6, 6]]


def test_pads_to_an_allowed_size(folder):
    servable = load(
        folder, max_batch_size=8, allowed_batch_sizes=(4, 8), batch_timeout_micros=0
    )
    response = servable.predict(rows(1.0, 2.0, 3.0))
    assert values(response) == [5.0, 7.0, 9.0]
    assert values(response, "size") == [4, 4, 4]


def test_versions_and_signatures_do_not_share_a_queue(folder):
    first, second = (load(folder, max_batch_size=2) for _ in range(2))
    with futures.ThreadPoolExecutor(4) as pool:
        sent = [
            pool.submit(servable.predict, rows(x))
            for servable in (first, second)
            for x in (1.0, 2.0)
        ]
        assert [values(one.result(), "size") for one in sent] == [[2]] * 4


def test_a_bad_request_fails_alone(folder):
    servable = load(folder, max_batch_size=3)
    sent = [
        requests.predict({"texts": [text]}, "numbers") for text in ("1", "x", "2.5")
    ]
    first, bad, last = together(servable, sent)
    assert (values(first), values(last)) == ([1.0], [2.5])
    assert bad.code == grpc.StatusCode.INVALID_ARGUMENT
    assert "StringToNumberOp could not correctly convert string: x" in bad.message


def test_no_rows(folder):
    servable = load(folder, max_batch_size=3)
    empty = {"x": np.zeros(0, np.float32), "pairs": np.zeros([0, 2], np.int64)}
    assert values(servable.predict(requests.predict(empty, "rows"))) == []


def test_too_many_rows(folder):
    servable = load(folder, max_batch_size=3)
    with invalid("Task size 4 is larger than maximum input batch size 3"):
        servable.predict(rows(1.0, 2.0, 3.0, 4.0))


def test_inputs_of_unlike_sizes(folder):
    servable = load(folder, max_batch_size=3)
    request = rows(1.0, 2.0)
    request.inputs["x"].CopyFrom(tf.make_tensor_proto(np.float32([1])))
    with invalid("Batching session Run.* must have equal 0th-dimension size. Received"):
        servable.predict(request)


def test_a_full_queue_is_unavailable(folder):
    servable = load(
        folder, max_batch_size=2, max_enqueued_batches=1, num_batch_threads=1
    )
    with futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(servable.predict, rows(1.0))
        # Two rows are a batch, until one row waits that they do not fit beside.
        found = answer(servable, rows(2.0, 3.0))
        while not isinstance(found, ServingError):
            found = answer(servable, rows(2.0, 3.0))
        assert found.code == grpc.StatusCode.UNAVAILABLE
        assert "queue to which this task was submitted is full" in found.message
        servable.predict(rows(4.0))
        assert values(waiting.result()) == [5.0]


def test_only_signatures_of_rows_are_merged(folder):
    signatures = Servable(folder, "batched", 1).signatures
    merged = [name for name in NAMES if batching.can_batch(signatures[name])]
    assert merged == ["rows", "numbers"]
    servable = load(folder, max_batch_size=1000)
    one = np.float32([1.0, 2.0, 3.0])
    assert values(servable.predict(requests.predict({"x": one}, "total"))) == 6.0
    request = requests.predict({"k": np.int32(2), "x": one}, "scaled")
    assert values(servable.predict(request)) == [2.0, 4.0, 6.0]
    request = requests.predict({"x": one[:, np.newaxis]}, "ragged")
    assert values(servable.predict(request)) == [1.0, 2.0, 3.0]


PARAMETERS = """
max_batch_size { value: 128 }
batch_timeout_micros { value: 5000 }
max_enqueued_batches { value: 7 }
num_batch_threads { value: 3 }  # a comment
thread_pool_name { value: "batch_threads" }
allowed_batch_sizes: 32
allowed_batch_sizes: 128
pad_variable_length_inputs: false
"""


def test_reads_tensorflow_servings_file(tmp_path):
    (tmp_path / "batching").write_text(PARAMETERS)
    found = batching_parameters.read(tmp_path / "batching")
    assert found == BatchingParameters(128, 5000, 7, 3, (32, 128))
    (tmp_path / "batching").write_text("max_batch_size { value: 5 }")
    found = batching_parameters.read(tmp_path / "batching")
    assert found == BatchingParameters(max_batch_size=5)
    (tmp_path / "batching").write_text("")
    assert batching_parameters.read(tmp_path / "batching") == BatchingParameters()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pad_variable_length_inputs: true", ".*pad_variable_length_inputs is not su"),
        ("max_batch_sizes: 3", ".*must be a BatchingParameters.*max_batch_sizes"),
        ("max_batch_size { value: 'a' }", ".*must be a BatchingParameters in text"),
        ("max_batch_size { value: 0 }", "`max_batch_size` must be at least 1. Rec.*0"),
        ("max_enqueued_batches { value: 0 }", "`max_enqueued_batches` must be at"),
        ("num_batch_threads { value: 0 }", "`num_batch_threads` must be at least 1"),
        ("batch_timeout_micros { value: -1 }", "`batch_timeout_micros` must be at l"),
        ("allowed_batch_sizes: [2, 2]", "`allowed_batch_sizes` must be in increasing"),
        ("allowed_batch_sizes: [0, 1000]", "`allowed_batch_sizes` must be in increas"),
        (
            "allowed_batch_sizes: [2, 4]",
            "Last entry in allowed_batch_sizes must match max_batch_size; last entry "
            "was 4; expected 1000",
        ),
    ],
)
def test_wrong_parameters(tmp_path, text, message):
    (tmp_path / "batching").write_text(text)
    with invalid(message):
        batching_parameters.read(tmp_path / "batching")


def test_no_parameters_file(tmp_path):
    with pytest.raises(ServingError, match="^NOT_FOUND: `.*none` must be a readable"):
        batching_parameters.read(tmp_path / "none")
