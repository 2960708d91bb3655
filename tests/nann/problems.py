"""Small synthetic schemas, batches and tasks for the tests of NANN."""

import numpy as np
import tensorflow as tf

from tests.layers import numpy_layers
from tfrec import training
from tfrec.data.samplers import UnigramSampler
from tfrec.data.schema import Field, Schema
from tfrec.nann.config import LossConfig, NannConfig, industrial, user_behavior
from tfrec.nann.model import Nann
from tfrec.nann.task import NannTask

NUM_ITEMS = 30
NUM_CATEGORIES = 4
ARCHITECTURES = ("attention", "no_attention", "two_sided")
CONFIGS = {"user_behavior": user_behavior, "industrial": industrial}


def schema(num_profile_fields: int = 51) -> Schema:
    """Items with a category; users with an id and further profile fields."""
    item = (Field("item", NUM_ITEMS + 1), Field("category", NUM_CATEGORIES + 1))
    user = tuple(Field(f"profile_{i}", 3 + i) for i in range(num_profile_fields))
    return Schema(user=user, history=item, candidates=item)


def categories() -> np.ndarray:
    """Category of each item, int32 `(N + 1,)`, by item id."""
    return np.r_[0, np.arange(NUM_ITEMS) % NUM_CATEGORIES + 1].astype("int32")


def item_fields(ids: np.ndarray) -> dict[str, np.ndarray]:
    """Fields of items by their ids."""
    return {"item": ids, "category": categories()[ids]}


def batch(num_users: int = 5, length: int = 6, seed: int = 0) -> dict:
    """A schema batch: one positive a user, histories from empty to full."""
    rng = np.random.default_rng(seed)
    history = rng.integers(1, NUM_ITEMS + 1, (num_users, length), dtype=np.int32)
    history[np.arange(length) >= np.arange(num_users)[:, None] % (length + 1)] = 0
    positives = rng.integers(1, NUM_ITEMS + 1, (num_users, 1), dtype=np.int32)
    user = {
        field.name: rng.integers(0, field.size, num_users, dtype=np.int32)
        for field in schema().user
    }
    return {
        "user": user,
        "history": item_fields(history),
        "candidates": item_fields(positives),
        "labels": np.ones((num_users, 1), "float32"),
    }


def model(config: NannConfig, seed: int = 1) -> Nann:
    """A model whose every variable is random, moving statistics included."""
    built = Nann(config, schema(), NUM_ITEMS)
    numpy_layers.randomise(built.variables, seed)
    return built


def sampler() -> UnigramSampler:
    """The noise: item i was seen i times."""
    return UnigramSampler(np.arange(NUM_ITEMS + 1))


def task(built: Nann, config: LossConfig, jit_compile: bool = False) -> NannTask:
    """The training step on synthetic items."""
    features = {"category": categories()}
    return NannTask(built, sampler(), features, config, dict, jit_compile)


def context(iteration: int = 0, seed: int = 0) -> training.StepContext:
    """Of a step that is run eagerly."""
    return training.StepContext(tf.constant(iteration, tf.int64), seed)


def batches(num_batches: int, batch_size: int) -> tf.data.Dataset:
    """Global batches, each another."""
    drawn = [batch(batch_size, seed=number) for number in range(num_batches)]
    stacked = tf.nest.map_structure(lambda *parts: np.stack(parts), *drawn)
    return tf.data.Dataset.from_tensor_slices(stacked)


def factory():
    """For `tests.training.two_workers`: figure 9's network and both losses.

    The learning rate is small: Adam divides a gradient by its own size, so where it is
    rounding alone a weight moves a whole rate, and at 3e-3 the steps amplify this.
    """
    config = training.TrainingConfig(learning_rate=1e-4, seed=3)
    training.configure(config)
    built = Nann(user_behavior(), schema(0), NUM_ITEMS)
    loss = LossConfig(num_negatives=30, negative_draws=2)
    return task(built, loss), lambda _: batches(20, 32), config
