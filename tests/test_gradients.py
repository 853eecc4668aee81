"""The derivative of every module and loss against finite differences, in float64."""
from __future__ import annotations

import copy

import numpy as np
import pytest
from module_cases import ACTIVATIONS, LOSSES, ROWWISE, loss_case, name_of, numbers

from minidl import functional as F
from minidl import nn

STEP = 1e-6
TOLERANCE = {"rtol": 1e-6, "atol": 1e-8}


def slope(f, x: np.ndarray) -> np.ndarray:
    """The gradient of the number f() for x, by central differences; x is changed in place and put back."""
    gradient = np.zeros(x.shape)
    for i in np.ndindex(x.shape):
        before = x[i]
        x[i] = before + STEP
        above = f()
        x[i] = before - STEP
        below = f()
        x[i] = before
        gradient[i] = (above - below) / (2 * STEP)
    return gradient


def check(module: nn.Module, x: np.ndarray) -> None:
    """Of Σ g y, with random g: the gradients for x and every parameter."""
    g = numbers(module(x).shape, np.float64, seed=7)

    def weighted() -> float:
        return float((module(x) * g).sum())

    module(x)
    module.zero_grad()
    np.testing.assert_allclose(module.backward(g), slope(weighted, x), **TOLERANCE)
    for parameter in module.parameters():
        np.testing.assert_allclose(parameter.grad, slope(weighted, parameter.data), **TOLERANCE)


def away_from_kinks(shape, seed=0) -> np.ndarray:
    x = numbers(shape, np.float64, seed)
    return x + 0.01 * np.sign(x)


@pytest.mark.parametrize("shape", [(5,), (3, 5), (2, 3, 5)])
@pytest.mark.parametrize("name, settings", ACTIVATIONS)
def test_activation(name, settings, shape):
    check(getattr(nn, name)(**settings), away_from_kinks(shape))


@pytest.mark.parametrize("x", [0.7, -0.7])
@pytest.mark.parametrize("name, settings", [case for case in ACTIVATIONS if case[0] not in ROWWISE])
def test_activation_of_a_number(name, settings, x):
    check(getattr(nn, name)(**settings), np.array(x))


@pytest.mark.parametrize("dim", [0, 1, 2, -1, -2, -3])
@pytest.mark.parametrize("name", ROWWISE)
def test_softmax_along_any_axis(name, dim):
    check(getattr(nn, name)(dim=dim), numbers((2, 3, 4), np.float64))


@pytest.mark.parametrize("shape", [(4,), (1, 4), (9, 4), (2, 3, 4)])
@pytest.mark.parametrize("bias", [True, False])
def test_linear(bias, shape):
    check(nn.Linear(4, 3, bias=bias, dtype=np.float64, generator=0), numbers(shape, np.float64))


@pytest.mark.parametrize("shape, start, end", [((2, 3, 4), 1, -1), ((2, 3, 4), 0, 1), ((5,), 0, -1)])
def test_flatten(shape, start, end):
    check(nn.Flatten(start, end), numbers(shape, np.float64))


def test_identity():
    check(nn.Identity(), numbers((3, 4), np.float64))


@pytest.mark.parametrize("training", [True, False])
def test_dropout(training):
    """The mask is the same in every evaluation: a copy of the generator is put back each time."""
    module = nn.Dropout(0.4, generator=3).train(training)
    x, g = numbers((4, 5), np.float64), numbers((4, 5), np.float64, seed=1)
    generator = module.generator

    def weighted() -> float:
        module.generator = copy.deepcopy(generator)
        return float((module(x) * g).sum())

    weighted()
    np.testing.assert_allclose(module.backward(g), slope(weighted, x), **TOLERANCE)


def shared() -> nn.Sequential:
    twice = nn.Linear(3, 3, dtype=np.float64, generator=1)
    return nn.Sequential(twice, nn.Tanh(), twice, nn.Sequential(nn.ELU(), twice))


class OwnForward(nn.Module):
    """A module whose derivative comes from the tape."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(3, 4, dtype=np.float64, generator=2)
        self.scale = nn.Parameter(np.array([0.5, -1.0, 2.0, 1.5]))

    def forward(self, x):
        return F.tanh(self.inner(x)) * self.scale + (x * x).sum(axis=1, keepdims=True)


class OwnBoth(nn.Module):
    """A module with a backward of its own, which uses two others."""

    def __init__(self):
        self.left, self.right = (nn.Linear(3, 2, dtype=np.float64, generator=i) for i in (3, 4))

    def forward(self, x):
        self.saved = x
        return self.left(x) + self.right(x)

    def backward(self, gradient):
        self.require_saved()
        return self.left.backward(gradient) + self.right.backward(gradient)


def chain() -> nn.Sequential:
    first, last = (nn.Linear(*sizes, dtype=np.float64, generator=0) for sizes in ((3, 5), (5, 2)))
    return nn.Sequential(first, nn.SELU(), last, nn.LogSoftmax())


@pytest.mark.parametrize("model", [
    chain(), shared(), OwnForward(), OwnBoth(),
    nn.Sequential(OwnBoth(), nn.Sigmoid()), nn.Sequential(nn.Tanh(), OwnForward(), nn.Softmax()),
], ids=name_of)
def test_models(model):
    check(model, numbers((4, 3), np.float64))


@pytest.mark.parametrize("name, kind, reduction", LOSSES)
def test_loss(name, kind, reduction):
    output, target = loss_case(kind, dtype=np.float64)
    criterion = getattr(nn, name)(reduction=reduction)
    g = numbers(np.shape(criterion(output, target)), np.float64, seed=3) if reduction == "none" else 1.7

    def weighted() -> float:
        return float(np.sum(criterion(output, target) * g))

    weighted()
    np.testing.assert_allclose(criterion.backward(g), slope(weighted, output), **TOLERANCE)


@pytest.mark.parametrize("shape", [(4,), (2, 3, 4)])
@pytest.mark.parametrize("reduction", ["mean", "sum", "batchmean", "none"])
def test_mse_of_other_ranks(reduction, shape):
    output, target = loss_case("values", shape, np.float64)
    criterion = nn.MSELoss(reduction)
    g = np.ones(shape) if reduction == "none" else 1.0
    criterion(output, target)
    np.testing.assert_allclose(
        criterion.backward(g), slope(lambda: float(np.sum(criterion(output, target))), output), **TOLERANCE)


def test_cross_entropy_of_rows_that_do_not_sum_to_one():
    output, target = numbers((3, 4), np.float64), np.random.default_rng(0).random((3, 4))
    criterion = nn.CrossEntropyLoss()
    criterion(output, target)
    np.testing.assert_allclose(
        criterion.backward(), slope(lambda: criterion(output, target), output), **TOLERANCE)
