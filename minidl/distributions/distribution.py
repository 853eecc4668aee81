"""Distribution: the base of all; and the parameters that they take."""
from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..autograd.tape import active_recorder, no_grad
from ..autograd.tensor import Tensor, as_array


class Distribution:
    """One distribution for each element of its parameters, of the shape ``batch_shape``.

    ``sample(shape)`` draws, off the tape; ``rsample``, where there is one, so that derivatives go to the parameters.
    ``log_prob(value)``, ``entropy()``, ``mean``, ``variance`` and ``stddev`` are Tensors on the tape.

    validate_args : whether parameters are looked at, by default outside a captured step; ValueError for wrong ones.
    """

    has_rsample = False
    batch_shape: tuple[int, ...]
    variance: Tensor

    def rsample(self, sample_shape=()) -> Tensor:
        """Samples (*sample_shape, *batch_shape), with derivatives for the parameters."""
        raise NotImplementedError(f"{type(self).__name__} has no rsample")

    def sample(self, sample_shape=()) -> Tensor:
        """Samples (*sample_shape, *batch_shape), off the tape, of minidl's own stream."""
        with no_grad():
            return self.rsample(sample_shape)

    def log_prob(self, value) -> Tensor:
        """The logarithm of the probability, or its density, of each value."""
        raise NotImplementedError(f"{type(self).__name__} has no log_prob")

    def entropy(self) -> Tensor:
        """-E log p, of shape batch_shape."""
        raise NotImplementedError(f"{type(self).__name__} has no entropy")

    @property
    def stddev(self) -> Tensor:
        """√variance."""
        return self.variance.sqrt()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(batch_shape: {self.batch_shape})"


def as_tensors(*given) -> list[Tensor]:
    """Parameters as Tensors of floats: numbers and lists of float32."""
    found = [x if isinstance(x, Tensor) else Tensor(as_array(x)) for x in given]
    return [x if x.dtype.kind == "f" else x.to(np.float32) for x in found]


def one_of(who: str, probs, logits) -> None:
    """ValueError unless one of the two is given."""
    if (probs is None) == (logits is None):
        raise ValueError(f"{who}: expected either probs or logits, got {'neither' if probs is None else 'both'}")


def check(who: str, what: str, right: Callable, validate_args: bool | None, *parameters: Tensor) -> None:
    """ValueError unless all elements of the parameters are right."""
    if validate_args is False or active_recorder() is not None:
        return
    for parameter in parameters:
        if not right(parameter._data).all():
            raise ValueError(f"{who}: expected {what}")
