"""Candidate pairs against plain loops."""

import numpy as np
import pytest
from scipy import sparse

from tests.pdn import index_problems
from tfrec.pdn import candidates as candidates_lib
from tfrec.pdn.candidates import Candidates
from tfrec.pdn.index_inputs import Csr, IndexInputs, Ragged


def as_lists(ragged):
    return [
        ragged.values[a:b].tolist()
        for a, b in zip(ragged.row_splits[:-1], ragged.row_splits[1:], strict=True)
    ]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("k_hat", [1, 2, 9, 25, 200])
def test_against_loops(seed, k_hat):
    inputs = index_problems.make_inputs(seed)
    items = np.random.default_rng(seed).permutation(inputs.num_items) + 1
    found = Candidates(inputs, k_hat).candidate_items(items)
    expected = [index_problems.expected_candidates(inputs, i, k_hat) for i in items]
    assert as_lists(found) == expected
    assert found.values.dtype == np.int32
    if k_hat == 25:  # both sources are at work, and k-hat cuts
        counts = inputs.counts
        met = [(counts[i].toarray() > 0).sum() for i in items]
        assert min(met) < 25
        assert max(map(len, expected)) == 25


def test_blocks_do_not_change_what_is_found(monkeypatch):
    inputs = index_problems.make_inputs()
    items = np.arange(1, inputs.num_items + 1)
    whole = Candidates(inputs, 20).candidate_items(items)
    monkeypatch.setattr(candidates_lib, "_ENTRIES_AT_ONCE", 60)
    cut = Candidates(inputs, 20).candidate_items(items)
    assert as_lists(cut) == as_lists(whole)


def test_order_by_hand():
    """Item 1: met with 3 (twice), 2 and 5; then of its category, popular first."""
    dense = np.zeros([8, 8])
    dense[1, [2, 3, 5]] = [1, 2, 1]
    dense[1, 1] = 9  # itself
    dense[1, 0] = 9  # padding
    inputs = IndexInputs(
        np.arange(7),
        sparse.csr_matrix(dense),
        {"category": np.array([4, 4, 4, 1, 4, 1, 0, 4])},
        np.array([99, 50, 1, 1, 7, 1, 9, 7]),
    )
    assert as_lists(Candidates(inputs, 7).candidate_items([1])) == [[3, 2, 5, 4, 7]]
    assert as_lists(Candidates(inputs, 4).candidate_items([1])) == [[3, 2, 5, 4]]
    assert as_lists(Candidates(inputs, 2).candidate_items([1])) == [[3, 2]]
    assert as_lists(Candidates(inputs, 7).candidate_items([6])) == [[]]


def test_popularity_defaults_to_the_sum_of_counts():
    dense = np.zeros([5, 5])
    dense[2, 3], dense[3, 2], dense[3, 4] = 1, 1, 5
    values = {"profile": {"c": np.array([0, 1, 1, 1, 1])}}
    inputs = IndexInputs(np.arange(4), sparse.csr_matrix(dense), **values)
    assert inputs.popularity_of_items().tolist() == [0, 0, 1, 6, 0]
    assert as_lists(Candidates(inputs, 4).candidate_items([1])) == [[3, 2, 4]]


def test_a_value_that_stands_twice_takes_no_place():
    """Item 2 has the value three times; the head of the value still reaches item 4."""
    empty = Csr(np.zeros(0), np.zeros(0, np.int32), np.zeros(6, np.int32))
    tags = Ragged(np.array([1, 1, 1, 1, 1, 1]), np.array([0, 0, 1, 4, 5, 6]))
    inputs = IndexInputs(np.arange(4), empty, {"tags": tags}, np.array([0, 0, 5, 4, 3]))
    assert as_lists(Candidates(inputs, 3).candidate_items([1])) == [[2, 3, 4]]


def test_no_items():
    found = Candidates(index_problems.make_inputs(), 5).candidate_items([])
    assert found.row_splits.tolist() == [0]
    assert found.values.size == 0


@pytest.mark.parametrize("item", [0, index_problems.NUM_ITEMS + 1])
def test_ids_out_of_range(item):
    with pytest.raises(ValueError, match=rf"must be in \[1, 60\].*to {item}"):
        Candidates(index_problems.make_inputs(), 5).candidate_items([item])
