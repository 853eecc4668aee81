"""HuberLoss: against PyTorch, and compiled with the bits of the plain loss."""
from __future__ import annotations

import numpy as np
import pytest
from enumerated import operations_of
from module_cases import numbers
from theirs import torch

import minidl
from minidl import functional as F
from minidl import nn, optim


@pytest.mark.parametrize("delta", [1.0, 0.3, 2.5])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_values_and_gradients_as_in_pytorch(reduction, delta):
    z, t = 2 * numbers((7, 5), np.float64), numbers((7, 5), np.float64, seed=1)
    z[0] = t[0] + delta * np.array([-1, 1, 0, 0.5, -2])
    ours, theirs = nn.HuberLoss(reduction, delta), torch.nn.HuberLoss(reduction, delta)
    their_z, their_t = (torch.tensor(x, requires_grad=True) for x in (z, t))
    expected = theirs(their_z, their_t)
    weights = numbers(expected.shape, np.float64, seed=2) if reduction == "none" else np.float64(1)
    expected.backward(torch.tensor(weights))
    np.testing.assert_allclose(ours(z, t), expected.detach().numpy(), rtol=1e-13)
    np.testing.assert_allclose(ours.backward(weights if reduction == "none" else 1.0), their_z.grad.numpy(), rtol=1e-13)
    mine = minidl.tensor(z, requires_grad=True), minidl.tensor(t, requires_grad=True)
    ours(*mine).backward(weights)
    for got, want in zip(mine, (their_z, their_t), strict=True):
        np.testing.assert_allclose(got.grad, want.grad.numpy(), rtol=1e-13)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("settings", [{}, {"delta": 0.4}, {"reduction": "sum", "delta": 0.7}])
def test_a_captured_step_has_the_bits_of_the_plain_one(settings, dtype):
    def make():
        minidl.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 8, dtype=dtype), nn.Tanh(), nn.Linear(8, 3, dtype=dtype))
        return model, nn.HuberLoss(**settings), optim.SGD(model.parameters(), lr=0.01)

    (model, criterion, optimizer), (other, *rest) = make(), make()
    step, rng = minidl.capture(other, *rest), np.random.default_rng(0)
    for _ in range(6):
        x, y = (rng.standard_normal((5, n)).astype(dtype) for n in (4, 3))
        loss = criterion(model(x), y)
        optimizer.zero_grad()
        model.backward(criterion.backward())
        optimizer.step()
        assert step(x, y) == loss
    np.testing.assert_array_equal(other.flat_parameters, model.flat_parameters)
    assert step.path == "compiled" and not operations_of(step.step, compiled=False)
    assert {"abs", "le", "where", "sign"} <= operations_of(step.step)
    rest[0].delta = 0.05  # a program made with another is not run again
    criterion.delta = 0.05
    assert step(x, y) == criterion(model(x), y)


def test_fit_trains_with_it_to_the_same_bits_captured_or_not():
    x, y = numbers((40, 4)), numbers((40, 3), seed=1)
    found = []
    for captured in (True, False):
        minidl.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 8), nn.Softplus(), nn.Linear(8, 3))
        minidl.fit(model, nn.HuberLoss(), optim.Adam(model.parameters()), (x, y), epochs=3, batch_size=16, seed=1,
                   progress=False, captured=captured)
        found.append(model.flat_parameters.copy())
    np.testing.assert_array_equal(*found)


def test_what_is_refused():
    z = numbers((3, 2))
    for delta in (0, -1.0, np.nan):
        with pytest.raises(ValueError, match="HuberLoss: expected delta above 0, got"):
            nn.HuberLoss(delta=delta)
        with pytest.raises(ValueError, match="HuberLoss: expected delta above 0, got"):
            F.huber_loss(z, z, delta=delta)
    with pytest.raises(ValueError, match=r"HuberLoss: expected a target of the output's shape \(3, 2\), got \(3,\)"):
        nn.HuberLoss()(z, z[:, 0])
    with pytest.raises(TypeError, match="HuberLoss: expected a target of the output's dtype float32, got float64"):
        nn.HuberLoss()(z, z.astype(np.float64))
    with pytest.raises(ValueError, match="expected reduction"):
        nn.HuberLoss("batchmean")
    assert repr(nn.HuberLoss(delta=0.5)) == "HuberLoss(delta=0.5)"
    assert repr(nn.HuberLoss("sum")) == "HuberLoss(reduction='sum', delta=1.0)"
