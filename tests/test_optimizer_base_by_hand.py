"""What all optimizers share: groups, their flat state and its order, what is checked first, gradients."""
from __future__ import annotations

import copy
import pickle
from fractions import Fraction

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.autograd.parameter import Parameter
from minidl.optim import SGD, Optimizer
from minidl.optim.flat import Flat
from minidl.optim.group import Group, at_least_zero

A, G = np.ones(2), np.array([1.0, -2.0])


def two_groups(kind=SGD, **settings):
    first, second = Parameter(A), Parameter(A)
    return first, second, kind([{"params": [first]}, {"params": [second], "lr": 0.25}], lr=0.5, **settings)


def step(optimizer, *parameters, g=G):
    for parameter in parameters:
        parameter.grad = g
    optimizer.step()


class Own(Optimizer):
    rules = {"lr": at_least_zero}  # noqa: RUF012

    def __init__(self, params, lr=0.5):
        super().__init__(params, lr=lr)

    def formula(self, w, g, state, s):
        return w - s.lr * g


# Groups

def test_the_rate_is_that_of_the_first_group():
    _, _, optimizer = two_groups()
    assert optimizer.lr == 0.5
    optimizer.param_groups.reverse()
    assert optimizer.lr == 0.25


def test_settings_are_the_group_until_something_passes_its_checks_by():
    _, _, optimizer = two_groups()
    group, other = optimizer.param_groups
    assert optimizer.settings(group) is group
    group["lr"] = 3
    group.update(momentum=1)
    assert optimizer.settings(group) is group and group.checked["lr"] == 3.0
    dict.__setitem__(group, "lr", 2)
    checked = optimizer.settings(group)
    assert checked is not group and type(checked) is Group and checked["lr"] == 2.0 and type(checked["lr"]) is float
    plain = dict(other, lr=1)
    assert type(optimizer.settings(plain)) is Group and optimizer.settings(plain)["lr"] == 1.0
    assert optimizer.settings(plain)["params"] == other["params"]


def test_settings_that_contradict_are_found_in_a_group():
    with pytest.raises(ValueError, match="expected momentum > 0 and dampening = 0 for nesterov"):
        SGD([{"params": [Parameter(A)], "nesterov": True}])
    assert SGD([{"params": [Parameter(A)], "nesterov": True, "momentum": 0.5}]).param_groups[0]["nesterov"] is True


@pytest.mark.parametrize("value, kept", [(Fraction(1, 4), 0.25), (np.float32(0.5), 0.5), (np.int8(3), 3.0), (0, 0.0),
                                         (1e308, 1e308)])
def test_numbers_that_are_settings(value, kept):
    group, = SGD([Parameter(A)], lr=value).param_groups
    assert group["lr"] == kept and type(group["lr"]) is float


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_copy_of_a_group_checks_too(duplicate):
    _, _, optimizer = two_groups()
    group = duplicate(optimizer.param_groups[1])
    assert type(group) is Group and group["lr"] == 0.25 and group.kind is SGD
    with pytest.raises(ValueError, match="SGD: expected lr >= 0"):
        group["lr"] = -1
    group |= {"lr": 3}
    assert type(group) is Group and group["lr"] == 3.0 and optimizer.param_groups[1]["lr"] == 0.25


def test_a_group_takes_other_parameters():
    first, second, optimizer = two_groups()
    third = Parameter(A)
    optimizer.param_groups[0]["params"] = (p for p in [first, third])
    assert optimizer.param_groups[0]["params"] == [first, third]
    step(optimizer, first, second, third)
    assert third.data.tolist() == [0.5, 2]
    with pytest.raises(TypeError, match="SGD: expected Parameters"):
        optimizer.param_groups[0]["params"] = [A]
    assert optimizer.param_groups[0]["params"] == [first, third]


def test_a_step_of_ones_own_keeps_its_name():
    class Stepping(Own):
        def step(self, closure=None):
            """My own."""
            return super().step(closure)

    assert Stepping.step.__name__ == "step" and Stepping.step.__doc__ == "My own."
    parameter = Parameter(A)
    step(Stepping([parameter]), parameter)
    assert parameter.data.tolist() == [0.5, 2]


@pytest.mark.parametrize("own", [True, False])
def test_a_captured_step_is_named_where_it_is_ones_own(own):
    made = []

    class Stepping(SGD):
        def step(self, closure=None):
            made.append("before")  # Python of its own, at each step
            return super().step(closure)

    parameter = Parameter(A)
    optimizer = (Stepping if own else SGD)([parameter], lr=0.25)

    @minidl.capture
    def run():
        optimizer.zero_grad()
        loss = (parameter * parameter).sum()
        loss.backward()
        optimizer.step()
        return loss

    for expected in (2, 0.5, 0.125, 0.03125):
        assert run().item() == expected
    assert run.path == ("compiled; in place: Stepping.step" if own else "compiled")
    assert parameter.data.tolist() == [0.0625, 0.0625] and len(made) == (4 if own else 0)


def test_another_base_is_told_of_a_subclass():
    class Tagged:
        def __init_subclass__(cls, tag=None, **more):
            cls.tag = tag
            super().__init_subclass__(**more)

    class Both(SGD, Tagged, tag=3):
        pass

    assert Both.tag == 3


def test_parameters_behind_those_of_an_optimizer_begin_on_a_cache_line():
    first = Parameter(np.ones(3))
    if (first.start + 3) % 8 == 0:
        first = Parameter(np.ones(3))
    SGD([first])
    second = Parameter(np.ones(3))
    third = Parameter(np.ones(3))
    assert second.start % 8 == 0 and third.start == second.start + 3


# What a step does

@pytest.mark.parametrize("compiled", [True, False])
def test_a_step_is_noted_by_the_parameters_that_it_moved(compiled):
    first, second, optimizer = two_groups(momentum=0.5)
    optimizer.compiled = compiled
    for moved in ((True, False), (True, True), (False, True)):
        for parameter, moves in zip((first, second), moved, strict=True):
            parameter.grad = G if moves else None
        before = first.status.version, second.status.version
        optimizer.step()
        grown = first.status.version - before[0], second.status.version - before[1]
        assert tuple(n > 0 for n in grown) == moved
        assert optimizer.reason == (None if compiled else "compiled is False")


@pytest.mark.parametrize("compiled", [True, False])
def test_a_step_beyond_the_range_of_floats_is_infinite_without_a_warning(compiled):
    parameter = Parameter(np.array([-1e308, 1.0]))
    optimizer = SGD([parameter], lr=10.0, momentum=0.5)
    optimizer.compiled = compiled
    step(optimizer, parameter, g=np.array([1e308, 1.0]))
    assert parameter.data.tolist() == [-np.inf, -9.0]


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("wrong", [np.zeros(3), np.zeros(2, np.float32), [0.0, 0.0], np.zeros(4)[::2],
                                   np.zeros((2, 1))])
def test_a_state_of_the_second_group_that_is_wrong_moves_nothing(compiled, wrong):
    first, second, optimizer = two_groups(momentum=0.5)
    optimizer.compiled = compiled
    step(optimizer, first, second)
    optimizer.flats()[1].state["momentum_buffer"] = wrong
    before = first.data.tolist()
    with pytest.raises(ValueError, match=r"^momentum_buffer: expected a state of float64 of shape \(2,\), contiguous"):
        step(optimizer, first, second)
    assert first.data.tolist() == before and optimizer.state_dict()["state"][0]["step"] == [1]
    second.requires_grad = False  # then its state is not needed
    step(optimizer, first)
    assert first.data.tolist() != before


@pytest.mark.parametrize("compiled", [True, False])
def test_a_state_that_is_too_large_moves_nothing(compiled, monkeypatch):
    first, second, optimizer = two_groups(momentum=0.5)
    optimizer.compiled = compiled
    first.grad = second.grad = G
    arrays = Flat.arrays

    def without_memory(self, names):
        if self is optimizer._flats[1]:
            raise MemoryError
        return arrays(self, names)

    with monkeypatch.context() as patch:
        patch.setattr(Flat, "arrays", without_memory)
        with pytest.raises(MemoryError):
            optimizer.step()
    assert first.data.tolist() == A.tolist()
    optimizer.step()
    assert first.data.tolist() == [0.5, 2]


def test_the_loss_of_a_closure_is_returned_with_gradients_on():
    parameter = Parameter(A)
    optimizer = SGD([parameter], lr=0.25)

    def closure():
        optimizer.zero_grad()
        loss = (parameter * parameter).sum()
        loss.backward()
        return loss

    with minidl.no_grad():
        assert optimizer.step(closure).item() == 2
    assert parameter.data.tolist() == [0.5, 0.5] and optimizer.step() is None


@pytest.mark.parametrize("compiled", [True, False])
def test_a_model_that_is_cast_takes_its_state_along(compiled):
    model = nn.Linear(2, 1, bias=False, generator=0)
    optimizer = SGD(model.parameters(), lr=0.5, momentum=0.5)
    optimizer.compiled = compiled
    weight = model.weight
    step(optimizer, weight, g=np.array([[1.0, 2.0]], np.float32))
    model.double()
    before = weight.data.copy()
    step(optimizer, weight, g=np.array([[1.0, 2.0]]))
    np.testing.assert_array_equal(weight.data, before - 0.5 * np.array([[1.5, 3.0]]))
    state, = optimizer.state_dict()["state"]
    assert state["momentum_buffer"].dtype == np.float64 and state["momentum_buffer"].tolist() == [1.5, 3]
    assert state["step"] == [2]


@pytest.mark.parametrize("compiled", [True, False])
def test_the_state_follows_the_order_of_the_group_and_not_of_memory(compiled):
    a, b = Parameter(A), Parameter(2 * A)
    c, d = Parameter(np.zeros(3)), Parameter(3 * A)
    assert b.store is a.store and b.start == a.start + 2
    optimizer = SGD([a, c, b, d], lr=1.0, momentum=0.5)
    optimizer.compiled = compiled
    c.requires_grad = False
    for _ in range(2):
        step(optimizer, a, b, d, g=G)
        b.grad = 2 * G
    state, = optimizer.state_dict()["state"]
    assert state["step"] == [2, 0, 2, 2]
    assert state["momentum_buffer"].tolist() == [1.5, -3, 0, 0, 0, 1.5, -3, 1.5, -3]
    assert [p.data.tolist() for p in (a, b, c, d)] == [[-1.5, 6], [-0.5, 7], [0, 0, 0], [0.5, 8]]
    c.requires_grad = True
    for p, gradient in ((a, 0 * G), (c, np.array([1.0, 2, 3])), (b, 0 * G), (d, 2 * G)):
        p.grad = gradient
    optimizer.step()
    state, = optimizer.state_dict()["state"]
    assert state["step"] == [3, 1, 3, 3]
    assert state["momentum_buffer"].tolist() == [0.75, -1.5, 1, 2, 3, 0.75, -1.5, 2.75, -5.5]


@pytest.mark.parametrize("compiled", [True, False])
def test_settings_of_a_dict_of_ones_own_are_read_at_each_step(compiled):
    class Schedule(dict):
        """Whose rate hangs on how often it is asked for."""

        asked = 0

        def items(self):
            self.asked += 1
            return [(name, 0.25 * self.asked if name == "lr" else value) for name, value in super().items()]

    parameter = Parameter(A)
    optimizer = Own([parameter])
    optimizer.compiled = compiled
    optimizer.param_groups[0] = Schedule(optimizer.param_groups[0])
    rates = []
    for _ in range(3):
        before = parameter.data[0]
        step(optimizer, parameter)
        rates.append(before - parameter.data[0])
    assert len(set(rates)) == 3 and optimizer.reason is not None


# Gradients

@pytest.mark.parametrize("set_to_none", [True, False])
@pytest.mark.parametrize("steps", [0, 1, 2])
@pytest.mark.parametrize("compiled", [True, False])
def test_gradients_are_zero_after_zero_grad(set_to_none, steps, compiled):
    first, second, optimizer = two_groups(momentum=0.5)
    optimizer.compiled = compiled
    for _ in range(steps):
        step(optimizer, first, second)
    first.grad = G
    second.grad = None
    optimizer.zero_grad(set_to_none)
    assert second.grad is None and not first.gradient.any() and not second.gradient.any()
    assert first.grad is None if set_to_none else first.grad.tolist() == [0, 0]
    second.gradient[...] = 7  # by hand, which makes it one
    assert second.grad.tolist() == [7, 7]
    optimizer.zero_grad()
    assert first.grad is None and second.grad is None and not second.gradient.any()
