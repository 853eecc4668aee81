"""Optimizers for the tests: each formula uses something that those of minidl do not."""
from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from minidl import optim
from minidl.optim.adam import two_fractions
from minidl.optim.functions import maximum, minimum, sign, sqrt, where
from minidl.optim.group import at_least_zero, fraction
from minidl.optim.sgd import switch

SCALE = 0.75


def mixed(a, b, share=0.25):
    return share * a + (1 - share) * b


class Lion(optim.Optimizer):
    rules: ClassVar = {"lr": at_least_zero, "betas": two_fractions, "weight_decay": at_least_zero}
    state_names: ClassVar = ("exp_avg",)

    def __init__(self, params, lr=1e-2, betas=(0.9, 0.99), weight_decay=0.01):
        super().__init__(params, lr=lr, betas=betas, weight_decay=weight_decay)

    def formula(self, w, g, state, s):
        beta1, beta2 = s.betas
        direction = sign(beta1 * state.exp_avg + (1 - beta1) * g)
        state.exp_avg = beta2 * state.exp_avg + (1 - beta2) * g
        return w - s.lr * (direction + s.weight_decay * w)


class AMSGrad(optim.Adam):
    """A state of its own, a switch, and the formula above called by super()."""

    rules: ClassVar = {**optim.Adam.rules, "amsgrad": switch}
    state_names: ClassVar = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")

    def __init__(self, params, lr=1e-2, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.0, amsgrad=True,
                 maximize=False):
        optim.Optimizer.__init__(self, params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad,
                                 maximize=maximize)

    def formula(self, w, g, state, s):
        if not s.amsgrad:
            return super().formula(w, g, state, s)
        (beta1, beta2), t = s.betas, s.step
        m = state.exp_avg = mixed(state.exp_avg, g, beta1)
        v = state.exp_avg_sq = mixed(state.exp_avg_sq, g * g, beta2)
        most = state.max_exp_avg_sq = maximum(state.max_exp_avg_sq, v)
        return w - s.lr / (1 - beta1 ** t) * m / (sqrt(most / (1 - beta2 ** t)) + s.eps)


class Rprop(optim.Optimizer):
    rules: ClassVar = {"lr": at_least_zero, "shrink": fraction}
    state_names: ClassVar = ("prev", "step_size")

    def __init__(self, params, lr=1e-2, shrink=0.5):
        super().__init__(params, lr=lr, shrink=shrink)

    def formula(self, w, g, state, s):
        size = state.step_size if s.step > 1 else abs(0 * g) + s.lr
        same, other = state.prev * g > 0, state.prev * g < 0
        size = where(same, size * 1.2, where(other, size * s.shrink, size))
        size = minimum(maximum(size, 1e-6), 50)
        g = where(other | (g != g), 0.0, g)
        state.prev, state.step_size = g, size
        return where(~(same & (size >= 0.5)), w - sign(g) * size, w)


class Swapping(optim.Optimizer):
    """The state goes round, and takes the values in."""

    rules: ClassVar = {"lr": at_least_zero}
    state_names: ClassVar = ("a", "b", "c")

    def __init__(self, params, lr=0.5):
        super().__init__(params, lr=lr)

    def formula(self, w, g, state, s):
        state.a, state.b, state.c = w, state.a, -state.b
        d = g if s.step % 1 == 0 and False else g + SCALE * state.c
        return w - s.lr * d / 2 ** (s.step / 3) + (state.b - state.a) * -0.0


class Constants(optim.Optimizer):
    """Numbers where arrays may be, an attribute, a static method, constants of the mathematics."""

    rules: ClassVar = {"lr": at_least_zero}
    state_names: ClassVar = ("seen", "one")
    half = 0.5

    def __init__(self, params, lr=0.5):
        self.warm = 3
        super().__init__(params, lr=lr)

    @staticmethod
    def wave(t):
        return abs(-t) * math.pi

    def rate(self, s):
        return s.lr * min(1.0, s.step / self.warm) / (1 + self.wave(s.step))

    def formula(self, w, g, state, s):
        state.seen, state.one = s.step, 1
        if self.rate(s) > 0.1:
            return +w - self.rate(s) * (3 - g) * self.half
        return w - self.rate(s) * (1 / (2 + g ** 2) - state.one)


class Unrecordable(optim.Optimizer):
    """NumPy's functions, and a branch on values: it runs as Python."""

    rules: ClassVar = {"lr": at_least_zero, "momentum": fraction}
    state_names: ClassVar = ("v",)

    def __init__(self, params, lr=0.5, momentum=0.9):
        super().__init__(params, lr=lr, momentum=momentum)

    def formula(self, w, g, state, s):
        state.v = np.float32(0.5) * np.tanh(state.v * s.momentum + g).astype(g.dtype)
        return np.where(g > 0, w - s.lr * state.v, w) if g.size else w


class Blocks(optim.Optimizer):
    """An update of one's own, on the blocks."""

    rules: ClassVar = {"lr": at_least_zero}
    state_names: ClassVar = ("v",)

    def __init__(self, params, lr=0.5):
        super().__init__(params, lr=lr)

    def update(self, group, part):
        for w, g, (v,), *_ in part.blocks("v"):
            v += g
            w -= part.number(group["lr"]) * v


RECORDABLE = (Lion, AMSGrad, Rprop, Constants)
PYTHON = (Swapping, Unrecordable, Blocks)
