"""Which runs a sweep makes, and which trials a tuning."""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence

from experiments.pdn import settings as settings_lib

SHARE = 8  # a trial has one in eight of the examples of a run
_TOWERS: dict[str, tuple] = {
    "learning_rate": (1e-3, 3e-3),
    "embedding_size": (16, 32),
    "units": ((64, 32), (128, 64)),
}
# Fields of the network, or `learning_rate`, and the values that are tried: 8 together.
GRIDS: dict[str, dict[str, tuple]] = {
    "pdn": {
        "learning_rate": (3e-3, 1e-2),
        "embedding_size": (16, 32),
        "similarity_units": ((32, 16), (64, 32)),
    },
    "dssm": _TOWERS,
    "youtube_dnn": _TOWERS,
    "bst": {
        "learning_rate": (1e-3, 3e-3),
        "embedding_size": (16, 32),
        "dropout": (0.0, 0.2),
    },
    "din": {
        "learning_rate": (1e-3, 3e-3),
        "embedding_size": (16, 32),
        "attention_units": (16, 32),
    },
    "sasrec": {
        "learning_rate": (1e-3, 3e-3),
        "embedding_size": (50, 100),
        "dropout": (0.1, 0.2),
    },
    "ease": {"l2": (50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0)},
    "pcf": {
        "shrinkage": (0.0, 10.0, 50.0, 200.0),
        "num_neighbours": (50, 100),
    },
    "slim": {
        "l1": (0.1, 1.0),
        "l2": (1.0, 10.0, 50.0, 200.0),
    },
}
Run = tuple[str, str, int]  # data set, model, seed


def runs_of(sweep: str) -> list[Run]:
    """Data set, model and seed of each run, those first that matter most."""
    if sweep == "amazon":
        table_4 = ("pdn", "pdn-vector", "pcf", "bst")
        others = (*settings_lib.CLOSED_FORM, *settings_lib.NEURAL)
        return [
            (dataset, model, 0)
            for models in (table_4, [m for m in others if m not in table_4])
            for dataset in ("amazon-sports", "amazon-beauty")
            for model in models
        ]
    five, every = settings_lib.FIVE_SEEDS, settings_lib.MODELS
    first = [(model, 0) for model in (*five, *(m for m in every if m not in five))]
    more = [(model, seed) for model in five for seed in range(1, 5)]
    seeded = [m for m in every if m not in (*five, *settings_lib.CLOSED_FORM)]
    rest = [(model, 1) for model in seeded]
    return [("ml-1m", model, seed) for model, seed in (*first, *more, *rest)]


def trials(
    setting: settings_lib.Setting, grid: Mapping[str, Sequence], epochs: int | None
) -> Iterator[tuple[dict, settings_lib.Setting]]:
    """The changes of each trial of a grid, and the changed setting."""
    examples = setting.examples_per_epoch
    if epochs is None:
        examples = setting.training.epochs * examples // SHARE
    for values in itertools.product(*grid.values()):
        changes = dict(zip(grid, values, strict=True))
        network = dict(changes)
        rate = network.pop("learning_rate", setting.training.learning_rate)
        changed = dataclasses.replace(
            setting,
            network=dataclasses.replace(setting.network, **network),
            examples_per_epoch=examples,
        )
        yield changes, settings_lib.with_schedule(changed, rate, epochs or 1)
