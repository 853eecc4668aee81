"""BatchNorm1d: each channel with mean 0 and variance 1 over the batch, then scaled and shifted."""
from __future__ import annotations

import math

import numpy as np

from ..autograd.parameter import Parameter
from ..autograd.tape import no_grad
from ..autograd.tensor import Tensor
from ..functional import sqrt
from .module import Module


class BatchNorm1d(Module):
    """y = (x - mean) / √(var + eps) weight + bias, for each of C channels of x (N, C) or (N, C, L).

    Training: mean and var (divided by n) are those of the n = N or N L values of a channel in the batch, and
    ``running_mean`` and ``running_var`` (divided by n - 1) move towards them: r = (1 - momentum) r + momentum new;
    with momentum None they are the means over all batches. Evaluation: the running ones are used, and do not change.
    (Ioffe and Szegedy 2015; names, defaults and state as in PyTorch.)

    affine : whether there are a weight, first 1, and a bias, first 0.
    track_running_stats : False for no running statistics; then evaluation uses the batch's, too.
    dtype : np.float32 or np.float64.

    Raises ValueError for features below 1, inputs of another shape and one value a channel in training, TypeError for
    another dtype.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True,
                 track_running_stats: bool = True, dtype=None):
        if not isinstance(num_features, (int, np.integer)) or num_features < 1:
            raise ValueError(f"BatchNorm1d: expected num_features to be a positive integer, got {num_features!r}")
        if momentum is not None and not math.isfinite(momentum):
            raise ValueError(f"BatchNorm1d: expected a finite momentum or None, got {momentum}")
        if not eps >= 0:
            raise ValueError(f"BatchNorm1d: expected eps of at least 0, got {eps}")
        self.num_features, self.eps, self.momentum = int(num_features), eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self.dtype = np.dtype(np.float32 if dtype is None else dtype)
        self.weight = Parameter(np.ones(num_features, self.dtype), "weight") if affine else None
        self.bias = Parameter(np.zeros(num_features, self.dtype), "bias") if affine else None
        tracked = track_running_stats
        self.register_buffer("running_mean", Tensor(np.zeros(num_features, self.dtype)) if tracked else None)
        self.register_buffer("running_var", Tensor(np.ones(num_features, self.dtype)) if tracked else None)
        self.register_buffer("num_batches_tracked", Tensor(np.array(0)) if tracked else None)

    def forward(self, x):
        """x (N, C) or (N, C, L) -> y of its shape."""
        if x.ndim not in (2, 3) or x.shape[1] != self.num_features:
            channels = self.num_features
            raise ValueError(f"{self}: expected input of shape (N, {channels}) or (N, {channels}, L), got {x.shape}")
        if x.dtype != self.dtype:
            raise TypeError(f"{self}: expected input of dtype {self.dtype}, got {x.dtype}")
        over = (1, self.num_features) if x.ndim == 2 else (1, self.num_features, 1)  # a number for each channel
        if self.training or not self.track_running_stats:
            n = x.shape[0] if x.ndim == 2 else x.shape[0] * x.shape[2]
            if n < 2 and self.training:
                raise ValueError(f"{self}: expected more than one value a channel in training, got input {x.shape}")
            mean = self._of_channels(x)
            centred = x - mean.reshape(*over)
            var = self._of_channels(centred * centred)
            if self.training and self.track_running_stats:
                self._track(mean, var, n)
        else:
            mean, var = self.running_mean, self.running_var
            centred = x - mean.reshape(*over)
        y = centred / sqrt(var + self.eps).reshape(*over)
        return y * self.weight.reshape(*over) + self.bias.reshape(*over) if self.affine else y

    @staticmethod
    def _of_channels(x):
        """The mean of each channel: over the places of a sample, then over the samples."""
        return (x if x.ndim == 2 else x.mean(2)).mean(0)

    @no_grad()
    def _track(self, mean, var, n: int) -> None:
        """Move the running statistics towards those of the batch."""
        self.num_batches_tracked.add_(1)
        share = self.momentum
        if share is None:
            share = 1 / self.num_batches_tracked.to(self.dtype)
        self.running_mean.copy_(self.running_mean * (1 - share) + mean * share)
        self.running_var.copy_(self.running_var * (1 - share) + var * (n / (n - 1)) * share)

    def extra_repr(self) -> str:
        return (f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
                f"track_running_stats={self.track_running_stats}")
