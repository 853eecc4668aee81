"""Products that a program does together: layers on neighbouring rows, and weights that several gradients read."""
from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import minidl
from minidl import functional as F
from minidl import nn, optim
from minidl.compiled.products import LARGEST, reordered

TIMES, FEATURES = 5, 8


def recurrent(batch, units, change):
    """A step of a loop over time and what it trains; change(t): what is done before step t."""
    minidl.manual_seed(3)
    w, u, last = nn.Linear(FEATURES, units), nn.Linear(units, units), nn.Linear(units, 2)
    optimizer = optim.SGD([*w.parameters(), *u.parameters(), *last.parameters()], lr=0.1, momentum=0.5)

    def step(x, y):
        optimizer.zero_grad()
        h = minidl.zeros(batch, units)
        for t in range(TIMES):
            change(t, w, u, x)
            h = F.tanh(w(x[t]) + u(h))
        loss = F.mse_loss(last(h), y)
        loss.backward()
        optimizer.step()
        return loss, h

    return step, [*w.parameters(), *u.parameters(), *last.parameters()]


def nothing(t, w, u, x):
    pass


def halve_the_weight(t, w, u, x):
    if t == 2:
        with minidl.no_grad():
            w.weight.mul_(0.5)


def clear_the_gradient(t, w, u, x):
    if t == 3:
        w.bias.grad = None


def batches(batch):
    rng = np.random.default_rng(0)
    return [(rng.standard_normal((TIMES, batch, FEATURES), np.float32), rng.standard_normal((batch, 2), np.float32))
            for _ in range(6)]


@pytest.mark.parametrize("batch", [1, 2, 16, 17])
@pytest.mark.parametrize("units", [1, 16, 33, 64])
@pytest.mark.parametrize("change", [nothing, clear_the_gradient])
def test_a_loop_over_time_gives_the_bits_of_plain_python(batch, units, change):
    step, parameters = recurrent(batch, units, change)
    plain, theirs = recurrent(batch, units, change)
    captured = minidl.capture(step)
    for x, y in batches(batch):
        mine, expected = captured(x, y), plain(minidl.tensor(x), minidl.tensor(y))
        for a, b in zip(mine, expected, strict=True):
            assert a.detach().numpy().tobytes() == b.detach().numpy().tobytes()
    for a, b in zip(parameters, theirs, strict=True):
        assert a.data.tobytes() == b.data.tobytes()
        assert a.gradient.tobytes() == b.gradient.tobytes()
    assert captured.path == "compiled"


def forward_alone(change, batch=16, units=16):
    minidl.manual_seed(3)
    w = nn.Linear(FEATURES, units)

    @minidl.no_grad()
    def step(x):
        total = minidl.zeros(batch, units)
        for t in range(TIMES):
            change(t, w, None, x)
            total = total + w(x[t])
        return total

    return step, w


@pytest.mark.parametrize("change", [nothing, halve_the_weight])
def test_a_weight_that_changes_between_is_read_as_it_is_then(change):
    (step, w), (plain, theirs) = forward_alone(change), forward_alone(change)
    captured = minidl.capture(step)
    for x, _ in batches(16):
        assert captured(x).numpy().tobytes() == plain(minidl.tensor(x)).numpy().tobytes()
        assert w.weight.data.tobytes() == theirs.weight.data.tobytes()


def test_neighbouring_rows_are_one_product():
    step, _ = forward_alone(nothing)
    joined = minidl.capture(step)
    step, _ = forward_alone(halve_the_weight)
    apart = minidl.capture(step)
    (x, _), *_ = batches(16)
    joined(x), apart(x)
    assert str(joined).count("with the first") == TIMES - 1
    assert str(apart).count("with the first") == TIMES - 2  # the first two, and the last three


def test_sums_of_one_gradient_are_one_product():
    step, _ = recurrent(16, 16, nothing)
    captured = minidl.capture(step)
    captured(*batches(16)[0])
    assert str(captured).count("with the last") == TIMES - 2  # all but the last, and the first state, a constant


@pytest.mark.parametrize("shape, axes, uses, kept", [
    ((16, 8), (1, 0), 2, True), ((16, 8), (0, 1), 2, False), ((16, 8), (1, 0), 1, False),
    ((LARGEST // 32, 8), (1, 0), 2, True), ((LARGEST // 32 + 1, 8), (1, 0), 2, False)])
def test_a_weight_whose_columns_are_read_twice_is_copied_unless_it_is_large(shape, axes, uses, kept):
    weight = np.zeros(shape, np.float32).transpose(axes)
    line = SimpleNamespace(what="operation", operation=SimpleNamespace(name="linear_input_gradient"),
                           operands=(np.zeros((2, weight.shape[0]), np.float32), weight))
    found = reordered([line] * uses)
    assert [(one.weight is weight, one.first, one.last, one.uses) for one in found] == [(True, 0, 1, 2)] * kept


@pytest.mark.parametrize("between", ["nothing", "read", "double", "clear"])
def test_a_gradient_that_is_read_or_changed_between(between):
    minidl.manual_seed(1)
    w = nn.Linear(16, 16)
    frozen = nn.Linear(FEATURES, 16)

    def step(x):
        w.weight.grad = None
        (F.tanh(w(F.tanh(frozen(x[0])))) ** 2).sum().backward()
        total = minidl.zeros(1)
        if between == "read":
            with minidl.no_grad():
                total = total + w.weight * 2
        elif between == "double":
            w.zero_grad()
        elif between == "clear":
            w.weight.grad = None
        (F.tanh(w(F.tanh(frozen(x[1])))) ** 3).sum().backward()
        return total

    def gradients(function):
        w.zero_grad()
        found = []
        for x, _ in batches(16):
            function(x)
            found.append((w.weight.gradient.tobytes(), w.bias.gradient.tobytes()))
        return found

    assert gradients(minidl.capture(step)) == gradients(lambda x: step(minidl.tensor(x)))


@pytest.mark.parametrize("same", [0, 1, 2])
def test_a_gradient_that_is_the_input_itself(same):
    minidl.manual_seed(1)
    w, frozen = nn.Linear(16, 16, bias=False), nn.Linear(FEATURES, 16)

    def step(x):
        w.weight.grad = None
        for t in range(3):
            with minidl.no_grad():
                h, g = F.tanh(frozen(x[t])), F.tanh(frozen(x[t + 1]) * 2)
            w(h).backward(h if t == same else g)
        return w.weight * 1

    plain = [step(minidl.tensor(x)).detach().numpy().tobytes() for x, _ in batches(16)]
    captured = minidl.capture(step)
    assert [captured(x).detach().numpy().tobytes() for x, _ in batches(16)] == plain


def test_rows_in_another_order_are_products_of_their_own():
    minidl.manual_seed(0)
    w = nn.Linear(FEATURES, 16)

    @minidl.capture
    def step(x):
        return w(x[3]) + w(x[1]) + w(x[0])

    (x, _), *_ = batches(16)
    for _ in range(3):
        given = step(x).detach().numpy()
    assert "with the first" not in str(step)
    expected = w(minidl.tensor(x[3])) + w(minidl.tensor(x[1])) + w(minidl.tensor(x[0]))
    assert given.tobytes() == expected.detach().numpy().tobytes()
