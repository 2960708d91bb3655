"""New items in an index, against plain loops; old similarities stay."""

import dataclasses

import numpy as np
import pytest

from tests.pdn import index_problems
from tests.pdn.index_build_test import build
from tests.pdn.index_problems import make_inputs, score_pairs
from tfrec.artifacts import ArtifactError
from tfrec.pdn.index_extend import extend
from tfrec.pdn.index_shards import IndexConfig

OLD = 50
CONFIG = IndexConfig(k=6, k_hat=20, items_per_shard=16)


def old_index(inputs, config=CONFIG):
    return build(inputs=index_problems.first_items(inputs, OLD), config=config)


def expected_lists(index, inputs, config):
    """Old entries, new items whose candidate the old one is, the best k of both."""
    lists = index_problems.lists(index)
    for new in range(OLD + 1, inputs.num_items + 1):
        found = index_problems.expected_candidates(inputs, new, config.k_hat)
        lists.append(index_problems.expected_list(new, found, config.k))
        for i in (i for i in found if i <= OLD):
            lists[i - 1].append((new - 1, index_problems.score(i, new)))
    return [sorted(e, key=lambda p: (-p[1], p[0]))[: config.k] for e in lists]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("k", "k_hat"), [(1, 3), (6, 20), (60, 60)])
def test_against_loops(seed, k, k_hat):
    inputs, config = make_inputs(seed), IndexConfig(k, k_hat)
    index = old_index(inputs, config)
    extended = extend(index, inputs, score_pairs, "v1", pairs_per_batch=30)
    found = index_problems.lists(extended)
    assert found == expected_lists(index, inputs, config)
    before = index_problems.lists(index)
    changed = sum(a != b for a, b in zip(before, found[:OLD], strict=True))
    if k == 6:  # some lists gain, some do not, new items have lists
        assert 0 < changed < OLD
        assert all(found[OLD:])
    np.testing.assert_array_equal(extended.item_ids, inputs.item_ids)
    assert extended.meta["data_sha256"] == inputs.sha256()
    assert extended.meta["num_pairs"] > index.meta["num_pairs"]


def test_old_similarities_stay_and_old_pairs_are_not_scored():
    inputs = make_inputs()
    index = old_index(inputs)
    seen = []

    def other_scores(triggers, items):
        seen.extend(zip(triggers.tolist(), items.tolist(), strict=True))
        return score_pairs(triggers, items) + np.float32(0.125)

    extended = extend(index, inputs, other_scores, "v1")
    assert all(max(pair) > OLD for pair in seen)
    assert len(set(seen)) == len(seen)
    held = [dict(pairs) for pairs in index_problems.lists(index)]
    stayed = 0
    for j, pairs in enumerate(index_problems.lists(extended)[:OLD]):
        for i, similarity in pairs:
            expected = (
                held[j][i] if i < OLD else index_problems.score(j + 1, i + 1) + 0.125
            )
            assert similarity == expected
            stayed += i < OLD
    assert stayed > 100


def test_items_that_were_never_met_come_by_their_profile():
    inputs = make_inputs()
    counts = inputs.counts.toarray()
    counts[OLD + 1 :], counts[:, OLD + 1 :] = 0, 0
    inputs = dataclasses.replace(inputs, counts=type(inputs.counts)(counts))
    extended = extend(old_index(inputs), inputs, score_pairs, "v1")
    with_profile = 0
    for new in range(OLD + 1, inputs.num_items + 1):
        found = index_problems.expected_candidates(inputs, new, CONFIG.k_hat)
        begin, end = extended.row_splits[new - 1 : new + 1]
        assert end - begin == min(len(found), CONFIG.k)
        with_profile += len(found) > 0
    assert with_profile > 5


def test_one_item_after_the_other_and_no_item():
    inputs = make_inputs()
    index = old_index(inputs)
    same = extend(index, index_problems.first_items(inputs, OLD), score_pairs, "v1")
    index_problems.assert_equal(same, index)
    for size in (OLD + 1, OLD + 2):
        index = extend(
            index, index_problems.first_items(inputs, size), score_pairs, "v1"
        )
    assert index.num_items == OLD + 2


def test_another_model_version_is_refused():
    inputs = make_inputs()
    with pytest.raises(ArtifactError, match="must be 'v2'. Received: 'v1'"):
        extend(old_index(inputs), inputs, score_pairs, "v2")


def test_other_items_are_refused():
    inputs = make_inputs()
    index = old_index(inputs)
    with pytest.raises(ArtifactError, match="50 items of the index.*Received: 49"):
        extend(index, index_problems.first_items(inputs, 49), score_pairs, "v1")
    other = inputs.item_ids.copy()
    other[3] = -5
    with pytest.raises(ArtifactError, match=r"at 3 it has \d+. Received: -5"):
        extend(index, make_inputs(item_ids=other), score_pairs, "v1")
