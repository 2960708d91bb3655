"""Both protocols against plain Python, with scores that a table holds."""

import dataclasses
import math

import numpy as np
import pyarrow as pa
import pytest

from experiments.pdn import evaluate, settings
from experiments.pdn import problem as problem_lib
from experiments.pdn.rankers import Ranker
from tfrec.data import prepared, splits

NUM_ITEMS = 400
NUM_CATEGORIES = 250


class Table(Ranker):
    """Scores by user and item, all different; the longer the history, the higher.

    Targets of every other user are among the first, so that some hit and some miss.
    """

    def __init__(self, problem: problem_lib.Problem):
        random = np.random.default_rng(0)
        users, targets = problem.split.test.user, problem.split.test.targets
        self.scores, self.related = random.random((2, users.size + 1, NUM_ITEMS))
        raised = users[::2], targets[::2] - 1
        self.scores[raised] = 0.95 + 0.05 * self.scores[raised]

    def sampled(self, examples, rows, features, candidates):
        users = examples.user[rows]
        lengths = np.diff(examples.history_splits)[rows]
        bonus = np.zeros(candidates.shape)
        bonus[:, 0] = 0.01 * lengths  # of the target
        return self.scores[users[:, None], candidates - 1] + bonus

    def full(self, examples, rows, features):
        return self.scores[examples.user[rows]].copy()

    def item_to_item(self, examples, rows, features):
        return self.related[examples.user[rows]].copy()


@pytest.fixture(scope="module")
def problem(tmp_path_factory):
    """40 users with the columns of ml-1m; the test row is in the middle of each."""
    random = np.random.default_rng(1)
    columns = {"user": [], "item": [], "order": [], "ncf_test": []}
    users, targets, negatives = [], [], []
    for user in range(1, 41):
        length = int(random.integers(6, 60))
        items = random.permutation(NUM_ITEMS)[: length + 99] + 1
        test = length // 2
        columns["user"] += [user] * length
        columns["item"] += items[:length].tolist()
        columns["order"] += list(range(length))
        columns["ncf_test"] += [place == test for place in range(length)]
        users.append(user)
        targets.append(items[test])
        negatives.append(items[length:])
    kinds = {"user": np.int32, "item": np.int32, "order": np.int32, "ncf_test": bool}
    interactions = {k: np.array(v, kinds[k]) for k, v in columns.items()}
    ids = np.arange(1, NUM_ITEMS + 1, dtype=np.int32)
    tables = {
        "interactions": interactions,
        "items": {"item": ids, "category": ids % NUM_CATEGORIES + 1},
        "ncf_negatives": {
            "user": np.array(users, np.int32),
            "item": np.array(targets, np.int32),
            "negatives": pa.array([list(map(int, row)) for row in negatives]),
        },
    }
    meta = {"name": "small", "time_kind": "unix", "terms": "none", "source": "made up"}
    path = tmp_path_factory.mktemp("data") / "small"
    prepared.write(path, meta, tables)
    dataset = prepared.read(path)
    setting = dataclasses.replace(
        settings.setting_for("ml-1m", "ease", 0),
        user_fields=(),
        behaviour_fields=(),
        context_fields=(),
    )
    split = splits.ncf_leave_one_out(dataset, 8, seed=0)
    return problem_lib.Problem(setting, 0, dataset, split)


@pytest.fixture(scope="module")
def ranker(problem):
    return Table(problem)


@pytest.fixture(scope="module")
def found(problem, ranker):
    return evaluate.evaluate(ranker, problem)


def _rows(problem, user):
    """Items and whether they are the test row, of a user, in order."""
    rows = problem.dataset.interactions
    own = rows["user"] == user
    return rows["item"][own].tolist(), rows["ncf_test"][own].tolist()


def _metrics(rank):
    return float(rank < 10), 1 / math.log2(rank + 2) if rank < 10 else 0.0


def _sampled(problem, scores, user, bonus=0.0):
    table = problem.dataset.table("ncf_negatives")
    negatives = table.ragged("negatives")[0].reshape(-1, 99)[user - 1]
    items, is_test = _rows(problem, user)
    target = scores[user, items[is_test.index(True)] - 1] + bonus
    return _metrics(sum(scores[user, item - 1] > target for item in negatives))


def _expect(metrics, pairs):
    means = np.mean(pairs, axis=0)
    assert metrics["hr"] == pytest.approx(means[0])
    assert metrics["ndcg"] == pytest.approx(means[1])
    assert metrics["users"] == len(pairs)
    assert 0 < means[0] < 1


def test_sampled_protocol(problem, ranker, found):
    pairs, earlier = [], []
    for user in range(1, 41):
        items, is_test = _rows(problem, user)
        for into, length in (
            (pairs, len(items) - 1),
            (earlier, is_test.index(True)),  # rows before the test row alone
        ):
            into.append(_sampled(problem, ranker.scores, user, 0.01 * length))
    _expect(found[0]["sampled"], pairs)
    _expect(found[0]["earlier"], earlier)
    assert pairs != earlier
    np.testing.assert_allclose(found[1]["sampled_ndcg"], [p[1] for p in pairs], 1e-6)


def test_item_to_item(problem, ranker, found):
    pairs = [_sampled(problem, ranker.related, user) for user in range(1, 41)]
    _expect(found[0]["item_to_item"], pairs)


def test_full_ranking_leaves_out_what_the_user_has_met(problem, ranker, found):
    pairs, hits, covered, lengths = [], [], [], []
    for user in range(1, 41):
        items, is_test = _rows(problem, user)
        target = items[is_test.index(True)]
        left = set(range(1, NUM_ITEMS + 1)) - set(items) | {target}
        order = sorted(left, key=lambda item: -ranker.scores[user, item - 1])
        pairs.append(_metrics(order.index(target)))
        hits.append(float(order.index(target) < 300))
        covered.append(len({item % NUM_CATEGORIES for item in order[:300]}))
        lengths.append(len(items) - 1)
    full = found[0]["full"]
    _expect(full, pairs)
    assert full["hr300"] == pytest.approx(np.mean(hits))
    assert full["diversity"] == pytest.approx(np.mean(covered) / NUM_CATEGORIES)
    assert full["diversity"] < 1
    assert np.sum(pairs, axis=0)[0] > 5
    groups = found[0]["by_length"]["hr300"]
    assert [group["users"] for group in groups.values()] == [
        sum(low < n <= high for n in lengths)
        for low, high in ((0, 15), (15, 30), (30, 45), (45, 99))
    ]
    longest = [hit for hit, n in zip(hits, lengths, strict=True) if n > 45]
    assert groups["n>45"]["mean"] == pytest.approx(np.mean(longest))


def test_a_draw_of_users(problem, ranker, found):
    setting = dataclasses.replace(problem.setting, num_full_users=15)
    metrics, users = evaluate.evaluate(
        ranker, dataclasses.replace(problem, setting=setting)
    )
    assert metrics["full"]["users"] == 15
    assert metrics["sampled"] == found[0]["sampled"]
    chosen = users["full_user"]
    assert len(set(chosen.tolist())) == 15
    assert (np.diff(chosen) > 0).all()
    for name in ("full_hr", "full_ndcg", "hr300", "diversity"):
        np.testing.assert_array_equal(users[name], found[1][name][chosen - 1])
