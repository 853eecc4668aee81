"""TransformerEncoderLayer and TransformerEncoder: attention and a feed-forward network, each with a way past it."""
from __future__ import annotations

import copy

from .. import functional
from .attention import MultiheadAttention
from .containers import ModuleList
from .dropout import Dropout
from .linear import Linear
from .module import Module
from .normalization import LayerNorm


class TransformerEncoderLayer(Module):
    """x = norm1(x + attention(x)), x = norm2(x + linear2(activation(linear1(x)))); Vaswani et al. 2017.

    With norm_first: x = x + attention(norm1(x)), x = x + feed-forward(norm2(x)), which is easier to train deep.

    d_model, nhead : as MultiheadAttention's embed_dim and num_heads. dim_feedforward : units of linear1.
    dropout : of the attention's weights and of what is added, in training. activation : "relu" or "gelu", or a
    function of Tensors. batch_first : x is (N, L, d_model) rather than (L, N, d_model).
    dtype : np.float32 or np.float64. generator : a seed or a numpy.random.Generator.
    """

    def __init__(self, d_model: int, nhead: int, dim_feedforward: int = 2048, dropout: float = 0.1,
                 activation="relu", layer_norm_eps: float = 1e-5, batch_first: bool = False,
                 norm_first: bool = False, bias: bool = True, dtype=None, *, generator=None):
        self.self_attn = MultiheadAttention(
            d_model, nhead, dropout, bias, batch_first=batch_first, dtype=dtype, generator=generator)
        generator = self.self_attn.generator
        self.linear1 = Linear(d_model, dim_feedforward, bias, dtype, generator=generator)
        self.dropout = Dropout(dropout, generator=generator)
        self.linear2 = Linear(dim_feedforward, d_model, bias, dtype, generator=generator)
        self.norm_first = norm_first
        self.norm1 = LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)
        self.dropout1 = Dropout(dropout, generator=generator)
        self.dropout2 = Dropout(dropout, generator=generator)
        self.activation = _activation(activation)

    def forward(self, src, src_mask=None, src_key_padding_mask=None, is_causal: bool = False):
        """x of src's shape; the masks are those of MultiheadAttention."""
        x = src
        if self.norm_first:
            x = x + self._attention(self.norm1(x), src_mask, src_key_padding_mask, is_causal)
            return x + self._feed_forward(self.norm2(x))
        x = self.norm1(x + self._attention(x, src_mask, src_key_padding_mask, is_causal))
        return self.norm2(x + self._feed_forward(x))

    def _attention(self, x, mask, padding, is_causal: bool):
        y, _ = self.self_attn(x, x, x, key_padding_mask=padding, need_weights=False, attn_mask=mask,
                              is_causal=is_causal)
        return self.dropout1(y)

    def _feed_forward(self, x):
        return self.dropout2(self.linear2(self.dropout(self.activation(self.linear1(x)))))

    def extra_repr(self) -> str:
        shown = []
        if self.activation is not functional.relu and not isinstance(self.activation, Module):  # which is a child
            kind = self.activation
            shown.append(f"activation={getattr(kind, 'name', getattr(kind, '__name__', type(kind).__name__))}")
        return ", ".join([*shown, *(["norm_first=True"] if self.norm_first else [])])


def _activation(given):
    """The function of a name. ValueError for one that there is not."""
    if not isinstance(given, str):
        return given
    found = getattr(functional, given, None) if given in ("relu", "gelu") else None
    if found is None:
        names = " or ".join(repr(name) for name in ("relu", "gelu") if hasattr(functional, name))
        raise ValueError(f"TransformerEncoderLayer: expected activation {names}, or a function, got {given!r}")
    return found


class TransformerEncoder(Module):
    """num_layers copies of a layer, one after the other, then a norm, if one is given.

    The copies begin with the same values, as in PyTorch, whose enable_nested_tensor and mask_check change nothing.
    """

    def __init__(self, encoder_layer: Module, num_layers: int, norm: Module | None = None,
                 enable_nested_tensor: bool = True, mask_check: bool = True):
        self.layers = ModuleList([copy.deepcopy(encoder_layer) for _ in range(num_layers)])
        self.num_layers, self.norm = num_layers, norm

    def forward(self, src, mask=None, src_key_padding_mask=None, is_causal: bool | None = None):
        """x of src's shape; the masks are those of MultiheadAttention, for all layers."""
        x = src
        for layer in self.layers:
            x = layer(x, mask, src_key_padding_mask, bool(is_causal) and mask is not None)
        return x if self.norm is None else self.norm(x)
