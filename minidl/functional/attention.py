"""Attention: softmax of the products of queries and keys, as weights of the values (Vaswani et al. 2017)."""
from __future__ import annotations

import math

import numpy as np

from .activations import softmax
from .dropout import dropout
from .elementwise import where
from .operation import Operation
from .products import matmul
from .shapes import transpose

__all__ = ["bmm", "scaled_dot_product_attention"]

_lower_triangle = Operation(  # True where a query may look: at keys up to its own place
    "lower_triangle", lambda q, k: np.tri(q.shape[-2], k.shape[-2], dtype=bool), arity=2)
hiding = Operation(  # -inf where a mask is True and 0 elsewhere, in the dtype of another
    "hiding", lambda mask, like: np.where(mask, -np.inf, 0).astype(like.dtype), arity=2)


def bmm(a, b):
    """a b for each of B matrices: (B, M, K) (B, K, N) -> (B, M, N). ValueError for other shapes; see matmul."""
    if getattr(a, "ndim", 0) != 3 or getattr(b, "ndim", 0) != 3 or a.shape[0] != b.shape[0]:
        raise ValueError(f"bmm: expected shapes (B, M, K) and (B, K, N), got {getattr(a, 'shape', None)} and "
                         f"{getattr(b, 'shape', None)}")
    return matmul(a, b)


def masked(scores, mask):
    """Scores with a mask: of booleans, -inf where it is False; of floats, added."""
    if np.dtype(mask.dtype) == bool:
        return where(mask, scores, -math.inf)
    return scores + mask


def attention_weights(query, key, attn_mask=None, is_causal: bool = False, scale: float | None = None):
    """softmax(scale q kᵀ, masked) over the keys."""
    if query.ndim < 2 or key.ndim < 2 or query.shape[-1] != key.shape[-1]:
        raise ValueError("scaled_dot_product_attention: expected query (..., L, E) and key (..., S, E), got "
                         f"{query.shape} and {key.shape}")
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = matmul(query * scale, transpose(key, -2, -1))
    if is_causal:
        if attn_mask is not None:
            raise ValueError("scaled_dot_product_attention: expected attn_mask or is_causal, got both")
        attn_mask = _lower_triangle(query, key)
    return softmax(scores if attn_mask is None else masked(scores, attn_mask), dim=-1)


def scaled_dot_product_attention(query, key, value, attn_mask=None, dropout_p: float = 0.0, is_causal: bool = False,
                                 scale: float | None = None, *, generator=None):
    """softmax(scale q kᵀ + mask) v: query (..., L, E), key (..., S, E), value (..., S, V) -> (..., L, V).

    attn_mask : (..., L, S), True where a query may look, or floats that are added. is_causal : each query looks at keys
    up to its own place. dropout_p : of the weights, whenever it is above 0, as in PyTorch. scale : by default 1/√E.
    ValueError for shapes that do not match, and for both kinds of mask.
    """
    weights = attention_weights(query, key, attn_mask, is_causal, scale)
    if dropout_p:
        weights = dropout(weights, dropout_p, generator=generator)
    return matmul(weights, value)
