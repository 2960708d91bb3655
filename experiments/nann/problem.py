"""A setting's data: split, schema, noise distribution and batches."""

import dataclasses
import functools

import numpy as np
import tensorflow as tf

from experiments.nann.settings import Setting
from tfrec import data
from tfrec.data import sequences, splits
from tfrec.data.prepared import PreparedDataset
from tfrec.data.samplers import UnigramSampler
from tfrec.data.schema import Schema, schema_for
from tfrec.evaluation import retrieval

EVALUATION_BATCH = 50


@dataclasses.dataclass(frozen=True)
class Problem:
    """What a run trains and is tested on.

    Attributes:
        counts: int64 `(N + 1,)`, how often an item is a training target.
    """

    setting: Setting
    seed: int
    dataset: PreparedDataset
    split: splits.Split

    @property
    def schema(self) -> Schema:
        """Fields of users, behaviours and candidates."""
        return schema_for(self.dataset)

    @functools.cached_property
    def counts(self) -> np.ndarray:
        """How often each item is a training target."""
        train = self.split.train
        targets = train.items[train.rows]
        return np.bincount(targets, minlength=self.dataset.num_items + 1)

    @functools.cached_property
    def sampler(self) -> UnigramSampler:
        """The noise distribution."""
        return UnigramSampler(self.counts, self.setting.loss.noise_power)

    @property
    def raw_item_ids(self) -> np.ndarray:
        """Original ids by position, int64 `(N,)`; dense ids where they are no numbers.

        An export speaks int64 ids, as TensorFlow Serving's clients do.
        """
        raw = self.dataset.raw_item_ids
        if raw.dtype.kind in "iu":
            return raw.astype(np.int64)
        return np.arange(1, self.dataset.num_items + 1, dtype=np.int64)

    @property
    def summary(self) -> str:
        """Sizes, in one line."""
        train, test = self.split.train, self.split.test
        return (
            f"{self.dataset.num_users:,} users, {self.dataset.num_items:,} items, "
            f"{train.size:,} training targets, {test.size:,} test examples"
        )

    @property
    def items(self) -> dict[str, np.ndarray]:
        """Every item's fields, `(N,)`, by position."""
        features = {k: v[1:] for k, v in self.dataset.item_features.items()}
        ids = np.arange(1, self.dataset.num_items + 1, dtype=np.int32)
        return {"item": ids, **features}

    def training_batches(self, epoch: int) -> tf.data.Dataset:
        """The global batches of an epoch."""
        return sequences.training_dataset(
            self.dataset,
            self.split,
            self.setting.batch_size,
            self.setting.model.max_history,
            self.seed,
            epoch,
            self.setting.examples_per_epoch,
        )

    def example_batches(self, examples: splits.Examples) -> tf.data.Dataset:
        """Users and histories of examples, in order."""
        return sequences.example_batches(
            examples, EVALUATION_BATCH, self.setting.model.max_history, self.dataset
        )

    def popularity_recall(self, examples: splits.Examples) -> float:
        """Recall@M of the M most frequent training targets for everybody."""
        return retrieval.popularity_recall(self.counts, examples, self.setting.top_m)


def load(setting: Setting, seed: int, data_home: str | None) -> Problem:
    """Loads and splits; the split's seed is 0 whatever the run's seed."""
    dataset = data.load(setting.dataset, data_home)
    split_fn = getattr(splits, setting.split)
    split = split_fn(dataset, setting.num_validation_users, setting.num_test_users, 0)
    return Problem(setting, seed, dataset, split)
