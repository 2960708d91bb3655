"""The data of a run: split, features, the candidates that targets are ranked among."""

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from experiments.pdn.settings import Setting
from tfrec import data
from tfrec.data import fields, samplers, sequences, splits
from tfrec.data.negatives import Negatives
from tfrec.data.prepared import PreparedDataset
from tfrec.data.schema import Schema, schema_for
from tfrec.evaluation.negatives import official_negatives, sampled_negatives

EVALUATION_BATCH = 64
NUM_EVALUATION_NEGATIVES = 99


@dataclasses.dataclass(frozen=True)
class Problem:
    """What a run trains and is tested on; the split's seed is 0 whatever the run's."""

    setting: Setting
    seed: int
    dataset: PreparedDataset
    split: splits.Split

    @functools.cached_property
    def fields(self) -> fields.Fields:
        """Features besides ids."""
        setting = self.setting
        return fields.fields_for(
            self.dataset,
            setting.user_fields,
            setting.behaviour_fields,
            setting.context_fields,
        )

    @property
    def schema(self) -> Schema:
        """Fields of users, behaviours, candidates and moments."""
        return schema_for(self.dataset, self.fields, self.setting.max_history)

    @functools.cached_property
    def negatives(self) -> Negatives:
        """Items drawn uniformly beside each positive."""
        uniform = samplers.UnigramSampler(np.ones(self.dataset.num_items + 1), 0.0)
        return Negatives(
            uniform, self.fields.item, self.split.train, self.setting.num_negatives
        )

    @functools.cached_property
    def validation_candidates(self) -> np.ndarray:
        """Item ids int32 `(E, 100)`: the target first, then 99 drawn with seed 0."""
        return self._with_targets(
            self.split.validation, self._sampled(self.split.validation)
        )

    @functools.cached_property
    def test_candidates(self) -> np.ndarray:
        """The same of the test users; the official 99 where the set has them."""
        test = self.split.test
        if "ncf_negatives" in self.dataset.tables:
            return self._with_targets(test, official_negatives(self.dataset, test))
        return self._with_targets(test, self._sampled(test))

    @property
    def raw_item_ids(self) -> np.ndarray:
        """Original ids by position, int64 `(N,)`; dense ids if they are no numbers."""
        return _numbers(self.dataset.raw_item_ids)

    @property
    def raw_user_ids(self) -> np.ndarray:
        """Original ids of user ids 1, 2, ..., int64 `(U,)`."""
        users = self.dataset.users
        if users is not None and "raw_id" in users:
            return _numbers(users["raw_id"])
        return np.arange(1, self.dataset.num_users + 1, dtype=np.int64)

    @functools.cached_property
    def titles(self) -> dict[int, str]:
        """Titles by raw item id, where the set has them."""
        items = self.dataset.items
        if items is None or "title" not in items:
            return {}
        codes, names = items.codes("title")
        found = (names[code] for code in codes)
        return dict(zip(self.raw_item_ids.tolist(), found, strict=True))

    def training_batches(self, epoch: int) -> tf.data.Dataset:
        """The global batches of an epoch."""
        return sequences.training_dataset(
            self.dataset,
            self.split,
            self.setting.batch_size,
            self.setting.max_history,
            self.seed,
            epoch,
            self.setting.examples_per_epoch,
            self.fields,
        )

    def example_batches(
        self, examples: splits.Examples, batch_size: int = EVALUATION_BATCH
    ) -> Iterator[tuple[slice, dict[str, Any]]]:
        """Which examples, and their users and histories, batch by batch."""
        begin = 0
        for features in sequences.example_batches(
            examples, batch_size, self.setting.max_history, fields=self.fields
        ):
            end = begin + int(features["user"]["user"].shape[0])
            yield slice(begin, end), features
            begin = end

    def with_item_fields(self, item_ids: Any) -> dict[str, Any]:
        """Candidate fields of item ids of any shape."""
        features = {k: tf.gather(v, item_ids) for k, v in self.fields.item.items()}
        return {"item": tf.convert_to_tensor(item_ids), **features}

    def rows_of(self, user: int) -> np.ndarray:
        """Every item that a user has a row of, those held out included."""
        begin, end = self.dataset.row_splits[user - 1 : user + 1]
        return self.dataset.interactions["item"][begin:end]

    def _sampled(self, examples: splits.Examples) -> np.ndarray:
        return sampled_negatives(self.dataset, examples, NUM_EVALUATION_NEGATIVES, 0)

    def _with_targets(
        self, examples: splits.Examples, negatives: np.ndarray
    ) -> np.ndarray:
        return np.concatenate([examples.targets[:, None], negatives], 1).astype("int32")


def _numbers(ids: np.ndarray) -> np.ndarray:
    if ids.dtype.kind in "iu":
        return ids.astype(np.int64)
    return np.arange(1, ids.size + 1, dtype=np.int64)


def load(setting: Setting, seed: int, data_home: str | None) -> Problem:
    """Loads and splits; a share of the users validates."""
    dataset = data.load(setting.dataset, data_home)
    share = setting.validation_share
    if setting.split == "ncf_leave_one_out":
        count = int(share * dataset.num_users)
        split = splits.ncf_leave_one_out(dataset, count, seed=0)
    else:
        split = splits.leave_one_out(dataset)
        count = int(share * split.validation.size)
        drawn = np.random.default_rng(0).permutation(split.validation.size)[:count]
        chosen = split.validation.take(np.sort(drawn))
        split = dataclasses.replace(split, validation=chosen)
    return Problem(setting, seed, dataset, split)
