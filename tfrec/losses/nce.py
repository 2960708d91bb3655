"""Noise contrastive estimation with a sampler of known expected counts."""

from typing import Any

from keras import ops


def nce_loss(scores: Any, log_expected_counts: Any, is_masked: Any) -> Any:
    """Binary cross-entropy of "data or noise" on logits corrected for the noise.

    A candidate's logit is s - log(K q(v)): with it the scores that minimise the loss
    are s(u, v) = log p(v | u), whatever the noise distribution q.

    Args:
        scores: s(u, v), `(B, C)`; the first column is from the data, the others from
            the noise.
        log_expected_counts: log(K q(v)), broadcastable to `(B, C)`.
        is_masked: bool, broadcastable to `(B, C)`; True leaves a candidate out: a
            negative that equals the positive.
    Returns: float32 `(B,)`.
    Source: Gutmann & Hyvarinen 2010; Chen et al. 2022 (NANN), section 3.1.3.
    """
    logits = scores - log_expected_counts
    from_data = ops.softplus(-logits[:, :1])
    from_noise = ops.softplus(logits[:, 1:])
    losses = ops.concatenate([from_data, from_noise], axis=1)
    return ops.sum(ops.where(is_masked, ops.zeros_like(losses), losses), axis=1)
