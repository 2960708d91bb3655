"""NANN's training step (eq. 3) as a task of `tfrec.training`."""

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from tfrec.data.samplers import UnigramSampler
from tfrec.losses.nce import nce_loss
from tfrec.nann.adversarial import auxiliary_loss
from tfrec.nann.config import LossConfig
from tfrec.nann.model import Nann
from tfrec.training.distribution import replica_share
from tfrec.training.task import StepContext


class NannTask:
    """L = L_NCE + L_AUX on a batch of (user, next behaviour).

    Embedding rows are looked up outside of the compiled part; the rest of the step is
    one XLA program on a single worker.

    Args:
        model: built in the strategy's scope.
        sampler: the noise distribution over item ids.
        item_features: `{name: (N + 1,)}`, features of a sampled item besides its id.
        config: of the losses.
        validate_fn: metrics of the model on the validation users.
        jit_compile: compile by XLA; must be False with several workers.
    Raises: ValueError: the sampler's power is not the config's, or in a step the batch
        size is no multiple of `config.negative_draws`.
    Source: Chen et al. 2022, section 3.1.3 and eq. 3.
    """

    def __init__(
        self,
        model: Nann,
        sampler: UnigramSampler,
        item_features: Mapping[str, Any],
        config: LossConfig,
        validate_fn: Callable[[], dict[str, float]],
        jit_compile: bool = True,
    ):
        if sampler.power != config.noise_power:
            raise ValueError(
                "`sampler` must have the power `config.noise_power`. Received: "
                f"{sampler.power} and {config.noise_power}"
            )
        self.model = model
        self.config = config
        self._sampler = sampler
        self._features = {k: tf.constant(v) for k, v in item_features.items()}
        self._validate_fn = validate_fn
        # Workers may not synchronise inside of a nested `tf.function`.
        self._losses = self._losses_of_vectors
        if jit_compile:
            self._losses = tf.function(self._losses_of_vectors, jit_compile=True)

    def validate(self) -> dict[str, float]:
        """Metrics on the validation users."""
        return self._validate_fn()

    def step(self, batch: Mapping[str, Any], context: StepContext) -> dict[str, Any]:
        """Losses "nce" and "aux" of positives `batch["candidates"]`, `(B, 1)`."""
        positives = {k: v[:, 0] for k, v in batch["candidates"].items()}
        positive_ids = positives["item"]
        self._check_draws(positive_ids.shape[0])
        negative_ids_gs = self._draw(context)
        negatives = {
            k: tf.gather(v, negative_ids_gs) for k, v in self._features.items()
        }
        negatives["item"] = negative_ids_gs
        ids_bs = _for_users(negative_ids_gs, tf.shape(positive_ids)[0])
        is_hit = ids_bs == positive_ids[:, tf.newaxis]
        ids_bc = tf.concat([positive_ids[:, tf.newaxis], ids_bs], 1)
        counts = self._sampler.log_expected_count(ids_bc, self.config.num_negatives)
        model = self.model
        return self._losses(
            model.embed_profile(batch.get("user", {})),
            model.embed_history(batch["history"]),
            batch["history"]["item"] != 0,
            model.embed_items(positives),
            model.embed_items(negatives),
            counts,
            tf.pad(is_hit, [[0, 0], [1, 0]]),
        )

    def _check_draws(self, replica_batch: int | None) -> None:
        replicas = tf.distribute.get_replica_context().num_replicas_in_sync
        draws = self.config.negative_draws
        batch = None if replica_batch is None else replica_batch * replicas
        if draws % replicas or (batch is not None and batch % draws):
            raise ValueError(
                "`negative_draws` must divide the batch size and be a multiple of the "
                f"number of workers. Received: negative_draws={draws}, batch size "
                f"{batch}, {replicas} workers"
            )

    def _draw(self, context: StepContext) -> tf.Tensor:
        """This replica's ids `(G, S)` of the draws of the global batch."""
        draws, count = self.config.negative_draws, self.config.num_negatives
        ids = self._sampler.sample(draws * count, context.random_seed())
        batch = {"negatives": tf.reshape(ids, [draws, count])}
        return replica_share(batch)["negatives"]

    def _losses_of_vectors(
        self,
        profile: Any,
        history: Any,
        is_real: Any,
        positive: Any,
        negative: Any,
        counts_bc: Any,
        is_masked_bc: Any,
    ) -> dict[str, tf.Tensor]:
        state = self.model.encode_user(profile, history, is_real)
        vectors_bd, vectors_gsd = self._item_vectors(positive, negative)
        parts = tf.nest.map_structure(
            _candidates,
            self.model.prepare(vectors_bd),
            self.model.prepare(vectors_gsd),
        )
        scores = self.model.score_prepared(state, parts, training=True)
        losses = {"nce": tf.reduce_mean(nce_loss(scores, counts_bc, is_masked_bc))}
        adversarial = self.config.adversarial
        if adversarial is not None:
            used = slice(adversarial.num_candidates)
            auxiliary = auxiliary_loss(
                lambda vectors: self.model.score(state, vectors),
                _candidates(vectors_bd, vectors_gsd)[:, used],
                adversarial,
                lambda s: nce_loss(s, counts_bc[:, used], is_masked_bc[:, used]),
            )
            losses["aux"] = adversarial.weight * tf.reduce_mean(auxiliary)
        return losses

    def _item_vectors(self, positive: Any, negative: Any) -> tuple[Any, Any]:
        """One pass of the item network, so that its batch norm sees all labels."""
        shape, batch_size = tf.shape(negative), tf.shape(positive)[0]
        flat = tf.reshape(negative, [-1, negative.shape[-1]])
        vectors = self.model.item_network(tf.concat([positive, flat], 0), training=True)
        width = [vectors.shape[-1]]
        negatives = tf.reshape(vectors[batch_size:], tf.concat([shape[:-1], width], 0))
        return vectors[:batch_size], negatives


def _for_users(draws: tf.Tensor, batch_size: tf.Tensor) -> tf.Tensor:
    """Gives each user its draw: `(G, S, ...)` -> `(B, S, ...)`."""
    shape, count = tf.shape(draws), tf.shape(draws)[0]
    each = tf.broadcast_to(
        draws[:, tf.newaxis],
        tf.concat([[count, batch_size // count], shape[1:]], 0),
    )
    return tf.reshape(each, tf.concat([[batch_size], shape[1:]], 0))


def _candidates(positive_bd: tf.Tensor, negative_gsd: tf.Tensor) -> tf.Tensor:
    """Puts each user's positive before its negatives: `(B, 1 + S, D)`."""
    negative_bsd = _for_users(negative_gsd, tf.shape(positive_bd)[0])
    negative_bsd = tf.ensure_shape(negative_bsd, [None, None, positive_bd.shape[-1]])
    return tf.concat([positive_bd[:, tf.newaxis], negative_bsd], 1)
