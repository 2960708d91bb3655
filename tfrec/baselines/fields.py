"""What the baselines compute of a batch's fields: embeddings, averages, positions."""

from collections.abc import Iterable, Mapping
from typing import Any

import keras
from keras import ops

from tfrec.data.schema import Field
from tfrec.layers.embedding import Embedding


class FieldTables(keras.layers.Layer):
    """One embedding table a field name, each of the same width E.

    Args:
        fields: of ids; a field that is there twice is one table.
        width: E.
    """

    def __init__(self, fields: Iterable[Field], width: int):
        super().__init__(name="field_tables")
        self.tables = {
            field.name: Embedding(field.size, width, name=f"{field.name}_table")
            for field in {field.name: field for field in fields}.values()
        }

    def build(self, input_shape: Any) -> None:
        """Creates the tables."""
        for table in self.tables.values():
            table.build()

    def call(self, part: Mapping[str, Any], *, fields: Iterable[Field]) -> Any:
        """Concatenates: ids `(...)` of each field -> `(..., F * E)`, pads are zeros."""
        vectors = [self.tables[f.name](part[f.name]) for f in fields]
        return ops.concatenate(vectors, axis=-1)


def ranks_from_end(item_ids: Any) -> Any:
    """1 for the most recent behaviour, 2 for the one before, 0 for padding.

    Args:
        item_ids: `(B, L)`, padded by 0 at the end.
    Returns: int32 `(B, L)`.
    """
    is_real = item_ids != 0
    lengths_b1 = ops.sum(ops.cast(is_real, "int32"), axis=1, keepdims=True)
    index = ops.arange(item_ids.shape[1], dtype="int32")
    return ops.where(is_real, lengths_b1 - index, 0)


def mean_of_real(vectors_bld: Any, is_real: Any) -> Any:
    """Average of the behaviours that are real, `(B, D)`; zeros where there are none."""
    mask_bl = ops.cast(is_real, vectors_bld.dtype)
    summed_bd = ops.einsum("bld,bl->bd", vectors_bld, mask_bl)
    return summed_bd / ops.maximum(ops.sum(mask_bl, axis=1, keepdims=True), 1)


def last_of_real(vectors_bld: Any, ranks_bl: Any) -> Any:
    """The most recent behaviour's vector, `(B, D)`; zeros where there is none."""
    is_last = ops.cast(ranks_bl == 1, vectors_bld.dtype)
    return ops.einsum("bld,bl->bd", vectors_bld, is_last)


def check_length(item_ids: Any, max_history: int) -> None:
    """Raises: ValueError: L is above `max_history`, so positions would run out."""
    if item_ids.shape[1] > max_history:
        raise ValueError(
            f"`history` must have at most max_history={max_history} behaviours. "
            f"Received: L={item_ids.shape[1]}"
        )
