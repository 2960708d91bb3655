"""PathTopK: the best items over two-hop paths from users over triggers."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from tfrec.ops import _library, bitmap

tf.no_gradient("Tfrec>PathTopK")


def path_top_k(
    triggers: tf.Tensor,
    weights: tf.Tensor,
    neighbours: tf.Tensor,
    similarities: tf.Tensor,
    row_splits: tf.Tensor,
    user_vectors: tf.Tensor,
    item_vectors: tf.Tensor,
    excluded: tf.Tensor,
    available: tf.Tensor,
    k: int | tf.Tensor,
    num_paths: int = 0,
    name: str | None = None,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """Retrieves the best items over two-hop paths from users over triggers.

    The candidates are the items in the lists of a user's triggers. The score of item i
    is `softplus(user . item)`, plus `softplus(t_uj + s_ji)` of each trigger j whose
    list has i. A trigger that stands twice in a row counts each time, as does an item
    that stands twice in a list. At equal scores the smaller id comes first. Rows are
    independent. Only what is read of the index, weights and vectors is checked. The op
    has no gradient.

    Args:
        triggers: int32 `(B, M)`, in `[0, N)`; -1 is padding.
        weights: float32 `(B, M)`, the first hops t_uj.
        neighbours: int32 `(E,)`, in `[0, N)`, the items' lists one after the other.
        similarities: float32 `(E,)`, the second hops s_ji.
        row_splits: int32 or int64 `(N + 1,)`; the list of item j is
            `neighbours[row_splits[j]:row_splits[j + 1]]`.
        user_vectors: float32 `(B, D)`. With D = 0 there is no direct path, and its term
            is left out.
        item_vectors: float32 `(N, D)`.
        excluded: int32 `(B, S)`, in `[0, N)`: items not to return to this user, such as
            those seen; -1 is padding.
        available: bool `(N,)`: items that may be returned; `(0,)` stands for all.
        k: K >= 1, an int32 scalar.
        num_paths: P >= 0, how many paths to return with each result.
        name: name of the op in a graph.
    Returns: `(ids, scores, path_triggers, path_contributions)`. Int32 `(B, K)`, the
        best first, then -1; float32 `(B, K)`, then -inf; int32 `(B, K, P)`, the
        triggers of the paths that contribute the most to the result, the largest first
        and at equal contributions the smaller id, then -1; float32 `(B, K, P)`, their
        `softplus(t_uj + s_ji)`, then 0.
    Raises: InvalidArgumentError: an id is outside `[0, N)`; k < 1; `row_splits` does
        not begin with 0, end with E or ascend where it is read; a weight, a similarity,
        its sum with the weight, a user vector or a product of two vectors is not
        finite; the lists of one user have 2^31 entries or more; a rank or a size is
        wrong (ValueError while a graph is traced).
    Source: Li et al. 2021, eq. 14 and section 5.1.
    """
    ids, scores, path_triggers, path_contributions = (
        _library.load_library().tfrec_path_top_k(
            triggers=triggers,
            weights=weights,
            neighbours=neighbours,
            similarities=similarities,
            row_splits=row_splits,
            user_vectors=user_vectors,
            item_vectors=item_vectors,
            excluded=excluded,
            available=available,
            k=k,
            num_paths=num_paths,
            name=name,
        )
    )
    return ids, scores, path_triggers, path_contributions


def path_top_k_reference(
    triggers: tf.Tensor,
    weights: tf.Tensor,
    neighbours: tf.Tensor,
    similarities: tf.Tensor,
    row_splits: tf.Tensor,
    user_vectors: tf.Tensor,
    item_vectors: tf.Tensor,
    excluded: tf.Tensor,
    available: tf.Tensor,
    k: int | tf.Tensor,
    num_paths: int = 0,
    name: str | None = None,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """Does what `path_top_k` does, in pure TensorFlow, for a stock model server.

    Scores agree within 1e-5, so that results whose scores are closer than this may
    change places.

    Args, returns: as `path_top_k`.
    Raises: InvalidArgumentError: as `path_top_k`. ValueError: a rank is wrong, or
        `num_paths` is negative.
    """
    if num_paths < 0:
        raise ValueError(f"`num_paths` must be at least 0. Received: {num_paths}")
    with tf.name_scope(name or "path_top_k_reference"):
        inputs = _checked(
            triggers=triggers,
            weights=weights,
            neighbours=neighbours,
            similarities=similarities,
            row_splits=row_splits,
            user_vectors=user_vectors,
            item_vectors=item_vectors,
            excluded=excluded,
            available=available,
            k=k,
        )
        paths = _read_paths(inputs)
        candidates, scores, path_items = _score(inputs, paths)
        ids, scores, ranks = _best(inputs, candidates, scores)
        triggers, contributions = _best_paths(
            inputs, paths, tf.gather(ranks, path_items), num_paths
        )
        shape = [inputs.triggers.shape[0], tf.get_static_value(inputs.k)]
        for result in (ids, scores):
            result.set_shape(shape)
        for result in (triggers, contributions):
            result.set_shape([*shape, num_paths])
        return ids, scores, triggers, contributions


class _Inputs(NamedTuple):
    """The twin's inputs, as tensors, with all checked but what is read by lists."""

    triggers: tf.Tensor
    weights: tf.Tensor
    neighbours: tf.Tensor
    similarities: tf.Tensor
    row_splits: tf.Tensor
    user_vectors: tf.Tensor
    item_vectors: tf.Tensor
    excluded: tf.Tensor
    available: tf.Tensor
    k: tf.Tensor

    @property
    def num_items(self) -> tf.Tensor:
        """N, int64."""
        return tf.size(self.row_splits, tf.int64) - 1


class _Paths(NamedTuple):
    """All paths `(T,)`, user after user, in the order of triggers and lists."""

    users: tf.Tensor  # int64
    triggers: tf.Tensor
    items: tf.Tensor
    contributions: tf.Tensor


_DTYPES_AND_RANKS = {
    "triggers": (tf.int32, 2),
    "weights": (tf.float32, 2),
    "neighbours": (tf.int32, 1),
    "similarities": (tf.float32, 1),
    "row_splits": (None, 1),
    "user_vectors": (tf.float32, 2),
    "item_vectors": (tf.float32, 2),
    "excluded": (tf.int32, 2),
    "available": (tf.bool, 1),
    "k": (tf.int32, 0),
}


def _checked(**arguments: tf.Tensor | int) -> _Inputs:
    """Converts the twin's arguments, and checks their ranks, sizes, ids and ends."""
    tensors = {}
    for name, (dtype, rank) in _DTYPES_AND_RANKS.items():
        tensors[name] = tf.convert_to_tensor(arguments[name], dtype)
        bitmap.check_rank(name, tensors[name], rank)
    inputs = _Inputs(**tensors)
    with tf.control_dependencies(_check_sizes(inputs)):
        row_splits = inputs.row_splits
        ends = tf.cast(tf.stack([row_splits[0], row_splits[-1]]), tf.int64)
    checks = [
        *bitmap.check_range("triggers", inputs.triggers, -1, inputs.num_items),
        *bitmap.check_range("excluded", inputs.excluded, -1, inputs.num_items),
        *_check_finite("user_vectors", inputs.user_vectors),
        tf.debugging.assert_equal(
            ends,
            tf.stack([0, tf.size(inputs.neighbours, tf.int64)]),
            "`row_splits` must be 0 at first, the number of neighbours at last",
        ),
        tf.debugging.assert_positive(inputs.k, "`k` must be at least 1"),
    ]
    with tf.control_dependencies(checks):
        return _Inputs(*map(tf.identity, inputs))


def _check_sizes(inputs: _Inputs) -> list[tf.Operation]:
    """Returns the checks of the sizes that the twin's inputs share."""

    def check(name: str, shape: list[tf.Tensor], rule: str) -> tf.Operation:
        actual = tf.shape(getattr(inputs, name), tf.int64)
        message = f"`{name}` must be {rule}"
        return tf.debugging.assert_equal(actual, tf.stack(shape), message)

    batch_size = tf.shape(inputs.triggers, tf.int64)[0]
    width = tf.shape(inputs.user_vectors, tf.int64)[1]
    num_excluded = tf.shape(inputs.excluded, tf.int64)[1]
    num_available = tf.size(inputs.available, tf.int64)
    num_items = inputs.num_items
    num_marks = tf.where(num_available > 0, num_items, 0)
    num_triggers = tf.shape(inputs.triggers, tf.int64)[1]
    num_entries = tf.size(inputs.neighbours, tf.int64)
    batch = "of the batch size of `triggers`"
    return [
        tf.debugging.assert_non_negative(
            num_items, "`row_splits` must be of at least 1 element"
        ),
        check("weights", [batch_size, num_triggers], "of the shape of `triggers`"),
        check("similarities", [num_entries], "of the shape of `neighbours`"),
        check("user_vectors", [batch_size, width], batch),
        check("item_vectors", [num_items, width], "`(N, D)`"),
        check("excluded", [batch_size, num_excluded], batch),
        check("available", [num_marks], "`(N,)` or `(0,)`"),
    ]


def _check_finite(name: str, values: tf.Tensor) -> list[tf.Operation]:
    """Returns the check that there is neither an infinite value nor a NaN."""
    is_finite = tf.reduce_all(tf.math.is_finite(values))
    message = f"`{name}` must be finite, as must sums and products with them"
    return [tf.debugging.assert_equal(is_finite, True, message)]


def _read_paths(inputs: _Inputs) -> _Paths:
    """Reads the triggers' lists, and checks what it reads."""
    positions = tf.where(inputs.triggers >= 0)
    triggers = tf.gather_nd(inputs.triggers, positions)
    weights = tf.gather_nd(inputs.weights, positions)
    begin = tf.gather(inputs.row_splits, triggers)
    end = tf.gather(inputs.row_splits, triggers + 1)
    message = "`row_splits` must be ascending and in [0, E]"
    limit = tf.size(inputs.neighbours, inputs.row_splits.dtype)
    with tf.control_dependencies(
        [
            tf.debugging.assert_non_negative(begin, message),
            tf.debugging.assert_less_equal(begin, end, message),
            tf.debugging.assert_less_equal(end, limit, message),
            *_check_finite("weights", weights),
        ]
    ):
        begin, end = tf.identity(begin), tf.identity(end)
    sizes = end - begin
    entries = tf.ragged.range(begin, end).flat_values
    items = tf.gather(inputs.neighbours, entries)
    sums = tf.repeat(weights, sizes) + tf.gather(inputs.similarities, entries)
    with tf.control_dependencies(
        [
            *bitmap.check_range("neighbours", items, 0, inputs.num_items),
            *_check_finite("similarities", sums),
        ]
    ):
        return _Paths(
            tf.repeat(positions[:, 0], sizes),
            tf.repeat(triggers, sizes),
            tf.identity(items),
            tf.math.softplus(sums),
        )


def _score(inputs: _Inputs, paths: _Paths) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns the candidates' keys and scores, and each path's place among them.

    A key is `user * N + item`. Pairs that are left out have a key of -1. Those that are
    excluded come first in the table of unique keys, as they do in the list.
    """
    num_items = tf.maximum(inputs.num_items, 1)
    positions = tf.where(inputs.excluded >= 0)
    excluded = tf.cast(tf.gather_nd(inputs.excluded, positions), tf.int64)
    excluded_keys = positions[:, 0] * num_items + excluded
    path_keys = paths.users * num_items + tf.cast(paths.items, tf.int64)
    keys, places = tf.unique(tf.concat([excluded_keys, path_keys], 0), tf.int64)
    excluded_places, path_places = tf.split(
        places, [tf.size(excluded_keys), tf.size(path_keys)]
    )
    num_excluded = tf.reduce_max(tf.concat([excluded_places, [-1]], 0)) + 1

    users, items = keys // num_items, keys % num_items
    # One more mark, True, for all where there are no others.
    marks = tf.concat([inputs.available, [True]], 0)
    is_available = tf.gather(
        marks, tf.minimum(items, tf.size(inputs.available, tf.int64))
    )
    is_candidate = (tf.range(tf.size(keys, tf.int64)) >= num_excluded) & is_available

    chosen = tf.where(is_candidate)[:, 0]
    products = tf.reduce_sum(
        tf.gather(inputs.user_vectors, tf.gather(users, chosen))
        * tf.gather(inputs.item_vectors, tf.gather(items, chosen)),
        axis=1,
    )
    with tf.control_dependencies(_check_finite("item_vectors", products)):
        has_direct = tf.cast(tf.shape(inputs.user_vectors)[1] > 0, tf.float32)
        direct = has_direct * tf.math.softplus(products)
    scores = tf.math.unsorted_segment_sum(
        paths.contributions, path_places, tf.size(keys)
    )
    scores = tf.tensor_scatter_nd_add(scores, chosen[:, None], direct)
    return tf.where(is_candidate, keys, -1), scores, path_places


def _best(
    inputs: _Inputs, keys: tf.Tensor, scores: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns the ids and scores `(B, K)`, and each key's slot `b * K + rank` or -1."""
    num_items = tf.maximum(inputs.num_items, 1)
    k = tf.cast(inputs.k, tf.int64)
    batch_size = tf.shape(inputs.triggers, tf.int64)[0]
    chosen = tf.where(keys >= 0)[:, 0]
    # By user and id: top_k then puts the smaller id first where scores are equal.
    chosen = tf.gather(chosen, tf.argsort(tf.gather(keys, chosen)))
    chosen_keys = tf.gather(keys, chosen)
    rows = tf.RaggedTensor.from_value_rowids(
        chosen, chosen_keys // num_items, nrows=batch_size, validate=False
    )
    chosen_bc = rows.to_tensor(-1)
    scores_bc = rows.with_values(tf.gather(scores, chosen)).to_tensor(-float("inf"))
    ids_bc = rows.with_values(chosen_keys % num_items).to_tensor(-1)
    width = tf.minimum(k, tf.shape(scores_bc, tf.int64)[1])
    best_scores, places = tf.math.top_k(scores_bc, tf.cast(width, tf.int32))
    best_ids = tf.cast(tf.gather(ids_bc, places, batch_dims=1), tf.int32)
    best = tf.gather(chosen_bc, places, batch_dims=1)

    slots = tf.range(batch_size)[:, None] * k + tf.range(width)[None]
    is_real = best >= 0
    ranks = tf.tensor_scatter_nd_update(
        tf.fill([tf.size(keys)], tf.constant(-1, tf.int64)),
        tf.boolean_mask(best, is_real)[:, None],
        tf.boolean_mask(slots, is_real),
    )
    pads = [[0, 0], [0, k - width]]
    return (
        tf.pad(best_ids, pads, constant_values=bitmap.PADDING_ID),
        tf.pad(best_scores, pads, constant_values=-float("inf")),
        ranks,
    )


def _best_paths(
    inputs: _Inputs, paths: _Paths, slots: tf.Tensor, num_paths: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the `(B, K, P)` triggers and contributions, given each path's slot."""
    k = tf.cast(inputs.k, tf.int64)
    batch_size = tf.shape(inputs.triggers, tf.int64)[0]
    shape = tf.stack([batch_size, k, num_paths])
    if num_paths == 0:
        return tf.zeros(shape, tf.int32), tf.zeros(shape)
    order = tf.where(slots >= 0)[:, 0]
    # By slot, then contribution, then trigger: the last of stable sorts counts most.
    for column in (paths.triggers, -paths.contributions, slots):
        order = tf.gather(order, tf.argsort(tf.gather(column, order), stable=True))
    rows = tf.RaggedTensor.from_value_rowids(
        tf.gather(paths.triggers, order),
        tf.gather(slots, order),
        nrows=batch_size * k,
        validate=False,
    )
    contributions = rows.with_values(tf.gather(paths.contributions, order))
    width = [None, num_paths]
    return (
        tf.reshape(rows.to_tensor(bitmap.PADDING_ID, shape=width), shape),
        tf.reshape(contributions.to_tensor(0.0, shape=width), shape),
    )
