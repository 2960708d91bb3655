"""Classify, Regress and MultiInference on tf.Examples."""

import numpy as np
import pytest
import tensorflow as tf

from tests.serving import half_plus_two, requests
from tests.serving.half_plus_two import CLASSIFY, PREDICT, REGRESS
from tfrec.serving.apis import grpc
from tfrec.serving.errors import ServingError
from tfrec.serving.servable import Servable

VERSION = 9
LABELS = np.array([b"low", b"high", b"\xff"], object)
STRINGS = [tf.TensorSpec([None], tf.string, name="inputs")]


class Odd(tf.Module):
    """Signatures that keep, and that break, the rules for outputs."""

    @tf.function(input_signature=STRINGS)
    def labelled(self, inputs):
        size = tf.size(inputs)
        scores = tf.range(3, dtype=tf.float32) + half_plus_two.parsed(inputs)
        return {"classes": tf.tile([LABELS.tolist()], [size, 1]), "scores": scores}

    @tf.function(input_signature=STRINGS)
    def classes_only(self, inputs):
        return {"classes": tf.tile([[b"low"]], [tf.size(inputs), 1])}

    @tf.function(input_signature=STRINGS)
    def sizes(self, inputs):
        return {"outputs": tf.cast(tf.strings.length(inputs), tf.float32)}

    @tf.function(input_signature=STRINGS)
    def wide(self, inputs):
        return {"outputs": tf.zeros([tf.size(inputs), 2])}

    @tf.function(input_signature=STRINGS)
    def one_row(self, inputs):
        return {"outputs": tf.zeros([1]), "scores": tf.zeros([1, 1])}

    @tf.function(input_signature=STRINGS)
    def one_value(self, inputs):
        return {"outputs": tf.zeros([1])}

    @tf.function(input_signature=STRINGS)
    def integers(self, inputs):
        size = tf.size(inputs)
        return {"outputs": tf.zeros([size], tf.int32)}

    @tf.function(input_signature=STRINGS)
    def flat(self, inputs):
        return {"scores": tf.zeros([tf.size(inputs)])}

    @tf.function(input_signature=STRINGS)
    def numbered(self, inputs):
        return {"classes": tf.zeros([tf.size(inputs), 1])}

    @tf.function(input_signature=STRINGS)
    def narrow(self, inputs):
        size = tf.size(inputs)
        return {"classes": tf.fill([size, 1], "a"), "scores": tf.zeros([size, 2])}

    @tf.function(input_signature=STRINGS)
    def renamed(self, inputs):
        return {"values": tf.zeros([tf.size(inputs)])}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="inputs")])
    def numbers(self, inputs):
        return {"outputs": inputs}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="texts")])
    def texts(self, texts):
        return {"outputs": tf.cast(tf.strings.length(texts), tf.float32)}


METHODS = {
    "labelled": CLASSIFY,
    "classes_only": CLASSIFY,
    "flat": CLASSIFY,
    "numbered": CLASSIFY,
    "narrow": CLASSIFY,
    "one_row_classes": CLASSIFY,
    "renamed_classes": CLASSIFY,
    "sizes": REGRESS,
    "wide": REGRESS,
    "one_row": REGRESS,
    "one_value": REGRESS,
    "integers": REGRESS,
    "renamed": REGRESS,
    "numbers": REGRESS,
    "texts": REGRESS,
}


@pytest.fixture(scope="module")
def half(tmp_path_factory) -> Servable:
    path = half_plus_two.write(tmp_path_factory.mktemp("half"), VERSION)
    return Servable(path, requests.MODEL, VERSION)


@pytest.fixture(scope="module")
def odd(tmp_path_factory) -> Servable:
    model, folder = Odd(), tmp_path_factory.mktemp("odd") / "1"
    signatures = {
        name: getattr(model, name.removesuffix("_classes")) for name in METHODS
    }
    tf.saved_model.save(model, str(folder), signatures=signatures)
    half_plus_two.set_methods(folder, METHODS)
    return Servable(folder, "odd", 1)


def refused(code: grpc.StatusCode, message: str):
    """Expects a code and a message that begins so."""
    return pytest.raises(ServingError, match=f"^{code.name}: {message}")


def invalid(message: str):
    return refused(grpc.StatusCode.INVALID_ARGUMENT, message)


def some() -> list[tf.train.Example]:
    return [requests.example(x=[1.0]), requests.example(x=[2.0])]


def test_classify(half):
    response = half.classify(requests.classify(some()))
    classes = [list(row.classes) for row in response.result.classifications]
    assert [[(c.label, c.score) for c in row] for row in classes] == [
        [("", 2.5)],
        [("", 3.0)],
    ]
    assert response.model_spec.name == requests.MODEL
    assert response.model_spec.version.value == VERSION
    assert response.model_spec.signature_name == "classify_x_to_y"


def test_classes_and_scores(odd):
    response = odd.classify(requests.classify(some(), "labelled"))
    rows = [
        [(c.label, c.score) for c in row.classes]
        for row in response.result.classifications
    ]
    assert rows == [
        [("low", 1.0), ("high", 2.0), ("\ufffd", 3.0)],
        [("low", 2.0), ("high", 3.0), ("\ufffd", 4.0)],
    ]


def test_classes_without_scores(odd):
    response = odd.classify(requests.classify(some(), "classes_only"))
    (one,) = response.result.classifications[1].classes
    assert (one.label, one.score) == ("low", 0.0)


def test_regress(half):
    response = half.regress(requests.regress(some()))
    assert [r.value for r in response.result.regressions] == [2.5, 3.0]
    assert response.model_spec.signature_name == "regress_x_to_y"
    response = half.regress(requests.regress(some(), "regress_x_to_y2"))
    assert [r.value for r in response.result.regressions] == [3.5, 4.0]


def test_regress_to_one_dimension(odd):
    examples = [requests.example(text=[b"a" * n]) for n in (1, 3)]
    response = odd.regress(requests.regress(examples, "sizes"))
    expected = [len(e.SerializeToString()) for e in examples]
    assert [r.value for r in response.result.regressions] == expected


def test_the_context_is_part_of_each_example(half):
    request = requests.regress([])
    request.input.example_list_with_context.context.CopyFrom(requests.example(x=[8.0]))
    examples = request.input.example_list_with_context.examples
    examples.extend([requests.example(other=[1.0]), requests.example(x=[2.0])])
    response = half.regress(request)
    assert [r.value for r in response.result.regressions] == [6.0, 3.0]


@pytest.mark.parametrize("with_context", [False, True])
def test_no_examples(half, with_context):
    request = requests.regress([])
    if with_context:
        context = request.input.example_list_with_context.context
        context.CopyFrom(requests.example(x=[8.0]))
    with invalid("Input is empty.$"):
        half.regress(request)
    with invalid("Input is empty.$"):
        half.classify(requests.classify([]))


def test_an_example_without_the_feature(half):
    with invalid(".*[Ff]eature: x"):
        half.classify(requests.classify([requests.example(z=[1.0])]))


@pytest.mark.parametrize("kind", ["classify", "regress"])
def test_unknown_signature(half, kind):
    request = getattr(requests, kind)(some(), "other")
    with invalid("No signature was found with the name: other$"):
        getattr(half, kind)(request)


@pytest.mark.parametrize(
    ("kind", "signature", "message"),
    [
        ("classify", "", f"classification.* to be {CLASSIFY}. Was: {PREDICT}$"),
        ("classify", "regress_x_to_y", f"classification.* Was: {REGRESS}$"),
        ("regress", "classify_x_to_y", f"regression.* {REGRESS}. Was: {CLASSIFY}$"),
    ],
)
def test_signature_of_another_method(half, kind, signature, message):
    request = getattr(requests, kind)(some(), signature)
    with invalid(f"Expected {message}"):
        getattr(half, kind)(request)


@pytest.mark.parametrize(
    ("signature", "message"),
    [
        ("flat", r"Expected Tensor shape: \[batch_size num_classes\] but got \[2\]$"),
        ("numbered", "Expected classes Tensor of DT_STRING. Got: float32$"),
        ("narrow", r"Tensors class and score should match in dim_size\(1\). Got 1 vs"),
        ("one_row_classes", "Expected scores output batch size of 2. Got: 1$"),
    ],
)
def test_outputs_that_are_no_classes(odd, signature, message):
    with invalid(message):
        odd.classify(requests.classify(some(), signature))


@pytest.mark.parametrize(
    ("signature", "message"),
    [
        ("wide", r"Expected output Tensor shape to be either .* but got \[2, 2\]$"),
        ("integers", "Expected output Tensor of DT_FLOAT. Got: int32$"),
        ("one_row", "Expected one output Tensor.$"),
        ("numbers", "input `inputs` must be float32. Received: string$"),
    ],
)
def test_outputs_that_are_no_values(odd, signature, message):
    with invalid(message):
        odd.regress(requests.regress(some(), signature))


def test_fewer_values_than_examples(odd):
    message = "Input batch size did not match output batch size: 2 vs. 1$"
    with invalid(message):
        odd.regress(requests.regress(some(), "one_value"))


def test_names_of_inputs_and_outputs(odd):
    code = grpc.StatusCode.FAILED_PRECONDITION
    with refused(code, "No regression inputs found in SignatureDef: "):
        odd.regress(requests.regress(some(), "texts"))
    with refused(code, "No regression outputs found in SignatureDef: "):
        odd.regress(requests.regress(some(), "renamed"))
    with refused(code, "Expected classification signature outputs to contain at leas"):
        odd.classify(requests.classify(some(), "renamed_classes"))


def test_multi_inference(half):
    tasks = [("regress_x_to_y2", REGRESS), ("classify_x_to_y", CLASSIFY)]
    response = half.multi_inference(requests.multi_inference(some(), tasks))
    regressed, classified = response.results
    values = [r.value for r in regressed.regression_result.regressions]
    assert values == [3.5, 4.0]
    rows = classified.classification_result.classifications
    assert [row.classes[0].score for row in rows] == [2.5, 3.0]
    for result, (signature, _) in zip(response.results, tasks, strict=True):
        assert result.model_spec.name == requests.MODEL
        assert result.model_spec.version.value == VERSION
        assert result.model_spec.signature_name == signature


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ([], "`tasks` must not be empty."),
        ([("other", REGRESS)], "Requested signature not found in model graph: other$"),
        ([("regress_x_to_y", CLASSIFY)], f"Expected classif.* Was: {REGRESS}"),
        (
            [("regress_x_to_y", REGRESS)] * 2,
            "Duplicate evaluation of signature: regress_x_to_y$",
        ),
    ],
)
def test_wrong_tasks(half, tasks, message):
    with invalid(message):
        half.multi_inference(requests.multi_inference(some(), tasks))


def test_a_task_of_another_method(half):
    request = requests.multi_inference(some(), [("serving_default", PREDICT)])
    message = f"Unsupported signature method_name: {PREDICT}$"
    with refused(grpc.StatusCode.UNIMPLEMENTED, message):
        half.multi_inference(request)


def test_models_of_tasks(half):
    tasks = [("regress_x_to_y2", REGRESS), ("classify_x_to_y", CLASSIFY)]
    request = requests.multi_inference(some(), tasks)
    request.tasks[1].model_spec.name = "another"
    with invalid("All ModelSpecs in a MultiInferenceRequest must access the same mod"):
        half.multi_inference(request)
    request = requests.multi_inference(some(), tasks, model="")
    with invalid("Found ModelSpec with an empty model name.$"):
        half.multi_inference(request)


def test_tasks_on_unlike_inputs(odd):
    tasks = [("sizes", REGRESS), ("numbers", REGRESS)]
    with invalid("Input tensor must be the same for all Signatures.$"):
        odd.multi_inference(requests.multi_inference(some(), tasks, "odd"))
