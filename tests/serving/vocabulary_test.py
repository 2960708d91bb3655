"""Vocabularies against a dict."""

import numpy as np
import pytest
import tensorflow as tf

from tfrec.serving.vocabulary import Vocabulary


@pytest.mark.parametrize(
    ("values", "asked", "dtype"),
    [
        (np.array(["F", "M"], object), ["M", "F", "", "male"], tf.string),
        (
            np.array([0.5, 3.0, 5.0], np.float32),
            [3.0, 5.0, 4.0, float("nan")],
            tf.float32,
        ),
        (np.array([18, 1, 56], np.int16), [56, 1, 0, -1], tf.int64),
        (np.arange(10_000), [9_999, 0, 10_000, 3], tf.int64),
    ],
)
def test_ids(values, asked, dtype):
    vocabulary = Vocabulary(values)
    assert vocabulary.dtype == dtype
    place = {value: number for number, value in enumerate(values.tolist(), 1)}
    found = tf.function(vocabulary.ids)(tf.constant([asked], dtype))
    assert found.numpy().tolist() == [[place.get(value, 0) for value in asked]]


def test_refuses_many_strings():
    with pytest.raises(ValueError, match="at most 256"):
        Vocabulary(np.array([str(n) for n in range(300)], object))
