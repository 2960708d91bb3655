"""The training step: eq. 12 and 13 in NumPy on the negatives it draws; one batch."""

import numpy as np
import pytest
import tensorflow as tf

from tests.pdn import numpy_pdn, problems
from tfrec import training
from tfrec.data.negatives import Negatives
from tfrec.data.samplers import UnigramSampler
from tfrec.pdn.task import PdnTask
from tfrec.training.optimizers import make_optimizer

NUM_USERS, NUM_NEGATIVES = 5, 6
SEED = 4


def negatives() -> Negatives:
    """Uniform, over the items and rows of `problems`."""
    sampler = UnigramSampler(np.ones(problems.NUM_ITEMS + 1), 0.0)
    features = {"category": problems.categories()}
    return Negatives(sampler, features, problems.train_rows(), NUM_NEGATIVES)


def batch() -> dict:
    """A positive a user, of its training rows where a history is not."""
    rows, features = problems.train_rows(), problems.features(NUM_USERS)
    users = features["user"]["user"].numpy()
    positives = [[rows.items[rows.users == user][0]] for user in users]
    return {
        **features,
        "candidates": problems.items(positives),
        "labels": tf.ones([NUM_USERS, 1]),
        "context": {"step": tf.constant([1, 2, 3, 4, 8])},
    }


def step_context(iteration: int = 7) -> training.StepContext:
    return training.StepContext(tf.constant(iteration, tf.int64), SEED)


def drawn() -> np.ndarray:
    """The step's own negatives, `(B, S)`."""
    sampler = UnigramSampler(np.ones(problems.NUM_ITEMS + 1), 0.0)
    seed = step_context().random_seed()
    ids = sampler.sample(NUM_USERS * NUM_NEGATIVES, seed).numpy()
    return ids.reshape(NUM_USERS, NUM_NEGATIVES)


def numpy_loss(model, batch: dict, own: bool = True, bias: bool = True) -> float:
    """Section 4.6 from the concatenations: eq. 12, eq. 13, mean over what counts."""
    rows = problems.train_rows()
    met = set(zip(rows.users.tolist(), rows.items.tolist(), strict=True))
    users = batch["user"]["user"].numpy().tolist()
    ids = np.concatenate([batch["candidates"]["item"].numpy(), drawn()], 1)
    is_logit = model.config.merge == "unconstrained"
    losses, weights = np.zeros(ids.shape), np.zeros(ids.shape)
    for (b, c), item_id in np.ndenumerate(ids):
        label = float(c == 0)
        item = {"item": item_id, "category": problems.categories()[item_id]}
        score = numpy_pdn.score(model, batch, b, item, label if own else 0.0)
        if model.config.bias_net and bias:
            step = numpy_pdn.table(model, "step", batch["context"]["step"].numpy()[b])
            linear = numpy_pdn.mlp(model.bias_output, [step])[0]
            score += linear if is_logit else numpy_pdn.softplus(linear)
        if is_logit:
            losses[b, c] = np.logaddexp(0.0, -score if label else score)
        else:
            losses[b, c] = -np.log(-np.expm1(-score)) if label else score
        weights[b, c] = label or float((users[b], int(item_id)) not in met)
    assert 0 < (weights == 0).sum() < weights.size / 2
    return (losses * weights).sum() / weights.sum()


def task(model) -> PdnTask:
    return PdnTask(model, negatives(), dict)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"merge": "unconstrained"},
        {"merge": "unconstrained", "path_width": 3},
        {"bias_net": False},
    ],
    ids=str,
)
def test_loss(changes):
    model = problems.model(seed=4, initial_path=-5.0, **changes)
    losses = task(model).step(batch(), step_context())
    assert set(losses) == {"loss"}
    expected = numpy_loss(model, batch())
    assert float(losses["loss"]) == pytest.approx(expected, rel=1e-5)
    without = [numpy_loss(model, batch(), own=False)]
    if model.config.bias_net:
        without.append(numpy_loss(model, batch(), bias=False))
    for other in without:  # own counts and the bias net can be told apart from none
        assert abs(other / expected - 1) > 3e-5


def test_negatives_follow_from_the_seed_and_the_iteration():
    made = task(problems.model(seed=3))

    def loss(iteration):
        return float(made.step(batch(), step_context(iteration))["loss"])

    assert loss(1) == loss(1) != loss(2)


def test_one_batch_is_learnt_by_heart():
    model = problems.model()
    made, one = task(model), batch()
    optimizer = make_optimizer(training.TrainingConfig(learning_rate=0.02))
    optimizer.build(model.trainable_variables)

    @tf.function
    def step(iteration):
        with tf.GradientTape() as tape:
            loss = made.step(one, training.StepContext(iteration, SEED))["loss"]
        variables = model.trainable_variables
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        optimizer.apply(gradients, variables)
        return loss

    losses = [float(step(tf.constant(i, tf.int64))) for i in range(120)]
    assert np.mean(losses[-10:]) < 0.4 * np.mean(losses[:10])
