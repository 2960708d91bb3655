"""The numbers of figures 8 and 9, on ml-100k with an untrained network."""

import numpy as np
import pytest
import tensorflow as tf

from experiments.pdn import analysis, neighbours, settings
from experiments.pdn import problem as problem_lib
from experiments.pdn.train import build_ranker


@pytest.fixture(scope="module")
def problem(ml_100k):
    """The data of the TESTING setting."""
    setting = settings.setting_for("ml-100k", "pdn", seed=0, testing=True)
    return problem_lib.load(setting, 0, str(ml_100k.path.parent))


@pytest.fixture(scope="module")
def ranker(problem):
    """A network whose weights are random, biases too."""
    made = build_ranker(problem)
    rng = np.random.default_rng(0)
    for variable in made.model.trainable_variables:
        variable.assign(rng.normal(0, 0.3, variable.shape))
    return made


def test_category_names_are_the_first_genres(problem):
    names = analysis.category_names(problem.dataset)
    assert len(names) == 19
    values, splits = problem.dataset.items.ragged("genres")
    for item in (1, 50, 1000):
        category = int(problem.fields.item["category"][item])
        assert names[category] == values[splits[item - 1]]


def test_largest_categories_by_hand():
    categories = np.array(
        [0, 3, 3, 3, 1, 1, 2, 0, 0, 0, 0]
    )  # 2 has one item, 0 is none
    assert analysis.largest_categories(categories, 1).tolist() == [3]
    assert analysis.largest_categories(categories, 5).tolist() == [1, 3]


def test_similarities_are_those_of_all_pairs(problem, ranker):
    rng = np.random.default_rng(1)
    triggers, items = rng.integers(1, problem.dataset.num_items + 1, [2, 50])
    found = analysis.similarities(ranker.model, problem, triggers, items)
    exact = ranker.exact.similarities.numpy()[triggers, items - 1]
    np.testing.assert_allclose(found, exact, atol=1e-4)
    assert exact.std() > 0.01


def test_pairs_are_of_their_categories_and_of_two_items(problem, monkeypatch):
    categories = problem.fields.item["category"]
    drawn = []

    def pretend(model, _, triggers, items):
        drawn.append((triggers, items))
        return 100.0 * categories[triggers] + categories[items]

    monkeypatch.setattr(analysis, "similarities", pretend)
    chosen = np.array([2, 5, 18])  # 18 has 13 items, the smallest of the three
    means = analysis.category_similarities(None, problem, chosen, 500)
    np.testing.assert_allclose(means, 100 * chosen[:, None] + chosen)
    assert all(triggers.size == 500 for triggers, _ in drawn)
    assert not any((triggers == items).any() for triggers, items in drawn)
    pairs = set(zip(*drawn[-1], strict=True))
    assert len(pairs) > 0.8 * 13 * 12


def test_neutral_behaviour(problem):
    ratings = problem.dataset.interactions["rating"]
    values, counts = np.unique(ratings, return_counts=True)
    found = analysis.neutral_behaviour(problem)
    vocabulary = problem.fields.vocabularies["rating"]
    assert vocabulary[found["rating"] - 1] == values[counts.argmax()] == 4.0
    assert (found["recency"], found["time_gap"]) == (1, 1)


def test_trigger_weights_are_the_models(problem, ranker, monkeypatch):
    monkeypatch.setattr(analysis, "_PAIRS_AT_ONCE", 8)  # blocks of two users
    users = np.array([7, 1, 900])
    items = np.array([[5, 6, 7, 8], [1, 2, 3, 4], [9, 100, 1000, 1682]])
    found = analysis.trigger_weights(ranker.model, problem, users, items)
    fields = problem.fields
    for row, column in ((0, 1), (1, 3), (2, 2)):
        user, item = users[row], items[row, column]
        history = {"item": item, "category": fields.item["category"][item]}
        history |= {"rating": 4, "recency": 1, "time_gap": 1}
        profile = {name: codes[user] for name, codes in fields.user.items()}
        state = ranker.model.user_state(
            {
                "user": {
                    k: tf.constant([v]) for k, v in {"user": user, **profile}.items()
                },
                "history": {k: tf.constant([[v]]) for k, v in history.items()},
            }
        )
        np.testing.assert_allclose(
            found[row, column], state["weights"].numpy().squeeze(), rtol=1e-4
        )
    same = analysis.trigger_weights(ranker.model, problem, users, items[0])
    np.testing.assert_allclose(same[0], found[0], rtol=1e-4)


def test_a_target_among_its_negatives_does_not_count(problem, monkeypatch):
    candidates = np.array([[5, 6, 7], [8, 8, 9]])
    monkeypatch.setitem(problem.__dict__, "test_candidates", candidates)
    monkeypatch.setattr(
        analysis, "trigger_weights", lambda *_: np.array([[1.0, 2, 4], [5, 5, 9]])
    )
    positive, negative = analysis.weights_by_label(None, problem)
    assert positive.tolist() == [1, 5]
    assert negative.tolist() == [3, 9]


def test_gender_difference_is_the_second_less_the_first(problem, monkeypatch):
    genders, categories = problem.fields.user["gender"], problem.fields.item["category"]

    def pretend(model, _, users, items):
        return np.where(genders[users] == 2, 1.0, 0.0)[:, None] * categories[items]

    monkeypatch.setattr(analysis, "trigger_weights", pretend)
    chosen = np.array([1, 2, 10])
    found = analysis.gender_differences(None, problem, chosen, 300, 90)
    assert found["values"] == ["F", "M"]
    assert found["users"] == [273, 300]
    assert found["items"] == [30, 30, 14]
    np.testing.assert_allclose(found["difference"], chosen)
    np.testing.assert_allclose(found["error"], 0.0, atol=1e-12)


def test_nearest_against_sorting(problem, ranker, monkeypatch):
    monkeypatch.setattr(neighbours, "_PAIRS_AT_ONCE", 2 * 1682)
    triggers = np.array([1, 50, 1600])
    by_model, by_cosine = neighbours.nearest(ranker.model, problem, triggers, 5)
    exact = ranker.exact.similarities.numpy()
    users_items = np.zeros([problem.dataset.num_users + 1, 1683])
    train = problem.split.train
    users_items[train.users, train.items] = 1.0
    for row, trigger in enumerate(triggers):
        scores = exact[trigger].copy()
        scores[trigger - 1] = -np.inf
        assert by_model[row].tolist() == (np.argsort(-scores)[:5] + 1).tolist()
        both = users_items[:, trigger] @ users_items
        norms = np.maximum(users_items.sum(0), 1.0)
        cosines = both / np.sqrt(norms[trigger] * norms)
        cosines[trigger] = -1.0
        best = np.sort(cosines)[::-1][:5]
        np.testing.assert_allclose(cosines[by_cosine[row]], best, rtol=1e-5)


def test_matthew_effect_by_hand(problem, monkeypatch):
    rows = neighbours.popularity(problem)
    lists = np.array([[50, 100]]), np.array([[100, 1]])
    monkeypatch.setattr(neighbours, "nearest", lambda *_: lists)
    found = neighbours.matthew_effect(None, problem, num_triggers=1, k=2)
    assert found["simnet"] == (rows[50] + rows[100]) / 2
    assert found["cosine"] == (rows[100] + rows[1]) / 2
    assert found["shared"] == 1


def test_table_names_items(problem, ranker):
    names = analysis.category_names(problem.dataset)
    text = neighbours.table(ranker.model, problem, names, count=2, k=3)
    rows = np.bincount(problem.split.train.items)
    assert f"**Star Wars (Action, {rows.max():,})**" in text
    assert text.count("| 3 | ") == 2
    assert "SimNet | item CF, cosine" in text
