"""Every optimizer, with every combination of its settings, against PyTorch's in float64; Lion against its paper."""
from __future__ import annotations

import itertools

import numpy as np
import pytest
from theirs import torch

import minidl
from minidl import nn, optim
from minidl.autograd.parameter import Parameter
from minidl.optim import Optimizer
from minidl.optim.adam import two_fractions
from minidl.optim.group import at_least_zero, fraction
from minidl.optim.sgd import switch

SHAPES = [(5, 7), (7,), (), (3, 2, 4)]
KINDS = {name: kind for name in optim.__all__
         if isinstance(kind := getattr(optim, name), type) and issubclass(kind, Optimizer)
         and kind is not Optimizer and not kind.needs_closure}  # those have a test file of their own
VALUES = {at_least_zero: (0.3,), fraction: (0.6,), two_fractions: ((0.5, 0.9), (0.0, 0.0)), switch: (True,)}


def combinations(kind):
    """The defaults, and every other setting alone, in pairs, and all together."""
    choices = [(name, value) for name, rule in kind.rules.items() for value in VALUES[rule] if name != "lr"]
    sets = [{}, *({name: value} for name, value in choices)]
    sets += [{a: x, b: y} for (a, x), (b, y) in itertools.combinations(choices, 2) if a != b]
    sets.append({name: VALUES[rule][0] for name, rule in kind.rules.items()})
    for settings in sets:
        try:
            kind([Parameter(np.zeros(1))], **settings)
        except ValueError:  # they contradict each other
            continue
        yield settings


THEIRS = [name for name in KINDS if name != "Lion"]  # which PyTorch has not
CASES = [pytest.param(name, settings, id=f"{name}-{i}") for name in THEIRS
         for i, settings in enumerate(combinations(KINDS[name]))]


@pytest.fixture
def in_double():
    """NAdam's running product has PyTorch's default dtype."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def compare(name, settings, steps, groups=None):
    """The same gradients here and there; the third parameter begins to get them at step 4 alone."""
    rng = np.random.default_rng(3)
    ours = [Parameter(rng.standard_normal(shape), order="F" if len(shape) == 2 else "C") for shape in SHAPES]
    theirs = [torch.tensor(p.data, requires_grad=True) for p in ours]

    def made(lib, params):
        if groups is not None:
            params = [{"params": params[:2], **groups[0]}, {"params": params[2:], **groups[1]}]
        return getattr(lib, name)(params, **settings)

    optimizer, reference = made(optim, ours), made(torch.optim, theirs)
    for step in range(steps):
        for i, (p, t) in enumerate(zip(ours, theirs, strict=True)):
            if i != 2 or step > 2:
                p.grad = rng.standard_normal(p.shape)
                t.grad = torch.tensor(p.grad)
        optimizer.step()
        reference.step()
    for p, t in zip(ours, theirs, strict=True):
        expected = t.detach().numpy()
        np.testing.assert_allclose(p.data, expected, rtol=1e-10, atol=1e-11 * max(1, np.abs(expected).max()))
    assert optimizer.reason is None  # the formula ran compiled
    return optimizer, reference


@pytest.mark.usefixtures("in_double")
@pytest.mark.parametrize("steps", [1, 10, 100])
@pytest.mark.parametrize(("name", "settings"), CASES)
def test_every_setting(name, settings, steps):
    compare(name, settings, steps)


@pytest.mark.usefixtures("in_double")
@pytest.mark.parametrize("name", THEIRS)
def test_groups_and_names(name):
    optimizer, reference = compare(name, {}, 10, [{"lr": 0.01}, {"weight_decay": 0.2}])
    mine, theirs = optimizer.state_dict(), reference.state_dict()
    kept = {key for state in theirs["state"].values() for key, value in state.items() if value is not None}
    assert set(mine["state"][0]) | {"step"} == kept | {"step"}
    shared = set(theirs["param_groups"][0]) - {
        "capturable", "differentiable", "foreach", "fused"}  # how PyTorch computes, not what
    extra = {"decoupled_weight_decay"} - set(mine["param_groups"][0])
    assert set(mine["param_groups"][0]) == shared - extra
    for name_of, value in mine["param_groups"][0].items():
        if name_of != "params":
            assert value == theirs["param_groups"][0][name_of]


@pytest.mark.parametrize("settings", [{}, {"weight_decay": 0.1}, {"betas": (0.5, 0.7), "maximize": True}])
def test_lion_is_its_papers(settings):
    rng = np.random.default_rng(0)
    p = Parameter(rng.standard_normal(33))
    w, m = p.data.copy(), np.zeros(33)
    optimizer = optim.Lion([p], lr=0.01, **settings)
    (beta1, beta2), decay = settings.get("betas", (0.9, 0.99)), settings.get("weight_decay", 0)
    for _ in range(100):
        p.grad = rng.standard_normal(33)
        g = -p.grad if settings.get("maximize") else p.grad
        w = w - 0.01 * (np.sign(beta1 * m + (1 - beta1) * g) + decay * w)
        m = beta2 * m + (1 - beta2) * g
        optimizer.step()
    np.testing.assert_allclose(p.data, w, rtol=1e-12)


X = np.random.default_rng(1).standard_normal((16, 4)).astype(np.float32)
Y = X[:, :1] * X[:, 1:2]


class Residual(nn.Module):
    def __init__(self):
        self.inner = nn.Linear(4, 4, generator=0)

    def forward(self, x):
        return x + self.inner(x).tanh()


def model(recorded):
    return nn.Sequential(Residual() if recorded else nn.Tanh(), nn.Linear(4, 1, generator=1))


@pytest.mark.parametrize("recorded", [False, True], ids=["by layers", "recorded"])
@pytest.mark.parametrize(("name", "settings"), [
    (name, settings) for name, kind in KINDS.items() for settings in (
        {}, {key: VALUES[rule][0] for key, rule in kind.rules.items() if rule is switch and key != "nesterov"})])
def test_a_compiled_step_has_the_bits_of_the_plain_one(name, settings, recorded):
    """A switch may be thrown in the middle, too."""
    models = [model(recorded), model(recorded)]
    first, second = [KINDS[name](one.parameters(), lr=0.01, **settings) for one in models]
    criterion = nn.MSELoss()
    step = minidl.capture(models[0], criterion, first)
    for i in range(12):
        if i == 6:
            for optimizer in (first, second):
                for key, rule in KINDS[name].rules.items():
                    if rule is switch and key not in ("nesterov", "centered"):
                        optimizer.param_groups[0][key] = not optimizer.param_groups[0][key]
        loss = step(X, Y)
        second.zero_grad()
        expected = criterion(models[1](minidl.tensor(X)), minidl.tensor(Y))
        expected.backward()
        second.step()
        assert loss == expected.item()
        assert models[0].flat_parameters.tobytes() == models[1].flat_parameters.tobytes()
    assert step.path == "compiled"
