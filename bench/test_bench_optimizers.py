"""The step of each optimizer: compiled, by the operations of its chain alone, as Python, and PyTorch's."""
from __future__ import annotations

import functools

import numpy as np
import pytest

from minidl import optim
from minidl.autograd.parameter import Parameter
from minidl.optim import compiled

EVERY = [getattr(optim, name) for name in optim.__all__]
# LBFGS asks its closure several times a step: no update of its own to time
KINDS = [kind for kind in EVERY if isinstance(kind, type) and kind is not optim.Optimizer and not kind.needs_closure]
TENSORS = 5


def made(kind, size, way):
    """An optimizer of ``size`` parameters in five tensors, with gradients, two steps on."""
    rng = np.random.default_rng(0)
    values, gradients = rng.standard_normal((2, TENSORS, size // TENSORS)).astype(np.float32)
    if way == "PyTorch":
        torch = pytest.importorskip("torch")
        if not hasattr(torch.optim, kind.__name__):
            pytest.skip(f"PyTorch has no {kind.__name__}")
        torch.set_num_threads(1)
        parameters = [torch.tensor(value, requires_grad=True) for value in values]
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = torch.tensor(gradient)
        optimizer = getattr(torch.optim, kind.__name__)(parameters, lr=0.01)
    else:
        parameters = [Parameter(value) for value in values]
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        optimizer = kind(parameters, lr=0.01)
        optimizer.compiled = way != "Python"
    optimizer.step()
    optimizer.step()
    return optimizer, np.concatenate([parameter.detach().numpy() for parameter in parameters])


@pytest.mark.parametrize("way", ["compiled", "operations", "Python", "PyTorch"])
@pytest.mark.parametrize("size", [1_000, 10_000, 100_000, 1_000_000])
@pytest.mark.parametrize("kind", KINDS)
def test_step_of_an_optimizer(timed, kind, size, way, monkeypatch):
    if way == "operations":
        monkeypatch.setattr(compiled, "chain", functools.partial(compiled.chain, whole=False))
    optimizer, values = made(kind, size, way)
    expected = made(kind, size, "Python")[1]
    if way == "PyTorch":
        np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-5)
    else:
        assert values.tobytes() == expected.tobytes()
    timed(optimizer.step, group=f"step of {kind.__name__}, {size} parameters", samples=size)
