"""The network of NANN against NumPy, and the two ways to call it."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.nann import numpy_nann, problems
from tfrec.nann.config import NannConfig, user_behavior
from tfrec.nann.model import Nann

TOLERANCE = {"rtol": 1e-3, "atol": 1e-4}
ITEM_IDS = np.arange(1, problems.NUM_ITEMS + 1, dtype="int32")


@pytest.fixture(scope="module", params=sorted(problems.CONFIGS))
def config_name(request) -> str:
    return request.param


@pytest.fixture(scope="module", params=problems.ARCHITECTURES)
def model(request, config_name) -> Nann:
    return problems.model(problems.CONFIGS[config_name](request.param))


def _vectors(model, *shape) -> np.ndarray:
    width = model.config.item_units[-1]
    return np.random.default_rng(3).normal(size=(*shape, width)).astype("float32")


def test_item_vectors_are_eq_2(model):
    vectors = model.item_vectors(problems.item_fields(ITEM_IDS))
    assert vectors.shape == (problems.NUM_ITEMS, 64)
    names = [field.name for field in model.schema.candidates]
    embedded = numpy_nann.embed(model, problems.item_fields(ITEM_IDS), names)
    expected = numpy_nann.item_network(model, embedded)
    np.testing.assert_allclose(vectors, expected, **TOLERANCE)


def test_scores_are_those_of_the_undivided_network(model):
    features, vectors = problems.batch(), _vectors(model, 5, 7)
    scores = model.score(model.user_state(features), vectors)
    assert scores.shape == (5, 7)
    assert scores.dtype == tf.float32
    expected = numpy_nann.scores(model, features, vectors)
    assert expected.std() > 0.01
    np.testing.assert_allclose(scores, expected, **TOLERANCE)


def test_scores_in_training_use_the_statistics_of_all_pairs(model):
    features, vectors = problems.batch(), _vectors(model, 5, 7)
    expected = numpy_nann.scores(model, features, vectors, training=True)
    kept = [variable.numpy() for variable in model.non_trainable_variables]
    scores = model.score(model.user_state(features), vectors, training=True)
    for variable, array in zip(model.non_trainable_variables, kept, strict=True):
        variable.assign(array)
    np.testing.assert_allclose(scores, expected, **TOLERANCE)


def test_shared_candidates_score_as_own_ones(model):
    features, vectors = problems.batch(), _vectors(model, 7)
    state = model.user_state(features)
    own = np.broadcast_to(vectors, (5, *vectors.shape))
    np.testing.assert_allclose(
        model.score(state, vectors), model.score(state, own), rtol=1e-5, atol=1e-5
    )


def test_prepared_items_give_the_same_scores(model):
    features, vectors = problems.batch(), _vectors(model, 7)
    state, prepared = model.user_state(features), model.prepare(vectors)
    np.testing.assert_array_equal(
        model.score_prepared(state, prepared), model.score(state, vectors)
    )
    chosen = np.array([[6, 0, 3], [1, 1, 2], [0, 1, 2], [5, 4, 3], [2, 2, 2]])
    gathered = tf.nest.map_structure(lambda part: tf.gather(part, chosen), prepared)
    np.testing.assert_allclose(
        model.score_prepared(state, gathered),
        model.score(state, vectors[chosen]),
        rtol=1e-5,
        atol=1e-5,
    )


def test_a_state_has_users_first_and_each_user_for_itself(model):
    features = problems.batch()
    state = model.user_state(features)
    assert {part.shape[0] for part in tf.nest.flatten(state)} == {5}
    vectors = _vectors(model, 7)
    together = model.score(state, vectors)
    for user in range(5):
        alone = tf.nest.map_structure(lambda part, u=user: part[u : u + 1], features)
        scores = model.score(model.user_state(alone), vectors)
        np.testing.assert_allclose(scores[0], together[user], rtol=1e-4, atol=1e-4)


def test_padding_of_the_history_changes_nothing(model):
    features, vectors = problems.batch(), _vectors(model, 7)
    longer = {
        **features,
        "history": {
            name: np.pad(ids, [[0, 0], [0, 9]])
            for name, ids in features["history"].items()
        },
    }
    np.testing.assert_allclose(
        model.score(model.user_state(longer), vectors),
        model.score(model.user_state(features), vectors),
        rtol=1e-5,
        atol=1e-5,
    )


def test_an_unknown_user_side_is_zeros(model):
    nothing = tf.nest.map_structure(np.zeros_like, problems.batch())
    vectors = _vectors(model, 5, 7)
    scores = model.score(model.user_state(nothing), vectors)
    expected = numpy_nann.scores(model, nothing, vectors)
    np.testing.assert_allclose(scores, expected, **TOLERANCE)
    empty = {name: ids[:, :0] for name, ids in nothing["history"].items()}
    state = model.user_state({**nothing, "history": empty})
    np.testing.assert_allclose(model.score(state, vectors), expected, **TOLERANCE)


def test_networks_have_the_sizes_of_appendix_a(config_name):
    built = Nann(problems.CONFIGS[config_name](), problems.schema(), 10)
    industrial = config_name == "industrial"
    width = 16 if industrial else 32
    item, score = built.item_network, built.score_network
    item_kernels = [block.dense.kernel.shape for block in item.blocks]
    if industrial:
        assert item_kernels == [(2 * width, 128), (128, 64)]
        assert item.final.kernel.shape == (64, 64)
        assert not item.activates
        assert score.first_user.kernel.shape == (51 * 16, 512)
        assert built.encoder.num_heads == 1
        assert built.encoder.inner.kernel.shape == (16, 24)
        blocks = [(512, 256), (256, 128)]
    else:
        assert item_kernels == [(2 * width, 64), (64, 64)]
        assert item.final.dense.kernel.shape == (64, 64)
        assert score.first_user.kernel.shape == (2 * width, 128)
        assert built.encoder is None
        assert set(built.tables) == {"item", "category"}
        blocks = [(128, 64), (64, 32)]
    assert [block.dense.kernel.shape for block in score.blocks] == blocks
    assert score.out.kernel.shape == (blocks[-1][-1], 1)


def test_candidates_and_history_share_their_tables():
    built = Nann(user_behavior(), problems.schema(), 10)
    tables = [v for v in built.variables if v.path.endswith("embeddings")]
    assert sorted(v.shape[0] for v in tables) == [5, problems.NUM_ITEMS + 1]


@pytest.mark.parametrize("architecture", problems.ARCHITECTURES)
def test_scores_start_near_minus_log_n(architecture):
    keras.utils.set_random_seed(0)
    built = Nann(user_behavior(architecture), problems.schema(), 1000)
    vectors = built.item_vectors(problems.item_fields(ITEM_IDS))
    scores = built.score(built.user_state(problems.batch()), vectors)
    np.testing.assert_allclose(scores, np.full((5, 30), -np.log(1000)), atol=0.5)


def test_weights_are_saved_and_loaded(tmp_path):
    config = dataclasses.replace(user_behavior(), score_units=(8, 4))
    one, other = problems.model(config, seed=1), problems.model(config, seed=2)
    one.save_weights(tmp_path / "nann.weights.h5")
    other.load_weights(tmp_path / "nann.weights.h5")
    for saved, loaded in zip(one.variables, other.variables, strict=True):
        np.testing.assert_array_equal(saved.numpy(), loaded.numpy())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"architecture": "dot"}, "`architecture` must be one of .* Received: 'dot'"),
        ({"item_units": ()}, "`item_units` must be at least 1. Received: \\(\\)"),
        ({"score_units": (8, 0)}, "`score_units` must be at least 1"),
        ({"embedding_size": 0}, "`embedding_size` must be at least 1. Received: 0"),
        ({"max_history": 0}, "`max_history` must be at least 1"),
    ],
)
def test_config_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        NannConfig(**arguments)
