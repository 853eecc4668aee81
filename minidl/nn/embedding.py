"""Embedding: a trained vector for each of a number of things; EmbeddingBag: the sum or mean of several."""
from __future__ import annotations

from typing import Any

import numpy as np

from .. import functional
from ..autograd.parameter import Parameter
from ..autograd.tape import no_grad
from ..autograd.tensor import Tensor
from ..functional import embedding, embedding_bag, where
from ..functional.operation import Operation
from . import init
from .module import Module

_is_used = Operation(  # which rows of a table an index names
    "is_used", lambda index, weight: np.isin(np.arange(len(weight)), index)[:, None], arity=2)


class _Table(Module):
    """The table of vectors, and how it begins."""

    def __init__(self, num_embeddings: int, embedding_dim: int, padding_idx, max_norm, norm_type, dtype, generator):
        name = type(self).__name__
        for label, value in (("num_embeddings", num_embeddings), ("embedding_dim", embedding_dim)):
            if not isinstance(value, (int, np.integer)) or value < 1:
                raise ValueError(f"{name}: expected {label} to be a positive integer, got {value!r}")
        if padding_idx is not None and not -num_embeddings <= padding_idx < num_embeddings:
            raise ValueError(f"{name}: expected padding_idx within {num_embeddings} rows, got {padding_idx}")
        self.num_embeddings, self.embedding_dim = int(num_embeddings), int(embedding_dim)
        self.padding_idx = None if padding_idx is None else int(padding_idx % num_embeddings)
        self.max_norm, self.norm_type = max_norm, norm_type
        self.dtype = np.dtype(np.float32 if dtype is None else dtype)
        self.weight = Parameter(np.zeros((num_embeddings, embedding_dim), self.dtype), "weight")
        init.normal_(self.weight, generator=generator)
        if self.padding_idx is not None:
            values = self.weight.data.copy()
            values[self.padding_idx] = 0
            self.weight.data = values

    def _check_input(self, input) -> None:
        if np.dtype(input.dtype).kind not in "iu":
            raise TypeError(f"{self}: expected an input of integers, got {input.dtype}")
        if self.max_norm is not None:
            self._shorten(input)

    @no_grad()
    def _shorten(self, input) -> None:
        """Scale the rows that are used down to max_norm, in place, as PyTorch does."""
        weight, p = self.weight, self.norm_type
        powers = weight * weight if p == 2 else functional.abs(weight) ** p
        norm = functional.sum(powers, 1, keepdim=True) ** (1 / p)
        longer = where(_is_used(input, weight), norm > self.max_norm, False)
        weight.copy_(weight * where(longer, self.max_norm / (norm + 1e-7), 1.0))

    def extra_repr(self) -> str:
        parts = [f"{self.num_embeddings}, {self.embedding_dim}"]
        parts += [f"{name}={getattr(self, name)!r}" for name in ("padding_idx", "max_norm")
                  if getattr(self, name) is not None]
        if self.norm_type != 2:
            parts.append(f"norm_type={self.norm_type}")
        return ", ".join(parts)

    @classmethod
    def _made_of(cls, embeddings, freeze: bool, **settings: Any):
        embeddings = embeddings.data if isinstance(embeddings, Tensor) else np.asarray(embeddings)
        if embeddings.ndim != 2:
            raise ValueError(f"{cls.__name__}: expected embeddings of shape (V, E), got {embeddings.shape}")
        made: Any = cls(*embeddings.shape, **settings, **{"dtype": embeddings.dtype, "generator": 0})  # type: ignore[misc]
        made.weight.data = embeddings
        made.weight.requires_grad = not freeze
        return made


class Embedding(_Table):
    """A table (num_embeddings, embedding_dim) whose rows are looked up: integers (...) -> (..., embedding_dim).

    padding_idx : a row that begins at zero and is not trained. max_norm : rows that are looked up are scaled down to
    this norm (of the order norm_type) first, in place. Values begin as N(0, 1).
    dtype : np.float32 or np.float64. generator : a seed or a numpy.random.Generator.

    The gradient is added up place after place, in the order of the input. Raises TypeError for an input that is not
    of integers, IndexError for numbers outside the table.
    """

    def __init__(self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None,
                 max_norm: float | None = None, norm_type: float = 2.0, dtype=None, *, generator=None):
        super().__init__(num_embeddings, embedding_dim, padding_idx, max_norm, norm_type, dtype, generator)

    def forward(self, input):
        """Integers (...) -> (..., embedding_dim)."""
        self._check_input(input)
        return embedding(input, self.weight, self.padding_idx)

    @classmethod
    def from_pretrained(cls, embeddings, freeze: bool = True, padding_idx: int | None = None,
                        max_norm: float | None = None, norm_type: float = 2.0) -> Embedding:
        """An Embedding of these rows (V, E), which are not trained unless ``freeze`` is False."""
        return cls._made_of(embeddings, freeze, padding_idx=padding_idx, max_norm=max_norm, norm_type=norm_type)


class EmbeddingBag(_Table):
    """The sum, mean or max of the embeddings of each bag, as functional.embedding_bag computes it; as Embedding.

    mode : "sum", "mean" or "max". include_last_offset : the last offset is the end of the last bag.
    """

    def __init__(self, num_embeddings: int, embedding_dim: int, max_norm: float | None = None, norm_type: float = 2.0,
                 mode: str = "mean", include_last_offset: bool = False, padding_idx: int | None = None, dtype=None, *,
                 generator=None):
        if mode not in ("sum", "mean", "max"):
            raise ValueError(f"EmbeddingBag: expected mode 'sum', 'mean' or 'max', got {mode!r}")
        super().__init__(num_embeddings, embedding_dim, padding_idx, max_norm, norm_type, dtype, generator)
        self.mode, self.include_last_offset = mode, include_last_offset

    def forward(self, input, offsets=None, per_sample_weights=None):
        """Integers (N, B), or (entries,) with offsets (N,), -> (N, embedding_dim)."""
        self._check_input(input)
        return embedding_bag(input, self.weight, offsets, self.mode, per_sample_weights, self.include_last_offset,
                             self.padding_idx)

    def extra_repr(self) -> str:
        last = ", include_last_offset=True" if self.include_last_offset else ""
        return f"{super().extra_repr()}, mode={self.mode!r}{last}"
