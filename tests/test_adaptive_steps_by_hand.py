"""Forty steps of RAdam, NAdam and Adam against their papers' formulas, in all their options."""
from __future__ import annotations

import math

import numpy as np
import pytest

from minidl.autograd.parameter import Parameter
from minidl.optim import Adam, NAdam, RAdam

START, STEPS = np.array([1.0, -2.0, 0.5]), 40
GRADIENTS = np.random.default_rng(0).standard_normal((STEPS, 3)) + 0.5
PLAIN = {"weight_decay": 0, "decoupled_weight_decay": False, "maximize": False}


def moments(settings):
    """t, the values after the weight decay, the gradient and both moments, where each step is to send its values."""
    lr, (b1, b2), decay = settings["lr"], settings["betas"], settings["weight_decay"]
    w, m, v = START, 0.0, 0.0
    for t, g in enumerate(GRADIENTS, 1):
        if settings["maximize"]:
            g = -g
        if settings["decoupled_weight_decay"]:
            w = w - lr * decay * w
        else:
            g = g + decay * w
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        w = yield t, w, g, m, v
        yield w


def by_radam(s):
    (b1, b2), rows, each = s["betas"], [], moments(s)
    longest = 2 / (1 - b2) - 1
    for t, w, _, m, v in each:
        length = longest - 2 * t * b2**t / (1 - b2**t)
        change = s["lr"] * m / (1 - b1**t)
        if length > 5:
            change = change * math.sqrt((length - 4) * (length - 2) * longest
                                        / ((longest - 4) * (longest - 2) * length))
            change = change * math.sqrt(1 - b2**t) / (np.sqrt(v) + s["eps"])
        rows.append(each.send(w - change))
    return rows


def by_nadam(s):
    (b1, b2), rows, each, product = s["betas"], [], moments(s), 1.0
    for t, w, g, m, v in each:
        mu, following = (b1 * (1 - 0.5 * 0.96**(k * s["momentum_decay"])) for k in (t, t + 1))
        product *= mu
        ahead = (1 - mu) * g / (1 - product) + following * m / (1 - product * following)
        rows.append(each.send(w - s["lr"] * ahead / (np.sqrt(v / (1 - b2**t)) + s["eps"])))
    return rows


def by_adam(s):
    (b1, b2), rows, each, top = s["betas"], [], moments(s), 0.0
    for t, w, _, m, v in each:
        top = np.maximum(top, v) if s["amsgrad"] else v
        rows.append(each.send(w - s["lr"] * m / (1 - b1**t) / (np.sqrt(top / (1 - b2**t)) + s["eps"])))
    return rows


CASES = [(kind, formula, own | changed)
         for kind, formula, own in ((RAdam, by_radam, {"lr": 1e-3}), (NAdam, by_nadam, {"lr": 2e-3}),
                                    (Adam, by_adam, {"lr": 1e-3}))
         for changed in ({}, {"betas": (0.8, 0.9), "eps": 0.1, "lr": 0.05}, {"betas": (0.5, 0.6)},
                         {"weight_decay": 0.3, "lr": 0.1}, {"maximize": True, "weight_decay": 0.2},
                         {"weight_decay": 0.3, "lr": 0.1, "decoupled_weight_decay": True},
                         {"weight_decay": 0.3, "decoupled_weight_decay": True, "maximize": True},
                         {"momentum_decay": 0.5}, {"amsgrad": True, "betas": (0.9, 0.5), "lr": 0.1})
         if not (kind is Adam and "decoupled_weight_decay" in changed)
         and not (kind is not Adam and "amsgrad" in changed)
         and not (kind is not NAdam and "momentum_decay" in changed)]


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize(("kind", "formula", "settings"), CASES)
def test_each_step_is_the_formula(kind, formula, settings, compiled):
    default = {"betas": (0.9, 0.999), "eps": 1e-8, "momentum_decay": 4e-3, "amsgrad": False}
    given = {name: value for name, value in settings.items() if (name, value) not in {("lr", 1e-3), ("lr", 2e-3)}}
    parameter = Parameter(START)
    optimizer = kind([parameter], **given)
    optimizer.compiled = compiled
    for expected, gradient in zip(formula(PLAIN | default | settings), GRADIENTS, strict=True):
        parameter.grad = gradient
        optimizer.step()
        np.testing.assert_allclose(parameter.data, expected, rtol=1e-11)
