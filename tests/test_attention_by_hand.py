"""Attention and the transformer's encoder by their formulas in NumPy, head by head."""
from __future__ import annotations

import itertools

import numpy as np
import pytest
from module_cases import numbers
from test_attention import BATCH, KEYS, ROWS, masks

import minidl
from minidl import functional as F
from minidl import nn


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def added(mask):
    """A mask as what is added to the scores."""
    return 0.0 if mask is None else np.where(mask, -np.inf, 0.0) if mask.dtype == bool else mask


def attended(module, query, key, value, mask, padding):
    """(outputs (N, L, E), weights (N, h, L, S)) of one batch that stands first."""
    e, heads = module.embed_dim, module.num_heads
    if module.in_proj_weight is None:
        of = [module.q_proj_weight.data, module.k_proj_weight.data, module.v_proj_weight.data]
    else:
        of = np.split(module.in_proj_weight.data, 3)
    bias = np.zeros(3 * e) if module.in_proj_bias is None else module.in_proj_bias.data
    outputs, weights = [], []
    for n in range(len(query)):
        q, k, v = (x[n] @ w.T + b for x, w, b in zip((query, key, value), of, np.split(bias, 3), strict=True))
        if module.bias_k is not None:
            k, v = np.vstack([k, module.bias_k.data[0]]), np.vstack([v, module.bias_v.data[0]])
        if module.add_zero_attn:
            k, v = np.vstack([k, np.zeros(e)]), np.vstack([v, np.zeros(e)])
        joined, own = [], []
        for head in range(heads):
            columns = slice(head * e // heads, (head + 1) * e // heads)
            scores = q[:, columns] @ k[:, columns].T / np.sqrt(e // heads)
            length = key.shape[1]
            each = mask[n * heads + head] if mask is not None and mask.ndim == 3 else mask
            scores[:, :length] += added(each) + (0 if padding is None else added(padding[n]))
            own.append(softmax(scores))
            joined.append(own[-1] @ v[:, columns])
        out = module.out_proj
        outputs.append(np.hstack(joined) @ out.weight.data.T + (0 if out.bias is None else out.bias.data))
        weights.append(own)
    return np.array(outputs), np.array(weights)


@pytest.mark.parametrize("bias, bias_kv, zero, width, first", [*itertools.product(
    [True, False], [False, True], [False, True], [None, 6], [False, True])])
def test_multihead_attention(bias, bias_kv, zero, width, first):
    module = nn.MultiheadAttention(8, 2, bias=bias, add_bias_kv=bias_kv, add_zero_attn=zero, kdim=width,
                                   vdim=width and 5, batch_first=first, dtype=np.float64, generator=1)
    for k, parameter in enumerate(module.parameters()):
        if parameter.ndim == 1:
            parameter.data = numbers(parameter.shape, np.float64, seed=k)
    inputs = [numbers((BATCH, length, size), np.float64, seed=i) for i, (length, size) in enumerate(
        ((ROWS, 8), (KEYS, width or 8), (KEYS, 5 if width else 8)))]
    given = inputs if first else [x.swapaxes(0, 1) for x in inputs]
    for kind, padded in itertools.product([None, "bool", "float", "each"], [False, True]):
        mask, padding = masks(kind, padded)
        y, weights = attended(module, *inputs, mask, padding)
        for average in (True, False):
            got, found = module(*given, key_padding_mask=padding, attn_mask=mask, average_attn_weights=average)
            np.testing.assert_allclose(got if first else got.swapaxes(0, 1), y, rtol=1e-9, atol=1e-11)
            np.testing.assert_allclose(found, weights.mean(1) if average else weights, rtol=1e-9, atol=1e-11)
        assert module(*given, key_padding_mask=padding, attn_mask=mask, need_weights=False)[1] is None
    one, found = module(*[x[0] for x in inputs])
    y, weights = attended(module, *inputs, None, None)
    np.testing.assert_allclose(one, y[0], rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(found, weights[0].mean(0), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("kind", [None, "bool", "float", "causal"])
@pytest.mark.parametrize("lead", [(), (2,), (2, 3)])
@pytest.mark.parametrize("scale", [None, 0.7])
def test_scaled_dot_product_attention(kind, lead, scale):
    q, k, v = (numbers((*lead, length, size), np.float64, seed=i)
               for i, (length, size) in enumerate(((ROWS, 6), (KEYS, 6), (KEYS, 5))))
    mask = None if kind in (None, "causal") else masks(kind, False)[0]
    seen = ~mask if kind == "bool" else mask  # here True is what is looked at
    scores = q @ np.swapaxes(k, -1, -2) * (1 / np.sqrt(6) if scale is None else scale)
    scores = scores + added(np.tri(ROWS, KEYS) == 0 if kind == "causal" else mask)
    got = F.scaled_dot_product_attention(q, k, v, seen, is_causal=kind == "causal", scale=scale)
    np.testing.assert_allclose(got, softmax(scores) @ v, rtol=1e-10, atol=1e-12)


def normed(module, x):
    z = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    return z * module.weight.data + (0 if module.bias is None else module.bias.data)


def dense(module, x):
    return x @ module.weight.data.T + (0 if module.bias is None else module.bias.data)


@pytest.mark.parametrize("norm_first, first, bias, gelu", [*itertools.product(*[[False, True]] * 4)])
def test_transformer_encoder(norm_first, first, bias, gelu):
    layer = nn.TransformerEncoderLayer(8, 2, 16, norm_first=norm_first, batch_first=first, dropout=0.0, bias=bias,
                                       activation="gelu" if gelu else "relu", dtype=np.float64, generator=1)
    model = nn.TransformerEncoder(layer, 2, nn.LayerNorm(8, dtype=np.float64))
    for k, parameter in enumerate(model.parameters()):
        parameter.data = 0.4 * numbers(parameter.shape, np.float64, seed=k)
    x, mask = numbers((3, 4, 8), np.float64), np.where(np.tri(4, dtype=bool), 0.0, -np.inf)
    padding = np.where(np.arange(4) == 3, -np.inf, 0.0) * np.ones((3, 1))
    padding = np.nan_to_num(padding, nan=0.0, neginf=-np.inf)
    active = F.gelu if gelu else (lambda z: np.maximum(z, 0))
    y = x
    for one in model.layers:
        def looked(z, one=one):
            return attended(one.self_attn, z, z, z, mask, padding)[0]

        def fed(z, one=one):
            return dense(one.linear2, active(dense(one.linear1, z)))

        if norm_first:
            y = y + looked(normed(one.norm1, y))
            y = y + fed(normed(one.norm2, y))
        else:
            y = normed(one.norm1, y + looked(y))
            y = normed(one.norm2, y + fed(y))
    y = normed(model.norm, y)
    given = x if first else x.swapaxes(0, 1)
    got = model(given, mask, padding)
    np.testing.assert_allclose(got if first else got.swapaxes(0, 1), y, rtol=1e-9, atol=1e-11)


def test_first_values():
    module = nn.MultiheadAttention(64, 4, add_bias_kv=True, generator=0)
    bound = np.sqrt(6 / (64 + 3 * 64))  # Xavier's, of the three as one matrix
    assert 0.97 * bound < abs(module.in_proj_weight.data).max() <= bound
    assert abs(module.in_proj_weight.data.std() - bound / np.sqrt(3)) < 0.01 * bound
    for parameter in (module.bias_k, module.bias_v):
        assert 0.6 / 8 < parameter.data.std() < 1.4 / 8  # normal, of deviation √(2 / (E + E))
    assert not module.in_proj_bias.data.any() and not module.out_proj.bias.data.any()
    apart = nn.MultiheadAttention(64, 4, kdim=32, vdim=16, generator=0)
    for name, inputs in (("q_proj_weight", 64), ("k_proj_weight", 32), ("v_proj_weight", 16)):
        bound = np.sqrt(6 / (64 + inputs))
        assert 0.97 * bound < abs(getattr(apart, name).data).max() <= bound
    assert minidl.tensor(apart.out_proj.weight.data).shape == (64, 64)
