"""One command for one process or, with `TF_CONFIG`, for several workers.

Each worker makes the same global batches; replica r of n takes the rows
`[r * B / n, (r + 1) * B / n)` of each. So n workers compute what one process computes.
"""

import json
import os

import tensorflow as tf

from tfrec.training.task import Batch


def strategy() -> tf.distribute.Strategy:
    """MultiWorkerMirrored when `TF_CONFIG` names several workers, else the default.

    Call it first in the program, before TensorFlow runs any op, and build the model in
    `strategy.scope()`.

    Raises: ValueError: `TF_CONFIG` is not JSON or names other jobs than workers.
    """
    text = os.environ.get("TF_CONFIG", "")
    if not text:
        return tf.distribute.get_strategy()
    try:
        cluster = json.loads(text).get("cluster", {})
    except (ValueError, AttributeError) as error:
        raise ValueError(
            f"`TF_CONFIG` must be a JSON object. Received: {text}"
        ) from error
    jobs = {job: hosts for job, hosts in cluster.items() if hosts}
    if not set(jobs) <= {"chief", "worker"}:
        raise ValueError(
            "`TF_CONFIG` must list the jobs 'chief' and 'worker' only. "
            f"Received: cluster={cluster}"
        )
    if sum(len(hosts) for hosts in jobs.values()) < 2:
        return tf.distribute.get_strategy()
    return tf.distribute.MultiWorkerMirroredStrategy()


def is_chief(distribution: tf.distribute.Strategy) -> bool:
    """Whether this process writes checkpoints, TensorBoard and progress."""
    resolver = distribution.cluster_resolver
    if resolver is None or not resolver.cluster_spec().jobs:
        return True
    if "chief" in resolver.cluster_spec().jobs:
        return resolver.task_type == "chief"
    return resolver.task_id == 0


def replica_share(batch: Batch) -> Batch:
    """The rows of the global batch that this replica computes; in a replica's context.

    Raises: InvalidArgumentError (ValueError where the size is static): the number of
        rows is not a multiple of the number of replicas.
    """
    context = tf.distribute.get_replica_context()
    num_replicas = context.num_replicas_in_sync
    if num_replicas == 1:
        return batch
    replica = tf.cast(context.replica_id_in_sync_group, tf.int32)

    def rows(tensor: tf.Tensor) -> tf.Tensor:
        size = tensor.shape[0] or tf.shape(tensor)[0]
        tf.debugging.assert_equal(
            size % num_replicas,
            0,
            f"The batch size must be a multiple of the {num_replicas} replicas.",
        )
        share = size // num_replicas
        return tensor[replica * share : (replica + 1) * share]

    return tf.nest.map_structure(rows, batch)


def replica_mean(values: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """The mean over replicas of each scalar; in a replica's context."""
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1:
        return values
    names = sorted(values)
    means = context.all_reduce(
        tf.distribute.ReduceOp.MEAN, tf.stack([values[name] for name in names])
    )
    return dict(zip(names, tf.unstack(means), strict=True))


def worker_mean(
    distribution: tf.distribute.Strategy, values: dict[str, float]
) -> dict[str, float]:
    """The mean of host values over the workers; each waits here for all others."""
    if distribution.num_replicas_in_sync == 1 or not values:
        return values
    tensors = {name: tf.constant(value, tf.float64) for name, value in values.items()}

    @tf.function(autograph=False)
    def means() -> dict[str, tf.Tensor]:
        return distribution.run(replica_mean, args=(tensors,))

    local = tf.nest.map_structure(
        lambda value: distribution.experimental_local_results(value)[0], means()
    )
    return {name: float(value) for name, value in local.items()}
