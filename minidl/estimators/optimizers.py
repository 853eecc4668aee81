"""The optimizers of the estimators: scikit-learn's solvers as minidl's, or any of minidl.optim, and their schedules."""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import nn, optim
from ..optim import lr_scheduler

DECOUPLED = (optim.AdamW, optim.Lion)  # whose weight_decay is not L2


def groups_of(model: nn.Module) -> list[dict[str, Any]]:
    """The weights, which alpha draws to zero, and the rest: biases, normalisations."""
    parameters = model.parameters()
    weights = [p for p in parameters if p.ndim > 1]
    return [{"params": group} for group in (weights, [p for p in parameters if p.ndim <= 1]) if group]


class Rates:
    """An optimizer as an estimator uses it: L2 for each batch, and scikit-learn's learning rates.

    The gradient of a batch of weight n gets alpha / n times the weights (not the biases): the optimizer's weight_decay,
    where that is L2 and the user's optimizer has none of its own.
    """

    def __init__(self, estimator, model: nn.Module):
        self.optimizer = make_optimizer(estimator, model)
        group = self.optimizer.param_groups[0]
        coupled = "weight_decay" in group and not isinstance(self.optimizer, DECOUPLED) and \
            not group.get("decoupled_weight_decay", False) and not group["weight_decay"]
        self.decays = coupled and group["params"][0].ndim > 1
        self.steps = 0
        self.follow(estimator)

    def follow(self, estimator) -> None:
        """Read the estimator's parameters, which may have changed since; moments and counts stay."""
        self.follow_alpha(estimator)
        self.schedule = estimator.learning_rate if estimator.solver == "sgd" and estimator.optimizer is None else ""
        self.first, self.power = float(estimator.learning_rate_init), float(estimator.power_t)
        self.epsilon = None
        if estimator.optimizer is None:
            changed = settings(estimator)
            self.epsilon = changed.pop("eps", None)
            self.set_rate(changed.pop("lr"))
            for group in self.optimizer.param_groups:
                group.update(changed)
        elif isinstance(estimator.optimizer, str):
            self.optimizer.lr = self.first

    def follow_alpha(self, estimator) -> None:
        """Read alpha alone, the one parameter that scikit-learn's partial_fit follows."""
        self.alpha = float(estimator.alpha) if self.decays else 0.0
        if self.decays and not self.alpha:
            self.optimizer.param_groups[0]["weight_decay"] = 0.0

    def before_batch(self, weight: float) -> None:
        """Set what depends on the batch, or on the number of steps."""
        self.steps += 1
        decaying = self.optimizer.param_groups[0]
        if self.epsilon is not None:
            # scikit-learn adds epsilon to √v, before the correction √(1 - β2^t) of its beginning at 0; minidl after it.
            corrected = self.epsilon / math.sqrt(1 - decaying["betas"][1] ** self.steps)
            if corrected != decaying["eps"]:
                for group in self.optimizer.param_groups:
                    group["eps"] = corrected
        if self.alpha:
            decay = self.alpha / weight if weight > 0 else 0.0
            if decay != decaying["weight_decay"]:
                decaying["weight_decay"] = decay

    def penalty(self) -> float:
        """alpha/2 Σ w² over the weights."""
        if not self.alpha:
            return 0.0
        return 0.5 * self.alpha * sum(float(np.dot(values, values)) for values, _ in self.optimizer.flats()[0].spans)

    def set_rate(self, rate: float) -> None:
        """A new learning rate. SGD's velocity, lr v, stays, as scikit-learn has it."""
        before = self.optimizer.lr
        if rate == before:
            return
        self.optimizer.lr = rate
        if isinstance(self.optimizer, optim.SGD) and rate > 0:
            for flat in self.optimizer.flats():
                if "momentum_buffer" in flat.state:
                    flat.state["momentum_buffer"] *= before / rate

    def end_epoch(self, samples: int) -> None:
        """After an epoch; ``samples``: how many were seen since the first fit."""
        if self.schedule == "invscaling":
            self.set_rate(self.first / (samples + 1) ** self.power)

    def goes_on(self) -> bool:
        """Whether training goes on where it would stop, with a lower learning rate."""
        if self.schedule != "adaptive" or self.optimizer.lr <= 1e-6:
            return False
        self.set_rate(self.optimizer.lr / 5)
        return True


def settings(estimator) -> dict[str, Any]:
    """The settings of scikit-learn's solver."""
    if estimator.solver == "adam":
        return {"lr": float(estimator.learning_rate_init), "betas": (estimator.beta_1, estimator.beta_2),
                "eps": float(estimator.epsilon)}
    momentum = float(estimator.momentum)
    return {"lr": float(estimator.learning_rate_init), "momentum": momentum,
            "nesterov": bool(estimator.nesterovs_momentum) and momentum > 0}


def make_optimizer(estimator, model: nn.Module) -> optim.Optimizer:
    """The solver's optimizer; or that of ``optimizer``, a name, a class or a function of parameter groups."""
    given, groups = estimator.optimizer, groups_of(model)
    if given is None:
        return (optim.Adam if estimator.solver == "adam" else optim.SGD)(groups, **settings(estimator))
    if isinstance(given, str):
        kinds = {name.lower(): getattr(optim, name) for name in optim.__all__}
        kind = kinds.get(given.lower())
        if not isinstance(kind, type) or not issubclass(kind, optim.Optimizer) or kind is optim.Optimizer \
                or kind.needs_closure:
            raise ValueError(f"optimizer: expected None, the name of an optimizer of minidl.optim, or a function of "
                             f"parameter groups, got {given!r}")
        return kind(groups, lr=float(estimator.learning_rate_init))
    made = given(groups) if callable(given) else None
    if not isinstance(made, optim.Optimizer) or made.needs_closure:
        raise ValueError(f"optimizer: expected None, a name, or a function of parameter groups that gives an optimizer "
                         f"without a closure, got {given!r}")
    return made


def make_scheduler(estimator, optimizer: optim.Optimizer):
    """The schedule of ``scheduler``, a name or a function of the optimizer; or None."""
    given = estimator.scheduler
    if given is None:
        return None
    if isinstance(given, str):
        given = getattr(lr_scheduler, given, None) if given in lr_scheduler.__all__ else None
    made = given(optimizer) if callable(given) else None
    if not isinstance(made, lr_scheduler.LRScheduler) or made.optimizer is not optimizer:
        raise ValueError("scheduler: expected None, the name of a schedule of minidl.optim.lr_scheduler, or a function "
                         f"of the optimizer that gives one, got {estimator.scheduler!r}")
    return made
