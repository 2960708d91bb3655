"""Scores from a user's history and item similarities alone, without the user."""

from collections.abc import Callable

import numpy as np


def item_to_item_scores(
    similarities: Callable[[np.ndarray], np.ndarray],
    history: np.ndarray,
    num_items: int,
    block_size: int = 1024,
) -> np.ndarray:
    """Sums over a history's items j of the similarity of j to each item.

    Rows of similarities are asked for once for each item that occurs in the batch, in
    blocks, so that no `(N, N)` matrix is needed. An item that comes back in a history
    counts each time.

    Args:
        similarities: item ids `(T,)` to rows `(T, N)` by position; of a matrix by
            position, `lambda ids: matrix[ids - 1]`.
        history: int `(B, L)` item ids; 0 is padding.
        num_items: N.
        block_size: most ids asked for at once.
    Returns: float32 `(B, N)` by position.
    Raises: ValueError: a history that is not rank 2, or rows that are not `(T, N)`.
    Source: the item-to-item columns of Li et al. 2021 (PDN), table 2.
    """
    history = np.asarray(history)
    if history.ndim != 2:
        raise ValueError(
            "`history` must be rank 2 `(B, L)`. "
            f"Received: history.shape={history.shape}"
        )
    ids, places = np.unique(history, return_inverse=True)
    counts = np.zeros([history.shape[0], ids.size], np.float32)
    users = np.repeat(np.arange(history.shape[0]), history.shape[1])
    np.add.at(counts, (users, places.ravel()), 1.0)
    counts, ids = counts[:, ids > 0], ids[ids > 0]
    scores = np.zeros([history.shape[0], num_items], np.float32)
    for begin in range(0, ids.size, block_size):
        part = slice(begin, begin + block_size)
        rows = np.asarray(similarities(ids[part]), np.float32)
        if rows.shape != (ids[part].size, num_items):
            raise ValueError(
                f"`similarities` must give rows {(ids[part].size, num_items)}. "
                f"Received: shape {rows.shape}"
            )
        scores += counts[:, part] @ rows
    return scores
