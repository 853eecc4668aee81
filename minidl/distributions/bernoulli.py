"""The Bernoulli distribution: one of two."""
from __future__ import annotations

import numpy as np

from ..autograd.tape import no_grad
from ..autograd.tensor import Tensor
from ..creation import rand
from ..functional import binary_cross_entropy_with_logits, clamp, log, sigmoid
from .distribution import Distribution, as_tensors, check, one_of


class Bernoulli(Distribution):
    """1 with the probability ``probs``, or sigmoid(logits), and 0 otherwise.

    ValueError for probabilities outside [0, 1], and unless one of the two is given.
    """

    def __init__(self, probs=None, logits=None, validate_args: bool | None = None):
        one_of("Bernoulli", probs, logits)
        given, = as_tensors(logits if probs is None else probs)
        if probs is None:
            self.logits, self.probs = given, sigmoid(given)
        else:
            check("Bernoulli", "probabilities within [0, 1]", lambda p: (p >= 0) & (p <= 1), validate_args, given)
            least = float(np.finfo(given.dtype).eps)
            inside = clamp(given, least, 1 - least)
            self.probs, self.logits = given, log(inside) - log(1 - inside)
        self.batch_shape = given.shape

    @property
    def mean(self) -> Tensor:
        """probs."""
        return self.probs

    @property
    def variance(self) -> Tensor:  # type: ignore[override]
        """probs (1 - probs)."""
        return self.probs * (1 - self.probs)

    def sample(self, sample_shape=()) -> Tensor:
        """Zeros and ones (*sample_shape, *batch_shape), as floats."""
        with no_grad():
            drawn = rand(*sample_shape, *self.batch_shape, dtype=self.probs.dtype)
            return (drawn < self.probs).to(self.probs.dtype)

    def log_prob(self, value) -> Tensor:
        value, = as_tensors(value)
        shape = np.broadcast_shapes(value.shape, self.batch_shape)
        logits, value = (x if x.shape == shape else x.expand(shape) for x in (self.logits, value))
        return -binary_cross_entropy_with_logits(logits, value, reduction="none")

    def entropy(self) -> Tensor:
        return binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none")
