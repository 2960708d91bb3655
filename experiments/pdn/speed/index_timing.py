"""Generating the index: pairs a second, and how it grows with N and k-hat.

The whole build in one process is timed: candidates, the default SimNet with random
weights, selection. Counting the co-occurrences before it is not.
"""

import dataclasses
import io
from collections.abc import Sequence
from typing import Any

import rich.console

from experiments import timing
from experiments.pdn import synthetic
from tfrec.pdn import index_build
from tfrec.pdn.index import PathIndex
from tfrec.pdn.index_inputs import IndexInputs
from tfrec.pdn.index_shards import IndexConfig
from tfrec.pdn.pair_scores import pair_scorer

_ROWS_A_USER = 40


class Generation:
    """Builds indexes of one model.

    Args:
        num_items: N; there are half as many users, of 40 rows each.
        seed: of rows and weights.
    """

    def __init__(self, num_items: int, seed: int):
        length = min(_ROWS_A_USER, num_items)
        train = synthetic.train_rows(max(1, num_items // 2), num_items, length, seed)
        # Users of the rows may be more than the table has: SimNet reads none.
        self.model = synthetic.model(train, num_items, length, seed)
        profile = synthetic.item_features(num_items, seed)
        raw_ids = synthetic.path_index(num_items, 1, seed).item_ids
        self.inputs = IndexInputs(raw_ids, self.model.cooccurrence.counts, profile)
        self._score_pairs = pair_scorer(self.model, profile)

    def build(self, k: int, k_hat: int) -> PathIndex:
        """Builds the index in memory, without progress on the terminal."""
        return index_build.build(
            self.inputs,
            self._score_pairs,
            IndexConfig(k=min(k, k_hat), k_hat=k_hat),
            "benchmark",
            console=rich.console.Console(file=io.StringIO(), force_terminal=False),
        )


@dataclasses.dataclass(frozen=True)
class Build:
    """What a build costs.

    Attributes:
        num_items: N.
        k: items kept in a list.
        k_hat: most candidates an item.
        num_pairs: pairs that were scored.
        seconds: median.
        pairs_per_second: of these.
    """

    num_items: int
    k: int
    k_hat: int
    num_pairs: int
    seconds: float
    pairs_per_second: float


def measure(
    sizes: Sequence[int], k_hats: Sequence[int], k: int, rounds: int, seed: int
) -> list[Build]:
    """Times builds: of every N at the largest k-hat, of the largest N at every k-hat.

    Args:
        sizes: N, ascending.
        k_hats: ascending.
        k: items kept, at most k-hat.
        rounds: timed rounds; medians are given.
        seed: of rows and weights.
    """
    points = [(n, k_hats[-1]) for n in sizes]
    points += [(sizes[-1], k_hat) for k_hat in k_hats[:-1]]
    made = {n: Generation(n, seed) for n in sizes}
    pairs: dict[str, int] = {}

    def build(name: str, num_items: int, k_hat: int) -> Any:
        index = made[num_items].build(k, k_hat)
        pairs[name] = index.meta["num_pairs"]

    calls = {
        f"{n}-{k_hat}": lambda _, n=n, k_hat=k_hat: build(f"{n}-{k_hat}", n, k_hat)
        for n, k_hat in points
    }
    wall = timing.interleaved_medians(calls, rounds, warmup=1).wall
    found = []
    for n, k_hat in points:
        name = f"{n}-{k_hat}"
        seconds = wall[name] / 1000
        rate = pairs[name] / seconds
        found.append(Build(n, min(k, k_hat), k_hat, pairs[name], seconds, rate))
    return found
