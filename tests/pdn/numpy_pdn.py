"""PDN's equations in NumPy, from the concatenations as the paper has them."""

import numpy as np


def softplus(x):
    return np.logaddexp(0.0, x)


def leaky(x, slope=0.2):
    return np.where(x > 0, x, slope * x)


def table(model, name, ids):
    """E(.): a row of a table; padding is zeros."""
    ids = np.asarray(ids)
    return np.where(
        (ids != 0)[..., None], model.tables[name].embeddings.numpy()[ids], 0
    )


def cat(model, part, names):
    return np.concatenate([table(model, n, part[n]) for n in names], -1)


def mlp(layer, inputs):
    """MLP(CAT(inputs)); the layer keeps its first kernel in parts."""
    kernel = np.concatenate([k.numpy() for k in layer.inputs_kernels], 0)
    hidden = np.concatenate(inputs, -1) @ kernel + layer.first_bias.numpy()
    for dense in layer.rest:
        hidden = leaky(hidden) @ dense.kernel.numpy() + dense.bias.numpy()
    return hidden


def similarity(model, trigger, item, buckets):
    """Eq. 9: MLP(CAT(E(x_j), E(c_ji), E(x_i))) of one pair."""
    net = model.similarity_net
    rows = net.cooccurrence_table.numpy().reshape(len(buckets), 32, -1)
    pair = np.concatenate([rows[f, b] for f, b in enumerate(buckets)])
    names = ("item", "category")
    concatenated = np.concatenate(
        [cat(model, trigger, names), pair, cat(model, item, names)]
    )
    kernel = np.concatenate(
        [
            part.kernel.numpy()
            for part in (net.trigger_part, net.pair_part, net.item_part)
        ]
    )
    hidden = concatenated @ kernel + net.item_part.bias.numpy()
    for dense in net.hidden:
        hidden = leaky(hidden) @ dense.kernel.numpy() + dense.bias.numpy()
    return leaky(hidden) @ net.final.kernel.numpy() + net.final.bias.numpy()


def user_embedding(model, features, b):
    user = {k: v.numpy()[b] for k, v in features["user"].items()}
    return cat(model, user, ("user", "gender"))


def trigger_weight(model, features, b, place):
    """Eq. 8: MLP(CAT(E(z_u), E(a_uj), E(x_j))), in the order x_j, a_uj behind z_u."""
    behaviour = {k: v.numpy()[b, place] for k, v in features["history"].items()}
    return mlp(
        model.trigger_net,
        [
            user_embedding(model, features, b),
            cat(model, behaviour, ("item", "category")),
            cat(model, behaviour, ("rating", "recency")),
        ],
    )


def direct(model, features, b, item):
    """Eq. 11: MLP(E(z_u)) MLP(E(x_i))^T, and a bias."""
    p = mlp(model.user_tower, [user_embedding(model, features, b)])
    q = mlp(model.item_tower, [cat(model, item, ("item", "category"))])
    return p @ q + model.direct_bias.numpy()


def score(model, features, b, item, own=0.0):
    """Eq. 12 without the bias, of one user and item."""
    total = 0.0
    merge = model.config.merge
    if model.config.direct_units:
        d = direct(model, features, b, item)
        total += d if merge == "unconstrained" else softplus(d)
    ids = features["history"]["item"].numpy()[b]
    for place in np.flatnonzero(ids):
        trigger = {
            k: features["history"][k].numpy()[b, place] for k in ("item", "category")
        }
        gap = features["history"]["recency"].numpy()[b, place]
        buckets = model.cooccurrence.buckets(
            np.array([trigger["item"]]),
            np.array([item["item"]]),
            np.array([own], np.float32),
            np.array([gap]),
        ).numpy()[0]
        t = trigger_weight(model, features, b, place)
        s = similarity(model, trigger, item, buckets)
        if model.config.path_width == 1:
            merged = float((t + s)[0])
        else:
            merged = float(t @ s)
            if merge != "unconstrained":
                merged += model.config.initial_path
        if merge == "softplus_sum":  # eq. 10: ln(1 + e^t e^s)
            total += np.log1p(np.exp(merged))
        else:
            total += np.exp(merged) if merge == "product" else merged
    return total
