"""The layers' equations in plain NumPy (float64), read from a layer's variables.

Each follows its paper's formula, not the layer's code: attention, for one, loops over
users and candidates and drops padded behaviours before its softmax.
"""

import keras
import numpy as np


def value(variable) -> np.ndarray:
    """A variable as float64."""
    return np.asarray(keras.ops.convert_to_numpy(variable), np.float64)


def randomise(variables, seed: int) -> None:
    """Fills variables at random, so that no bias, slope or statistic is a 0 or 1."""
    rng = np.random.default_rng(seed)
    for variable in variables:
        drawn = rng.normal(0.0, 0.3, variable.shape)
        if "variance" in variable.path or "gamma" in variable.path:
            drawn = 0.5 + np.abs(drawn)
        variable.assign(drawn.astype("float32"))


def dense(layer, inputs: np.ndarray) -> np.ndarray:
    """Kernel and, where there is one, bias: x W + b."""
    outputs = inputs @ value(layer.kernel)
    return outputs + value(layer.bias) if layer.use_bias else outputs


def softmax(logits: np.ndarray) -> np.ndarray:
    """Over the last axis."""
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def prelu(slope: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    """max(0, x) + slope * min(0, x)."""
    return np.maximum(inputs, 0) + slope * np.minimum(inputs, 0)


def moments(inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of each channel."""
    rows = inputs.reshape(-1, inputs.shape[-1])
    return rows.mean(axis=0), rows.var(axis=0)


def batch_norm(layer, inputs, training: bool = False) -> np.ndarray:
    """Standardised: gamma (x - mean) / sqrt(variance + epsilon) + beta."""
    mean, variance = value(layer.moving_mean), value(layer.moving_variance)
    if training:
        mean, variance = moments(inputs)
    standard = (inputs - mean) / np.sqrt(variance + layer.epsilon)
    return value(layer.gamma) * standard + value(layer.beta)


def activation(layer, inputs, training: bool = False) -> np.ndarray:
    """PReLU, then batch norm."""
    return batch_norm(layer.norm, prelu(value(layer.slope), inputs), training)


def dense_block(layer, inputs, training: bool = False) -> np.ndarray:
    """Dense, PReLU, batch norm."""
    return activation(layer.activation, dense(layer.dense, inputs), training)


def layer_norm(layer, inputs: np.ndarray) -> np.ndarray:
    """Each position to mean 0 and variance 1, then scaled and shifted."""
    centred = inputs - inputs.mean(axis=-1, keepdims=True)
    deviation = np.sqrt(np.mean(centred**2, axis=-1, keepdims=True) + layer.epsilon)
    return value(layer.gamma) * centred / deviation + value(layer.beta)


def target_attention(query, key, values, is_real) -> np.ndarray:
    """softmax(q K^T / sqrt(K)) V over real behaviours; 0 where there are none."""
    num_users = key.shape[0]
    query = np.broadcast_to(query, (num_users, *query.shape[-2:]))
    out = np.zeros((num_users, query.shape[1], values.shape[-1]))
    for b in range(num_users):
        keys, summed = key[b][is_real[b]], values[b][is_real[b]]
        for c in range(query.shape[1] if len(keys) else 0):
            logits = keys @ query[b, c] / np.sqrt(key.shape[-1])
            out[b, c] = softmax(logits) @ summed
    return out


def self_attention(layer, inputs: np.ndarray) -> np.ndarray:
    """Concat(head_1, ..., head_h) W^O, each head a scaled dot-product attention."""
    heads = []
    for head in range(layer.num_heads):
        query, key, values = (
            inputs @ value(part.kernel)[:, head] + value(part.bias)[head]
            for part in (layer.query_dense, layer.key_dense, layer.value_dense)
        )
        logits = query @ key.swapaxes(1, 2) / np.sqrt(query.shape[-1])
        heads.append(softmax(logits) @ values)
    output = layer.output_dense
    kernel = value(output.kernel)
    kernel = kernel.reshape(-1, kernel.shape[-1])
    return np.concatenate(heads, axis=-1) @ kernel + value(output.bias)


def transformer_encoder(layer, inputs: np.ndarray) -> np.ndarray:
    """LayerNorm(x + Sublayer(x)), for self-attention and for the two dense layers."""
    attended = self_attention(layer.attention, inputs)
    hidden = layer_norm(layer.attention_norm, inputs + attended)
    inner = np.maximum(dense(layer.inner, hidden), 0)
    return layer_norm(layer.output_norm, hidden + dense(layer.outer, inner))
