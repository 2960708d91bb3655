"""Tests the grid of sizes."""

import itertools

import pytest
import tensorflow as tf

from tfrec.ops.bucket_grid import bucket_grid, check_bucket_sizes, next_bucket


def test_grid_by_hand():
    assert bucket_grid(10, 60, step=1.5, multiple=8) == (16, 24, 32, 48, 64)
    assert bucket_grid(3, 6, step=1.1, multiple=1) == (3, 4, 5, 6)
    assert bucket_grid(64, 64) == (64,)


@pytest.mark.parametrize("multiple", [1, 8, 128])
@pytest.mark.parametrize("smallest", [1, 100, 5000])
def test_grid_steps_are_at_most_ten_percent(smallest, multiple):
    sizes = bucket_grid(smallest, 32768, multiple=multiple)
    assert smallest <= sizes[0] < smallest + multiple
    assert sizes[-1] == 32768
    assert all(size % multiple == 0 for size in sizes)
    for small, large in itertools.pairwise(sizes):
        assert small < large <= max(1.1 * small, small + multiple)


def test_grid_is_short():
    # 512 .. 32768 is a factor of 64 = 1.1 ** 43.6.
    assert len(bucket_grid(512, 32768)) <= 50


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"smallest": 0, "largest": 8}, "Received: smallest=0, largest=8"),
        ({"smallest": 9, "largest": 8}, "Received: smallest=9, largest=8"),
        ({"smallest": 1, "largest": 8, "step": 1.0}, "`step` must be above 1"),
        ({"smallest": 1, "largest": 8, "multiple": 0}, "`multiple` must be positive"),
    ],
)
def test_grid_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        bucket_grid(**arguments)


@pytest.mark.parametrize(
    ("size", "expected"),
    [(0, 4), (1, 4), (4, 4), (5, 8), (9, 20), (20, 20), (21, 40), (41, 60), (60, 60)],
)
def test_next_bucket_of_ints_and_tensors(size, expected):
    sizes = (4, 8, 20)
    assert next_bucket(size, sizes) == expected
    tensor = next_bucket(tf.constant(size), sizes)
    assert tensor.dtype == tf.int32
    assert tensor.shape == ()
    assert int(tensor) == expected
    in_graph = tf.function(lambda s: next_bucket(s, sizes))
    assert int(in_graph(tf.constant(size))) == expected


@pytest.mark.parametrize("sizes", [(), (0, 4), (-1,), (4, 4), (8, 4)])
def test_bucket_sizes_must_grow(sizes):
    with pytest.raises(ValueError, match="`bucket_sizes` must be one or more positive"):
        check_bucket_sizes(sizes)


def test_bucket_sizes_must_be_ints():
    with pytest.raises(TypeError, match="float"):
        check_bucket_sizes((1.5, 4))
