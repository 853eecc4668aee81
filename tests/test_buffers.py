"""Buffers of modules, and Tensors that change in place."""
from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from module_cases import numbers

import minidl
from minidl import nn, optim


class Counting(nn.Module):
    """x + how often it was called; the average of its inputs stays behind."""

    def __init__(self):
        self.linear = nn.Linear(4, 3, generator=0)
        self.register_buffer("calls", minidl.tensor(np.array(0)))
        self.register_buffer("average", minidl.tensor(np.zeros(4, np.float32)))
        self.register_buffer("last", minidl.tensor(np.zeros(4, np.float32)), persistent=False)

    def forward(self, x):
        with minidl.no_grad():
            self.calls.add_(1)
            self.last.copy_(x.sum(0))
            self.average.mul_(0.5).add_(self.last, alpha=0.5)
        return self.linear(x - self.average)


def test_what_is_found_and_saved(tmp_path):
    model = nn.Sequential(Counting(), nn.Tanh())
    assert [name for name, _ in model.named_buffers()] == ["0.calls", "0.average", "0.last"]
    assert model.buffers()[0] is model[0].calls and len(model.parameters()) == 2
    model(numbers((5, 4)))
    state = model.state_dict()
    assert list(state) == ["0.calls", "0.average", "0.linear.weight", "0.linear.bias"]
    assert state["0.calls"] == 1 and state["0.calls"].dtype == np.int64
    minidl.save(state, tmp_path / "model.npz")
    other = nn.Sequential(Counting(), nn.Tanh())
    held = other[0].average
    other.load_state_dict(minidl.load(tmp_path / "model.npz"))
    assert other[0].average is held and other[0].calls.item() == 1
    np.testing.assert_array_equal(held.data, model[0].average.data)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert [name for name, _ in twin.named_buffers()] == ["0.calls", "0.average", "0.last"]
        twin(numbers((5, 4)))
        assert twin[0].calls.item() == 2 and model[0].calls.item() == 1
    with pytest.raises(ValueError, match=r"load_state_dict: missing \['0.calls'\]"):
        other.load_state_dict({name: value for name, value in state.items() if name != "0.calls"})
    with pytest.raises(ValueError, match=r"0.average: expected shape \(4,\)"):
        other.load_state_dict({**state, "0.average": np.zeros(3, np.float32), "0.calls": np.array(7)})
    assert other[0].calls.item() == 1


def test_a_buffer_may_be_none_and_replaced():
    module = nn.Module()
    module.register_buffer("scale", None)
    assert module.buffers() == [] and module.scale is None
    module.scale = minidl.ones(2)
    assert list(module.state_dict()) == ["scale"]
    module.register_buffer("scale", minidl.ones(3))
    assert module.state_dict()["scale"].shape == (3,)


@pytest.mark.parametrize("name, value, error", [
    ("training", minidl.ones(1), KeyError), ("a.b", minidl.ones(1), KeyError), ("", None, KeyError),
    (3, None, TypeError), ("x", np.ones(1), TypeError), ("x", nn.Parameter([1.0]), TypeError)])
def test_what_is_no_buffer(name, value, error):
    with pytest.raises(error, match="register_buffer: "):
        nn.Module().register_buffer(name, value)


def test_a_captured_step_repeats_what_changes_in_place():
    def make():
        model = nn.Sequential(Counting(), nn.Tanh(), nn.Linear(3, 3, generator=1))
        return model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.1)

    (model, criterion, optimizer), (other, *rest) = make(), make()
    step, rng = minidl.capture(other, *rest), np.random.default_rng(0)
    for _ in range(9):
        x, y = rng.standard_normal((6, 4)).astype(np.float32), rng.integers(0, 3, 6)
        loss = criterion(model(x), y)
        optimizer.zero_grad()
        model.accumulate(criterion.backward())
        optimizer.step()
        assert step(x, y) == loss
    assert step.path == "compiled"
    for (name, mine), theirs in zip(other.state_dict().items(), model.state_dict().values(), strict=True):
        np.testing.assert_array_equal(mine, theirs, err_msg=name)
    np.testing.assert_array_equal(other[0].last.data, model[0].last.data)


def test_in_place():
    x = minidl.tensor([[1.0, 2.0], [3.0, 4.0]])
    array = x.data
    assert x.add_(1) is x and x.mul_(minidl.tensor([2.0, 3.0])) is x and x.sub_(1, alpha=2) is x and x.div_(2) is x
    np.testing.assert_array_equal(array, [[1, 3.5], [3, 6.5]])
    assert x.copy_(np.array([5, 6])) is x and array.tolist() == [[5, 6], [5, 6]]
    assert x.fill_(minidl.tensor(2.5)) is x and array.tolist() == [[2.5, 2.5], [2.5, 2.5]]
    for change in (lambda: x.add_(np.ones(3)), lambda: x.copy_(np.ones((2, 2, 2))), lambda: x.fill_(np.ones(2))):
        with pytest.raises(ValueError, match=r"shape|broadcast"):
            change()
    counts = minidl.tensor(np.array([1, 2]))
    with pytest.raises(TypeError, match="a result of float64 does not fit"):
        counts.mul_(0.5)
    assert counts.add_(1).tolist() == [2, 3] and counts.copy_(7.9).tolist() == [7, 7]


def test_in_place_where_a_gradient_is_required():
    w, x = minidl.tensor([1.0, 2.0], requires_grad=True), minidl.tensor([1.0, 1.0])
    for change in (lambda: w.add_(1), lambda: w.fill_(0), lambda: x.copy_(w), lambda: x.add_(w)):
        with pytest.raises(RuntimeError, match="changes in place within no_grad"):
            change()
    y = w * x
    with minidl.no_grad():
        x.add_(w)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_a_step_that_is_refused_has_changed_no_buffer():
    model = nn.Sequential(nn.BatchNorm1d(4), Counting())
    optimizer, before = optim.SGD(model.parameters(), lr=0.1), model.state_dict()

    @minidl.capture
    def step(x):
        loss = (model(x) ** 2).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss if loss.item() > 0 else -loss

    with pytest.raises(minidl.CaptureError, match="takes a value out of a Tensor"):
        step(numbers((6, 4)))
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)
