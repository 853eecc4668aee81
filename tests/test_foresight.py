"""A check runs a known backward() on arrays; where anything differs, it is found all the same."""
from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import functional as F
from minidl import nn, optim
from minidl.compiled import foresight, recorder
from minidl.functional.operation import Operation


@pytest.fixture
def foreseen(monkeypatch):
    """The walks of runs in which lines were taken from the run before."""
    found = []
    original = recorder.Recorder.close

    def close(self):  # after the function was watched
        if self.foreseen:
            found.append(tuple([(begin, end) for begin, (end, _) in self.walks.items()]))
        original(self)

    monkeypatch.setattr(recorder.Recorder, "close", close)
    return found


class Residual(nn.Module):
    def __init__(self, features):
        self.inner = nn.Linear(features, features)

    def forward(self, x):
        return x + F.tanh(self.inner(x))


def parts():
    minidl.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 16), Residual(16), nn.Linear(16, 1))
    return model, optim.Adam(model.parameters(), lr=0.01)


def batches(count):
    rng = np.random.default_rng(0)
    return [(rng.standard_normal((8, 4), np.float32), rng.standard_normal((8, 1), np.float32)) for _ in range(count)]


def bits(model):
    return [(p.data.tobytes(), p.gradient.tobytes()) for p in model.parameters()]


def test_checks_walk_on_arrays_with_the_same_bits(foreseen):
    mine, theirs = parts(), parts()
    step = minidl.capture(mine[0], nn.MSELoss(), mine[1])
    for x, y in batches(20):
        loss = step(x, y)
        model, optimizer = theirs
        optimizer.zero_grad()
        expected = nn.MSELoss()(model(minidl.tensor(x)), minidl.tensor(y))
        expected.backward()
        optimizer.step()
        assert loss == expected.item() and bits(mine[0]) == bits(model)
    assert len(foreseen) == 5 and len(set(foreseen)) == 1  # at replays 1, 2, 4, 8, 16


@pytest.mark.parametrize("when", [1, 2, 3, 5])
def test_a_difference_before_the_walk(foreseen, when, monkeypatch):
    """What no watching finds is found by a check: from then on the bits are plain Python's again."""
    state = {"cube": False}

    class Sly:
        def __getattr__(self, name):
            return state["cube"]

    sly = Sly()
    mine, theirs = parts(), parts()

    def made(model, optimizer):
        def step(x, y):
            optimizer.zero_grad()
            d = model(x) - y
            loss = (d * d * d).mean() if getattr(sly, "".join(("c", "u"))) else (d * d).mean()
            loss.backward()
            optimizer.step()
            return loss
        return step

    captured, plain = minidl.capture(made(*mine)), made(*theirs)
    for n, (x, y) in enumerate(batches(12)):
        state["cube"] = n >= when
        if n >= when:  # the call that is checked next begins at the same state
            for p, q in zip(mine[0].parameters(), theirs[0].parameters(), strict=True):
                p.data[...], p.gradient[...] = q.data, q.gradient
            mine[1].load_state_dict(theirs[1].state_dict())
        loss, expected = captured(x, y), plain(minidl.tensor(x), minidl.tensor(y))
        if n in (1, 2, 4, 8) or n > 8:
            assert loss.item() == expected.item()
            assert bits(mine[0]) == bits(theirs[0])
    assert captured.path == "compiled"


def test_derivatives_of_ones_own_are_taken_down_each_time(foreseen):
    doubled = Operation("doubled", lambda x: 2 * x, lambda g, y, x: 2 * g)
    model, optimizer = parts()

    @minidl.capture
    def step(x, y):
        optimizer.zero_grad()
        loss = F.mse_loss(doubled(model(x)), y)
        loss.backward()
        optimizer.step()
        return loss

    for x, y in batches(9):
        step(x, y)
    assert step.path.startswith("compiled") and not foreseen
    assert not foresight._is_own(doubled) and foresight._is_own(F.tanh)


def test_another_graph_of_the_same_lines_is_no_known_walk(foreseen):
    """detach() makes no line, and changes what the walk does."""
    model, optimizer = parts()
    cut = [False]

    class Sly:
        def __getattr__(self, name):
            return cut[0]

    sly = Sly()

    @minidl.capture
    def step(x, y):
        optimizer.zero_grad()
        h = model[1](model[0](x))
        h = h.detach() if getattr(sly, "".join(("c", "u"))) else h
        loss = F.mse_loss(model[2](h), y)
        loss.backward()
        return loss, *[p.grad is None for p in model.parameters()]

    for n, (x, y) in enumerate(batches(4)):
        cut[0] = n == 2
        before = len(foreseen)
        step(x, y)
        if n == 2:
            assert len(foreseen) == before
            assert not model[0].weight.gradient.any()
