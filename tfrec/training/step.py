"""The compiled training step: the task's losses, their gradients, one update."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from tfrec.training import distribution
from tfrec.training.task import Batch, StepContext, Task

TrainStep = Callable[[Batch], dict[str, tf.Tensor]]


def make_train_step(
    task: Task,
    optimizer: keras.optimizers.Optimizer,
    strategy: tf.distribute.Strategy,
    seed: int,
    element_spec: Any,
) -> TrainStep:
    """A `tf.function` from a global batch to the losses' means over it.

    It is traced once, for the shapes that the data set declares: a resumed run then
    computes with the same graph as the run that it continues.

    Raises: ValueError, at its first call: the task returned no scalar losses.
    """

    def replica_step(batch: Batch) -> dict[str, tf.Tensor]:
        context = StepContext(tf.convert_to_tensor(optimizer.iterations.value), seed)
        with tf.GradientTape() as tape:
            losses = task.step(distribution.replica_share(batch), context)
            _check_losses(losses)
            losses = {name: tf.cast(loss, tf.float32) for name, loss in losses.items()}
            total = tf.add_n(list(losses.values())) / strategy.num_replicas_in_sync
        variables = task.model.trainable_variables
        gradients = tape.gradient(total, [variable.value for variable in variables])
        optimizer.apply(gradients, variables)
        return distribution.replica_mean(losses)

    @tf.function(input_signature=[element_spec])
    def train_step(batch: Batch) -> dict[str, tf.Tensor]:
        losses = strategy.run(replica_step, args=(batch,))
        return {
            name: strategy.experimental_local_results(loss)[0]
            for name, loss in losses.items()
        }

    return train_step


def _check_losses(losses: dict[str, tf.Tensor]) -> None:
    if not losses:
        raise ValueError("`task.step` must return at least one loss. Received: {}")
    for name, loss in losses.items():
        if tf.convert_to_tensor(loss).shape.rank != 0:
            raise ValueError(
                f"Loss `{name}` of task.step must be a scalar. Received: {loss}"
            )
