"""The training step of every neural baseline, as a task of `tfrec.training`."""

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from tfrec.baselines.base import Baseline, StepSeeds
from tfrec.data.negatives import Negatives


class PointwiseTask:
    """Asks the model for its losses, sigmoid cross-entropies of pairs.

    Args:
        model: built, in the strategy's scope when there are several workers.
        negatives: draws the items that positives are told from, the same for every
            model of one seed that uses `Baseline.training_losses`.
        validate_fn: metrics of the model on the validation users.
    """

    def __init__(
        self,
        model: Baseline,
        negatives: Negatives,
        validate_fn: Callable[[], dict[str, float]],
    ):
        self.model = model
        self.negatives = negatives
        self._validate_fn = validate_fn

    def step(
        self, batch: Mapping[str, Any], context: StepSeeds
    ) -> dict[str, tf.Tensor]:
        """Scalar losses by name, each a mean over the batch."""
        return self.model.training_losses(batch, self.negatives, context)

    def validate(self) -> dict[str, float]:
        """Metrics on the validation users."""
        return self._validate_fn()
