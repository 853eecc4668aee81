"""The state of optimizers: when there is one, copied, loaded where it fits, put back, and gone on from at once."""
from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from minidl.autograd.parameter import Parameter
from minidl.optim import SGD, Adam, Optimizer, RMSprop
from minidl.optim.group import at_least_zero

A, G = np.ones(2), np.array([1.0, -2.0])


def two_groups(kind=SGD, **settings):
    first, second = Parameter(A), Parameter(A)
    return first, second, kind([{"params": [first]}, {"params": [second], "lr": 0.25}], lr=0.5, **settings)


def step(optimizer, *parameters, g=G):
    for parameter in parameters:
        parameter.grad = g
    optimizer.step()


class Counting(Optimizer):
    """Counts its updates, but has no arrays."""

    rules = {"lr": at_least_zero}  # noqa: RUF012

    def __init__(self, params, lr=0.5):
        super().__init__(params, lr=lr)

    def formula(self, w, g, state, s):
        return w - s.lr * g


def test_fresh_is_an_optimizer_without_a_state():
    _, second, optimizer = two_groups(momentum=0.5)
    assert optimizer.is_fresh()
    state = optimizer.state_dict()
    second.grad = G
    optimizer.step()
    assert not optimizer.is_fresh()
    fresh = two_groups(momentum=0.5)[2]
    saved = optimizer.state_dict()
    saved["state"][1]["step"] = [0]
    fresh.load_state_dict(saved)
    assert not fresh.is_fresh()  # a buffer alone
    fresh.load_state_dict(state)
    assert fresh.is_fresh()
    parameter = Parameter(A)
    counting = Counting([parameter])
    assert counting.is_fresh()
    step(counting, parameter)
    assert not counting.is_fresh() and counting.state_dict()["state"] == [{"step": [1]}]  # a count alone
    optimizer.param_groups.pop()
    assert optimizer.is_fresh()


def test_what_is_copied_of_an_optimizer():
    first, second, optimizer = two_groups(momentum=0.5)
    step(optimizer, first, second)
    optimizer.note = "mine"
    kept = optimizer.__getstate__()
    assert kept.keys() == {"defaults", "param_groups", "saved", "note"}
    for twin in (copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))):
        assert twin.note == "mine" and twin.reason is None and not twin.is_fresh()
        np.testing.assert_equal(twin.state_dict(), optimizer.state_dict())
        mine = twin.param_groups[1]["params"][0]
        step(twin, mine)
        assert mine.data.tolist() == [0.375, 2.25] and second.data.tolist() == [0.75, 1.5]


RMS = {"centered": {"square_avg", "grad_avg"}, "momentum": {"square_avg", "momentum_buffer"}, "": {"square_avg"},
       "both": {"square_avg", "grad_avg", "momentum_buffer"}}


def rms(of):
    parameter = Parameter(A)
    return parameter, RMSprop([parameter], centered=of in ("centered", "both"),
                              momentum=0.5 if of in ("momentum", "both") else 0)


@pytest.mark.parametrize("into", RMS)
@pytest.mark.parametrize("of", RMS)
def test_a_state_fits_where_it_has_what_its_settings_need(of, into):
    parameter, optimizer = rms(of)
    step(optimizer, parameter)
    saved, other = optimizer.state_dict(), rms(into)[1]
    assert set(saved["state"][0]) == {"step", *RMS[of]}
    other.load_state_dict(saved)
    assert set(other.state_dict()["state"][0]) == {"step", *RMS[of]}
    for name in RMS[of]:
        less = {**saved, "state": [{key: value for key, value in saved["state"][0].items() if key != name}]}
        with pytest.raises(ValueError, match=r"^RMSprop.load_state_dict: expected a state of"):
            other.load_state_dict(less)
    more = {**saved, "state": [{**saved["state"][0], "other": np.zeros(2)}]}
    with pytest.raises(ValueError, match=r"^RMSprop.load_state_dict"):
        other.load_state_dict(more)
    full = {**saved, "state": [{"step": [1], **{name: np.ones(2) for name in RMS["both"]}}]}
    other.load_state_dict(full)  # more of what the optimizer may have
    assert set(other.state_dict()["state"][0]) == {"step", *RMS["both"]}


@pytest.mark.parametrize("compiled", [True, False])
def test_a_state_that_is_loaded_is_gone_on_from_at_once(compiled):
    first, second, optimizer = two_groups(Adam)
    optimizer.compiled = compiled
    states, lists = [], [group["params"] for group in optimizer.param_groups]
    for _ in range(3):
        states.append((optimizer.state_dict(), first.data.copy(), second.data.copy()))
        step(optimizer, first, second)
    for i in (1, 0, 2, 1):
        state, *values = states[i]
        optimizer.load_state_dict(state)
        first.data, second.data = values
        step(optimizer, first, second)
        if i < 2:
            assert first.data.tolist() == states[i + 1][1].tolist()
            np.testing.assert_equal(optimizer.state_dict(), states[i + 1][0])
    assert all(group["params"] is one for group, one in zip(optimizer.param_groups, lists, strict=True))


@pytest.mark.parametrize("compiled", [True, False])
def test_what_is_put_back_is_gone_on_from_at_once(compiled):
    first, second, optimizer = two_groups(Adam)
    optimizer.compiled = compiled
    step(optimizer, first, second)
    undo = [flat.undo() for flat in optimizer.flats()]
    step(optimizer, first, second)
    expected, values = optimizer.state_dict(), second.data.tolist()
    step(optimizer, first, second)
    for put_back in undo:
        put_back()
    step(optimizer, first, second)
    np.testing.assert_equal(optimizer.state_dict(), expected)
    assert second.data.tolist() == values


@pytest.mark.parametrize("wrong", [{}, {"state": []}, {"param_groups": []}, {"state": [{}], "param_groups": [{}]}])
def test_what_is_no_state_of_two_groups(wrong):
    _, _, optimizer = two_groups()
    with pytest.raises(ValueError, match=r"^SGD.load_state_dict: expected param_groups and state of 2 groups, got"):
        optimizer.load_state_dict(wrong)
