"""Distances and angles of vectors along an axis, and the losses that are written with them.

    pairwise_distance      ‖a - b + eps‖_p
    cosine_similarity      a·b / √(max(‖a‖², eps²) max(‖b‖², eps²))
    cosine_embedding       1 - cos where y = 1, max(0, cos - margin) where y = -1
    triplet_margin         max(0, d(anchor, positive) - d(anchor, negative) + margin)
"""
from __future__ import annotations

from .elementwise import div, sqrt, where
from .loss_sums import check_reduction
from .reductions import mean, sum
from .statistics import norm

__all__ = ["cosine_embedding_loss", "cosine_similarity", "pairwise_distance", "triplet_margin_loss"]


def pairwise_distance(x1, x2, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False):
    """The p-norm of x1 - x2 + eps along the last axis, of vectors or rows of them."""
    return norm(x1 - x2 + eps, p, -1, keepdim)


def cosine_similarity(x1, x2, dim: int = 1, eps: float = 1e-8):
    """The cosine of the angle between x1 and x2 along ``dim``, with no length taken for less than eps."""
    lengths = [_at_least(sum(x * x, dim), eps * eps) for x in (x1, x2)]
    return div(sum(x1 * x2, dim), sqrt(lengths[0] * lengths[1]))


def _at_least(x, bound: float):
    return where(x < bound, bound, x)


def _reduced(name: str, losses, reduction: str):
    check_reduction(name, reduction)
    return losses if reduction == "none" else (mean if reduction == "mean" else sum)(losses)


def cosine_embedding_loss(input1, input2, target, margin: float = 0.0, reduction: str = "mean"):
    """1 - cos(input1, input2) where the target is 1, max(0, cos - margin) where it is -1.

    Inputs (N, D) with a target (N,), or (D,) with (). ValueError for other shapes.
    """
    if input1.ndim not in (1, 2) or input1.shape != input2.shape or tuple(target.shape) != tuple(input1.shape[:-1]):
        shapes = tuple(input1.shape), tuple(input2.shape), tuple(target.shape)
        raise ValueError(f"CosineEmbeddingLoss: expected inputs (N, D) and a target (N,), or (D,) and (), got {shapes}")
    # PyTorch's: eps is added to the squares of the lengths.
    squares = [sum(x * x, -1) + 1e-12 for x in (input1, input2)]
    cosine = sum(input1 * input2, -1) / sqrt(squares[0] * squares[1])
    far = cosine - margin
    losses = where(target == 1, 1 - cosine, where(target == -1, where(far < 0, 0.0, far), 0.0))
    return _reduced("CosineEmbeddingLoss", losses, reduction)


def triplet_margin_loss(anchor, positive, negative, margin: float = 1.0, p: float = 2, eps: float = 1e-6,
                        swap: bool = False, reduction: str = "mean"):
    """max(0, d(anchor, positive) - d(anchor, negative) + margin) with the p-norm d, of rows (N, D) or of one (D,).

    swap : the nearer of d(anchor, negative) and d(positive, negative) in place of the first of them (Balntas et
    al. 2016). ValueError for a margin that is not above 0.
    """
    if not margin > 0:
        raise ValueError(f"TripletMarginLoss: expected margin above 0, got {margin}")
    near, far = (pairwise_distance(anchor, other, p, eps) for other in (positive, negative))
    if swap:
        other = pairwise_distance(positive, negative, p, eps)
        far = where(far < other, far, other)
    losses = near - far + margin
    return _reduced("TripletMarginLoss", where(losses < 0, 0.0, losses), reduction)
