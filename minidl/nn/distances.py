"""Distances and angles of vectors, and the losses of pairs and triplets of them."""
from __future__ import annotations

from .. import functional
from ..functional.loss_sums import check_reduction
from .module import Module

__all__ = ["CosineEmbeddingLoss", "CosineSimilarity", "PairwiseDistance", "TripletMarginLoss"]


class CosineSimilarity(Module):
    """The cosine of the angle between x1 and x2 along ``dim``, with no length taken for less than eps."""

    def __init__(self, dim: int = 1, eps: float = 1e-8):
        self.dim, self.eps = dim, eps

    def forward(self, x1, x2):
        return functional.cosine_similarity(x1, x2, self.dim, self.eps)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, eps={self.eps}"


class PairwiseDistance(Module):
    """The p-norm of x1 - x2 + eps along the last axis."""

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False):
        self.norm, self.eps, self.keepdim = p, eps, keepdim

    def forward(self, x1, x2):
        return functional.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)

    def extra_repr(self) -> str:
        return f"p={self.norm}, eps={self.eps}, keepdim={self.keepdim}"



def _reduction(reduction: str) -> str:
    """How a reduction other than the default is shown."""
    return "" if reduction == "mean" else f", reduction={reduction!r}"


class CosineEmbeddingLoss(Module):
    """1 - cos(x1, x2) where the target is 1, max(0, cos - margin) where it is -1; x1, x2 (N, D), target (N,).

    Reductions are "mean", "sum" and "none".
    """

    def __init__(self, margin: float = 0.0, *, reduction: str = "mean"):
        check_reduction("CosineEmbeddingLoss", reduction)
        self.margin, self.reduction = margin, reduction

    def forward(self, input1, input2, target):
        return functional.cosine_embedding_loss(input1, input2, target, self.margin, self.reduction)

    def extra_repr(self) -> str:
        return f"margin={self.margin}" + _reduction(self.reduction)


class TripletMarginLoss(Module):
    """max(0, d(anchor, positive) - d(anchor, negative) + margin), with the p-norm d, of rows (N, D).

    swap : the nearer of d(anchor, negative) and d(positive, negative) in place of the first (Balntas et al. 2016).
    Reductions are "mean", "sum" and "none". ValueError for a margin that is not above 0.
    """

    def __init__(self, margin: float = 1.0, p: float = 2.0, eps: float = 1e-6, swap: bool = False, *,
                 reduction: str = "mean"):
        check_reduction("TripletMarginLoss", reduction)
        if not margin > 0:
            raise ValueError(f"TripletMarginLoss: expected margin above 0, got {margin}")
        self.margin, self.p, self.eps, self.swap, self.reduction = margin, p, eps, swap, reduction

    def forward(self, anchor, positive, negative):
        return functional.triplet_margin_loss(
            anchor, positive, negative, self.margin, self.p, self.eps, self.swap, self.reduction)

    def extra_repr(self) -> str:
        return f"margin={self.margin}, p={self.p}, eps={self.eps}, swap={self.swap}" + _reduction(self.reduction)
