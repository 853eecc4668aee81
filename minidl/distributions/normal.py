"""The normal distribution."""
from __future__ import annotations

import math

import numpy as np

from ..autograd.tensor import Tensor
from ..creation import randn
from ..functional import erf, log
from .distribution import Distribution, as_tensors, check


class Normal(Distribution):
    """N(loc, scale²), for numbers or Tensors that are broadcast.

        log_prob(v) = -(v - loc)² / (2 scale²) - log scale - log √(2π);   entropy = 1/2 + log √(2π) + log scale

    ValueError for a scale that is not above 0, or a loc that is not a number.
    """

    has_rsample = True

    def __init__(self, loc, scale, validate_args: bool | None = None):
        loc, scale = as_tensors(loc, scale)
        check("Normal", "a scale above 0", lambda x: x > 0, validate_args, scale)
        check("Normal", "a loc of numbers", lambda x: ~np.isnan(x), validate_args, loc)
        self.batch_shape = np.broadcast_shapes(loc.shape, scale.shape)
        self.loc, self.scale = (x if x.shape == self.batch_shape else x.expand(self.batch_shape) for x in (loc, scale))

    @property
    def mean(self) -> Tensor:
        """loc."""
        return self.loc

    mode = mean

    @property
    def variance(self) -> Tensor:  # type: ignore[override]
        """scale²."""
        return self.scale * self.scale

    @property
    def stddev(self) -> Tensor:
        """scale."""
        return self.scale

    def rsample(self, sample_shape=()) -> Tensor:
        """loc + scale z, z of the standard normal distribution."""
        z = randn(*sample_shape, *self.batch_shape, dtype=np.result_type(self.loc.dtype, self.scale.dtype))
        return self.loc + z * self.scale

    def log_prob(self, value) -> Tensor:
        distance = value - self.loc
        return -(distance * distance) / (2 * self.variance) - log(self.scale) - math.log(math.sqrt(2 * math.pi))

    def cdf(self, value) -> Tensor:
        """The probability of a smaller value."""
        return 0.5 * (1 + erf((value - self.loc) / self.scale * math.sqrt(0.5)))

    def entropy(self) -> Tensor:
        return 0.5 + 0.5 * math.log(2 * math.pi) + log(self.scale)
