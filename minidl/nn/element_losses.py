"""The losses that compare element by element, beside MSELoss and HuberLoss."""
from __future__ import annotations

from .. import functional
from .losses import Loss, weight_tensor

__all__ = ["BCELoss", "BCEWithLogitsLoss", "KLDivLoss", "L1Loss", "SmoothL1Loss"]


class L1Loss(Loss):
    """|z - t|, reduced by "mean" (over all elements), "sum" or "none". Gradient: the sign of z - t.

    Here and in the losses below, outputs z and targets t have one shape and one dtype: ValueError, TypeError.
    """

    operation = functional.l1_loss


class SmoothL1Loss(Loss):
    """d² / (2 beta) where |d| < beta and |d| - beta/2 elsewhere, with d = z - t (Girshick 2015); for beta 0, |d|.

    ValueError for a beta below 0.
    """

    operation = functional.smooth_l1_loss
    others = ("beta",)

    def __init__(self, reduction: str = "mean", beta: float = 1.0):
        super().__init__(reduction)
        if not beta >= 0:
            raise ValueError(f"SmoothL1Loss: expected beta of at least 0, got {beta}")
        self.beta = float(beta)


class BCELoss(Loss):
    """-(t log z + (1 - t) log(1 - z)), times ``weight``: of probabilities z, as from a Sigmoid, and t in [0, 1].

    weight : numbers that the losses are multiplied by, of a shape that is broadcast to theirs; a buffer. Logarithms
    below -100 count as -100. ValueError for outputs outside [0, 1]; a recorded step checks this when it is recorded.
    """

    operation = functional.binary_cross_entropy
    weights = ("weight",)

    def __init__(self, weight=None, *, reduction: str = "mean"):
        super().__init__(reduction)
        self.register_buffer("weight", weight_tensor("BCELoss", weight))


class BCEWithLogitsLoss(Loss):
    """BCELoss of sigmoid(z), exact for any z: -(p t log sigmoid(z) + (1 - t) log(1 - sigmoid(z))), times ``weight``.

    pos_weight : p, how much more the positive targets weigh, broadcast to the losses: one for each class, say.
    Both are buffers.
    """

    operation = functional.binary_cross_entropy_with_logits
    weights = ("weight", "pos_weight")

    def __init__(self, weight=None, *, reduction: str = "mean", pos_weight=None):
        super().__init__(reduction)
        self.register_buffer("weight", weight_tensor("BCEWithLogitsLoss", weight))
        self.register_buffer("pos_weight", weight_tensor("BCEWithLogitsLoss", pos_weight))


class KLDivLoss(Loss):
    """t (log t - z) of log-probabilities z and probabilities t; with log_target e^t (t - z), of log-probabilities t.

    The sum over a row is the divergence of Kullback and Leibler (1951). "batchmean" divides by the number of rows,
    which is the mean of the divergences; "mean", as in PyTorch, by that of elements.
    """

    operation = functional.kl_div
    reductions = ("mean", "sum", "batchmean", "none")
    others = ("log_target",)

    def __init__(self, reduction: str = "mean", log_target: bool = False):
        super().__init__(reduction)
        self.log_target = bool(log_target)
