"""MultiheadAttention: attention between projections of the queries, keys and values, several at a time."""
from __future__ import annotations

import numpy as np

from .. import functional, random
from ..autograd.parameter import Parameter
from ..functional import cat, linear, matmul
from ..functional.attention import attention_weights, hiding
from ..functional.elementwise import zeros_of
from . import init
from .linear import Linear
from .module import Module


class MultiheadAttention(Module):
    """concat(head_1, ..., head_h) W_O, head_i = softmax(q_i k_iᵀ / √d + mask) v_i: Vaswani et al. 2017.

    q, k and v are the rows of ``in_proj_weight`` (3 E, E), with ``in_proj_bias`` (3 E,), applied to query, key and
    value, each cut into num_heads parts of d = E / num_heads; with another kdim or vdim they have ``q_proj_weight``,
    ``k_proj_weight`` and ``v_proj_weight``. ``out_proj`` is a Linear. Weights begin as in PyTorch.

    dropout : of the weights, in training. add_bias_kv : a trained key and value at the end of each sequence.
    add_zero_attn : one of zeros. batch_first : arrays are (N, L, E) rather than (L, N, E).
    dtype : np.float32 or np.float64. generator : a seed or a numpy.random.Generator.

    Raises ValueError for sizes and shapes that do not match, TypeError for another dtype.
    """

    def __init__(self, embed_dim: int, num_heads: int, dropout: float = 0.0, bias: bool = True,
                 add_bias_kv: bool = False, add_zero_attn: bool = False, kdim: int | None = None,
                 vdim: int | None = None, batch_first: bool = False, dtype=None, *, generator=None):
        if embed_dim < 1 or num_heads < 1 or embed_dim % num_heads:
            raise ValueError(f"MultiheadAttention: expected embed_dim to be divisible by num_heads, got {embed_dim} "
                             f"and {num_heads}")
        self.embed_dim, self.num_heads, self.dropout = embed_dim, num_heads, dropout
        self.kdim, self.vdim = kdim or embed_dim, vdim or embed_dim
        self.add_zero_attn, self.batch_first = add_zero_attn, batch_first
        self.dtype = np.dtype(np.float32 if dtype is None else dtype)
        self.generator = None if generator is None else random.generator(generator)

        def weight(name: str, *shape: int) -> Parameter:
            parameter = Parameter(np.zeros(shape, self.dtype), name, order="F")
            return init.xavier_uniform_(parameter, generator=self.generator)

        self.in_proj_weight = self.q_proj_weight = self.k_proj_weight = self.v_proj_weight = None
        if self.kdim == self.vdim == embed_dim:
            self.in_proj_weight = weight("in_proj_weight", 3 * embed_dim, embed_dim)
        else:
            self.q_proj_weight = weight("q_proj_weight", embed_dim, embed_dim)
            self.k_proj_weight = weight("k_proj_weight", embed_dim, self.kdim)
            self.v_proj_weight = weight("v_proj_weight", embed_dim, self.vdim)
        self.in_proj_bias = Parameter(np.zeros(3 * embed_dim, self.dtype), "in_proj_bias") if bias else None
        self.bias_k = self.bias_v = None
        if add_bias_kv:
            self.bias_k = Parameter(np.zeros((1, 1, embed_dim), self.dtype), "bias_k")
            self.bias_v = Parameter(np.zeros((1, 1, embed_dim), self.dtype), "bias_v")
            for parameter in (self.bias_k, self.bias_v):  # a normal of Xavier's: fans of E and E
                init.normal_(parameter, std=(1 / embed_dim) ** 0.5, generator=self.generator)
        self.out_proj = Linear(embed_dim, embed_dim, bias, self.dtype, generator=self.generator)
        if self.out_proj.bias is not None:
            init.zeros_(self.out_proj.bias)

    def forward(self, query, key, value, key_padding_mask=None, need_weights: bool = True, attn_mask=None,
                average_attn_weights: bool = True, is_causal: bool = False):
        """(outputs (L, N, E), weights (N, L, S), or None without need_weights, or (N, h, L, S) unless averaged).

        query (L, N, E), key (S, N, kdim), value (S, N, vdim), or all without N, or with batch_first (N, L, E). In the
        masks True stands for what is not looked at, in those of floats numbers are added: key_padding_mask (N, S),
        attn_mask (L, S) or (N h, L, S). is_causal : attn_mask, if it is given, is the causal one, which is used.
        """
        single = query.ndim == 2
        query, key, value = self._batch_first(query, key, value, single)
        n, length, size = query.shape
        q, k, v = self._projected(query, key, value)
        mask = self._mask(attn_mask, key_padding_mask, n, length, key.shape[1], single)
        if is_causal and attn_mask is None:
            raise ValueError(f"{self.title()}: expected attn_mask with is_causal, got None")
        for extra_k, extra_v in ((self.bias_k, self.bias_v), *[(0.0, 0.0)] * self.add_zero_attn):
            if extra_k is not None:
                k, v = (cat([x, zeros_of(x, (n, 1, size)) + extra], 1) for x, extra in ((k, extra_k), (v, extra_v)))
                mask = None if mask is None else cat([mask, zeros_of(mask, (*mask.shape[:-1], 1))], -1)
        q, k, v = (x.reshape(n, -1, self.num_heads, size // self.num_heads).transpose(1, 2) for x in (q, k, v))
        weights = attention_weights(q, k, mask)
        if self.dropout and self.training:
            weights = functional.dropout(weights, self.dropout, generator=self.generator)
        y = self.out_proj(matmul(weights, v).transpose(1, 2).reshape(n, length, size))
        if need_weights and average_attn_weights:
            weights = weights.mean(1)
        if single:
            y, weights = y[0], weights[0]
        elif not self.batch_first:
            y = y.transpose(0, 1)
        return y, weights if need_weights else None

    def _batch_first(self, query, key, value, single: bool):
        """The three as (N, L, E), checked."""
        for name, x, size in (("query", query, self.embed_dim), ("key", key, self.kdim), ("value", value, self.vdim)):
            if x.ndim != query.ndim or x.ndim not in (2, 3) or x.shape[-1] != size:
                raise ValueError(f"{self.title()}: expected {name} of shape (L, N, {size}) or (L, {size}), or of "
                                 f"batches first, got {x.shape}")
            if x.dtype != self.dtype:
                raise TypeError(f"{self.title()}: expected {name} of dtype {self.dtype}, got {x.dtype}")
        if single:
            query, key, value = (x.reshape(1, *x.shape) for x in (query, key, value))
        elif not self.batch_first:
            shared = [key is query, value is query, value is key]
            q = query.transpose(0, 1)
            k = q if shared[0] else key.transpose(0, 1)
            query, key, value = q, k, q if shared[1] else k if shared[2] else value.transpose(0, 1)
        if key.shape[:2] != value.shape[:2] or key.shape[0] != query.shape[0]:
            raise ValueError(f"{self.title()}: expected key and value of the same lengths and one batch, got "
                             f"{key.shape} and {value.shape} for {query.shape}")
        return query, key, value

    def _projected(self, query, key, value):
        e, weight, bias = self.embed_dim, self.in_proj_weight, self.in_proj_bias
        if weight is not None and query is key and key is value:  # one product
            y = linear(query, weight, bias)
            return y[..., :e], y[..., e:2 * e], y[..., 2 * e:]
        parts = [slice(i * e, (i + 1) * e) for i in range(3)]
        weights = [self.q_proj_weight, self.k_proj_weight, self.v_proj_weight] if weight is None else [
            weight[part] for part in parts]
        biases = [None if bias is None else bias[part] for part in parts]
        return tuple(linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases, strict=True))

    def _mask(self, attn_mask, key_padding_mask, n: int, length: int, keys: int, single: bool):
        """Both masks as one of floats, to be added to the scores (N, h, L, S), or None."""
        mask = None
        if attn_mask is not None:
            if attn_mask.shape not in ((length, keys), (n * self.num_heads, length, keys)):
                raise ValueError(f"{self.title()}: expected attn_mask of shape {(length, keys)} or "
                                 f"{(n * self.num_heads, length, keys)}, got {attn_mask.shape}")
            mask = self._added(attn_mask)
            mask = mask.reshape(1, 1, length, keys) if mask.ndim == 2 else mask.reshape(
                n, self.num_heads, length, keys)
        if key_padding_mask is not None:
            expected = (keys,) if single else (n, keys)
            if key_padding_mask.shape != expected:
                raise ValueError(f"{self.title()}: expected key_padding_mask of shape {expected}, got "
                                 f"{key_padding_mask.shape}")
            padding = self._added(key_padding_mask).reshape(n, 1, 1, keys)
            mask = padding if mask is None else mask + padding
        return mask

    def _added(self, mask):
        """What a mask adds: -inf where one of booleans is True."""
        if np.dtype(mask.dtype) == bool:
            return hiding(mask, self.out_proj.weight)
        return mask

    def extra_repr(self) -> str:
        others = {"bias": self.in_proj_bias is not None, "add_bias_kv": self.bias_k is not None,
                  "add_zero_attn": self.add_zero_attn, "kdim": self.kdim, "vdim": self.vdim}
        plain = {"bias": True, "add_bias_kv": False, "add_zero_attn": False, "kdim": self.embed_dim,
                 "vdim": self.embed_dim}
        shown = [f"{name}={value}" for name, value in others.items() if value != plain[name]]
        return ", ".join([f"{self.embed_dim}, {self.num_heads}, dropout={self.dropout}, batch_first={self.batch_first}",
                          *shown])
