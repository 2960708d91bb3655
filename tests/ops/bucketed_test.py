"""Tests auto-padding as a wrapper of functions."""

import itertools
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tfrec.ops.bucketed import bucketed
from tfrec.ops.compilations import run_counted

SIZES = (4, 8, 20)
# Below, on and between grid sizes, empty, and above the grid (40, 60).
COUNTS = (0, 1, 3, 4, 5, 8, 9, 20, 21, 40, 41)


def _score(state, vectors_bcd):
    """A user state (a nest) against candidates, as retrieval calls it."""
    hidden_bcd = tf.nn.relu(vectors_bcd @ state["kernel"])
    return tf.einsum("bd,bcd->bc", state["user"], hidden_bcd) + state["bias"]


def _inputs(num_candidates, seed=0):
    random = np.random.default_rng(seed)

    def normal(*shape):
        return random.normal(size=shape).astype(np.float32)

    state = {"kernel": normal(6, 5), "user": normal(3, 5), "bias": normal(3, 1)}
    return state, normal(3, num_candidates, 6)


def _numpy_score(state, vectors):
    hidden = np.maximum(vectors @ state["kernel"], 0)
    return np.einsum("bd,bcd->bc", state["user"], hidden) + state["bias"]


@pytest.mark.parametrize("jit_compile", [True, False])
def test_forward_eager(jit_compile):
    fn = bucketed(_score, SIZES, axis=(None, 1), jit_compile=jit_compile)
    for count in COUNTS:
        state, vectors = _inputs(count)
        scores = fn(state, vectors)
        assert scores.shape == (3, count)
        np.testing.assert_allclose(scores, _numpy_score(state, vectors), atol=1e-5)


@pytest.mark.parametrize("jit_compile", [True, False])
def test_forward_in_a_graph_of_unknown_sizes(jit_compile):
    fn = bucketed(_score, SIZES, axis=(None, -2), output_axis=1)

    @tf.function(
        input_signature=[
            {
                "kernel": tf.TensorSpec((6, 5)),
                "user": tf.TensorSpec((None, 5)),
                "bias": tf.TensorSpec((None, 1)),
            },
            tf.TensorSpec((None, None, 6)),
        ]
    )
    def graph(state, vectors_bcd):
        return fn(state, vectors_bcd)

    assert graph.get_concrete_function().output_shapes.as_list() == [None, None]
    for count in COUNTS:
        state, vectors = _inputs(count)
        expected = _numpy_score(state, vectors)
        np.testing.assert_allclose(graph(state, vectors), expected, atol=1e-5)


def test_function_sees_only_grid_sizes_and_zeros():
    seen = []

    def spy(x):
        seen.append(np.array(x))
        return x

    fn = bucketed(spy, SIZES, axis=1, jit_compile=False)
    for count in COUNTS:
        fn(np.ones((2, count, 3), np.float32))
    assert [x.shape[1] for x in seen] == [4, 4, 4, 4, 8, 8, 20, 20, 40, 40, 60]
    for x, count in zip(seen, COUNTS, strict=True):
        assert np.all(x[:, :count] == 1)
        assert np.all(x[:, count:] == 0)


def test_result_does_not_depend_on_pads_or_bucket():
    state, vectors = _inputs(8)
    fn = bucketed(_score, (8, 64), axis=(None, 1))
    full = fn(state, vectors).numpy()
    for count in range(1, 8):  # same program, fewer real places: equal bytes
        part = fn(state, vectors[:, :count]).numpy()
        np.testing.assert_array_equal(part, full[:, :count])
    wide = bucketed(_score, (64,), axis=(None, 1))
    np.testing.assert_allclose(wide(state, vectors), full, atol=1e-5)


@pytest.mark.parametrize("in_graph", [False, True])
def test_size_on_the_grid_is_not_copied(in_graph):
    fn = bucketed(tf.identity, (4, 8), axis=0, jit_compile=False)
    if in_graph:
        fn = tf.function(fn, input_signature=[tf.TensorSpec((None, 1000))])
    on_grid, off_grid = tf.ones((8, 1000)), tf.ones((7, 1000))
    assert np.shares_memory(memoryview(fn(on_grid)), memoryview(on_grid))
    assert not np.shares_memory(memoryview(fn(off_grid)), memoryview(off_grid))


def test_static_size_stays_static():
    fn = bucketed(lambda x: x * 2.0, SIZES, axis=1)
    graph = tf.function(fn, input_signature=[tf.TensorSpec((None, 5, 7))])
    assert graph.get_concrete_function().output_shapes.as_list()[1:] == [5, 7]


def test_several_arguments_share_one_dimension():
    def fn(ids_c, weights_dc, offset):
        return tf.cast(ids_c, tf.float32) * weights_dc[0] + offset, weights_dc

    wrapped = bucketed(fn, SIZES, axis=(0, 1, None), output_axis=(0, 1))
    for count in COUNTS:
        ids = np.arange(count, dtype=np.int32)
        weights = np.stack([ids + 0.5, -ids]).astype(np.float32)
        product, same = wrapped(ids, weights, 3.0)
        np.testing.assert_array_equal(product, ids * (ids + 0.5) + 3)
        np.testing.assert_array_equal(same, weights)


def test_one_tensor_twice_with_two_axes():
    square = np.arange(25.0).reshape(5, 5)
    fn = bucketed(lambda a, b: (a, b), SIZES, axis=(0, 1), output_axis=(0, 1))
    x = tf.constant(square)
    for result in fn(x, x):
        np.testing.assert_array_equal(result, square)


def test_two_dimensions_by_wrapping_twice():
    inner = bucketed(_score, SIZES, axis=(None, 1))

    def by_user(user_bd, bias_b1, vectors_bcd, kernel):
        return inner({"user": user_bd, "bias": bias_b1, "kernel": kernel}, vectors_bcd)

    fn = bucketed(by_user, (2, 6), axis=(0, 0, 0, None), jit_compile=False)
    for count in (0, 1, 5, 21):
        state, vectors = _inputs(count)
        scores = fn(state["user"], state["bias"], vectors, state["kernel"])
        np.testing.assert_allclose(scores, _numpy_score(state, vectors), atol=1e-5)


def test_mask_tells_pads_from_places():
    def mean(x_bl, is_real):
        logits = tf.where(is_real, x_bl, -np.inf)
        return tf.nn.softmax(logits), tf.reduce_sum(tf.nn.softmax(logits) * x_bl, -1)

    fn = bucketed(mean, SIZES, axis=1, output_axis=(1, None), pass_mask=True)
    graph = tf.function(fn, input_signature=[tf.TensorSpec((None, None))])
    for count, call in itertools.product((1, 3, 4, 9, 30), (fn, graph)):
        x = np.random.default_rng(count).normal(size=(2, count)).astype(np.float32)
        weights, mean_b = call(x)
        expected = np.exp(x) / np.exp(x).sum(1, keepdims=True)
        np.testing.assert_allclose(weights, expected, atol=1e-6)
        np.testing.assert_allclose(mean_b, (expected * x).sum(1), atol=1e-6)


def test_keyword_arguments_are_left_alone():
    fn = bucketed(lambda x, scale, negate: -x * scale if negate else x * scale, SIZES)
    x, scale = np.arange(3.0), np.float64(2)
    np.testing.assert_array_equal(fn(x, scale=scale, negate=True), -2 * x)
    np.testing.assert_array_equal(fn(x, scale=scale, negate=False), 2 * x)


def test_default_arguments_and_bound_methods():
    class Model:
        def score(self, x, scale=2.0, training=False):
            return -x if training else x * scale

    fn = bucketed(Model().score, SIZES)
    graph = tf.function(fn, input_signature=[tf.TensorSpec((None,))])
    for call in (fn, graph):
        x = np.arange(5, dtype=np.float32)
        np.testing.assert_array_equal(call(x), 2 * x)
    np.testing.assert_array_equal(fn(x, training=True), -x)
    np.testing.assert_array_equal(bucketed(Model().score, SIZES, 0)(x, x), x * x)


def test_none_is_passed_on():
    fn = bucketed(lambda pair, y: pair[0] + y if pair[1] is None else y, SIZES)
    np.testing.assert_array_equal(fn((np.ones(5), None), np.ones(5)), 2 * np.ones(5))


@pytest.mark.parametrize("count", [3, 4, 21])
def test_gradient(count):
    state, vectors = _inputs(count)
    kernel = tf.Variable(state["kernel"])
    fn = bucketed(_score, SIZES, axis=(None, 1))
    vectors = tf.constant(vectors)
    gradients = []
    for call in (fn, _score):
        with tf.GradientTape() as tape:
            tape.watch(vectors)
            loss = tf.reduce_sum(call({**state, "kernel": kernel}, vectors) ** 2)
        gradients.append(tape.gradient(loss, [kernel, vectors]))
    for actual, expected in zip(*gradients, strict=True):
        assert np.abs(expected).max() > 1
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)


def test_traces_once_for_all_sizes():
    traces = []

    def fn(x):
        traces.append(x.shape)
        return x + 1

    wrapped = bucketed(fn, SIZES, axis=1)
    for count in COUNTS:
        wrapped(np.zeros((2, count)))
    assert [t.as_list() for t in traces] == [[2, None]]
    for batch in range(1, 20):  # a batch that is not bucketed is generalised
        wrapped(np.zeros((batch, 5)))
    assert len(traces) <= 3


def test_compilations_are_bounded_by_the_grid():
    source = """
import sys
import tensorflow as tf
from tfrec.ops.bucketed import bucketed
from tfrec.ops.compilations import num_compilations

fn = bucketed(lambda x: tf.nn.relu(x) * 2.0, (16, 24), axis=1)
graph = tf.function(fn, input_signature=[tf.TensorSpec((2, None))])
for sizes in range(1, 17), range(17, 25), range(25, 49), range(0, 49):
    for size in sizes:
        graph(tf.ones((2, size)))
    print(num_compilations(sys.argv[-1]))
"""
    run = run_counted(source)
    # One program each for 16, 24 and the multiple 48; then nothing new.
    assert run.stdout.split() == ["1", "2", "3", "3"]
    assert run.compilations == 3


def test_saved_model_in_a_new_process(tmp_path):
    class Module(tf.Module):
        def __init__(self):
            self.kernel = tf.Variable(_inputs(0)[0]["kernel"])
            self.fn = bucketed(
                lambda user, x: _score(
                    {"user": user, "kernel": self.kernel, "bias": 0.0}, x
                ),
                SIZES,
                axis=(None, 1),
            )

        @tf.function(
            input_signature=[tf.TensorSpec((None, 5)), tf.TensorSpec((None, None, 6))]
        )
        def score(self, user, vectors):
            return {"scores": self.fn(user, vectors)}

        @tf.function(input_signature=[tf.TensorSpec((), tf.int32)] * 2)
        def warmup(self, users, candidates):
            vectors = tf.zeros((users, candidates, 6))
            return {"scores": self.fn(tf.zeros((users, 5)), vectors)}

    module = Module()
    tf.saved_model.save(
        module,
        str(tmp_path / "model"),
        signatures={"score": module.score, "warmup": module.warmup},
    )
    state, vectors = _inputs(30)
    np.savez(tmp_path / "inputs.npz", user=state["user"], vectors=vectors)
    source = """
import sys
import numpy as np
import tensorflow as tf
folder, dump = sys.argv[1:]
from pathlib import Path
count = lambda: len(list(Path(dump).glob("*.before_optimizations.txt")))
inputs = np.load(folder + "/inputs.npz")
model = tf.saved_model.load(folder + "/model")
for size in (4, 8, 20, 40):
    model.signatures["warmup"](users=tf.constant(3), candidates=tf.constant(size))
warm = count()
for size in range(31):
    scores = model.signatures["score"](
        user=tf.constant(inputs["user"]),
        vectors=tf.constant(inputs["vectors"][:, :size]))["scores"]
    np.save(f"{folder}/scores_{size}.npy", scores)
print(warm, count(), "tfrec" in sys.modules)
"""
    run = run_counted(source, [str(tmp_path)])
    # The other signature's calls were compiled for all sizes of the grid.
    assert run.stdout.split() == ["4", "4", "False"]
    expected = _numpy_score({**state, "bias": 0.0}, vectors)
    for size in range(31):
        scores = np.load(tmp_path / f"scores_{size}.npy")
        np.testing.assert_allclose(scores, expected[:, :size], atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fn": 3}, "`fn` must be callable. Received: 3"),
        ({"bucket_sizes": (8, 8)}, "`bucket_sizes` must be .* Received: \\(8, 8\\)"),
        ({"output_axis": "first"}, '`output_axis` must be "same".* Received: .first'),
        ({"axis": (0, 1)}, "`output_axis` must be given where .* axis=\\(0, 1\\)"),
        ({"axis": (None,)}, "`output_axis` must be given where .* axis=\\(None,\\)"),
    ],
)
def test_errors_of_the_wrapper(arguments, message):
    with pytest.raises(ValueError, match=message):
        bucketed(**{"fn": tf.identity, "bucket_sizes": SIZES, "axis": 0, **arguments})


def test_errors_of_shapes():
    pair = bucketed(lambda a, b: a, SIZES, axis=0)
    with pytest.raises(ValueError, match="`axis` must name dimensions of one size"):
        pair(np.ones(3), np.ones(2))
    with pytest.raises(ValueError, match=r"`axis` must be within .*axis=0 for shape"):
        pair(np.ones(3), 1.0)
    two = bucketed(lambda a, b: a, SIZES, axis=(0, None), output_axis=0)
    with pytest.raises(
        ValueError, match="`axis` must have one entry for each of the 3"
    ):
        two(np.ones(3), 1.0, 2.0)
    none = bucketed(tf.identity, SIZES, axis=None, output_axis=None)
    with pytest.raises(ValueError, match="`axis` must name a dimension of at least"):
        none(np.ones(3))
    outputs = bucketed(lambda a: (a, a), SIZES, axis=0, output_axis=(0,))
    with pytest.raises(ValueError, match=r"`output_axis` must have one .* the 2"):
        outputs(np.ones(3))


def test_errors_at_run_time():
    spec = tf.TensorSpec((None,))
    pair = tf.function(bucketed(tf.add, SIZES), input_signature=[spec, spec])
    with pytest.raises(tf.errors.InvalidArgumentError, match="dimensions of one size"):
        pair(np.ones(3), np.ones(2))
    lost = bucketed(lambda a: a[1:], SIZES, axis=0)
    graph = tf.function(lost, input_signature=[spec])
    for call in (lost, graph):
        with pytest.raises(tf.errors.InvalidArgumentError, match="the padded size"):
            call(np.ones(3, np.float32))


def test_results_do_not_depend_on_threads():
    source = """
import sys
import numpy as np
import tensorflow as tf
from tfrec.ops.bucketed import bucketed
tf.config.threading.set_intra_op_parallelism_threads(int(sys.argv[1]))
x = np.random.default_rng(0).normal(size=(2, 300, 8)).astype(np.float32)
fn = bucketed(lambda x: tf.nn.relu(x @ tf.transpose(x[0, :8])), (512,), axis=1)
sys.stdout.write(fn(x).numpy().tobytes().hex())
"""
    answers = [
        subprocess.run(
            [sys.executable, "-c", source, threads],
            capture_output=True,
            check=True,
        ).stdout
        for threads in ("1", "4")
    ]
    assert len(answers[0]) == 2 * 4 * 2 * 300 * 8
    assert answers[0] == answers[1]
