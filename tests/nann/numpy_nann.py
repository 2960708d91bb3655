"""NANN of appendix A in NumPy: nothing is split, shared or prepared.

The score network gets the concatenation [user, attention, item] of every pair, as
figures 8 and 9 draw it; its first kernel is put together from the model's parts.
"""

import numpy as np

from tests.layers import numpy_layers
from tests.layers.numpy_layers import dense, value


def embed(model, part: dict, names) -> np.ndarray:
    """Looks ids up; id 0 is padding and gives zeros."""
    vectors = []
    for name in names:
        table = value(model.tables[name].embeddings).copy()
        table[0] = 0
        vectors.append(table[part[name]])
    return np.concatenate(vectors, axis=-1)


def item_network(model, embedded: np.ndarray, training: bool = False) -> np.ndarray:
    """e_v = NN_v(f_v), eq. 2, of embedded items `(..., F * E)`."""
    network, hidden = model.item_network, embedded
    for block in network.blocks:
        hidden = numpy_layers.dense_block(block, hidden, training)
    if network.activates:
        return numpy_layers.dense_block(network.final, hidden, training)
    return dense(network.final, hidden)


def user_vector(model, features: dict) -> tuple[np.ndarray, np.ndarray]:
    """The user network's output `(B, .)` and the embedded history `(B, L, F * E)`."""
    names = [field.name for field in model.schema.history]
    history = embed(model, features["history"], names)
    if model.encoder is None:
        return history.sum(axis=1), history
    fields = [embed(model, features["user"], [f.name]) for f in model.schema.user]
    encoded = numpy_layers.transformer_encoder(model.encoder, np.stack(fields, axis=1))
    return encoded.reshape(len(encoded), -1), history


def scores(model, features: dict, vectors_bcd, training: bool = False) -> np.ndarray:
    """s(v, u) = s_u(e_v), `(B, C)`."""
    user, history = user_vector(model, features)
    num_candidates = vectors_bcd.shape[1]
    pooled = history.sum(axis=1)
    if model.config.architecture == "two_sided":
        # Eq. 2 and the inner product of section 3.1.1.
        e_u = dense(model.user_projection, np.concatenate([user, pooled], axis=-1))
        return np.einsum("bd,bcd->bc", e_u, vectors_bcd) + value(model.bias)
    network = model.score_network
    if model.config.architecture == "attention":
        interest = numpy_layers.target_attention(
            dense(network.query, vectors_bcd),
            dense(network.key, history),
            dense(network.value, history),
            features["history"]["item"] != 0,
        )
    else:
        interest = np.repeat(pooled[:, None], num_candidates, axis=1)
    user = np.repeat(user[:, None], num_candidates, axis=1)
    concatenated = np.concatenate([user, interest, vectors_bcd], axis=-1)
    parts = (network.first_user, network.first_interest, network.first_item)
    kernel = np.concatenate([value(part.kernel) for part in parts], axis=0)
    hidden = concatenated @ kernel + value(network.first_user.bias)
    hidden = numpy_layers.activation(network.first_activation, hidden, training)
    for block in network.blocks:
        hidden = numpy_layers.dense_block(block, hidden, training)
    return dense(network.out, hidden)[..., 0]


def nce(scores_bc, log_counts, is_masked) -> np.ndarray:
    """-log D(v+) - sum log(1 - D(v-)), D = p / (p + K q), p = exp(s)."""
    ratio = np.exp(scores_bc) / (np.exp(scores_bc) + np.exp(log_counts))
    losses = -np.log(1 - ratio)
    losses[:, 0] = -np.log(ratio[:, 0])
    return np.where(is_masked, 0, losses).sum(axis=1)


def kl(scores_bc, perturbed_bc, divergence: str) -> np.ndarray:
    """Eq. 5 between distributions over candidates, or a Bernoulli one a candidate."""
    if divergence == "softmax_kl":
        p, q = (numpy_layers.softmax(s) for s in (scores_bc, perturbed_bc))
        return np.sum(p * np.log(p / q), axis=1)
    p, q = (1 / (1 + np.exp(-s)) for s in (scores_bc, perturbed_bc))
    pointwise = p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))
    return pointwise.sum(axis=1)
