"""Raw ids, as clients know them, to positions of the index and back."""

import numpy as np
import tensorflow as tf

MISSING_ID = -1


class RawIds(tf.Module):
    """A lookup in sorted variables: nothing to initialise, no limit of 2 GB.

    Args:
        item_ids: int64 `(N,)`, the raw id of each position: none twice, none -1.
    Raises: ValueError: -1 is an id.
    """

    def __init__(self, item_ids: np.ndarray):
        super().__init__(name="raw_ids")
        if (item_ids == MISSING_ID).any():
            raise ValueError(
                f"`item_ids` must not hold {MISSING_ID}, which marks what is missing. "
                f"Received: {MISSING_ID} at {np.argmax(item_ids == MISSING_ID)}"
            )
        order = np.argsort(item_ids, kind="stable")
        self._ids = _variable(item_ids, "ids")
        self._sorted_ids = _variable(item_ids[order], "sorted_ids")
        self._order = _variable(order.astype(np.int32), "order")

    def positions(self, ids: tf.Tensor) -> tf.Tensor:
        """Positions int32 of raw ids int64 of any shape; -1 for unknown ids."""
        flat = tf.reshape(ids, [-1])
        # A tensor: after a gather from the variable itself each read of it copies.
        sorted_ids = tf.convert_to_tensor(self._sorted_ids)
        places = tf.searchsorted(sorted_ids, flat)
        places = tf.minimum(places, self._sorted_ids.shape[0] - 1)
        is_known = tf.gather(sorted_ids, places) == flat
        found = tf.where(is_known, tf.gather(self._order, places), -1)
        return tf.ensure_shape(tf.reshape(found, tf.shape(ids)), ids.shape)

    def all_but(self, unavailable: tf.Tensor) -> tf.Tensor:
        """Bool `(N,)`: False for raw ids int64 `(U,)`; unknown ids have no effect."""
        positions = self.positions(unavailable)
        positions = tf.boolean_mask(positions, positions >= 0)
        return tf.tensor_scatter_nd_update(
            tf.fill([self._ids.shape[0]], True),
            positions[:, tf.newaxis],
            tf.zeros_like(positions, tf.bool),
        )

    def of(self, positions: tf.Tensor) -> tf.Tensor:
        """Raw ids int64 of positions; `MISSING_ID` for -1."""
        ids = tf.gather(self._ids, tf.maximum(positions, 0))
        return tf.where(positions >= 0, ids, np.int64(MISSING_ID))


def latest(positions: tf.Tensor, length: int) -> tf.Tensor:
    """The last `length` positions that are not -1, in order, padded at the end.

    Args:
        positions: int32 `(B, L)`, any L; -1 anywhere is left out.
        length: columns of the result.
    Returns: int32 `(B, length)`.
    """
    return take_places(positions, latest_places(positions, length), -1)


def take_places(values: tf.Tensor, places: tf.Tensor, padding: int) -> tf.Tensor:
    """Values `(B, L)` at places `(B, K)`; `padding` where a place is -1."""
    padded = tf.pad(values, [[0, 0], [0, 1]])  # there may be no column at all
    found = tf.gather(padded, tf.maximum(places, 0), batch_dims=1)
    return tf.where(places >= 0, found, tf.cast(padding, values.dtype))


def latest_places(positions: tf.Tensor, length: int) -> tf.Tensor:
    """The columns that `latest` takes, for what stands beside the positions.

    Args, returns: as `latest`; columns in `[0, L)`, padded by -1.
    """
    is_real = tf.cast(positions >= 0, tf.int32)
    from_end = tf.cumsum(is_real, axis=1, reverse=True)
    is_kept = (positions >= 0) & (from_end <= length)
    is_kept = tf.pad(is_kept, [[0, 0], [0, length]])
    order = tf.argsort(tf.cast(~is_kept, tf.int32), axis=1, stable=True)[:, :length]
    places = tf.where(tf.gather(is_kept, order, batch_dims=1), order, -1)
    return tf.ensure_shape(places, [positions.shape[0], length])


def _variable(array: np.ndarray, name: str) -> tf.Variable:
    return tf.Variable(array, trainable=False, name=name)
