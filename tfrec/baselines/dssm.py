"""DSSM as a retrieval baseline: two towers and no behaviours."""

from collections.abc import Mapping
from typing import Any

from tfrec.baselines.base import State, TwoTower
from tfrec.baselines.config import DssmConfig
from tfrec.data.schema import Schema


class Dssm(TwoTower):
    """The inner product of a tower on the user fields and one on the item's.

    Differs from its paper: fields instead of letter trigrams, ReLU for tanh, inner
    product for cosine, sigmoid cross-entropy for the softmax over 4 negatives.

    Args:
        config: sizes.
        schema: its user and candidate fields are read, its history is not.
    Source: Huang et al. 2013; Li et al. 2021 (PDN), section 6.1.2.
    """

    def __init__(self, config: DssmConfig, schema: Schema):
        super().__init__(schema, schema.user, config.embedding_size, config.units)
        self.config = config
        self._create_variables()

    def user_state(self, features: Mapping[str, Any], training: bool = False) -> State:
        """`{"user": (B, D)}`; see `Baseline.user_state`."""
        user = self.embed(features["user"], fields=self.schema.user)
        return {"user": self.user_tower(user)}
