"""How the steps of fit run, and what they say of labels and losses that do not fit."""
from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import nn, optim

X = np.random.default_rng(0).normal(size=(12, 3))
LABELS = np.arange(12) % 2


def linear():
    return nn.Linear(3, 2, dtype=np.float64, generator=4)


def fitted(criterion, target, model=None, optimizer=None, **settings):
    model = model or linear()
    optimizer = optimizer or optim.SGD(model.parameters(), lr=0.1)
    return minidl.fit(model, criterion, optimizer, (X, target), **{"progress": False, "batch_size": 4} | settings)


def squares(z, t):
    return (z * z).mean()


IN_PLACE = "compiled; in place: squares.forward, squares.backward"  # its labels are no int64


@pytest.mark.parametrize("target, path", [
    (np.full(12, 2**63 - 1, np.uint64), "compiled"), (np.full(12, 2**63, np.uint64), IN_PLACE),
    (np.full(12, 2**64 - 1, np.uint64), IN_PLACE), (np.full(12, 2**63 - 1), "compiled"),
    (np.full(12, 1e300), "compiled"), (np.full(12, 2**32 - 1, np.uint32), "compiled")])
def test_labels_of_a_recorded_step(target, path):
    model = linear()
    history = fitted(squares, target, model, optim.SGD(model.parameters(), lr=0))
    assert history.path == path and len(history.iteration_loss) == 3
    assert history.loss == [pytest.approx(((X @ model.weight.data.T + model.bias.data) ** 2).mean(), rel=1e-12)]


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int16, np.uint32, np.int64, np.uint64, bool])
def test_labels_of_any_integers_give_the_same(kind):
    expected = fitted(nn.CrossEntropyLoss(), LABELS, seed=1, epochs=3)
    found = fitted(nn.CrossEntropyLoss(), LABELS.astype(kind), seed=1, epochs=3)
    assert found.iteration_loss == expected.iteration_loss and found.error == expected.error
    assert found.path == expected.path == "compiled"


@pytest.mark.parametrize("captured", [True, False])
@pytest.mark.parametrize("label", [2**63, 2**63 + 1, 2, 2**62])
def test_a_label_that_is_too_large_is_named(label, captured):
    target = LABELS.astype(np.uint64)
    target[7] = label
    with pytest.raises(ValueError, match=str(label)):
        fitted(nn.CrossEntropyLoss(), target, captured=captured)


@pytest.mark.parametrize("captured, path", [
    (True, "compiled; in place: LBFGS.step"), (False, "plain: captured=False")])
def test_the_first_loss_of_a_step_with_a_closure(captured, path):
    model = linear()
    d = X @ model.weight.data.T + model.bias.data - X[:, :2]
    history = fitted(nn.MSELoss(), X[:, :2], model, optim.LBFGS(model.parameters(), lr=1, max_iter=9), batch_size=12,
                     captured=captured)
    assert history.iteration_loss == [pytest.approx((d * d).mean(), rel=1e-12)] and history.error == [None]
    assert minidl.evaluate(model, nn.MSELoss(), (X, X[:, :2])).loss < 0.1 * history.loss[0]
    assert history.path == path


@pytest.mark.parametrize("optimizer", [optim.LBFGS, optim.SGD])
@pytest.mark.parametrize("captured", [True, False])
def test_nothing_is_updated_where_the_loss_is_not_finite(optimizer, captured):
    model = linear()
    before = [parameter.data.copy() for parameter in model.parameters()]
    target = X[:, :2].copy()
    target[3] = 1e200
    with pytest.raises(FloatingPointError, match=r"^fit: the loss became inf at epoch 1, step 1 \(learning rate 0.5\)"):
        fitted(nn.MSELoss(), target, model, optimizer(model.parameters(), lr=0.5), batch_size=12, captured=captured)
    for parameter, values in zip(model.parameters(), before, strict=True):
        np.testing.assert_array_equal(parameter.data, values)


def test_which_way_a_step_runs():
    class Own(nn.Module):
        def __init__(self):
            self.inner = linear()

        def forward(self, x):
            return self.inner(x)

    layers = nn.Sequential(linear())
    assert fitted(nn.CrossEntropyLoss(), LABELS, layers, captured=False).path == "plain: captured=False"
    for model in (layers, Own()):
        for criterion in (nn.CrossEntropyLoss(), squares):
            assert fitted(criterion, LABELS, model).path == "compiled"
            weights = fitted(nn.CrossEntropyLoss(), LABELS, model, sample_weight=np.ones(12))
            assert weights.path == "compiled"
    assert fitted(nn.CrossEntropyLoss(), LABELS, layers, transform=lambda x: x).path == "compiled"


@pytest.mark.parametrize("interval", ["epoch", "iteration"])
@pytest.mark.parametrize("captured", [True, False])
def test_where_a_later_step_diverges(interval, captured):
    """The epoch, the step and the rate are those of the step, however many steps a call makes."""
    class Grows(optim.lr_scheduler.ExponentialLR):
        pass

    Grows.interval = interval
    model = linear()
    optimizer = optim.SGD(model.parameters(), lr=1e-3)
    schedule = optim.lr_scheduler.ExponentialLR(optimizer, gamma=16.0) if interval == "epoch" else Grows(optimizer, 1.5)
    with pytest.raises(FloatingPointError) as caught:
        fitted(nn.MSELoss(), X[:, :2], model, optimizer, batch_size=1, epochs=200, seed=0, scheduler=schedule,
               captured=captured)
    losses, rates = [], []
    other = linear()
    w, b, lr = other.weight.data.copy(), other.bias.data.copy(), 1e-3
    generator = np.random.default_rng(0)
    with np.errstate(over="ignore", invalid="ignore"):
        for epoch in range(1, 200):  # noqa: B007
            order = np.arange(12)
            generator.shuffle(order)
            for step, i in enumerate(order, 1):  # noqa: B007
                d = w @ X[i] + b - X[i, :2]
                losses.append((d * d).mean())
                rates.append(lr)
                if not np.isfinite(losses[-1]):
                    break
                w, b = w - lr * np.outer(d, X[i]), b - lr * d
                lr *= 1.5 if interval == "iteration" else 1
            if not np.isfinite(losses[-1]):
                break
            lr *= 16 if interval == "epoch" else 1
    assert f"at epoch {epoch}, step {step} (learning rate {rates[-1]:g}); " in str(caught.value)
    np.testing.assert_allclose(model.weight.data, w, rtol=1e-6)
    assert optimizer.lr == pytest.approx(rates[-1], rel=1e-9)
