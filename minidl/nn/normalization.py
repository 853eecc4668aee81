"""LayerNorm, RMSNorm and GroupNorm: each sample by itself, in training as in evaluation."""
from __future__ import annotations

import numpy as np

from ..autograd.parameter import Parameter
from ..functional import group_norm, layer_norm, rms_norm
from .module import Module


class _OverLastAxes(Module):
    """The settings and the weight of a normalisation over the last axes."""

    def __init__(self, normalized_shape, eps: float | None, elementwise_affine: bool, dtype):
        shape = (normalized_shape,) if isinstance(normalized_shape, (int, np.integer)) else tuple(normalized_shape)
        if not shape or any(not isinstance(n, (int, np.integer)) or n < 1 for n in shape):
            raise ValueError(f"{type(self).__name__}: expected normalized_shape of positive integers, got "
                             f"{normalized_shape!r}")
        self.normalized_shape, self.eps = tuple(int(n) for n in shape), eps
        self.elementwise_affine = elementwise_affine
        self.dtype = np.dtype(np.float32 if dtype is None else dtype)
        self.weight = Parameter(np.ones(shape, self.dtype), "weight") if elementwise_affine else None

    def _check_input(self, x) -> None:
        n = len(self.normalized_shape)
        if x.ndim < n or x.shape[x.ndim - n:] != self.normalized_shape:
            expected = ", ".join(["...", *map(str, self.normalized_shape)])
            raise ValueError(f"{self}: expected input of shape ({expected}), got {x.shape}")
        if x.dtype != self.dtype:
            raise TypeError(f"{self}: expected input of dtype {self.dtype}, got {x.dtype}")

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class LayerNorm(_OverLastAxes):
    """y = (x - mean) / √(var + eps) weight + bias, over the last axes of x, of the lengths ``normalized_shape``.

    elementwise_affine : whether there are a weight, first 1, and (unless bias is False) a bias, first 0.

    Raises ValueError for inputs of another shape, TypeError for another dtype. Ba, Kiros and Hinton 2016.
    """

    def __init__(self, normalized_shape, eps: float = 1e-5, elementwise_affine: bool = True, bias: bool = True,
                 dtype=None):
        super().__init__(normalized_shape, eps, elementwise_affine, dtype)
        with_bias = elementwise_affine and bias
        self.bias = Parameter(np.zeros(self.normalized_shape, self.dtype), "bias") if with_bias else None

    def extra_repr(self) -> str:
        return super().extra_repr() + (", bias=False" if self.elementwise_affine and self.bias is None else "")

    def forward(self, x):
        """y, of x's shape (..., normalized_shape)."""
        self._check_input(x)
        return layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)


class RMSNorm(_OverLastAxes):
    """y = x / √(mean of x² + eps) weight over the last axes, of the lengths ``normalized_shape``.

    eps : by default the smallest number that added to 1 changes it. Raises as LayerNorm does.
    Zhang and Sennrich 2019.
    """

    def __init__(self, normalized_shape, eps: float | None = None, elementwise_affine: bool = True, dtype=None):
        super().__init__(normalized_shape, eps, elementwise_affine, dtype)

    def forward(self, x):
        """y, of x's shape (..., normalized_shape)."""
        self._check_input(x)
        return rms_norm(x, self.normalized_shape, self.weight, self.eps)


class GroupNorm(Module):
    """Each sample of x (N, C, ...) normalised over num_groups groups of channels, with all their places.

    affine : whether each channel has a weight, first 1, and a bias, first 0.

    Raises ValueError unless num_groups divides num_channels, and for inputs of another shape; TypeError for another
    dtype. Wu and He 2018.
    """

    def __init__(self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True, dtype=None):
        if num_groups < 1 or num_channels < 1 or num_channels % num_groups:
            raise ValueError(f"GroupNorm: expected num_channels to be divisible by num_groups, got {num_channels} "
                             f"and {num_groups}")
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, affine
        self.dtype = np.dtype(np.float32 if dtype is None else dtype)
        self.weight = Parameter(np.ones(num_channels, self.dtype), "weight") if affine else None
        self.bias = Parameter(np.zeros(num_channels, self.dtype), "bias") if affine else None

    def forward(self, x):
        """y, of x's shape (N, C, ...)."""
        if x.ndim < 2 or x.shape[1] != self.num_channels:
            raise ValueError(f"{self}: expected input of shape (N, {self.num_channels}, ...), got {x.shape}")
        if x.dtype != self.dtype:
            raise TypeError(f"{self}: expected input of dtype {self.dtype}, got {x.dtype}")
        return group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"
