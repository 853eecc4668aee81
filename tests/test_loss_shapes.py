"""The losses of labels on one sample (C,) and on (N, C, d1, ...): value, gradient, messages."""
from __future__ import annotations

import numpy as np
import pytest
from module_cases import FLOATS, name_of, numbers
from theirs import torch

import minidl
from minidl import functional, nn, optim

SHAPES = [(5,), (1,), (4, 5), (1, 1), (4, 5, 3), (2, 3, 4, 5), (3, 2, 1, 2, 2)]
REDUCTIONS = ["mean", "sum", "none"]
KINDS = [("CrossEntropyLoss", "labels"), ("CrossEntropyLoss", "probabilities"), ("NLLLoss", "labels")]
FUNCTIONS = {"CrossEntropyLoss": functional.cross_entropy, "NLLLoss": functional.nll_loss}


def case(shape, kind, dtype=np.float64):
    """(output, target) of this shape."""
    rng = np.random.default_rng(len(shape))
    z, axis = numbers(shape, dtype), min(1, len(shape) - 1)
    if kind == "labels":
        return z, np.array(rng.integers(0, shape[axis], shape[:axis] + shape[axis + 1:]))
    p = rng.random(shape)
    return z, (p / p.sum(axis=axis, keepdims=True)).astype(dtype)


def by_hand(name, kind, z, t, reduction):
    """The loss place by place, and its gradient for a gradient of 1, 2, ... of the losses (1 if reduced)."""
    axis = min(1, z.ndim - 1)
    places = z.shape[:axis] + z.shape[axis + 1:]
    losses, dz = np.zeros(places), np.zeros(z.shape)
    shares = np.arange(1.0, losses.size + 1).reshape(places) if reduction == "none" else np.ones(places)
    if reduction == "mean":
        shares /= losses.size
    for place in np.ndindex(places):
        at = (*place[:axis], slice(None), *place[axis:])
        row = z[at]
        log_p = row - np.log(np.exp(row).sum()) if name == "CrossEntropyLoss" else row
        wanted = np.eye(len(row))[t[place]] if kind == "labels" else t[at]
        losses[place] = -(wanted * log_p).sum()
        gradient = np.exp(log_p) * wanted.sum() - wanted if name == "CrossEntropyLoss" else -wanted
        dz[at] = shares[place] * gradient
    loss = {"mean": losses.mean(), "sum": losses.sum(), "none": losses}[reduction]
    return loss, dz, shares if reduction == "none" else 1.0


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name, kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", FLOATS, ids=name_of)
def test_value_and_gradient(shape, name, kind, reduction, dtype):
    z, t = case(shape, kind, dtype)
    expected, gradient, share = by_hand(name, kind, z, t, reduction)
    criterion = getattr(nn, name)(reduction=reduction)
    near = {"rtol": 1e-12, "atol": 1e-14} if dtype == np.float64 else {"rtol": 2e-5, "atol": 1e-6}
    loss = criterion(z, t)
    assert np.shape(loss) == np.shape(expected)
    np.testing.assert_allclose(loss, expected, **near)
    dz = criterion.backward(np.asarray(share, dtype) if reduction == "none" else share)
    assert dz.dtype == dtype and dz.shape == shape and dz.flags.c_contiguous
    np.testing.assert_allclose(dz, gradient, **near)
    for run in (criterion, lambda z, t: FUNCTIONS[name](z, t, reduction=reduction)):
        tensor = minidl.tensor(z, requires_grad=True)
        recorded = run(tensor, t)
        np.testing.assert_array_equal(recorded.data, np.asarray(loss, dtype))
        recorded.backward(np.asarray(share, dtype))
        np.testing.assert_array_equal(tensor.grad, dz)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name, kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_against_pytorch(shape, name, kind, reduction):
    z, t = case(shape, kind)
    _, _, share = by_hand(name, kind, z, t, reduction)
    theirs = torch.tensor(z, requires_grad=True)
    loss = getattr(torch.nn, name)(reduction=reduction)(theirs, torch.tensor(t))
    loss.backward(torch.tensor(share, dtype=torch.float64))
    criterion = getattr(nn, name)(reduction=reduction)
    np.testing.assert_allclose(criterion(z, t), loss.detach().numpy(), rtol=1e-12)
    np.testing.assert_allclose(criterion.backward(share), theirs.grad.numpy(), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_single_label_of_any_kind(name):
    z, _ = case((5,), "labels")
    criterion = getattr(nn, name)()
    expected = criterion(z, np.array(3))
    for label in (3, np.int64(3), np.uint8(3), np.array([3, 1])[0]):
        assert criterion(z, label) == expected
        assert criterion(minidl.tensor(z), label).item() == expected
        criterion(z, label)
        np.testing.assert_array_equal(criterion.backward() < 0, np.arange(5) == 3)
    assert criterion(minidl.tensor(z), minidl.tensor(np.array(3))).item() == expected


def test_strided_outputs_and_labels():
    z, t = numbers((4, 6, 10), np.float64)[::-1, ::2, ::-3], np.random.default_rng(0).integers(0, 3, (8, 4))[::2, ::-1]
    for criterion in (nn.CrossEntropyLoss(reduction="sum"), nn.NLLLoss(reduction="sum")):
        loss = criterion(z, t)
        dz = criterion.backward()
        assert loss == criterion(z.copy(), t.copy())
        np.testing.assert_array_equal(dz, criterion.backward())


LARGE = 2**64 - 1


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("output, target, error, message", [
    (numbers((3, 5)), np.array([0, LARGE, 1], np.uint64), ValueError, f"labels from 0 to 4, got {LARGE}"),
    (numbers((5,)), np.uint64(2**63), ValueError, "labels from 0 to 4, got 9223372036854775808"),
    (numbers((2, 5, 2)), np.full((2, 2), LARGE, np.uint64), ValueError, f"labels from 0 to 4, got {LARGE}"),
    (numbers((2, 5, 2)), np.full((2, 2), -1, np.int8), ValueError, "labels from 0 to 4, got -1"),
    (numbers((5,)), 5, ValueError, "labels from 0 to 4, got 5"),
    (numbers((5,)), np.float64(1), TypeError, "labels of an integer dtype, got float64"),
    (numbers((5,)), True, TypeError, "labels of an integer dtype, got bool"),
    (numbers((5,)), np.zeros(5, int), ValueError,
     r"an output of shape \(N, C\), got \(5,\) with labels of shape \(5,\)"),
    (numbers((2, 5, 3)), np.zeros((2, 5), int), ValueError, r"labels of shape \(2, 3\), got \(2, 5\)"),
    (numbers((2, 5, 3)), np.zeros((2, 3), np.float32), TypeError, "labels of an integer dtype, got float32"),
    (numbers((2, 5, 3)), np.zeros(2, int), ValueError, r"labels of shape \(2, 3\), got \(2,\)"),
])
def test_what_does_not_fit(name, output, target, error, message):
    for run in (getattr(nn, name)(), FUNCTIONS[name], lambda z, t: FUNCTIONS[name](minidl.tensor(z), t)):
        with pytest.raises(error, match=f"{name}: expected {message}"):
            run(output, target)


def test_probabilities_of_another_dtype():
    with pytest.raises(TypeError, match="CrossEntropyLoss: expected probabilities of float32, got float64"):
        nn.CrossEntropyLoss()(numbers((2, 3, 4)), numbers((2, 3, 4), np.float64))


def test_a_gradient_that_does_not_fit():
    criterion = nn.CrossEntropyLoss(reduction="none")
    criterion(*case((2, 3, 4), "labels"))
    with pytest.raises(ValueError, match=r"CrossEntropyLoss.*: expected gradient of shape \(2, 4\), got \(2,\)"):
        criterion.backward(np.ones(2))


class Places(nn.Module):
    """(N, 2) -> logits of three classes at four places, (N, 3, 4)."""

    def __init__(self):
        self.linear = nn.Linear(2, 12, generator=0)

    def forward(self, x):
        return self.linear(x).reshape(-1, 3, 4)


def test_fit_and_evaluate_with_a_class_at_each_place():
    x = numbers((40, 2))
    labels = np.stack([(x[:, 0] > 0) + (x[:, 1] > 0), x[:, 0] > 0, x[:, 1] > 0, x[:, 0] > x[:, 1]], 1).astype(np.int64)
    model = Places()
    history = minidl.fit(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters(), lr=0.1), (x, labels), epochs=30,
                         seed=0, progress=False)
    assert history.loss[-1] < history.loss[0] / 3
    output = model(x)
    result = minidl.evaluate(model, nn.CrossEntropyLoss(), (x, labels), batch_size=7)
    assert result.error == pytest.approx(100 * np.mean(output.argmax(axis=1) != labels))
    assert result.loss == pytest.approx(nn.CrossEntropyLoss()(output, labels), rel=1e-6)
