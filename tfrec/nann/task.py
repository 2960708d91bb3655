"""NANN's training step (eq. 3) as a task of `tfrec.training`."""

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from tfrec.data.samplers import UnigramSampler
from tfrec.losses.nce import nce_loss
from tfrec.nann.adversarial import auxiliary_loss
from tfrec.nann.config import LossConfig
from tfrec.nann.model import Nann
from tfrec.training.task import StepContext


class NannTask:
    """L = L_NCE + L_AUX on a batch of (user, next behaviour).

    Embedding rows are looked up outside of the compiled part, so that their gradients
    stay sparse; the rest of the step is one XLA program on a single worker.

    Args:
        model: built in the strategy's scope.
        sampler: the noise distribution over item ids.
        item_features: `{name: (N + 1,)}`, features of a sampled item besides its id.
        config: of the losses.
        validate_fn: metrics of the model on the validation users.
        jit_compile: compile by XLA; must be False with several workers.
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
        self.model = model
        self.config = config
        self._sampler = sampler
        self._features = {k: tf.constant(v) for k, v in item_features.items()}
        self._validate_fn = validate_fn
        self._losses = tf.function(self._losses_of_vectors, jit_compile=jit_compile)

    def validate(self) -> dict[str, float]:
        """Metrics on the validation users."""
        return self._validate_fn()

    def step(self, batch: Mapping[str, Any], context: StepContext) -> dict[str, Any]:
        """Losses "nce" and "aux" of positives `batch["candidates"]`, `(B, 1)`."""
        positives = {k: v[:, 0] for k, v in batch["candidates"].items()}
        positive_ids = positives["item"]
        negative_ids = self._draw(tf.shape(positive_ids)[0], context)
        negatives = {k: tf.gather(v, negative_ids) for k, v in self._features.items()}
        negatives["item"] = negative_ids
        log_counts = [
            self._sampler.log_expected_count(ids, self.config.num_negatives)
            for ids in (positive_ids, negative_ids)
        ]
        is_hit = negative_ids == positive_ids[:, tf.newaxis]
        model = self.model
        return self._losses(
            model.embed_profile(batch.get("user", {})),
            model.embed_history(batch["history"]),
            batch["history"]["item"] != 0,
            model.embed_items(positives),
            model.embed_items(negatives),
            tf.where(is_hit, 0.0, log_counts[1]),
            log_counts[0],
            is_hit,
        )

    def _draw(self, batch_size: tf.Tensor, context: StepContext) -> tf.Tensor:
        """Ids `(S,)`, the same on every worker, or `(B, S)`, others on each."""
        count, seed = self.config.num_negatives, context.random_seed()
        if self.config.shared_negatives:
            return self._sampler.sample(count, seed)
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        ids = self._sampler.sample(
            batch_size * count, tf.random.fold_in(seed, tf.cast(replica, tf.int64))
        )
        return tf.reshape(ids, [batch_size, count])

    def _losses_of_vectors(
        self,
        profile: Any,
        history: Any,
        is_real: Any,
        positive: Any,
        negative: Any,
        negative_counts: Any,
        positive_counts: Any,
        is_hit: Any,
    ) -> dict[str, tf.Tensor]:
        state = self.model.encode_user(profile, history, is_real)
        vectors_bd, vectors_sd = self._item_vectors(positive, negative)
        parts = tf.nest.map_structure(
            _candidates,
            self.model.prepare(vectors_bd),
            self.model.prepare(vectors_sd),
        )
        scores = self.model.score_prepared(state, parts, training=True)
        counts = tf.concat([positive_counts[:, tf.newaxis], negative_counts], 1)
        is_masked = tf.pad(is_hit, [[0, 0], [1, 0]])
        losses = {"nce": tf.reduce_mean(nce_loss(scores, counts, is_masked))}
        adversarial = self.config.adversarial
        if adversarial is not None:
            used = slice(adversarial.num_candidates)
            auxiliary = auxiliary_loss(
                lambda vectors: self.model.score(state, vectors),
                _candidates(vectors_bd, vectors_sd)[:, used],
                adversarial,
                lambda s: nce_loss(s, counts[:, used], is_masked[:, used]),
            )
            losses["aux"] = adversarial.weight * tf.reduce_mean(auxiliary)
        return losses

    def _item_vectors(self, positive: Any, negative: Any) -> tuple[Any, Any]:
        """One pass of the item network, so that its batch norm sees all labels.

        Every worker holds the shared negatives, which still count once.
        """
        shape = tf.shape(negative)
        flat = tf.reshape(negative, [-1, negative.shape[-1]])
        batch_size = tf.shape(positive)[0]
        replicas = tf.distribute.get_replica_context().num_replicas_in_sync
        share = 1.0 / replicas if self.config.shared_negatives else 1.0
        weights = tf.concat(
            [tf.ones([batch_size]), tf.fill([tf.shape(flat)[0]], share)], 0
        )
        vectors = self.model.item_network(
            tf.concat([positive, flat], 0), training=True, weights=weights
        )
        negatives = tf.reshape(
            vectors[batch_size:], tf.concat([shape[:-1], [vectors.shape[-1]]], 0)
        )
        return vectors[:batch_size], negatives


def _candidates(positive_bd: tf.Tensor, negative: tf.Tensor) -> tf.Tensor:
    """Puts each user's positive before its negatives: `(B, 1 + S, D)`."""
    if negative.shape.rank == 2:
        shape = [tf.shape(positive_bd)[0], tf.shape(negative)[0], negative.shape[-1]]
        negative = tf.broadcast_to(negative[tf.newaxis], shape)
    return tf.concat([positive_bd[:, tf.newaxis], negative], 1)
