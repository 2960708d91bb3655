"""What a batch holds: the contract between data sets and models.

Every model reads one nested dict:

    {"user": {field: (B,)}, "history": {field: (B, L)},
     "candidates": {field: (B, C)}, "labels": (B, C)}

A training batch may add `"context": {field: (B,)}`, what is known of the moment of a
target and biases what is chosen (Li et al. 2021 (PDN), section 4.5).

Ids are int32 and dense from 1; 0 is padding. A history is in time order, most
recent last, and padded at the end: `history["item"] != 0` is its mask. A history
field and the candidate field of the same name share one table; a history field that
no candidate has describes the behaviour.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from tfrec.data.errors import DataError
from tfrec.data.fields import Fields
from tfrec.data.prepared import PreparedDataset

PARTS = ("user", "history", "candidates")


@dataclasses.dataclass(frozen=True)
class Field:
    """One feature of a user, a behaviour or a candidate.

    Attributes:
        name: fields of the same name share one embedding table.
        size: ids are in `[0, size)`, padding 0 included; 1 for a number.
        dtype: `"int32"` for ids, `"float32"` for numbers.
    """

    name: str
    size: int
    dtype: str = "int32"

    def __post_init__(self) -> None:
        if self.size < 1:
            raise DataError(f"`size` must be at least 1. Received: {self}")
        if self.dtype not in ("int32", "float32"):
            raise DataError(f"`dtype` must be int32 or float32. Received: {self}")


@dataclasses.dataclass(frozen=True)
class Schema:
    """The fields of each part of a batch."""

    user: tuple[Field, ...]
    history: tuple[Field, ...]
    candidates: tuple[Field, ...]
    context: tuple[Field, ...] = ()

    def __post_init__(self) -> None:
        tables: dict[str, Field] = {}
        for field in self.user + self.history + self.candidates + self.context:
            if tables.setdefault(field.name, field) != field:
                raise DataError(
                    f"`{field.name}` must be one table. "
                    f"Received: {tables[field.name]} and {field}"
                )

    @property
    def tables(self) -> dict[str, Field]:
        """One `Field` an embedding table, by name."""
        fields = self.user + self.history + self.candidates + self.context
        return {field.name: field for field in fields}

    @property
    def behaviour(self) -> tuple[Field, ...]:
        """The history fields that candidates do not have."""
        items = {field.name for field in self.candidates}
        return tuple(field for field in self.history if field.name not in items)

    def check(self, batch: Mapping[str, Any]) -> None:
        """Checks names, dtypes and ranks of a batch.

        Args:
            batch: the nested dict above, of arrays or tensors; `labels` and `context`
                may be absent.
        Raises: DataError: names the field, the rule and the value.
        """
        for part in (*PARTS, "context") if "context" in batch else PARTS:
            fields = {field.name: field for field in getattr(self, part)}
            found = batch.get(part, {})
            if set(found) != set(fields):
                raise DataError(
                    f"`{part}` must have the fields {sorted(fields)}. "
                    f"Received: {sorted(found)}"
                )
            rank = 1 if part in ("user", "context") else 2
            for name, field in fields.items():
                _check_value(f"{part}.{name}", found[name], field.dtype, rank)
        if "labels" in batch:
            _check_value("labels", batch["labels"], "float32", 2)


def schema_for(
    dataset: PreparedDataset, fields: Fields | None = None, max_history: int = 0
) -> Schema:
    """Returns the schema of the batches that `sequences` makes of a data set.

    Args:
        dataset: gives users and items.
        fields: what else batches hold; None: the set's item features.
        max_history: L, which bounds `recency`.
    """
    fields = fields or Fields(item=dataset.item_features)
    item = [Field("item", dataset.num_items + 1)]
    for name, values in fields.item.items():
        item.append(Field(name, int(values.max(initial=0)) + 1))
    user = [Field("user", dataset.num_users + 1)]
    for name, values in fields.user.items():
        user.append(Field(name, int(values.max(initial=0)) + 1))
    behaviour = fields.behaviour_sizes(max_history).items()
    context = fields.context_sizes().items()
    return Schema(
        user=tuple(user),
        history=(*item, *(Field(name, size) for name, size in behaviour)),
        candidates=tuple(item),
        context=tuple(Field(name, size) for name, size in context),
    )


def _check_value(name: str, value: Any, dtype: str, rank: int) -> None:
    found = getattr(value.dtype, "name", str(value.dtype))
    if found != dtype:
        raise DataError(f"`{name}` must be {dtype}. Received: {found}")
    if len(value.shape) != rank:
        raise DataError(f"`{name}` must be rank {rank}. Received: {value.shape}")
