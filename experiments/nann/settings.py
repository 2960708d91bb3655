"""Named settings of NANN's experiments: one a data set, and a tiny one for tests."""

import dataclasses
from typing import Any

from tfrec.nann.config import IndexConfig, LossConfig, NannConfig, WalkConfig
from tfrec.training import TrainingConfig


@dataclasses.dataclass(frozen=True)
class Setting:
    """Everything that decides the numbers of a run, but its seed.

    Args:
        dataset: name in `tfrec.data`.
        split: "half_sequence" (paper, section 5.1.1) or "official".
        num_validation_users: examples that choose the epoch.
        num_test_users: examples that are reported.
        top_m: M of the metrics; paper: 200.
        batch_size: positives a step.
        examples_per_epoch: cap of an epoch; validation follows each.
        config: name of the network in `tfrec.nann.config`.
        model: the network.
        loss: negatives and the auxiliary loss.
        training: optimiser and epochs.
        index: HNSW.
        walk: the walk that is exported and reported.
        curve: further walks, for the curve of coverage against the share of items.
        filter_seen: leave out the items of the history, in brute force and walk alike.
    """

    dataset: str
    split: str
    num_validation_users: int
    num_test_users: int
    top_m: int
    batch_size: int = 256
    examples_per_epoch: int = 128_000
    config: str = "user_behavior"
    model: NannConfig = dataclasses.field(default_factory=NannConfig)
    loss: LossConfig = dataclasses.field(default_factory=LossConfig)
    training: TrainingConfig = dataclasses.field(default_factory=TrainingConfig)
    index: IndexConfig = dataclasses.field(default_factory=IndexConfig)
    walk: WalkConfig = dataclasses.field(default_factory=WalkConfig)
    curve: tuple[WalkConfig, ...] = ()
    filter_seen: bool = False

    @property
    def steps_per_epoch(self) -> int:
        """Steps of an epoch."""
        return self.examples_per_epoch // self.batch_size


def training(epochs: int, steps_per_epoch: int) -> TrainingConfig:
    """Adam at the paper's 3e-3, falling to a twentieth of it on a line (ours)."""
    return TrainingConfig(
        optimizer="adam",
        learning_rate=3e-3,
        final_learning_rate=1.5e-4,
        decay_steps=epochs * steps_per_epoch,
        epochs=epochs,
        monitor="recall",
        checkpoint_every_steps=250,
    )


def beams(*ef: tuple[int, int, int]) -> tuple[WalkConfig, ...]:
    """Walks for a curve, that stop when a round finds nothing better."""
    return tuple(WalkConfig(ef=sizes, steps=(1, 1, 8)) for sizes in ef)


# A few thousand items: with the paper's M = 32 one round of 50 nodes meets most of
# them, so the graph is sparser and the walk takes more, narrower rounds (ours).
SMALL_CATALOGUE: dict[str, Any] = {
    "index": IndexConfig(m=8),
    "walk": WalkConfig(ef=(30, 30, 80), steps=(1, 1, 8)),
    "curve": (
        *beams((10, 10, 50), (20, 20, 50), (50, 50, 100), (50, 100, 160)),
        WalkConfig(ef=(30, 30, 80), steps=(1, 1, 3), walk="rounds"),
        WalkConfig(ef=(30, 30, 80), steps=(1, 1, 8), reset_visited=False),
    ),
}

# Tens of thousands of items: level 2 has about 40 nodes, fewer than the paper's ef_2.
MEDIUM_CATALOGUE: dict[str, Any] = {
    "walk": WalkConfig(ef=(30, 100, 250), steps=(1, 1, 3)),
    "curve": (
        WalkConfig(ef=(20, 50, 200), steps=(1, 1, 1)),
        WalkConfig(ef=(20, 50, 200), steps=(1, 1, 2)),
        WalkConfig(ef=(30, 100, 400), steps=(1, 1, 4)),
        WalkConfig(ef=(100, 200, 400), steps=(1, 1, 3)),
        WalkConfig(ef=(30, 100, 250), steps=(1, 1, 3), walk="rounds"),
        WalkConfig(ef=(30, 100, 250), steps=(1, 1, 3), reset_visited=False),
    ),
}

SETTINGS = {
    "ml-100k": Setting(
        dataset="ml-100k",
        split="half_sequence",
        num_validation_users=150,
        num_test_users=150,
        top_m=50,
        examples_per_epoch=25_600,
        training=training(6, 100),
        **SMALL_CATALOGUE,
    ),
    "ml-1m": Setting(
        dataset="ml-1m",
        split="half_sequence",
        num_validation_users=1000,
        num_test_users=1000,
        top_m=50,
        training=training(5, 500),
        **SMALL_CATALOGUE,
    ),
    "gowalla": Setting(
        dataset="gowalla",
        split="official",
        num_validation_users=400,
        num_test_users=1000,
        top_m=200,
        training=training(5, 500),
        **MEDIUM_CATALOGUE,
    ),
    "diginetica": Setting(
        dataset="diginetica",
        split="official",
        num_validation_users=400,
        num_test_users=1000,
        top_m=200,
        model=NannConfig(max_history=20),
        training=training(5, 500),
        **MEDIUM_CATALOGUE,
    ),
}

TESTING = Setting(
    dataset="ml-100k",
    split="half_sequence",
    num_validation_users=50,
    num_test_users=50,
    top_m=20,
    batch_size=64,
    examples_per_epoch=640,
    model=NannConfig(max_history=10),
    loss=LossConfig(num_negatives=20),
    training=training(2, 10),
    walk=WalkConfig(ef=(8, 16, 32), steps=(1, 1, 2)),
)
