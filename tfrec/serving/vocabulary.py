"""Raw values of a column, as clients know them, to the ids that a model knows."""

import numpy as np
import tensorflow as tf

from tfrec.serving.raw_ids import RawIds

_MAX_COMPARED = 256


class Vocabulary(tf.Module):
    """A lookup in variables or constants: nothing to initialise, no file.

    Args:
        values: `(V,)`, none twice, in the order of their ids from 1: integers, or at
            most 256 floats or strings.
    Raises: ValueError: more floats or strings than that.
    """

    def __init__(self, values: np.ndarray):
        super().__init__(name="vocabulary")
        self._raw_ids: RawIds | None = None
        if values.dtype.kind in "iu":
            self.dtype = tf.int64
            self._raw_ids = RawIds(values.astype(np.int64))
            return
        if values.size > _MAX_COMPARED:
            raise ValueError(
                f"`values` must be integers or at most {_MAX_COMPARED} values. "
                f"Received: {values.size} of {values.dtype}"
            )
        self.dtype = tf.float32 if values.dtype.kind == "f" else tf.string
        self._values = tf.constant(values.tolist(), self.dtype)

    def ids(self, values: tf.Tensor) -> tf.Tensor:
        """Ids int32 of raw values of any shape; 0 for a value that is not there."""
        if self._raw_ids is not None:
            return self._raw_ids.positions(values) + 1
        is_it = values[..., tf.newaxis] == self._values
        place = tf.argmax(is_it, axis=-1, output_type=tf.int32)
        return tf.where(tf.reduce_any(is_it, axis=-1), place + 1, 0)
