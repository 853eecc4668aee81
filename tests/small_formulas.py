"""Small formulas for the tests: an optimizer of two settings and one array of state, and one step of a parameter."""
from __future__ import annotations

import numpy as np

from minidl.autograd.parameter import Parameter
from minidl.optim import Optimizer
from minidl.optim.group import at_least_zero

W, G = np.array([1.0, -2.0, 0.5, 0.0]), np.array([0.5, -2.0, 3.0, 0.0])


class Own(Optimizer):
    rules = {"lr": at_least_zero, "share": at_least_zero}  # noqa: RUF012
    state_names = ("m",)

    def __init__(self, params, lr=0.5, share=0.25):
        super().__init__(params, lr=lr, share=share)


def made(formula, **settings):
    parameter = Parameter(W)
    return parameter, type("Made", (Own,), {"formula": formula})([parameter], **settings)


def step(parameter, optimizer, recorded=True):
    """The values after a step from W with the gradient G; ``recorded``: whether it ran compiled."""
    parameter.data = W
    parameter.grad = G
    optimizer.step()
    assert (optimizer.reason is None) == recorded, optimizer.reason
    return parameter.data.tolist()
