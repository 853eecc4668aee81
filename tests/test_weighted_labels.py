"""Cross-entropy and NLL with weights, labels to be ignored and smoothing: against PyTorch, against their formulas in
NumPy, and on compiled paths."""
from __future__ import annotations

import itertools

import numpy as np
import pytest
from module_cases import numbers
from theirs import torch

import minidl
from minidl import functional as F
from minidl import nn, optim

WEIGHT = np.array([0.5, 2.0, 1.0, 0.25, 3.0])
SHAPES = [(6, 5), (1, 5), (5,), (4, 5, 3), (2, 5, 3, 2)]
SETTINGS = [
    {}, {"weight": WEIGHT}, {"ignore_index": 2}, {"ignore_index": -1}, {"ignore_index": -100}, {"ignore_index": -101},
    {"weight": WEIGHT, "ignore_index": 0}, {"weight": WEIGHT, "ignore_index": -100}]
SMOOTHED = [{**how, "label_smoothing": 0.1} for how in SETTINGS] + [{"label_smoothing": 1.0}]


def labels_for(shape, how) -> np.ndarray:
    """Some of the labels, but not all where there are several, are to be ignored."""
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 5, shape[:1] + shape[2:] if len(shape) > 1 else ())
    if "ignore_index" in how and labels.size > 1:
        labels = np.where(rng.random(labels.shape) < 0.4, how["ignore_index"], labels)
        labels.reshape(-1)[0] = 1
    return np.asarray(labels)


def compare(name: str, z, t, how, reduction: str, tolerance: float = 1e-13) -> None:
    """Value, gradient and second gradient, of the function and of the module, on Tensors and arrays."""
    theirs = {key: torch.from_numpy(value) if isinstance(value, np.ndarray) else value for key, value in how.items()}
    x, t = torch.tensor(z, requires_grad=True), np.asarray(t)
    expected = getattr(torch.nn.functional, name)(x, torch.from_numpy(t), reduction=reduction, **theirs)
    v = numbers(expected.shape, np.float64, 7)
    first, = torch.autograd.grad(expected, x, torch.from_numpy(np.asarray(v)), create_graph=True)
    second, = torch.autograd.grad((first * first).sum(), x, allow_unused=True)
    module = {"cross_entropy": nn.CrossEntropyLoss, "nll_loss": nn.NLLLoss}[name](reduction=reduction, **how)
    close = {"rtol": tolerance, "atol": tolerance}
    for call in (lambda x: getattr(F, name)(x, t, reduction=reduction, **how), lambda x: module(x, t)):
        mine = minidl.tensor(z.copy(), requires_grad=True)
        y = call(mine)
        np.testing.assert_allclose(y.data, expected.detach().numpy(), **close)
        dx, = minidl.autograd.grad(y, mine, minidl.tensor(np.asarray(v)), create_graph=True)
        np.testing.assert_allclose(dx.data, first.detach().numpy(), **close)
        ddx, = minidl.autograd.grad((dx * dx).sum(), mine, allow_unused=True) if dx.requires_grad else [None]
        np.testing.assert_allclose(0 * z if ddx is None else ddx.data, 0 * z if second is None else second, **close)
        np.testing.assert_array_equal(call(z), y.data)
    module(z, t)
    np.testing.assert_allclose(module.backward(v if reduction == "none" else float(v)), first.detach().numpy(), **close)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("how", [*SETTINGS, *SMOOTHED], ids=lambda how: ",".join(how))
def test_cross_entropy_of_labels(how, shape, reduction):
    compare("cross_entropy", numbers(shape, np.float64), labels_for(shape, how), how, reduction)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("how", SETTINGS, ids=lambda how: ",".join(how))
def test_nll_of_labels(how, shape, reduction):
    compare("nll_loss", numbers(shape, np.float64), labels_for(shape, how), how, reduction)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("how", [{"weight": WEIGHT}, {"label_smoothing": 0.2},
                                 {"weight": WEIGHT, "label_smoothing": 0.2}], ids=lambda how: ",".join(how))
def test_cross_entropy_of_probabilities(how, shape, reduction):
    rows = np.random.default_rng(0).random(shape)
    compare("cross_entropy", numbers(shape, np.float64), rows, how, reduction)


def by_hand(name: str, z, t, reduction: str, v, weight=None, ignore_index=-100, label_smoothing=0.0):
    """The loss and the gradient of its product with v, by the formula -Σ q log p, with the share q of each class."""
    z = z[None] if z.ndim == 1 else np.moveaxis(z, 1, -1).reshape(-1, z.shape[1])
    weight = np.ones(5) if weight is None else weight
    p = np.exp(z - z.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    if np.asarray(t).dtype.kind == "i":
        t = np.asarray(t).reshape(-1)
        counts = t != ignore_index
        q = np.eye(5)[np.where(counts, t, 0)] * counts[:, None]
        whole = (weight[np.where(counts, t, 0)] * counts).sum()
    else:
        q, counts, whole = t[None] if t.ndim == 1 else np.moveaxis(t, 1, -1).reshape(-1, 5), np.ones(len(z)), len(z)
    q = weight * (q * (1 - label_smoothing) + counts[:, None] * label_smoothing / 5)
    with np.errstate(divide="ignore", invalid="ignore"):
        log_p = np.log(p) if name == "cross_entropy" else z
        rows = -np.where(q == 0, 0, q * log_p).sum(1)
    slopes = p * q.sum(1, keepdims=True) - q if name == "cross_entropy" else -q
    if reduction == "none":
        return rows, slopes * np.reshape(v, (-1, 1))
    share = 1 / whole if reduction == "mean" else 1
    return rows.sum() * share, slopes * v * share


def compare_with_formulas(name: str, z, t, how, reduction: str) -> None:
    mine = minidl.tensor(z.copy(), requires_grad=True)
    y = getattr(F, name)(mine, t, reduction=reduction, **how)
    v = numbers(y.shape, np.float64, 7)
    loss, slopes = by_hand(name, z, t, reduction, v, **how)
    np.testing.assert_allclose(np.reshape(y.data, loss.shape), loss, rtol=1e-13, atol=1e-13)
    y.backward(v)
    got = mine.grad[None] if z.ndim == 1 else np.moveaxis(mine.grad, 1, -1).reshape(-1, 5)
    np.testing.assert_allclose(got, slopes, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name, how", [*(("cross_entropy", how) for how in SETTINGS + SMOOTHED),
                                       *(("nll_loss", how) for how in SETTINGS)],
                         ids=lambda how: how if isinstance(how, str) else ",".join(how))
def test_the_formulas_of_labels(name, how, shape, reduction):
    z, t = numbers(shape, np.float64), labels_for(shape, how)
    compare_with_formulas(name, z, t, how, reduction)
    if how.get("label_smoothing"):
        return
    # A class that does not count may have no probability at all: its logarithm is infinite.
    absent = np.moveaxis(np.arange(5) != np.where(t == how.get("ignore_index", -100), 0, t)[..., None], -1, z.ndim > 1)
    z[absent & (numbers(shape, np.float64, 9) > 0)] = -np.inf
    assert np.isinf(z).any()
    compare_with_formulas(name, z, t, how, reduction)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("how", [{}, {"weight": WEIGHT}, {"label_smoothing": 0.2}, {"weight": WEIGHT,
                                 "label_smoothing": 0.2}], ids=lambda how: ",".join(how))
def test_the_formulas_of_probabilities(how, shape, reduction):
    t = np.random.default_rng(0).random(shape)
    compare_with_formulas("cross_entropy", numbers(shape, np.float64), t, how, reduction)


@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
def test_all_labels_ignored(name):
    """The mean is 0 / 0, the sum 0; the gradient is zero."""
    z = minidl.tensor(numbers((3, 5)), requires_grad=True)
    loss = getattr(F, name)(z, np.full(3, -100))
    assert np.isnan(loss.item())
    loss.backward()
    assert not z.grad.any()
    assert getattr(F, name)(z, np.full(3, -100), reduction="sum").item() == 0
    assert getattr(F, name)(z, np.full(3, -100), reduction="none").tolist() == [0, 0, 0]


def test_a_class_of_no_probability_does_not_count():
    z = np.array([[0.0, -np.inf, 1.0]])
    loss = F.cross_entropy(z, np.array([2]), np.ones(3))
    assert loss == pytest.approx(np.log1p(np.exp(-1)))


@pytest.mark.parametrize("name", ["CrossEntropyLoss", "NLLLoss"])
def test_what_does_not_fit(name):
    kind, z, t = getattr(nn, name), numbers((3, 5)), np.array([0, 1, 2])
    with pytest.raises(ValueError, match=rf"{name}: expected a weight of shape \(5,\), got \(4,\)"):
        kind(np.ones(4, np.float32))(z, t)
    with pytest.raises(ValueError, match=rf"{name}: expected labels from 0 to 4, got 7"):
        kind(ignore_index=1)(z, np.array([1, 7, 2]))
    with pytest.raises(TypeError, match=f"{name}: expected weight as numbers, got 'sum'; give reduction by its name"):
        kind("sum")


def test_smoothing_is_a_share():
    with pytest.raises(ValueError, match=r"CrossEntropyLoss: expected label_smoothing from 0 to 1, got 1\.5"):
        nn.CrossEntropyLoss(label_smoothing=1.5)
    with pytest.raises(ValueError, match=r"CrossEntropyLoss: expected label_smoothing from 0 to 1, got -0\.5"):
        F.cross_entropy(numbers((3, 5)), np.array([0, 1, 2]), label_smoothing=-0.5)


def test_repr_and_state():
    assert repr(nn.CrossEntropyLoss()) == "CrossEntropyLoss()"
    loss = nn.CrossEntropyLoss(WEIGHT.astype(np.float32), ignore_index=0, reduction="sum", label_smoothing=0.1)
    assert repr(loss) == "CrossEntropyLoss(reduction='sum', ignore_index=0, label_smoothing=0.1)"
    np.testing.assert_array_equal(loss.state_dict()["weight"], WEIGHT.astype(np.float32))
    assert list(nn.NLLLoss().state_dict()) == []


# Compiled: the bits of plain Python

def training(criterion, captured: str):
    minidl.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 9), nn.Tanh(), nn.Linear(9, 5), *(
        [nn.LogSoftmax()] if isinstance(criterion, nn.NLLLoss) else []))
    optimizer = optim.Adam(model.parameters(), lr=0.01)

    def step(x, t):
        loss = criterion(model(x), t)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    run = {"plain": lambda x, t: step(minidl.tensor(x), minidl.tensor(t)), "function": minidl.capture(step),
           "whole": minidl.capture(model, criterion, optimizer)}[captured]
    return model, run


@pytest.mark.parametrize("how", [how for how in SMOOTHED + SETTINGS if how], ids=lambda how: ",".join(how))
@pytest.mark.parametrize("kind", [nn.CrossEntropyLoss, nn.NLLLoss])
@pytest.mark.parametrize("captured", ["function", "whole"])
def test_a_captured_step_has_the_bits_of_a_plain_one(captured, kind, how):
    if kind is nn.NLLLoss:
        how = {name: value for name, value in how.items() if name != "label_smoothing"}
    how = {name: value.astype(np.float32) if name == "weight" else value for name, value in how.items()}
    (plain, expected), (model, step) = (training(kind(**how), path) for path in ("plain", captured))
    rng = np.random.default_rng(0)
    for i in range(10):
        x, t = rng.standard_normal((7, 4)).astype(np.float32), rng.integers(0, 5, 7)
        if "ignore_index" in how and i in (2, 3, 7):
            t[rng.random(7) < 0.4] = how["ignore_index"]
        wanted = expected(x, t).item()
        assert float(step(x, t)) == wanted
    np.testing.assert_array_equal(model.flat_parameters, plain.flat_parameters)
    assert step.path.startswith("compiled")


@pytest.mark.parametrize("kind", [nn.CrossEntropyLoss, nn.NLLLoss])
@pytest.mark.parametrize("captured", ["function", "whole"])
def test_a_wrong_label_is_refused_before_and_after_one_that_is_ignored(captured, kind):
    model, step = training(kind(), captured)
    x = numbers((3, 4))
    for t, ignored in itertools.product(([0, -100, 2], [0, 4, 2]), (False, True)):
        step(x, np.array(t))
        before = model.flat_parameters.copy()
        for wrong in (-1, 5):
            with pytest.raises(ValueError, match=f"{kind.__name__}: expected labels from 0 to 4, got {wrong}"):
                step(x, np.array([0, wrong, -100 if ignored else 1]))
        np.testing.assert_array_equal(model.flat_parameters, before)


def test_fit_leaves_out_what_is_ignored():
    x, t = numbers((64, 4)), np.arange(64) % 5
    t[::3] = -100
    minidl.manual_seed(0)
    model = nn.Linear(4, 5)
    history = minidl.fit(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters(), lr=0.1), (x, t), epochs=3,
                         progress=False)
    assert history.path == "compiled" and np.isfinite(history.loss).all() and history.loss[-1] < history.loss[0]


def test_a_weight_is_read_at_each_step():
    """What is written into it, and what takes its place."""
    x, t = numbers((7, 4)), np.arange(7) % 5
    losses = []
    for captured in ("plain", "function", "whole"):
        criterion = nn.CrossEntropyLoss(np.ones(5, np.float32))
        _, step = training(criterion, captured)
        found = [float(step(x, t)) for _ in range(3)]
        with minidl.no_grad():
            criterion.weight.copy_(WEIGHT.astype(np.float32))
        found.append(float(step(x, t)))
        criterion.weight = minidl.tensor(WEIGHT[::-1].astype(np.float32))
        found.append(float(step(x, t)))
        criterion.weight = None
        losses.append([*found, float(step(x, t))])
    assert losses[0] == losses[1] == losses[2]


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("kind, how", [
    (nn.NLLLoss, {"weight": WEIGHT.astype(np.float32)}), (nn.CrossEntropyLoss, {"weight": WEIGHT.astype(np.float32)}),
    (nn.CrossEntropyLoss, {"label_smoothing": 0.1}),
    (nn.CrossEntropyLoss, {"weight": WEIGHT.astype(np.float32), "label_smoothing": 0.1})],
    ids=lambda given: "+".join(given) if isinstance(given, dict) else given.__name__)
def test_no_python_runs_in_a_step_whose_labels_all_count(kind, how, reduction):
    minidl.manual_seed(0)
    model, criterion = nn.Linear(4, 5), kind(reduction=reduction, **how)
    x, t = numbers((7, 4), np.float32), np.arange(7) % 5

    @minidl.capture
    def step(x, t):
        model.zero_grad()
        loss = criterion(F.log_softmax(model(x), 1), t).sum()
        loss.backward()
        return loss

    for _ in range(3):
        step(x, t)
    assert step.path == "compiled" and "in place" not in step.listing()
