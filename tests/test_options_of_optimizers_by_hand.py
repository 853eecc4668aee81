"""Twelve steps of every optimizer in all combinations of its options, from the formulas of its docstring."""
from __future__ import annotations

import itertools

import numpy as np
import pytest

from minidl.autograd.parameter import Parameter
from minidl.optim import SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, Lion, NAdam, RAdam, RMSprop

START, STEPS = np.array([1.0, -2.0, 0.5, 3.0]), 12
GRADIENTS = np.random.default_rng(0).standard_normal((STEPS, 4)) + 0.25

DEFAULTS = {
    SGD: {"lr": 1e-3, "momentum": 0, "dampening": 0, "weight_decay": 0, "nesterov": False, "maximize": False},
    Adam: {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0, "amsgrad": False, "maximize": False},
    AdamW: {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 1e-2, "amsgrad": False,
            "maximize": False},
    Adamax: {"lr": 2e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0, "maximize": False},
    NAdam: {"lr": 2e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0, "momentum_decay": 4e-3,
            "decoupled_weight_decay": False, "maximize": False},
    RAdam: {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0, "decoupled_weight_decay": False,
            "maximize": False},
    RMSprop: {"lr": 1e-2, "alpha": 0.99, "eps": 1e-8, "weight_decay": 0, "momentum": 0, "centered": False,
              "maximize": False},
    Adagrad: {"lr": 1e-2, "lr_decay": 0, "eps": 1e-10, "weight_decay": 0, "initial_accumulator_value": 0,
              "maximize": False},
    Adadelta: {"lr": 1.0, "rho": 0.9, "eps": 1e-6, "weight_decay": 0, "maximize": False},
    Lion: {"lr": 1e-4, "betas": (0.9, 0.99), "weight_decay": 0, "maximize": False},
}
CHOICES = {
    SGD: {"momentum": (0, 0.75), "dampening": (0, 0.25), "weight_decay": (0, 0.125), "nesterov": (False, True)},
    AdamW: {"betas": ((0.9, 0.999), (0.5, 0.25)), "weight_decay": (0, 0.125), "amsgrad": (False, True)},
    Adamax: {"betas": ((0.9, 0.999), (0.5, 0.25)), "eps": (1e-8, 0.5), "weight_decay": (0, 0.125)},
    RMSprop: {"alpha": (0.99, 0.5), "eps": (1e-8, 0.5), "weight_decay": (0, 0.125), "momentum": (0, 0.75),
              "centered": (False, True)},
    Adagrad: {"lr_decay": (0, 0.25), "weight_decay": (0, 0.125), "initial_accumulator_value": (0, 0.5),
              "eps": (1e-10, 0.5)},
    Adadelta: {"rho": (0.9, 0.25), "eps": (1e-6, 0.5), "weight_decay": (0, 0.125)},
    Lion: {"betas": ((0.9, 0.99), (0.5, 0.25), (0.25, 0.5)), "weight_decay": (0, 0.125)},
}


def sgd(t, w, g, s, lr, momentum, dampening, weight_decay, nesterov, **_):
    d = g + weight_decay * w
    if momentum:
        s["v"] = d if t == 1 else momentum * s["v"] + (1 - dampening) * d
        d = d + momentum * s["v"] if nesterov else s["v"]
    return w - lr * d


def adamw(t, w, g, s, lr, betas, eps, weight_decay, amsgrad, **_):
    w = (1 - lr * weight_decay) * w
    s["m"], s["v"] = (b * s.get(k, 0) + (1 - b) * x for k, b, x in zip("mv", betas, (g, g * g), strict=True))
    s["top"] = np.maximum(s.get("top", 0), s["v"])
    v = (s["top"] if amsgrad else s["v"]) / (1 - betas[1] ** t)
    return w - lr * s["m"] / (1 - betas[0] ** t) / (np.sqrt(v) + eps)


def adamax(t, w, g, s, lr, betas, eps, weight_decay, **_):
    g = g + weight_decay * w
    s["m"] = betas[0] * s.get("m", 0) + (1 - betas[0]) * g
    s["u"] = np.maximum(betas[1] * s.get("u", 0), abs(g) + eps)
    return w - lr / (1 - betas[0] ** t) * s["m"] / s["u"]


def rmsprop(t, w, g, s, lr, alpha, eps, weight_decay, momentum, centered, **_):
    g = g + weight_decay * w
    s["v"], s["m"] = alpha * s.get("v", 0) + (1 - alpha) * g * g, alpha * s.get("m", 0) + (1 - alpha) * g
    s["b"] = momentum * s.get("b", 0) + g / (np.sqrt(s["v"] - s["m"] ** 2 if centered else s["v"]) + eps)
    return w - lr * s["b"]


def adagrad(t, w, g, s, lr, lr_decay, eps, weight_decay, initial_accumulator_value, **_):
    g = g + weight_decay * w
    s["v"] = s.get("v", initial_accumulator_value) + g * g
    return w - lr / (1 + (t - 1) * lr_decay) * g / (np.sqrt(s["v"]) + eps)


def adadelta(t, w, g, s, lr, rho, eps, weight_decay, **_):
    g = g + weight_decay * w
    s["v"] = rho * s.get("v", 0) + (1 - rho) * g * g
    step = np.sqrt(s.get("u", 0) + eps) / np.sqrt(s["v"] + eps) * g
    s["u"] = rho * s.get("u", 0) + (1 - rho) * step * step
    return w - lr * step


def lion(t, w, g, s, lr, betas, weight_decay, **_):
    m = s.get("m", 0)
    s["m"] = betas[1] * m + (1 - betas[1]) * g
    return (1 - lr * weight_decay) * w - lr * np.sign(betas[0] * m + (1 - betas[0]) * g)


FORMULAS = {SGD: sgd, AdamW: adamw, Adamax: adamax, RMSprop: rmsprop, Adagrad: adagrad, Adadelta: adadelta, Lion: lion}


def combinations(kind):
    names = [*CHOICES[kind], "maximize"]
    for values in itertools.product(*CHOICES[kind].values(), (False, True)):
        settings = dict(zip(names, values, strict=True))
        if not settings.get("nesterov") or (settings["momentum"] and not settings["dampening"]):
            yield settings


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("kind", FORMULAS)
def test_steps_of_all_options(kind, compiled):
    for settings in combinations(kind):
        parameter = Parameter(START)
        optimizer = kind([parameter], lr=0.25, **settings)
        optimizer.compiled = compiled
        w, state, every = START, {}, {**DEFAULTS[kind], **settings, "lr": 0.25}
        for t, g in enumerate(GRADIENTS, 1):
            parameter.grad = g
            optimizer.step()
            w = FORMULAS[kind](t, w, -g if settings["maximize"] else g, state, **every)
            np.testing.assert_allclose(parameter.data, w, rtol=1e-9, atol=1e-12, err_msg=f"{settings} {t}")
        assert (optimizer.reason is None) == compiled


@pytest.mark.parametrize("kind", DEFAULTS)
def test_the_defaults_and_what_is_kept_of_the_group(kind):
    optimizer = kind([Parameter(START)])
    group, = optimizer.param_groups
    assert {name: value for name, value in group.items() if name != "params"} == DEFAULTS[kind]
    assert optimizer.defaults == DEFAULTS[kind] and set(kind.rules) == set(DEFAULTS[kind])
    assert kind.compiled is True and kind.needs_closure is False


@pytest.mark.parametrize("kind, order", [
    (SGD, "lr momentum dampening weight_decay nesterov"), (Adam, "lr betas eps weight_decay amsgrad"),
    (AdamW, "lr betas eps weight_decay amsgrad"), (Adamax, "lr betas eps weight_decay"),
    (NAdam, "lr betas eps weight_decay momentum_decay decoupled_weight_decay"),
    (RAdam, "lr betas eps weight_decay decoupled_weight_decay"),
    (RMSprop, "lr alpha eps weight_decay momentum centered"), (Adadelta, "lr rho eps weight_decay"),
    (Adagrad, "lr lr_decay weight_decay initial_accumulator_value eps"), (Lion, "lr betas weight_decay")])
def test_settings_by_their_place(kind, order):
    names = order.split()
    given = [{"betas": (0.25, 0.5), "rho": 0.5, "alpha": 0.75, "dampening": 0.0}.get(name) for name in names]
    flags = {"nesterov", "amsgrad", "centered", "decoupled_weight_decay"}
    given = [(name in flags or 2.0 + i) if value is None else value for i, (name, value) in enumerate(
        zip(names, given, strict=True))]
    group, = kind([Parameter(START)], *given).param_groups
    assert {name: group[name] for name in names} == dict(zip(names, given, strict=True))


STATES = {
    (SGD, ()): [], (SGD, ("momentum",)): ["momentum_buffer"], (Adam, ()): ["exp_avg", "exp_avg_sq"],
    (Adam, ("amsgrad",)): ["exp_avg", "exp_avg_sq", "max_exp_avg_sq"], (Adamax, ()): ["exp_avg", "exp_inf"],
    (AdamW, ("amsgrad",)): ["exp_avg", "exp_avg_sq", "max_exp_avg_sq"], (RAdam, ()): ["exp_avg", "exp_avg_sq"],
    (NAdam, ()): ["exp_avg", "exp_avg_sq", "mu_product"], (RMSprop, ()): ["square_avg"],
    (RMSprop, ("momentum",)): ["square_avg", "momentum_buffer"], (RMSprop, ("centered",)): ["square_avg", "grad_avg"],
    (RMSprop, ("momentum", "centered")): ["square_avg", "momentum_buffer", "grad_avg"], (Adagrad, ()): ["sum"],
    (Adadelta, ()): ["square_avg", "acc_delta"], (Lion, ()): ["exp_avg"]}


@pytest.mark.parametrize("kind, with_", STATES)
def test_the_names_of_the_state(kind, with_):
    parameter = Parameter(START)
    optimizer = kind([parameter], **{name: True if name in ("amsgrad", "centered") else 0.5 for name in with_})
    for step in range(1, 3):
        parameter.grad = GRADIENTS[0]
        optimizer.step()
        names = STATES[kind, with_]
        assert list(optimizer.state_dict()["state"][0]) == ["step", *names]
        assert optimizer.state_dict()["state"][0]["step"] == [step if names else 0]
