"""The walk against Algorithms 1 and 2 written in plain Python."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests.nann.index_test import make_index
from tfrec.evaluation.brute_force import BruteForce
from tfrec.nann.config import WalkConfig
from tfrec.nann.index import HnswIndex
from tfrec.nann.retrieval import GraphRetriever, entry_level

NUM_ITEMS = 300


class Wavy(tf.Module):
    """A scorer that is not ours: neither convex nor symmetric, two functions only."""

    def user_state(self, features):
        """The user's vector is given."""
        return {"user": features["vector"]}

    def score(self, state, vectors):
        """A sum of sines of the user's and the item's coordinates."""
        vectors = vectors if vectors.shape.rank == 3 else vectors[tf.newaxis]
        return tf.reduce_sum(tf.sin(state["user"][:, tf.newaxis] * vectors), axis=-1)


def users(batch_size: int = 4) -> dict[str, tf.Tensor]:
    """Returns random users of `Wavy`."""
    vectors = np.random.default_rng(1).normal(size=(batch_size, 6))
    return {"vector": tf.constant(vectors, tf.float32)}


def neighbours(index: HnswIndex, level: int, nodes: list[int]) -> list[int]:
    """Returns the neighbours of nodes, in order, each once."""
    values, splits = index.levels[level].values, index.levels[level].row_splits
    found = [int(v) for n in nodes for v in values[splits[n] : splits[n + 1]]]
    return list(dict.fromkeys(found))


def walk_in_python(index: HnswIndex, config: WalkConfig, scores, k: int):
    """Algorithms 1 and 2 for one user: `(ids, number scored, ids met on level 0)`."""

    def best(nodes: list[int], count: int) -> list[int]:
        return sorted(nodes, key=lambda n: -scores[n])[:count]

    top = entry_level(index, config)
    entries = index.nodes(top).tolist()
    kept, scored, met = best(entries, config.ef[-1 - top]), len(entries), entries
    visited = set(kept)
    for level in reversed(range(top)):
        if config.reset_visited:
            visited = set()
        visited |= set(kept)
        met = met + kept
        frontier = kept
        for _ in range(config.steps[-1 - level]):
            fresh = [n for n in neighbours(index, level, frontier) if n not in visited]
            visited |= set(fresh)
            scored += len(fresh)
            if config.walk == "rounds" and level == 0:
                frontier = best(fresh, config.ef[-1])
                met = met + frontier
                continue
            met = met + fresh
            kept = best(kept + fresh, config.ef[-1 - level])
            frontier = [n for n in kept if n in set(fresh)]
    return best(list(dict.fromkeys(met)), k), scored


CONFIGS = {
    "paper": WalkConfig(ef=(4, 8, 20), steps=(1, 1, 3)),
    "several rounds above": WalkConfig(ef=(4, 8, 10), steps=(1, 3, 2)),
    "rounds": WalkConfig(ef=(4, 8, 20), steps=(1, 1, 3), walk="rounds"),
    "visited once": WalkConfig(ef=(4, 8, 20), steps=(1, 2, 3), reset_visited=False),
    "two levels": WalkConfig(ef=(8, 30), steps=(1, 4)),
    "entry clamped to level 0": WalkConfig(ef=(301, 301, 301), steps=(1, 1, 1)),
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_forward_against_python(config):
    index, scorer = make_index(NUM_ITEMS), Wavy()
    retriever = GraphRetriever(scorer, index, config)
    features = users()
    all_scores = scorer.score(scorer.user_state(features), tf.constant(index.vectors))
    for mode in (lambda f: f, tf.function):
        positions, scores, num_scored = mode(retriever.retrieve)(features, 10)
        for row, user_scores in enumerate(all_scores.numpy()):
            expected, scored = walk_in_python(index, config, user_scores, 10)
            assert positions[row].numpy().tolist() == expected
            assert num_scored[row] == scored
            np.testing.assert_allclose(scores[row], user_scores[expected], atol=1e-5)


def test_reference_ops_and_plain_scoring_give_the_same():
    index, scorer, config = make_index(NUM_ITEMS), Wavy(), CONFIGS["paper"]
    expected = GraphRetriever(scorer, index, config).retrieve(users(), 15)
    for ops, jit_compile in (("reference", True), ("reference", False)):
        retriever = GraphRetriever(scorer, index, config, ops, jit_compile)
        found = retriever.retrieve(users(), 15)
        np.testing.assert_array_equal(found.positions, expected.positions)
        np.testing.assert_allclose(found.scores, expected.scores, atol=1e-5)
        np.testing.assert_array_equal(found.num_scored, expected.num_scored)


def test_a_user_does_not_depend_on_the_others():
    retriever = GraphRetriever(Wavy(), make_index(NUM_ITEMS), CONFIGS["paper"])
    together = retriever.retrieve(users(), 10)
    for row in range(4):
        alone = retriever.retrieve({"vector": users()["vector"][row : row + 1]}, 10)
        np.testing.assert_array_equal(alone.positions[0], together.positions[row])


def test_a_wide_walk_finds_what_brute_force_finds():
    index, scorer = make_index(NUM_ITEMS), Wavy()
    config = WalkConfig(ef=(16, 32, 60), steps=(1, 1, 6))
    found = GraphRetriever(scorer, index, config).retrieve(users(50), 10)
    brute_force = BruteForce(scorer, index.vectors, 10)
    exact, _ = brute_force.top_k(users(50))
    hits = [
        len(set(a) & set(b)) / 10
        for a, b in zip(found.positions.numpy(), exact.numpy(), strict=True)
    ]
    assert np.mean(hits) > 0.9


def test_unavailable_and_seen_items_are_left_out():
    index, scorer = make_index(NUM_ITEMS), Wavy()
    retriever = GraphRetriever(scorer, index, WalkConfig((16, 32, 60), (1, 1, 6)))
    free = retriever.retrieve(users(), 20).positions.numpy()
    available = np.ones([NUM_ITEMS], bool)
    available[free[0, ::2]] = False
    seen = np.full([4, 5], -1, np.int32)
    seen[:, :3] = free[:, 1:7:2]
    found = retriever.retrieve(
        users(), 20, tf.constant(available), tf.constant(seen)
    ).positions.numpy()
    for row in range(4):
        kept = [i for i in free[row] if available[i] and i not in seen[row]]
        assert found[row, : len(kept)].tolist() == kept
        assert available[found[row]].all()
        assert not set(found[row]) & set(seen[row])


def test_brute_force_leaves_out_the_same():
    index, scorer = make_index(NUM_ITEMS), Wavy()
    everything = GraphRetriever(scorer, index, CONFIGS["entry clamped to level 0"])
    available = tf.constant(np.arange(NUM_ITEMS) % 3 > 0)
    seen = tf.constant(np.arange(20, dtype=np.int32).reshape(4, 5))
    found = everything.retrieve(users(), 25, available, seen)
    brute_force = BruteForce(scorer, index.vectors, 25)
    positions, scores = brute_force.top_k(users(), available, seen)
    np.testing.assert_array_equal(found.positions, positions)
    np.testing.assert_allclose(found.scores, scores, atol=1e-5)


def test_more_results_than_nodes_are_padded():
    index = make_index(NUM_ITEMS)
    retriever = GraphRetriever(Wavy(), index, CONFIGS["entry clamped to level 0"])
    available = np.zeros([NUM_ITEMS], bool)
    available[[3, 5]] = True
    found = retriever.retrieve(users(), 10, tf.constant(available))
    assert (np.sort(found.positions[:, :2], axis=1) == [3, 5]).all()
    assert (found.positions.numpy()[:, 2:] == -1).all()
    assert np.isneginf(found.scores.numpy()[:, 2:]).all()


def test_equal_scores_are_ordered_by_position():
    class Flat(Wavy):
        """Every item has the same score."""

        def score(self, state, vectors):
            """Zeros of the right shape."""
            return super().score(state, vectors) * 0.0

    index = make_index(NUM_ITEMS)
    retriever = GraphRetriever(Flat(), index, CONFIGS["entry clamped to level 0"])
    positions = retriever.retrieve(users(), 7).positions.numpy()
    assert positions.tolist() == [list(range(7))] * 4


def test_entry_level_needs_ef_nodes():
    index = make_index(NUM_ITEMS)
    sizes = [index.nodes(level).size for level in range(3)]
    assert entry_level(index, WalkConfig((sizes[2], 1, 1), (1, 1, 1))) == 2
    assert entry_level(index, WalkConfig((sizes[2] + 1, sizes[1], 1), (1, 1, 1))) == 1
    assert entry_level(index, WalkConfig((300, sizes[1] + 1, 1), (1, 1, 1))) == 0


def test_value_errors():
    with pytest.raises(ValueError, match="`ops` must be one of"):
        GraphRetriever(Wavy(), make_index(), CONFIGS["paper"], ops="fast")
    for change, message in (
        ({"ef": (1, 2)}, "one entry a level"),
        ({"walk": "greedy"}, "`walk` must be one of"),
        ({"bucket_step": 1.0}, "`bucket_step`"),
        ({"ef": (0, 1, 1)}, "`ef` must be at least 1"),
    ):
        with pytest.raises(ValueError, match=message):
            dataclasses.replace(WalkConfig(), **change)
