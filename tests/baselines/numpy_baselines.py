"""The baselines' scores in NumPy: nothing is split, shared or padded.

Users are scored one by one on their real behaviours alone; DIN's units get the
concatenations that its figure 2 draws, their kernels put together from the model's.
"""

import numpy as np

from tests.layers import numpy_layers
from tests.layers.numpy_layers import dense, layer_norm, prelu, softmax, value


def embed(model, part: dict, fields) -> np.ndarray:
    """Concatenated rows of the fields' tables; id 0 gives zeros."""
    vectors = []
    for field in fields:
        table = value(model.embed.tables[field.name].embeddings).copy()
        table[0] = 0
        vectors.append(table[part[field.name]])
    return np.concatenate(vectors, axis=-1)


def tower(layer, inputs: np.ndarray) -> np.ndarray:
    """Dense layers with ReLU between them."""
    for inner in layer.inner:
        inputs = np.maximum(dense(inner, inputs), 0)
    return dense(layer.final, inputs)


def one_user(features: dict, b: int) -> tuple[dict, dict]:
    """User b's fields, and its behaviours without padding."""
    length = int((features["history"]["item"][b] != 0).sum())
    user = {k: v[b] for k, v in features["user"].items()}
    return user, {k: v[b, :length] for k, v in features["history"].items()}


def scores(model, name: str, features: dict, items: dict) -> np.ndarray:
    """Logits `(B, C)` of items `(B, C)`."""
    rows = []
    for b in range(len(items["item"])):
        user, history = one_user(features, b)
        candidates = {k: v[b] for k, v in items.items()}
        rows.append(SCORES[name](model, user, history, candidates))
    return np.stack(rows)


def _item_tower(model, candidates: dict) -> np.ndarray:
    return tower(model.item_tower, embed(model, candidates, model.schema.candidates))


def dssm(model, user: dict, history: dict, candidates: dict) -> np.ndarray:
    """p_u . q_i, p_u of the user's fields."""
    p_u = tower(model.user_tower, embed(model, user, model.schema.user))
    return _item_tower(model, candidates) @ p_u


def youtube_dnn(model, user: dict, history: dict, candidates: dict) -> np.ndarray:
    """p_u . q_i, p_u of the user's fields and the average behaviour."""
    behaviours = embed(model, history, model.schema.history)
    pooled = behaviours.sum(axis=0) / max(len(behaviours), 1)
    inputs = np.concatenate([embed(model, user, model.schema.user), pooled])
    return _item_tower(model, candidates) @ tower(model.user_tower, inputs)


def bst(model, user: dict, history: dict, candidates: dict) -> np.ndarray:
    """p_u . q_i, p_u of the user's fields and the encoded behaviours."""
    behaviours = embed(model, history, model.schema.history)
    hidden = dense(model.projection, behaviours) + _positions(model, behaviours)
    pooled, last = np.zeros((2, hidden.shape[-1]))
    if len(hidden):
        for block in model.blocks:
            hidden = numpy_layers.transformer_encoder(block, hidden[None])[0]
        pooled, last = hidden.mean(axis=0), hidden[-1]
    profile = embed(model, user, model.schema.user)
    p_u = tower(model.user_tower, np.concatenate([profile, pooled, last]))
    return _item_tower(model, candidates) @ p_u


def sasrec(model, user: dict, history: dict, candidates: dict) -> np.ndarray:
    """The last position's output and the item's own row."""
    outputs = sasrec_outputs(model, history["item"])
    last = outputs[-1] if len(outputs) else np.zeros(model.config.embedding_size)
    return embed(model, candidates, model.item_field) @ last


def sasrec_outputs(model, item_ids: np.ndarray) -> np.ndarray:
    """Of each position, looking at that position and the ones before it alone."""
    rows = embed(model, {"item": item_ids}, model.item_field)
    rows = rows * np.sqrt(model.config.embedding_size)
    hidden = rows + _positions(model, rows)
    for block in model.blocks:
        normed = layer_norm(block.attention_norm, hidden)
        hidden = hidden + _causal_attention(block, normed)
        inner = dense(block.inner, layer_norm(block.dense_norm, hidden))
        hidden = hidden + dense(block.outer, np.maximum(inner, 0))
    return layer_norm(model.norm, hidden)


def _causal_attention(block, inputs: np.ndarray) -> np.ndarray:
    query, key, values = np.split(dense(block.projections, inputs), 3, axis=-1)
    outputs = np.zeros_like(inputs)
    for last in range(len(inputs)):
        logits = key[: last + 1] @ query[last] / np.sqrt(inputs.shape[-1])
        outputs[last] = softmax(logits) @ values[: last + 1]
    return dense(block.attended, outputs)


def _positions(model, vectors: np.ndarray) -> np.ndarray:
    """Row 1 for the last behaviour, row 2 for the one before it."""
    ranks = np.arange(len(vectors), 0, -1)
    return value(model.positions.embeddings)[ranks]


def din(model, user: dict, history: dict, candidates: dict) -> np.ndarray:
    """MLP([user, sum_j a(e_j, v) e_j, v])."""
    queries = embed(model, candidates, model.schema.candidates)
    behaviours = embed(model, history, model.schema.history)
    profile, unit = embed(model, user, model.schema.user), model.unit
    kernel = np.concatenate(
        [value(p) for p in (unit.key_part.kernel, unit.query_part.kernel)]
        + [value(unit.product_kernel)]
    )
    firsts = (model.first_user, model.first_interest, model.first_item)
    first = np.concatenate([value(part.kernel) for part in firsts])
    logits = []
    for query in queries:
        interest = np.zeros(behaviours.shape[-1])
        for behaviour in behaviours:
            pair = np.concatenate([behaviour, query, behaviour[: len(query)] * query])
            hidden = pair @ kernel + value(unit.key_part.bias)
            active = prelu(value(unit.slope.slope), hidden)
            interest += dense(unit.out, active) * behaviour
        hidden = np.concatenate([profile, interest, query]) @ first
        hidden = hidden + value(model.first_user.bias)
        hidden = prelu(value(model.slopes[0].slope), hidden)
        for layer, slope in zip(model.hidden, model.slopes[1:], strict=True):
            hidden = prelu(value(slope.slope), dense(layer, hidden))
        logits.append(dense(model.out, hidden)[0])
    return np.stack(logits)


SCORES = {
    "dssm": dssm,
    "youtube_dnn": youtube_dnn,
    "bst": bst,
    "din": din,
    "sasrec": sasrec,
}
