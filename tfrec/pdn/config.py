"""What PDN is made of: frozen dataclasses, each default with its source."""

import dataclasses

MERGES = ("softplus_sum", "product", "unconstrained")


@dataclasses.dataclass(frozen=True)
class CooccurrenceConfig:
    """Features of a pair of items.

    Args:
        windows: rows after the trigger within which an item is near it; a feature each
            (ours; the paper names none).
    """

    windows: tuple[int, ...] = (1, 5, 20)


@dataclasses.dataclass(frozen=True)
class PdnConfig:
    """The network. The paper gives no widths.

    All numbers are ours, tuned on ml-1m: the smallest network whose NDCG is within .003
    of the best trial's.

    Args:
        embedding_size: of a user, item or profile id.
        behaviour_size: of a feature of a behaviour a_uj.
        cooccurrence_size: of a feature of a pair c_ji.
        trigger_units: hidden layers of TrigNet.
        similarity_units: hidden layers of SimNet.
        direct_units: layers of both towers of the direct net; the last is the width of
            p_u and q_i. Empty: no direct net (table 2, "w/o direct net").
        path_width: 1: scalar-based PDN (section 4.1), eq. 10; more: vector-based, the
            inner product of both nets' vectors stands for t + s.
        merge: "softplus_sum" (eq. 10), "product": e^t e^s without the logarithm
            (section 4.7), "unconstrained": t + s, which may be negative (figure 3), or
            of vectors their inner product, as eq. 7 has it; the score is then a logit.
        bias_net: whether training has the shallow tower of section 4.5.
        max_history: L, triggers of a user.
        initial_path: t + s of an untrained model, so that L paths add up to little; of
            no use to unconstrained ones, which start at 0.
        initial_direct: d of an untrained model.
        leaky_slope: of LeakyReLU below 0.
    Raises: ValueError: a field is outside its range.
    """

    embedding_size: int = 16
    behaviour_size: int = 8
    cooccurrence_size: int = 4
    trigger_units: tuple[int, ...] = (64, 32)
    similarity_units: tuple[int, ...] = (32, 16)
    direct_units: tuple[int, ...] = (64, 32)
    path_width: int = 1
    merge: str = "softplus_sum"
    bias_net: bool = True
    max_history: int = 50
    initial_path: float = -6.0
    initial_direct: float = -2.0
    leaky_slope: float = 0.2
    cooccurrence: CooccurrenceConfig = CooccurrenceConfig()

    @property
    def path_start(self) -> float:
        """`initial_path`, or 0 where paths are unconstrained."""
        return 0.0 if self.merge == "unconstrained" else self.initial_path

    @property
    def weight_start(self) -> float:
        """Where t and s start: each at half of `path_start`, vectors at 0."""
        return self.path_start / 2 if self.path_width == 1 else 0.0

    def __post_init__(self) -> None:
        positive = (
            "embedding_size",
            "behaviour_size",
            "cooccurrence_size",
            "path_width",
            "max_history",
        )
        for name in positive:
            if getattr(self, name) < 1:
                raise ValueError(
                    f"`{name}` must be at least 1. Received: {getattr(self, name)}"
                )
        for name in ("trigger_units", "similarity_units", "direct_units"):
            if any(units < 1 for units in getattr(self, name)):
                raise ValueError(
                    f"`{name}` must be at least 1 each. Received: {getattr(self, name)}"
                )
        if not self.similarity_units:
            raise ValueError(
                "`similarity_units` must have a hidden layer. Received: ()"
            )
        if self.merge not in MERGES:
            raise ValueError(f"`merge` must be in {MERGES}. Received: {self.merge!r}")
