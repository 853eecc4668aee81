"""InstanceNorm: each channel of each sample with mean 0 and variance 1 over its places."""
from __future__ import annotations

import math
from typing import ClassVar

from ..functional import instance_norm
from .batchnorm import OverChannels


class InstanceNorm(OverChannels):
    """y = (x - mean) / √(var + eps) weight + bias, for each channel of each sample, over its places.

    affine : whether there are a weight, first 1, and a bias, first 0; by default none.
    track_running_stats : whether the means over the samples of mean and var move as BatchNorm's do, and are used in
        evaluation; by default each sample has its own, in training as in evaluation.

    Raises as BatchNorm does, where a channel of a sample has a single place. Ulyanov, Vedaldi and Lempitsky 2016.
    """

    axes: int  # of places

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = False,
                 track_running_stats: bool = False, dtype=None):
        super().__init__(num_features, eps, momentum, affine, track_running_stats, dtype)

    def forward(self, x):
        """y, of x's shape."""
        if x.ndim not in self.shapes or x.shape[x.ndim - self.axes - 1] != self.num_features:
            expected = " or ".join(self.shapes.values()).replace("C", str(self.num_features))
            raise ValueError(f"{self}: expected input of shape {expected}, got {x.shape}")
        if x.dtype != self.dtype:
            raise TypeError(f"{self}: expected input of dtype {self.dtype}, got {x.dtype}")
        whole = x if x.ndim == self.axes + 2 else x[None]
        own = self.training or not self.track_running_stats
        if own and math.prod(whole.shape[2:]) < 2:
            raise ValueError(f"{self}: expected more than one place in training, got input {x.shape}")
        momentum = self._counted() if self.training and self.track_running_stats else 0.0
        y = instance_norm(whole, self.running_mean, self.running_var, self.weight, self.bias, own, momentum, self.eps)
        return y if whole is x else y[0]


class InstanceNorm1d(InstanceNorm):
    __doc__ = "InstanceNorm of x (N, C, L) or (C, L): " + str(InstanceNorm.__doc__)
    shapes: ClassVar = {3: "(N, C, L)", 2: "(C, L)"}
    axes = 1


class InstanceNorm2d(InstanceNorm):
    __doc__ = "InstanceNorm of images x (N, C, H, W) or (C, H, W): " + str(InstanceNorm.__doc__)
    shapes: ClassVar = {4: "(N, C, H, W)", 3: "(C, H, W)"}
    axes = 2
