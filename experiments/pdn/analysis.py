"""What TrigNet and SimNet of a trained model say: the numbers of figures 8 and 9.

t and s are known up to a constant only (t + c and s - c make the same paths), so their
differences mean something, their levels do not.
"""

from typing import Any

import numpy as np
import tensorflow as tf

from experiments.pdn.problem import Problem
from tfrec.data.fields import RECENCY, TIME_GAP
from tfrec.data.prepared import PreparedDataset
from tfrec.pdn.model import Pdn

_PAIRS_AT_ONCE = 1 << 16


def category_names(dataset: PreparedDataset) -> dict[int, str]:
    """Names by category id: of MovieLens the genres, elsewhere the ids."""
    items = dataset.items
    if items is not None and "genres" in list(items):
        values, splits = items.ragged("genres")
        firsts = values[splits[:-1]]
        return dict(zip(items["category"].tolist(), firsts.tolist(), strict=True))
    found = np.unique(dataset.item_features["category"][1:])
    return {category: f"category {category}" for category in found.tolist()}


def largest_categories(categories: np.ndarray, count: int) -> np.ndarray:
    """The ids of the categories with the most items, at least two each; ascending.

    Args:
        categories: int `(N + 1,)` by item id; 0 is none.
        count: how many.
    """
    sizes = np.bincount(categories[1:])
    sizes[0] = 0
    order = np.argsort(-sizes, kind="stable")[:count]
    return np.sort(order[sizes[order] > 1])


def category_similarities(
    model: Pdn, problem: Problem, chosen: np.ndarray, num_pairs: int, seed: int = 0
) -> np.ndarray:
    """Figure 8a: the mean s_ji of random pairs of two categories, float64 `(C, C)`.

    The pairs are drawn among all items and scored by SimNet, where the paper reads them
    out of the index: an index of the k best holds few pairs of unlike categories.

    Args:
        model: of scalar paths.
        problem: gives items and their categories.
        chosen: C category ids with at least two items: of the trigger by row, of the
            item by column.
        num_pairs: each; an item is in no pair with itself.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    categories = problem.fields.item["category"]
    members = [np.flatnonzero(categories[1:] == category) + 1 for category in chosen]
    means = np.empty([chosen.size, chosen.size])
    for row, column in np.ndindex(means.shape):
        of_row, of_column = members[row], members[column]
        places = rng.integers(of_row.size, size=num_pairs)
        if row == column:  # a step of 1 to n - 1 around the circle: never the same item
            steps = rng.integers(1, of_row.size, size=num_pairs)
            others = (places + steps) % of_row.size
        else:
            others = rng.integers(of_column.size, size=num_pairs)
        scores = similarities(model, problem, of_row[places], of_column[others])
        means[row, column] = scores.mean()
    return means


def similarities(
    model: Pdn, problem: Problem, triggers: np.ndarray, items: np.ndarray
) -> np.ndarray:
    """s_ji, float32 of the shape that item ids `triggers` and `items` broadcast to."""
    fields = [problem.with_item_fields(np.int32(ids)) for ids in (triggers, items)]
    return model.similarity(*fields)[..., 0].numpy()


def neutral_behaviour(problem: Problem) -> dict[str, int]:
    """A behaviour for items that a user has not met, the same for all of them.

    Of a column the most frequent value of the training rows (the usual rating), of
    recency and time gap the smallest: as if it had just happened.
    """
    fields, rows = problem.fields, problem.split.train.source_rows
    found = {
        n: int(np.bincount(v[rows])[1:].argmax() + 1) for n, v in fields.row.items()
    }
    if fields.recency:
        found[RECENCY] = 1
    if fields.times is not None:
        found[TIME_GAP] = 1
    return found


def trigger_weights(
    model: Pdn, problem: Problem, users: np.ndarray, items: np.ndarray
) -> np.ndarray:
    """t_uj with any items in the place of triggers, by `neutral_behaviour`.

    Args:
        model: of scalar paths.
        problem: gives features.
        users: int `(B,)`, ids.
        items: int `(B, C)`, ids; or `(C,)`, the same for all users.
    Returns: float32 `(B, C)`.
    """
    shape = users.size, items.shape[-1]
    block = max(1, _PAIRS_AT_ONCE // shape[1])
    items = np.broadcast_to(items, shape)
    neutral = neutral_behaviour(problem)
    found = []
    for begin in range(0, users.size, block):
        ids, part = users[begin : begin + block], items[begin : begin + block]
        profile = {name: tf.gather(v, ids) for name, v in problem.fields.user.items()}
        history = problem.with_item_fields(np.int32(part))
        history |= {name: tf.fill(part.shape, code) for name, code in neutral.items()}
        user = {"user": tf.constant(ids, tf.int32), **profile}
        state = model.user_state({"user": user, "history": history})
        found.append(state["weights"][..., 0].numpy())
    return np.concatenate(found)


def weights_by_label(model: Pdn, problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """Figure 8b: t_uj of a test user's target, and the mean of its 99 negatives.

    Returns: float64 `(E,)` each, by test user. A negative that is the target after all
        does not count.
    """
    candidates = problem.test_candidates
    weights = trigger_weights(model, problem, problem.split.test.user, candidates)
    weights = weights.astype(np.float64)
    is_other = candidates[:, 1:] != candidates[:, :1]
    negative = np.where(is_other, weights[:, 1:], 0.0).sum(axis=1)
    return weights[:, 0], negative / is_other.sum(axis=1)


def gender_differences(
    model: Pdn,
    problem: Problem,
    chosen: np.ndarray,
    num_users: int = 1000,
    num_items: int = 500,
    seed: int = 0,
) -> dict[str, Any] | None:
    """Figure 8c: how much more one gender's users weigh items of a category.

    Args:
        model: of scalar paths.
        problem: gives users and items.
        chosen: C category ids.
        num_users: most users drawn of each gender.
        num_items: most items drawn in all, as many of each category.
        seed: of the draws.
    Returns: `values`, the two genders; `users`, how many of each; `items`, how many of
        each category; `difference`, mean t of the second less that of the first by
        category, `(C,)`; `error`, its standard error over users. None: the set does
        not know two genders.
    """
    codes = problem.fields.user.get("gender")
    if codes is None or problem.fields.vocabularies["gender"].size != 2:
        return None
    rng = np.random.default_rng(seed)
    categories = problem.fields.item["category"]
    draws = [
        _some(rng, np.flatnonzero(categories == c), max(1, num_items // chosen.size))
        for c in chosen
    ]
    begins = np.cumsum([0, *(draw.size for draw in draws[:-1])])
    means, errors, counts = [], [], []
    for code in (1, 2):
        users = _some(rng, np.flatnonzero(codes == code), num_users)
        weights = trigger_weights(model, problem, users, np.concatenate(draws))
        sums = np.add.reduceat(weights.astype(np.float64), begins, axis=1)
        of_users = sums / [draw.size for draw in draws]
        means.append(of_users.mean(axis=0))
        errors.append(of_users.var(axis=0, ddof=1) / users.size)
        counts.append(users.size)
    return {
        "values": problem.fields.vocabularies["gender"].tolist(),
        "users": counts,
        "items": [draw.size for draw in draws],
        "difference": means[1] - means[0],
        "error": np.sqrt(errors[0] + errors[1]),
    }


def _some(rng: np.random.Generator, ids: np.ndarray, most: int) -> np.ndarray:
    return np.sort(rng.permutation(ids)[:most])
