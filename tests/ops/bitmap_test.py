"""The empty bitmap."""

import pytest
import tensorflow as tf

from tfrec import ops


@pytest.mark.parametrize(
    ("num_items", "num_words"), [(0, 0), (1, 1), (64, 1), (65, 2), (1_300_000, 20_313)]
)
def test_width(num_items, num_words):
    bitmap = ops.empty_bitmap(3, num_items)
    assert bitmap.shape.as_list() == [3, num_words]
    assert bitmap.dtype == tf.uint64
    assert not bitmap.numpy().any()


def test_sizes_of_tensors():
    @tf.function
    def like(ids_bf):
        return ops.empty_bitmap(tf.shape(ids_bf)[0], 130)

    assert like(tf.zeros([4, 2])).shape.as_list() == [4, 3]
    assert like.get_concrete_function(tf.TensorSpec([None, 2])).output_shapes[1] == 3


@pytest.mark.parametrize(
    ("sizes", "name"), [((-1, 2), "batch_size"), ((1, -2), "num_items")]
)
def test_negative_sizes(sizes, name):
    with pytest.raises(ValueError, match=f"`{name}` must be at least 0. Received: -"):
        ops.empty_bitmap(*sizes)
    with pytest.raises(tf.errors.InvalidArgumentError):
        ops.empty_bitmap(*(tf.constant(-65 if size < 0 else size) for size in sizes))
