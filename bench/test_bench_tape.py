"""Steps on the tape: a network as modules and as operations, and steps with derivatives of derivatives.

Each is checked against PyTorch, or the explicit protocol, in float64 before it is timed.
"""
from __future__ import annotations

import numpy as np
import pytest
from contestants import present

import minidl
from minidl import functional as F
from minidl import nn

ROWS, WIDTH = 16, 64
RNG = np.random.default_rng(0)
X, LABELS = RNG.standard_normal((ROWS, WIDTH)), RNG.integers(0, 10, ROWS)
TIMES = np.linspace(0, 1, ROWS)[:, None]


def modules(dtype) -> nn.Sequential:
    return nn.Sequential(*[module for i, outputs in enumerate((WIDTH, WIDTH, 10)) for module in (
        nn.Linear(WIDTH, outputs, dtype=dtype, generator=i), nn.Tanh())][:-1])


def field(dtype) -> nn.Sequential:
    return nn.Sequential(nn.Linear(1, 32, dtype=dtype, generator=0), nn.Tanh(),
                         nn.Linear(32, 32, dtype=dtype, generator=1), nn.Tanh(),
                         nn.Linear(32, 1, dtype=dtype, generator=2))


def as_modules(model, dtype):
    F.cross_entropy(model(minidl.tensor(X.astype(dtype))), LABELS).backward()


def as_operations(model, dtype):
    w = model.parameters()
    h = F.tanh(F.linear(minidl.tensor(X.astype(dtype)), w[0], w[1]))
    F.cross_entropy(F.linear(F.tanh(F.linear(h, w[2], w[3])), w[4], w[5]), LABELS).backward()


def explicit(model, dtype):
    criterion = nn.CrossEntropyLoss()
    criterion.forward(model.forward(X.astype(dtype)), LABELS)
    model.accumulate(criterion.backward())


def penalised(model, dtype, make=minidl.tensor, grad=minidl.autograd.grad):
    x = make(X.astype(dtype))
    x.requires_grad_()
    y = model(x)
    dx, = grad(y.sum(), x, create_graph=True)
    ((dx * dx).sum() + (y * y).mean()).backward()


def pinn(model, dtype, make=minidl.tensor, grad=minidl.autograd.grad):
    """u'' + u = 0."""
    t = make(TIMES.astype(dtype))
    t.requires_grad_()
    u = model(t)
    first, = grad(u.sum(), t, create_graph=True)
    second, = grad(first.sum(), t, create_graph=True)
    ((second + u) ** 2).mean().backward()


STEPS = {"modules": (modules, as_modules), "operations": (modules, as_operations), "explicit": (modules, explicit),
         "penalised": (modules, penalised), "pinn": (field, pinn)}


def pytorch(model):
    """The network in PyTorch, with the same weights."""
    import torch
    layers = [torch.nn.Tanh() if isinstance(m, nn.Tanh) else torch.nn.Linear(m.in_features, m.out_features)
              for m in model]
    theirs = torch.nn.Sequential(*layers).to(getattr(torch, str(model[0].weight.dtype)))
    theirs.load_state_dict({name: torch.from_numpy(np.ascontiguousarray(x)) for name, x in model.state_dict().items()})
    return theirs


def pytorch_step(model, step, dtype):
    import torch
    if step in (penalised, pinn):
        step(model, dtype, torch.from_numpy, torch.autograd.grad)
    else:
        torch.nn.functional.cross_entropy(model(torch.from_numpy(X.astype(dtype))), torch.from_numpy(LABELS)).backward()


@pytest.mark.parametrize("library", ["minidl", "PyTorch eager"])
@pytest.mark.parametrize("name", STEPS)
def test_tape(benchmark, name, library):
    build, step = STEPS[name]
    if not present("torch"):
        pytest.skip("PyTorch is not installed")
    mine = build(np.float64)
    theirs = pytorch(mine)
    step(mine, np.float64)
    pytorch_step(theirs, step, np.float64)
    for a, b in zip(mine.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(a.gradient, 0 if b.grad is None else b.grad.numpy(), rtol=1e-8, atol=1e-12)
    model = build(np.float32)
    if library == "minidl":
        benchmark(step, model, np.float32)
    elif name in ("operations", "explicit"):
        pytest.skip("PyTorch has one way")
    else:
        import torch
        torch.set_num_threads(1)
        benchmark(pytorch_step, pytorch(model), step, np.float32)
