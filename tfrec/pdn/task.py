"""PDN's training step (section 4.6) as a task of `tfrec.training`."""

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from tfrec.data.negatives import Negatives
from tfrec.pdn.loss import path_cross_entropy
from tfrec.pdn.model import Pdn
from tfrec.training.task import StepContext


class PdnTask:
    """Cross-entropy of eq. 13 on a positive and its negatives.

    Args:
        model: built in the strategy's scope.
        negatives: what is drawn beside each positive.
        validate_fn: metrics of the model on the validation users.
    Source: Li et al. 2021, section 4.6; the number of negatives is open there.
    """

    def __init__(
        self,
        model: Pdn,
        negatives: Negatives,
        validate_fn: Callable[[], dict[str, float]],
    ):
        self.model = model
        self._negatives = negatives
        self._validate_fn = validate_fn

    def validate(self) -> dict[str, float]:
        """Metrics on the validation users."""
        return self._validate_fn()

    def step(self, batch: Mapping[str, Any], context: StepContext) -> dict[str, Any]:
        """The loss of positives `batch["candidates"]` `(B, 1)`, by name."""
        items, labels, weights = self._negatives.candidates(
            batch, context.random_seed()
        )
        model = self.model
        scores = model.score(model.user_state(batch), items, own=labels)
        if model.config.bias_net:
            scores += model.bias(batch["context"])
        if model.config.merge == "unconstrained":
            losses = tf.nn.sigmoid_cross_entropy_with_logits(labels, scores)
        else:
            losses = path_cross_entropy(scores, labels)
        return {"loss": tf.reduce_sum(losses * weights) / tf.reduce_sum(weights)}
