"""The contract between a paper, which supplies a task, and the loop."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import keras
import tensorflow as tf

Batch = Mapping[str, Any]
MakeDataset = Callable[[int], tf.data.Dataset]


@dataclasses.dataclass(frozen=True)
class StepContext:
    """What a step may know besides its batch; all its randomness comes from here.

    Args:
        iteration: int64 scalar, optimiser steps done before this one, over all epochs.
        seed: the run's seed.
    """

    iteration: tf.Tensor
    seed: int

    def random_seed(self, stream: int = 0) -> tf.Tensor:
        """Seed for `tf.random.stateless_*`: int64 `(2,)`, another one each step.

        It is the same on every worker and after a resume. Two draws of one step take
        two streams.
        """
        base = tf.constant([self.seed, stream], tf.int64)
        return tf.random.fold_in(base, self.iteration)


class Task(Protocol):
    """A paper's side of training.

    `model` is built, within the strategy's scope when there are several workers. Its
    variables are what is trained, checkpointed and restored.
    """

    model: keras.Model

    def step(self, batch: Batch, context: StepContext) -> dict[str, tf.Tensor]:
        """Scalar losses by name, each a mean over the batch; the loop sums them.

        Called while a `tf.function` is traced, inside a gradient tape and, with
        several workers, in the replica's context with its share of the batch.
        """
        ...

    def validate(self) -> dict[str, float]:
        """Metrics on the validation users by name; called after each epoch."""
        ...
