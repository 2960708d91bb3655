"""The training step: its losses in NumPy, negatives, hits, sparse gradients."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests.nann import numpy_nann, problems
from tfrec import training
from tfrec.nann.config import AdversarialConfig, LossConfig, NannConfig
from tfrec.training.optimizers import make_optimizer

SMALL = NannConfig(
    embedding_size=4, item_units=(8, 6), attention_units=5, score_units=(8, 4)
)
ADVERSARIAL = AdversarialConfig(epsilon=0.5, num_candidates=4, weight=3.0)
LOSS = LossConfig(num_negatives=24, negative_draws=3, adversarial=ADVERSARIAL)
NUM_USERS = 6


def _with_draws(num_draws: int) -> LossConfig:
    return dataclasses.replace(LOSS, negative_draws=num_draws)


def _draws(config: LossConfig) -> np.ndarray:
    """The step's own negatives, `(G, S)`."""
    shape = (config.negative_draws, config.num_negatives)
    seed = problems.context().random_seed()
    return problems.sampler().sample(np.prod(shape), seed).numpy().reshape(shape)


def _numpy_losses(model, config: LossConfig, batch: dict) -> dict:
    """The NCE of eq. 3 from scratch, with and without hits, and the labels' e_v."""
    positives, draws = batch["candidates"]["item"], _draws(config)
    names = [field.name for field in model.schema.candidates]
    ids = np.concatenate([positives[:, 0], draws.reshape(-1)])
    embedded = numpy_nann.embed(model, problems.item_fields(ids), names)
    vectors = numpy_nann.item_network(model, embedded, training=True)
    of_draws = vectors[NUM_USERS:].reshape(*draws.shape, -1)
    users = NUM_USERS // config.negative_draws
    negatives, of_negatives = (np.repeat(a, users, axis=0) for a in (draws, of_draws))
    labels = np.concatenate([vectors[:NUM_USERS, None], of_negatives], axis=1)
    ids = np.concatenate([positives, negatives], axis=1)
    log_counts = np.log(config.num_negatives * problems.sampler().probabilities[ids])
    is_masked = (ids == positives) & (np.arange(ids.shape[1]) > 0)
    scores = numpy_nann.scores(model, batch, labels, training=True)
    return {
        "nce": numpy_nann.nce(scores, log_counts, is_masked).mean(),
        "with_hits": numpy_nann.nce(scores, log_counts, False).mean(),
        "labels": labels[:, : config.adversarial.num_candidates],
    }


def _step(task, batch: dict) -> dict[str, np.ndarray]:
    return {k: float(v) for k, v in task.step(batch, problems.context()).items()}


@pytest.mark.parametrize("architecture", problems.ARCHITECTURES)
@pytest.mark.parametrize("num_draws", [1, 3, NUM_USERS])
def test_losses_are_eq_3(architecture, num_draws):
    config = _with_draws(num_draws)
    model_config = dataclasses.replace(SMALL, architecture=architecture)
    model, batch = problems.model(model_config), problems.batch(NUM_USERS)
    expected = _numpy_losses(model, config, batch)
    assert expected["with_hits"] > 1.003 * expected["nce"], "no negative is a positive"
    losses = _step(problems.task(model, config), batch)
    assert set(losses) == {"nce", "aux"}
    np.testing.assert_allclose(losses["nce"], expected["nce"], rtol=5e-4)

    def score(vectors):
        return model.score(model.user_state(batch), vectors)

    labels = tf.constant(expected["labels"], tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(labels)
        gradient = tape.gradient(score(labels), labels)
    moved = expected["labels"] + ADVERSARIAL.epsilon * np.sign(gradient)
    plain, perturbed = (
        numpy_nann.scores(model, batch, v) for v in (expected["labels"], moved)
    )
    divergence = numpy_nann.kl(plain, perturbed, "softmax_kl").mean()
    np.testing.assert_allclose(losses["aux"], 3.0 * divergence, rtol=1e-2, atol=1e-6)
    # The score's gradient by e_v is e_u whatever the item: all scores rise alike.
    assert divergence > 1e-4 or architecture == "two_sided"


def test_without_the_auxiliary_loss_there_is_one_loss():
    config = dataclasses.replace(LOSS, adversarial=None)
    task = problems.task(problems.model(SMALL), config)
    assert set(_step(task, problems.batch(NUM_USERS))) == {"nce"}


def test_the_auxiliary_pass_leaves_the_moving_statistics_alone():
    batch, statistics, starts = problems.batch(NUM_USERS), [], []
    for adversarial in (None, ADVERSARIAL):
        model = problems.model(SMALL)
        starts.append([v.numpy() for v in model.non_trainable_variables])
        config = dataclasses.replace(LOSS, adversarial=adversarial)
        problems.task(model, config).step(batch, problems.context())
        statistics.append([v.numpy() for v in model.non_trainable_variables])
    for without, with_it, start in zip(*statistics, starts[0], strict=True):
        np.testing.assert_array_equal(with_it, without)
        assert (without != start).any()


def test_negatives_follow_from_the_seed_and_the_iteration():
    model, batch = problems.model(SMALL), problems.batch(NUM_USERS)
    task = problems.task(model, LOSS)
    kept = [v.numpy() for v in model.variables]

    def nce(iteration, seed):
        for variable, array in zip(model.variables, kept, strict=True):
            variable.assign(array)
        return float(task.step(batch, problems.context(iteration, seed))["nce"])

    assert nce(0, 0) == nce(0, 0)
    assert len({nce(0, 0), nce(1, 0), nce(0, 1)}) == 3


def test_a_compiled_step_has_the_same_losses():
    batch = problems.batch(NUM_USERS)
    losses = [
        _step(problems.task(problems.model(SMALL), LOSS, jit_compile), batch)
        for jit_compile in (False, True)
    ]
    for name in ("nce", "aux"):
        np.testing.assert_allclose(losses[1][name], losses[0][name], rtol=1e-3)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_gradients_of_the_tables_are_sparse(jit_compile):
    model, batch = problems.model(SMALL), problems.batch(NUM_USERS)
    task = problems.task(model, LOSS, jit_compile)
    variables = [variable.value for variable in model.trainable_variables]

    @tf.function
    def gradients():
        with tf.GradientTape() as tape:
            losses = task.step(batch, problems.context())
            total = tf.add_n(list(losses.values()))
        return tape.gradient(total, variables)

    traced = gradients.get_concrete_function().structured_outputs
    for variable, gradient in zip(model.trainable_variables, traced, strict=True):
        is_table = variable.path.endswith("embeddings")
        assert isinstance(gradient, tf.IndexedSlices) == is_table, variable.path
    if not jit_compile:
        touched = {
            variable.path: set(gradient.indices.numpy()) - {0}
            for variable, gradient in zip(
                model.trainable_variables, gradients(), strict=True
            )
            if isinstance(gradient, tf.IndexedSlices)
        }
        drawn = _draws(LOSS)
        ids = [batch["history"]["item"], batch["candidates"]["item"], drawn]
        expected = set(np.concatenate([np.ravel(part) for part in ids])) - {0}
        assert touched["item_table/embeddings"] == expected


def test_one_batch_is_learnt_by_heart():
    model = problems.model(SMALL)
    task, batch = problems.task(model, LOSS), problems.batch(NUM_USERS)
    optimizer = make_optimizer(training.TrainingConfig(learning_rate=0.02))
    optimizer.build(model.trainable_variables)

    @tf.function
    def step(iteration):
        with tf.GradientTape() as tape:
            losses = task.step(batch, training.StepContext(iteration, 0))
            total = tf.add_n(list(losses.values()))
        variables = model.trainable_variables
        gradients = tape.gradient(total, [variable.value for variable in variables])
        optimizer.apply(gradients, variables)
        return losses["nce"]

    losses = [float(step(tf.constant(i, tf.int64))) for i in range(80)]
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:10])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_negatives": 0}, "`num_negatives` must be at least 1. Received: 0"),
        ({"negative_draws": 0}, "`negative_draws` must be at least 1. Received: 0"),
    ],
)
def test_config_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        LossConfig(**arguments)


def test_value_errors():
    with pytest.raises(ValueError, match="`negative_draws` must divide"):
        problems.task(problems.model(SMALL), _with_draws(4)).step(
            problems.batch(NUM_USERS), problems.context()
        )
    with pytest.raises(ValueError, match="`sampler` must have the power"):
        problems.task(problems.model(SMALL), dataclasses.replace(LOSS, noise_power=0.5))
