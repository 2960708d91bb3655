"""What is drawn is what the docstrings say: different, popular first, seeded."""

import numpy as np
import pytest

from experiments.pdn import synthetic


def test_ranks_are_different_and_follow_zipf():
    random = np.random.default_rng(0)
    ranks = synthetic.popular_ranks(random, 2000, 5, 10_000)
    assert ranks.shape == (2000, 5)
    assert (np.diff(ranks, axis=1) > 0).all()
    assert ranks.min() == 0
    assert ranks.max() < 10_000
    # As many in [10, 100) as in [1000, 10000): a decade of ranks is a decade.
    few, many = ((ranks >= low) & (ranks < 10 * low) for low in (10, 1000))
    assert few.sum() == pytest.approx(many.sum(), rel=0.1)


def test_all_ranks_when_as_many_are_asked_for():
    random = np.random.default_rng(0)
    ranks = synthetic.popular_ranks(random, 3, 7, 7)
    np.testing.assert_array_equal(ranks, np.tile(np.arange(7), [3, 1]))
    with pytest.raises(ValueError, match="`count` must be at most limit=7"):
        synthetic.popular_ranks(random, 3, 8, 7)


def test_index_keeps_the_format_and_favours_popular_items():
    index = synthetic.path_index(400, 30, seed=3)
    index.check()  # types, order, no item twice or in its own list
    assert (np.diff(index.row_splits) == 30).all()
    times = np.bincount(index.neighbours, minlength=400)
    by_rank = times[synthetic.item_ranks(400, seed=3)]
    assert by_rank[:10].mean() > 10 * by_rank[-100:].mean()
    again = synthetic.path_index(400, 30, seed=3)
    np.testing.assert_array_equal(index.neighbours, again.neighbours)
    other = synthetic.path_index(400, 30, seed=4)
    assert (index.neighbours != other.neighbours).any()


def test_requests_fit_the_schema():
    schema = synthetic.schema(50, 8)
    (request, other) = synthetic.requests(50, 8, 2, seed=0)
    for part in ("user", "history"):
        sizes = {field.name: field.size for field in getattr(schema, part)}
        assert set(request[part]) == set(sizes)
        for name, values in request[part].items():
            assert 1 <= values.numpy().min() <= values.numpy().max() < sizes[name]
    items = request["history"]["item"].numpy()[0]
    assert items.size == 8 == np.unique(items).size
    assert (items != other["history"]["item"].numpy()[0]).any()
