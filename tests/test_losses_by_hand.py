"""The losses' numbers and gradients by hand, for each reduction, on arrays and on the tape."""
from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import functional, nn

Z = np.array([[1.0, 2.0, 4.0], [3.0, 3.0, 0.0]])
T = np.array([[1.0, 0.0, 2.0], [3.0, 1.0, 0.5]])
LABELS = np.array([2, 0])
P = np.exp(Z) / np.exp(Z).sum(axis=1, keepdims=True)
ROWS = np.array([[0.25, 0.5, 0.25], [1.0, 0.5, 0.0]])  # the second does not sum to 1
SQUARES = np.array([[0, 4, 4], [0, 4, 0.25]])
ONE_HOT = np.array([[0.0, 0, 1], [1, 0, 0]])

# name, target, the losses one by one, their gradients one by one, what "mean" and "batchmean" divide by
CASES = {
    "mse_loss": (T, SQUARES, 2 * (Z - T), {"mean": 6, "batchmean": 2}),
    "nll_loss": (LABELS, np.array([-4.0, -3.0]), -ONE_HOT, {"mean": 2}),
    "cross_entropy": (LABELS, -np.log(P[[0, 1], LABELS]), P - ONE_HOT, {"mean": 2}),
    "cross_entropy of rows": (ROWS, -(ROWS * np.log(P)).sum(1), P * ROWS.sum(1, keepdims=True) - ROWS, {"mean": 2}),
}
MODULES = {"mse_loss": nn.MSELoss, "nll_loss": nn.NLLLoss, "cross_entropy": nn.CrossEntropyLoss}


@pytest.mark.parametrize("case, reduction", [
    (case, reduction) for case, (*_, divisors) in CASES.items() for reduction in (*divisors, "sum", "none")])
def test_value_and_gradient(case, reduction):
    target, losses, gradients, divisors = CASES[case]
    name = case.split()[0]
    module, function = MODULES[name](reduction=reduction), getattr(functional, name)
    assert repr(module) == (f"{type(module).__name__}()" if reduction == "mean"
                            else f"{type(module).__name__}(reduction={reduction!r})")
    divisor = divisors.get(reduction, 1)
    value = losses if reduction == "none" else losses.sum() / divisor
    share = np.arange(1, losses.size + 1.0).reshape(losses.shape) if reduction == "none" else 3.0
    spread = share if np.ndim(share) == 2 or reduction != "none" else share[:, None]
    expected = gradients * spread / divisor
    for call in (module, module.forward, lambda z, t: function(z, t, reduction=reduction)):
        np.testing.assert_allclose(call(Z, target), value, rtol=1e-12)
        z = minidl.tensor(Z.copy(), requires_grad=True)
        loss = call(z, target)
        assert loss.shape == np.shape(value)
        loss.backward(share)
        np.testing.assert_allclose(z.grad, expected, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(module.backward(share), expected, rtol=1e-12, atol=1e-15)
    if reduction != "none":
        np.testing.assert_allclose(module.backward(), expected / 3, rtol=1e-12, atol=1e-15)
        assert type(module(Z, target)) is float
    if reduction == "mean":
        np.testing.assert_allclose(function(Z, target), value, rtol=1e-12)
        np.testing.assert_allclose(type(module)()(Z, target), value, rtol=1e-12)


def test_the_gradient_of_a_target_of_values():
    z, t = minidl.tensor(Z), minidl.tensor(T.copy(), requires_grad=True)
    functional.mse_loss(z, t, reduction="sum").backward()
    np.testing.assert_allclose(t.grad, 2 * (T - Z), rtol=1e-15)


@pytest.mark.parametrize("name, target", [("nll_loss", LABELS.astype(float)), ("cross_entropy", ROWS)])
def test_a_target_of_classes_has_none(name, target):
    t = minidl.tensor(target.copy(), requires_grad=True)
    with pytest.raises((NotImplementedError, TypeError)):
        getattr(functional, name)(minidl.tensor(Z), t).backward()


@pytest.mark.parametrize("module, wrong, known", [
    (nn.MSELoss, "median", "'mean', 'sum', 'batchmean', 'none'"), (nn.NLLLoss, "batchmean", "'mean', 'sum', 'none'"),
    (nn.CrossEntropyLoss, "batchmean", "'mean', 'sum', 'none'")])
def test_unknown_reductions(module, wrong, known):
    with pytest.raises(ValueError, match=f"^{module.__name__}: expected reduction {known}, got {wrong!r}$"):
        module(reduction=wrong)
    name = {nn.MSELoss: "mse_loss", nn.NLLLoss: "nll_loss", nn.CrossEntropyLoss: "cross_entropy"}[module]
    with pytest.raises(ValueError, match=f"^{module.__name__}: expected reduction"):
        getattr(functional, name)(Z, T if module is nn.MSELoss else LABELS, reduction="median")


# A loss of one's own with both methods is one node of the tape

class Halved(nn.Loss):
    def forward(self, output, target):
        self.saved = output - target
        return self.saved ** 2 / 2 if self.reduction == "none" else float((self.saved ** 2).sum() / 2)

    def backward(self, gradient=1.0):
        self.given = gradient
        return gradient * self.saved


@pytest.mark.parametrize("reduction", ["sum", "none"])
def test_a_backward_of_ones_own_is_given_a_float_or_an_array(reduction):
    criterion, z = Halved(reduction), minidl.tensor(Z.copy(), requires_grad=True)
    loss = criterion(z, minidl.tensor(T))
    g = np.arange(6.0).reshape(2, 3) if reduction == "none" else 3.0
    loss.backward(g)
    np.testing.assert_allclose(z.grad, g * (Z - T))
    assert type(criterion.given) is (np.ndarray if reduction == "none" else float)
    assert loss.node is None or loss.node.name == "Halved"


def test_a_backward_of_ones_own_sees_its_own_forward():
    criterion = Halved()
    first, second = (minidl.tensor(z.copy(), requires_grad=True) for z in (Z, 10 * Z))
    loss = criterion(first, T)
    criterion(second, T)
    kept = criterion.saved
    loss.backward()
    np.testing.assert_allclose(first.grad, Z - T)
    assert criterion.saved is kept
    assert not criterion(minidl.tensor(Z), T).requires_grad
    with minidl.no_grad():
        assert not criterion(first, T).requires_grad


def test_a_class_beside_a_loss_is_told_of_its_subclass():
    class Tagged:
        def __init_subclass__(cls, tag, **settings):
            super().__init_subclass__(**settings)
            cls.tag = tag

    class Mine(nn.MSELoss, Tagged, tag="mine"):
        pass

    assert Mine.tag == "mine"
    with pytest.raises(TypeError, match="no keyword arguments"):
        class Other(nn.MSELoss, weight=3):
            pass
