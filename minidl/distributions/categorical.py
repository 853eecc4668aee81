"""The categorical distribution: one of K."""
from __future__ import annotations

import numpy as np

from ..autograd.tape import no_grad
from ..autograd.tensor import Tensor, as_array
from ..functional import clamp, expand, gather, log, log_softmax, multinomial, softmax
from .distribution import Distribution, as_tensors, check, one_of


class Categorical(Distribution):
    """0, 1, ... K - 1, with probabilities along the last axis of ``probs``, over their sum, or of softmax(logits).

    log_prob takes integers, of any shape that broadcasts with batch_shape. ValueError for probabilities below zero or
    rows of zeros, for logits that are not finite, and unless one of the two is given.
    """

    def __init__(self, probs=None, logits=None, validate_args: bool | None = None):
        one_of("Categorical", probs, logits)
        given, = as_tensors(logits if probs is None else probs)
        if not given.ndim:
            raise ValueError("Categorical: expected at least one axis, got a number")
        if probs is None:
            check("Categorical", "logits that are numbers", lambda x: ~np.isnan(x), validate_args, given)
            self.logits, self.probs = log_softmax(given, -1), softmax(given, -1)
        else:
            check("Categorical", "finite probabilities of at least 0, some above 0", _is_weighted, validate_args, given)
            self.probs = given / given.sum(-1, keepdim=True)
            least = float(np.finfo(given.dtype).eps)
            self.logits = log(clamp(self.probs, least, 1 - least))
        self.batch_shape, self.count = given.shape[:-1], given.shape[-1]

    def sample(self, sample_shape=()) -> Tensor:
        """Integers (*sample_shape, *batch_shape)."""
        shape = (*sample_shape, *self.batch_shape)
        with no_grad():
            rows = self.probs.reshape(-1, self.count)
            many = int(np.prod(sample_shape, dtype=int))
            return multinomial(rows, many, True).transpose(0, 1).reshape(shape)

    def log_prob(self, value) -> Tensor:
        value = value if isinstance(value, Tensor) else Tensor(as_array(value))
        value = value if value.dtype == np.int64 else value.long()
        shape = np.broadcast_shapes(value.shape, self.batch_shape)
        logits = self.logits if shape == self.batch_shape else expand(self.logits, (*shape, self.count))
        value = value if value.shape == shape else expand(value, shape)
        return gather(logits, -1, value.unsqueeze(-1)).squeeze(-1)

    def entropy(self) -> Tensor:
        least = float(np.finfo(self.logits.dtype).min)  # a category that never comes
        return -(clamp(self.logits, min=least) * self.probs).sum(-1)

    @property
    def mode(self) -> Tensor:
        """The most likely one."""
        return self.probs.argmax(-1)


def _is_weighted(probs: np.ndarray) -> np.ndarray:
    return (np.isfinite(probs) & (probs >= 0)).all(-1) & (probs.sum(-1) > 0)
