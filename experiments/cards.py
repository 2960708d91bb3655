"""The model cards of what the experiments export."""

import dataclasses
from typing import Any

from experiments.results import environment
from tfrec.data.prepared import PreparedDataset
from tfrec.serving.model_card import ModelCard


def card_of(paper: ModelCard, setting: Any, dataset: PreparedDataset) -> ModelCard:
    """A paper's card with the setting, the data, and the commit of the code."""
    return dataclasses.replace(
        paper,
        config=setting,
        dataset=dataset.name,
        dataset_sha256=dataset.sha256,
        commit=environment()["commit"],
    )
