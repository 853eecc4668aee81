"""softmax and log_softmax along each axis, against NumPy; their modules' names and axes."""
from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import functional, nn

X = np.random.default_rng(0).normal(size=(2, 3, 4))
G = np.random.default_rng(1).normal(size=(2, 3, 4))


def softmax(x, dim):
    e = np.exp(x - x.max(axis=dim, keepdims=True))
    return e / e.sum(axis=dim, keepdims=True)


def value(name, x, dim):
    return softmax(x, dim) if name == "softmax" else np.log(softmax(x, dim))


def gradient(name, x, g, dim):
    p = softmax(x, dim)
    if name == "softmax":
        return p * (g - (p * g).sum(axis=dim, keepdims=True))
    return g - p * g.sum(axis=dim, keepdims=True)


@pytest.mark.parametrize("dim", [0, 1, 2, -1, -2, -3])
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_along_each_axis(name, dim):
    function, module = getattr(functional, name), {"softmax": nn.Softmax, "log_softmax": nn.LogSoftmax}[name](dim)
    for call in (lambda x: function(x, dim), lambda x: function(x, dim=dim), module):
        np.testing.assert_allclose(call(X), value(name, X, dim), rtol=1e-13)
        x = minidl.tensor(X.copy(), requires_grad=True)
        call(x).backward(G)
        np.testing.assert_allclose(x.grad, gradient(name, X, G, dim), rtol=1e-12, atol=1e-15)
    module.forward(X)
    np.testing.assert_allclose(module.backward(G), gradient(name, X, G, dim), rtol=1e-12, atol=1e-15)
    assert repr(module) == f"{type(module).__name__}(dim={dim})"


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_the_last_axis_is_the_default(name):
    module = {"softmax": nn.Softmax, "log_softmax": nn.LogSoftmax}[name]()
    method = getattr(minidl.tensor(X), name)
    for y in (getattr(functional, name)(X), module(X), method().data, method(-1).data, method(dim=2).data):
        np.testing.assert_allclose(y, value(name, X, -1), rtol=1e-13)
    for call in (module, getattr(functional, name)):
        x = minidl.tensor(X.copy(), requires_grad=True)
        call(x).backward(G)
        np.testing.assert_allclose(x.grad, gradient(name, X, G, -1), rtol=1e-12, atol=1e-15)
