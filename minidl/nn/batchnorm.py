"""BatchNorm: each channel with mean 0 and variance 1 over the batch, then scaled and shifted."""
from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from ..autograd.parameter import Parameter
from ..autograd.tensor import Tensor
from ..functional import batch_norm
from .module import Module


class OverChannels(Module):
    """What the normalisations of channels share: their settings, weights and running statistics."""

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor
    shapes: ClassVar[dict[int, str]] = {}  # of inputs, by their number of axes

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True,
                 track_running_stats: bool = True, dtype=None):
        name = type(self).__name__
        if not isinstance(num_features, (int, np.integer)) or num_features < 1:
            raise ValueError(f"{name}: expected num_features to be a positive integer, got {num_features!r}")
        if momentum is not None and not math.isfinite(momentum):
            raise ValueError(f"{name}: expected a finite momentum or None, got {momentum}")
        if not eps >= 0:
            raise ValueError(f"{name}: expected eps of at least 0, got {eps}")
        self.num_features, self.eps, self.momentum = int(num_features), eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self.dtype = np.dtype(np.float32 if dtype is None else dtype)
        self.weight = Parameter(np.ones(num_features, self.dtype), "weight") if affine else None
        self.bias = Parameter(np.zeros(num_features, self.dtype), "bias") if affine else None
        tracked = track_running_stats
        self.register_buffer("running_mean", Tensor(np.zeros(num_features, self.dtype)) if tracked else None)
        self.register_buffer("running_var", Tensor(np.ones(num_features, self.dtype)) if tracked else None)
        self.register_buffer("num_batches_tracked", Tensor(np.array(0)) if tracked else None)

    def _counted(self):
        """Count a batch; the share that it has in the running statistics."""
        self.num_batches_tracked.add_(1)
        return 1 / self.num_batches_tracked.to(self.dtype) if self.momentum is None else self.momentum

    def extra_repr(self) -> str:
        return (f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
                f"track_running_stats={self.track_running_stats}")


class BatchNorm(OverChannels):
    """y = (x - mean) / √(var + eps) weight + bias, for each of C channels.

    Training: mean and var (divided by n) are those of the n values of a channel in the batch, and
    ``running_mean`` and ``running_var`` (divided by n - 1) move towards them: r = (1 - momentum) r + momentum new;
    with momentum None they are the means over all batches. Evaluation: the running ones are used, and do not change.
    (Ioffe and Szegedy 2015; names, defaults and state as in PyTorch.)

    affine : whether there are a weight, first 1, and a bias, first 0.
    track_running_stats : False for no running statistics; then evaluation uses the batch's, too.
    dtype : np.float32 or np.float64.

    Raises ValueError for features below 1, inputs of another shape and one value a channel in training, TypeError for
    another dtype.
    """

    def forward(self, x):
        """y, of x's shape."""
        self._check_input(x)
        tracked = self.track_running_stats
        momentum = self._counted() if self.training and tracked else 0.0
        return batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias,
                          self.training or not tracked, momentum, self.eps)

    def _check_input(self, x) -> None:
        if x.ndim not in self.shapes or x.shape[1] != self.num_features:
            expected = " or ".join(self.shapes.values()).replace("C", str(self.num_features))
            raise ValueError(f"{self}: expected input of shape {expected}, got {x.shape}")
        if x.dtype != self.dtype:
            raise TypeError(f"{self}: expected input of dtype {self.dtype}, got {x.dtype}")
        if self.training and math.prod(x.shape) // self.num_features < 2:
            raise ValueError(f"{self}: expected more than one value a channel in training, got input {x.shape}")


class BatchNorm1d(BatchNorm):
    __doc__ = "BatchNorm of x (N, C) or (N, C, L): " + str(BatchNorm.__doc__)
    shapes: ClassVar = {2: "(N, C)", 3: "(N, C, L)"}


class BatchNorm2d(BatchNorm):
    __doc__ = "BatchNorm of images x (N, C, H, W): " + str(BatchNorm.__doc__)
    shapes: ClassVar = {4: "(N, C, H, W)"}
