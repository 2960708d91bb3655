"""Scaled dot-product attention of candidates over a user's behaviours."""

from typing import Any

from keras import ops


def target_attention(query: Any, key_blk: Any, value_blv: Any, is_real: Any) -> Any:
    """Sums a user's behaviours, weighted by their relevance to each candidate.

    Args:
        query: `(C, K)`, the same candidates for every user, or `(B, C, K)`.
        key_blk: `(B, L, K)`.
        value_blv: `(B, L, V)`.
        is_real: bool `(B, L)`, False for padding. A user without behaviours gets 0.
    Returns: `(B, C, V)`.
    Source: Vaswani et al. 2017, eq. 1; Chen et al. 2022 (NANN), appendix A.
    """
    scale = float(key_blk.shape[-1]) ** -0.5
    equation = "ck,blk->bcl" if len(query.shape) == 2 else "bck,blk->bcl"
    logits_bcl = ops.einsum(equation, query * scale, key_blk)
    mask_b1l = ops.cast(is_real, logits_bcl.dtype)[:, None, :]
    weights_bcl = ops.softmax(logits_bcl + (mask_b1l - 1) * 1e9) * mask_b1l
    return ops.matmul(weights_bcl, value_blv)
