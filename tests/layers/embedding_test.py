"""`Embedding`: padding, and gradients that stay sparse under every precision."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrec.layers.embedding import Embedding


def test_rows_are_looked_up_and_padding_is_zero():
    layer = Embedding(6, 4)
    vectors = layer(tf.constant([[1, 0, 5]]))
    table = layer.embeddings.numpy()
    np.testing.assert_array_equal(vectors[0, 0], table[1])
    np.testing.assert_array_equal(vectors[0, 1], np.zeros(4))
    np.testing.assert_array_equal(vectors[0, 2], table[5])
    assert np.any(table[0] != 0)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_the_gradient_is_sparse_and_nothing_reads_the_whole_table(policy):
    num_rows = 12345
    ids = keras.Input((3,), dtype="int32")
    layer = Embedding(num_rows, 4, dtype=policy)
    model = keras.Model(ids, layer(ids))

    @tf.function
    def gradient(batch):
        with tf.GradientTape() as tape:
            vectors = model(batch, training=True)
            loss = tf.reduce_sum(tf.cast(vectors, tf.float32))
        return vectors, tape.gradient(loss, layer.embeddings.value)

    batch = tf.constant([[1, 0, 2], [2, 2, 0]])
    vectors, slices = gradient(batch)
    assert vectors.dtype == layer.compute_dtype
    assert layer.embeddings.dtype == "float32"
    assert isinstance(slices, tf.IndexedSlices)
    total = np.zeros((3, 4))
    np.add.at(total, slices.indices.numpy(), slices.values.numpy())
    np.testing.assert_array_equal(total, np.repeat([[0], [1], [3]], 4, axis=1))
    graph = gradient.get_concrete_function(batch).graph
    assert not [
        op.name
        for op in graph.get_operations()
        for output in op.outputs
        if output.shape.rank and num_rows in output.shape.as_list()
    ]


def test_config_round_trip():
    layer = Embedding(6, 4, embeddings_initializer=keras.initializers.Constant(2.0))
    again = Embedding.from_config(layer.get_config())
    ids = tf.constant([3, 0])
    np.testing.assert_array_equal(again(ids), layer(ids))
    assert keras.saving.get_registered_name(Embedding) == "tfrec>Embedding"


def test_sizes_must_be_positive():
    with pytest.raises(ValueError, match="`input_dim` and `output_dim` must be >= 1"):
        Embedding(0, 4)
