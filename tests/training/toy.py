"""A small task with everything that makes resuming hard: table, batch norm, draws."""

import keras
import numpy as np
import tensorflow as tf

from tfrec import training
from tfrec.layers.embedding import Embedding

NUM_ITEMS = 50
BATCH_SIZE = 16
STEPS = 10


class ToyTask:
    """Binary labels from an id; the step draws noise, and dropout its own."""

    def __init__(self, dropout: float = 0.0) -> None:
        ids = keras.Input((3,), dtype="int32")
        x = keras.layers.Flatten()(Embedding(NUM_ITEMS, 4, name="table")(ids))
        x = keras.layers.Dense(8, use_bias=False)(x)
        x = keras.layers.BatchNormalization(synchronized=True)(x)
        x = keras.layers.Dropout(dropout)(x) if dropout else x
        x = keras.layers.Dense(1)(keras.layers.ReLU()(x))
        self.model = keras.Model(ids, x)

    def step(self, batch, context: training.StepContext) -> dict[str, tf.Tensor]:
        logits = self.model(batch["history"]["item"], training=True)[:, 0]
        logits = tf.cast(logits, tf.float32)
        shift = tf.random.stateless_normal((), context.random_seed())
        cross_entropy = tf.nn.sigmoid_cross_entropy_with_logits(
            batch["labels"], logits + 0.1 * shift
        )
        return {
            "cross_entropy": tf.reduce_mean(cross_entropy),
            "size": 1e-3 * tf.reduce_mean(tf.square(logits)),
        }

    def validate(self) -> dict[str, float]:
        ids, labels = examples(np.random.default_rng(99), 256)
        logits = keras.ops.convert_to_numpy(self.model(ids, training=False))
        hits = (logits.astype("float32")[:, 0] > 0) == labels
        return {"accuracy": float(np.mean(hits))}


def examples(rng, num):
    """Ids `(num, 3)` int32, some of them padding, and labels `(num,)`."""
    ids = rng.integers(0, NUM_ITEMS, (num, 3), dtype=np.int32)
    return ids, (ids[:, 0] % 2).astype(np.float32)


def make_dataset(epoch: int) -> tf.data.Dataset:
    """`STEPS` batches, another order of numbers each epoch."""
    ids, labels = examples(np.random.default_rng(epoch), BATCH_SIZE * STEPS)
    batches = {"history": {"item": ids}, "labels": labels}
    return tf.data.Dataset.from_tensor_slices(batches).batch(BATCH_SIZE, True)


def factory():
    """For `two_workers`: the task as that script wants it."""
    config = training.TrainingConfig(
        learning_rate=0.01, final_learning_rate=0.001, decay_steps=15, seed=7
    )
    training.configure(config)
    return ToyTask(), lambda _: make_dataset(0).concatenate(make_dataset(1)), config
