"""Every setting of NANN, each default with its source."""

import dataclasses
from typing import Any

ARCHITECTURES = ("attention", "no_attention", "two_sided")
DIRECTIONS = ("score_gradient", "loss_gradient")
DIVERGENCES = ("softmax_kl", "bernoulli_kl")
WALKS = ("beam", "rounds")


def _check_choice(config: Any, name: str, choices: tuple[str, ...]) -> None:
    if getattr(config, name) not in choices:
        raise ValueError(
            f"`{name}` must be one of {choices}. Received: {getattr(config, name)!r}"
        )


def _check_positive(config: Any, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        values = value if isinstance(value, tuple) else (value,)
        if not values or min(values) < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {value}")


@dataclasses.dataclass(frozen=True)
class EncoderConfig:
    """The transformer encoder over the user's profile fields.

    Args:
        num_heads: paper, appendix A.
        feed_forward: inner width, paper's "dff".
    """

    num_heads: int = 1
    feed_forward: int = 24

    def __post_init__(self) -> None:
        _check_positive(self, "num_heads", "feed_forward")


@dataclasses.dataclass(frozen=True)
class NannConfig:
    """The network of appendix A; defaults are those for UserBehavior (figure 9).

    Args:
        architecture: "attention" (DNN w/ attention), "no_attention" (DNN w/o
            attention) or "two_sided"; paper, section 5.1.3.
        embedding_size: width of every categorical feature; paper: 32.
        item_units: layers of the item network; the last is D; paper: 64, 64, 64.
        activate_item_output: PReLU and batch norm after the last item layer too;
            paper: yes on UserBehavior, no on the industrial data.
        attention_units: width of query, key and value; open in the paper, ours: D.
        score_units: hidden layers of the score network; paper: 128, 64, 32, then 1.
        max_history: L, behaviours that the user side sees; paper: 50.
        encoder: of the profile fields; None where there are none.
    Raises: ValueError: a field is outside its range.
    """

    architecture: str = "attention"
    embedding_size: int = 32
    item_units: tuple[int, ...] = (64, 64, 64)
    activate_item_output: bool = True
    attention_units: int = 64
    score_units: tuple[int, ...] = (128, 64, 32)
    max_history: int = 50
    encoder: EncoderConfig | None = None

    def __post_init__(self) -> None:
        _check_choice(self, "architecture", ARCHITECTURES)
        _check_positive(
            self,
            "embedding_size",
            "item_units",
            "attention_units",
            "score_units",
            "max_history",
        )


def user_behavior(architecture: str = "attention") -> NannConfig:
    """Figure 9: no profile, the user is the sum of the behaviours."""
    return NannConfig(architecture=architecture)


def industrial(architecture: str = "attention") -> NannConfig:
    """Figure 8: 51 profile fields through a transformer encoder, wider networks."""
    return NannConfig(
        architecture=architecture,
        embedding_size=16,
        item_units=(128, 64, 64),
        activate_item_output=False,
        score_units=(512, 256, 128),
        encoder=EncoderConfig(),
    )


@dataclasses.dataclass(frozen=True)
class AdversarialConfig:
    """The auxiliary loss (eq. 5-6).

    Args:
        epsilon: bound of the perturbation; paper: 3e-4 (UserBehavior), 1e-2
            (industrial); official code: 3e-5.
        direction: sign of the gradient of the score (paper, eq. 6) or of the NCE loss
            (official code).
        divergence: between the scores and the perturbed ones over a user's labels.
            Eq. 5 read literally rewards sharpness; "softmax_kl" is the official
            code's reading, "bernoulli_kl" the pointwise one.
        num_candidates: labels of a user that are perturbed: the positive and the first
            negatives; None: all, as in the paper. Ours: 20, for speed.
        weight: of the auxiliary loss; paper, eq. 3: 1.
    """

    epsilon: float = 3e-4
    direction: str = "score_gradient"
    divergence: str = "softmax_kl"
    num_candidates: int | None = 20
    weight: float = 1.0

    def __post_init__(self) -> None:
        _check_choice(self, "direction", DIRECTIONS)
        _check_choice(self, "divergence", DIVERGENCES)
        if self.epsilon <= 0:
            raise ValueError(f"`epsilon` must be positive. Received: {self.epsilon}")
        if self.weight < 0:
            raise ValueError(f"`weight` must not be negative. Received: {self.weight}")
        if self.num_candidates is not None and self.num_candidates < 2:
            raise ValueError(
                "`num_candidates` must be None or at least 2. "
                f"Received: {self.num_candidates}"
            )


@dataclasses.dataclass(frozen=True)
class LossConfig:
    """Noise contrastive estimation and the auxiliary loss (eq. 3).

    Args:
        num_negatives: paper: 199 (UserBehavior), 19 (industrial).
        noise_power: exponent of the unigram noise distribution, that of the sampler
            which the task is given; paper: 1.
        negative_draws: G, draws of negatives a batch: B / G users that follow each
            other share one. Ours: 16; the batch size draws for each user, 1 once for
            all. See `docs/papers/nann.md` for what sharing does to the estimate.
        adversarial: None trains without the auxiliary loss.
    """

    num_negatives: int = 199
    noise_power: float = 1.0
    negative_draws: int = 16
    adversarial: AdversarialConfig | None = dataclasses.field(
        default_factory=AdversarialConfig
    )

    def __post_init__(self) -> None:
        _check_positive(self, "num_negatives", "negative_draws")


@dataclasses.dataclass(frozen=True)
class IndexConfig:
    """HNSW over the item vectors.

    Args:
        m: links a node, at least 2; level 0 has up to 2 m; paper: 32.
        ef_construction: candidates while building; paper: 40.
    """

    m: int = 32
    ef_construction: int = 40

    def __post_init__(self) -> None:
        _check_positive(self, "ef_construction")
        if self.m < 2:
            raise ValueError(f"`m` must be at least 2. Received: {self.m}")


@dataclasses.dataclass(frozen=True)
class WalkConfig:
    """The beam walk (Algorithms 1 and 2), from the highest level down to 0.

    Args:
        ef: nodes kept a level, ef_2, ef_1, ef_0; paper: 100, 200, 400.
        steps: rounds a level, T_2, T_1, T_0; paper: 1, 1, 3.
        walk: "beam" (paper, Algorithm 2) or "rounds" (the official serving graph: a
            level-0 round goes on from the best of its fresh nodes alone).
        reset_visited: forget what was visited when a level is left, as Algorithm 2
            does; False scores a node once in the whole walk.
        bucket_step: ratio of neighbouring padded sizes; ours: 1.1.
    """

    ef: tuple[int, ...] = (100, 200, 400)
    steps: tuple[int, ...] = (1, 1, 3)
    walk: str = "beam"
    reset_visited: bool = True
    bucket_step: float = 1.1

    def __post_init__(self) -> None:
        _check_choice(self, "walk", WALKS)
        _check_positive(self, "ef", "steps")
        if len(self.ef) != len(self.steps):
            raise ValueError(
                "`ef` and `steps` must have one entry a level. "
                f"Received: ef={self.ef}, steps={self.steps}"
            )
        if self.bucket_step <= 1:
            raise ValueError(
                f"`bucket_step` must be above 1. Received: {self.bucket_step}"
            )
