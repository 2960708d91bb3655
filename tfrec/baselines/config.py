"""Every setting of the neural baselines, each default with its source.

All are built from plain values, so that `Config(**json.loads(text))` gives back what
`dataclasses.asdict` wrote. The PDN paper (Li et al. 2021) gives no sizes.
"""

import dataclasses
from typing import Any


def _check(config: Any) -> None:
    """Makes lists tuples and checks that sizes are at least 1, dropout in [0, 1)."""
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if isinstance(value, list):
            value = tuple(value)
            object.__setattr__(config, field.name, value)
        if field.name == "dropout":
            if not 0 <= value < 1:
                raise ValueError(f"`dropout` must be in [0, 1). Received: {value}")
            continue
        values = value if isinstance(value, tuple) else (value,)
        if not values or min(values) < 1:
            raise ValueError(f"`{field.name}` must be at least 1. Received: {value}")


@dataclasses.dataclass(frozen=True)
class DssmConfig:
    """Two towers on user and item fields.

    Args:
        embedding_size: width of every feature; ours.
        units: layers of each tower, the last is D; ours, for 10,000 features a side
            where Huang et al. 2013 have 300, 300, 128 on 30,000 letter trigrams.
    """

    embedding_size: int = 32
    units: tuple[int, ...] = (128, 64)

    def __post_init__(self) -> None:
        _check(self)


@dataclasses.dataclass(frozen=True)
class YoutubeDnnConfig:
    """Averaged behaviours beside the user fields.

    Args:
        embedding_size: width of every feature; ours (Covington et al. 2016: 256).
        units: layers of each tower, the last is D; ours (Covington et al. 2016, table
            1: 1024, 512, 256 is the best of "towers" twice as wide at each step down).
    """

    embedding_size: int = 32
    units: tuple[int, ...] = (128, 64)

    def __post_init__(self) -> None:
        _check(self)


@dataclasses.dataclass(frozen=True)
class BstConfig:
    """A transformer over the behaviours.

    Args:
        embedding_size: width of every feature; ours (Chen et al. 2019, table 2: 4-64).
        width: of the transformer, and of its inner layer; ours.
        num_blocks: Chen et al. 2019, section 3.2: 1 is better than 2 or 3.
        num_heads: each as wide as the model; ours (Chen et al. 2019, table 2: 8 narrow
            ones).
        dropout: Chen et al. 2019, table 2.
        units: layers of each tower, the last is D; ours.
        max_history: L, the most behaviours that have a position; ours.
    """

    embedding_size: int = 32
    width: int = 64
    num_blocks: int = 1
    num_heads: int = 1
    dropout: float = 0.2
    units: tuple[int, ...] = (128, 64)
    max_history: int = 50

    def __post_init__(self) -> None:
        _check(self)


@dataclasses.dataclass(frozen=True)
class DinConfig:
    """Attention of the candidate over the behaviours.

    Args:
        embedding_size: width of every feature; ours.
        attention_units: hidden width of the activation unit; ours: close to figure 2
            of Zhou et al. 2018 (36), and a step on a CPU is bound by it.
        units: hidden layers of the score; official code: 80, 40.
    """

    embedding_size: int = 32
    attention_units: int = 32
    units: tuple[int, ...] = (80, 40)

    def __post_init__(self) -> None:
        _check(self)


@dataclasses.dataclass(frozen=True)
class SasRecConfig:
    """Causal self-attention over the behaviours, one head as in section III-B.

    Args:
        embedding_size: D; Kang & McAuley 2018, section IV-C: 50.
        num_blocks: Kang & McAuley 2018, section IV-C: 2.
        dropout: Kang & McAuley 2018, section IV-C: 0.2 on MovieLens 1M, 0.5 elsewhere.
        num_negatives: drawn once an example for all of its positions; ours (Kang &
            McAuley 2018: 1 a position).
        max_history: L; ours: that of the other baselines (Kang & McAuley 2018: 200 on
            MovieLens 1M, 50 elsewhere).
    """

    embedding_size: int = 50
    num_blocks: int = 2
    dropout: float = 0.2
    num_negatives: int = 32
    max_history: int = 50

    def __post_init__(self) -> None:
        _check(self)
