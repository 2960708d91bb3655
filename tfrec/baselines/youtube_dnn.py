"""YouTube DNN's candidate generation: averaged behaviours through a network."""

from collections.abc import Mapping
from typing import Any

from keras import ops

from tfrec.baselines.base import State, TwoTower
from tfrec.baselines.config import YoutubeDnnConfig
from tfrec.baselines.fields import mean_of_real
from tfrec.data.schema import Schema


class YoutubeDnn(TwoTower):
    """The user tower reads user fields and the average of the behaviours.

    Differs from its paper: an item tower on the candidate fields for the softmax's
    table, sigmoid cross-entropy for the sampled softmax, no age of the example.

    Args:
        config: sizes.
        schema: all its fields but the context's are read.
    Source: Covington et al. 2016, section 3; Li et al. 2021 (PDN), section 6.1.2.
    """

    def __init__(self, config: YoutubeDnnConfig, schema: Schema):
        fields = (*schema.user, *schema.history)
        super().__init__(schema, fields, config.embedding_size, config.units)
        self.config = config
        self._create_variables()

    def user_state(self, features: Mapping[str, Any], training: bool = False) -> State:
        """`{"user": (B, D)}`; see `Baseline.user_state`."""
        history = features["history"]
        user = self.embed(features["user"], fields=self.schema.user)
        behaviours = self.embed(history, fields=self.schema.history)
        pooled = mean_of_real(behaviours, history["item"] != 0)
        return {"user": self.user_tower(ops.concatenate([user, pooled], axis=-1))}
