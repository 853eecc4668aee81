"""LBFGS given its losses and gradients one by one: where a step ends, what the history takes, what is saved."""
from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import minidl
from minidl.autograd.parameter import Parameter
from minidl.optim import LBFGS

NAMES = {"func_evals", "n_iter", "d", "t", "old_dirs", "old_stps", "ro", "H_diag", "prev_flat_grad", "prev_loss"}


def given(answers, start=(0.0,), steps=1, optimizer=None, **settings):
    """The places at which the closure is called, where the parameter ends, and the optimizer."""
    settings = {"max_eval": 99} | settings
    parameter = Parameter(np.array(start)) if optimizer is None else optimizer.param_groups[0]["params"][0]
    optimizer = optimizer or LBFGS([parameter], **settings)
    places, rest = [], iter(answers)

    def closure():
        loss, gradient = next(rest)
        places.append(parameter.data.copy().tolist())
        parameter.grad = np.array(gradient, parameter.dtype).reshape(parameter.shape)
        return minidl.tensor(np.float64(loss))

    for _ in range(steps):
        optimizer.step(closure)
    return places, parameter.data.tolist(), optimizer


def counted(optimizer):
    return optimizer.state["func_evals"], optimizer.state["n_iter"]


FALLING = [(10.0 - i, [4.0 - i / 2]) for i in range(8)]  # slopes 4, 3.5, 3, ...


@pytest.mark.parametrize("settings, count", [
    # the largest gradient is at most tolerance_grad, before the first iteration and after one
    ({"tolerance_grad": 4.0}, (1, 0)), ({"tolerance_grad": 3.99}, (2, 1)), ({"tolerance_grad": 3.5}, (2, 1)),
    ({"tolerance_grad": 3.49}, (3, 2)),
    # the way down is no steeper than tolerance_change: the slope is -16
    ({"tolerance_change": 16.01}, (1, 1)), ({"tolerance_change": 16.0}, (2, 1)),
    # the loss changes by less than tolerance_change (by 1 each time), or the parameter by at most that
    ({"tolerance_change": 1.01}, (2, 1)), ({"tolerance_change": 1.0, "lr": 8.0}, (6, 6)),
    ({"tolerance_change": 1.0, "lr": 1.0}, (2, 1)), ({"tolerance_change": 0.99, "lr": 0.99}, (2, 1)),
    # evaluations and iterations
    ({"max_iter": 1}, (1, 1)), ({"max_iter": 2}, (2, 2)), ({"max_iter": 3}, (3, 3)), ({"max_iter": 4}, (4, 4)),
    ({"max_iter": 6, "max_eval": 3}, (3, 2)), ({"max_iter": 6, "max_eval": 1}, (2, 1)),
    ({"max_iter": 6, "max_eval": 2}, (2, 1))])
def test_where_a_step_ends(settings, count):
    settings = {"max_iter": 6, "max_eval": 99, "lr": 4.0, "tolerance_grad": 0.0, "tolerance_change": 0.0} | settings
    _, _, optimizer = given(FALLING, **settings)
    assert counted(optimizer) == count


def test_the_first_step_of_all_is_at_most_one_long_and_the_rate_counts():
    for gradient, first in (([4.0, -4.0], 1 / 8), ([0.25, 0.0], 1.0), ([0.5, 0.5], 1.0), ([0.5, 0.75], 0.8)):
        places, _, optimizer = given([(1.0, gradient)] * 2, start=(0.0, 0.0), lr=0.5, max_iter=2)
        assert places == [[0, 0], (-0.5 * first * np.array(gradient)).tolist()]
        assert optimizer.state["prev_loss"] == 1.0 and optimizer.state["t"] in (0.5, 0.5 * first)


@pytest.mark.parametrize("change, kept", [(-1.5e-10, 1), (-1e-9, 1), (-0.9e-10, 0), (0.5e-10, 0), (0.0, 0), (1.0, 0)])
def test_a_pair_of_enough_curvature_goes_into_the_history(change, kept):
    state = given([(3.0, [1.0]), (2.0, [1.0 + change])], max_iter=2, tolerance_change=0.0)[2].state
    assert [len(state[name]) for name in ("old_dirs", "old_stps", "ro")] == [kept] * 3
    if kept:
        y, s = state["old_dirs"][0][0], state["old_stps"][0][0]
        assert (y, s) == (1.0 + change - 1.0, -1.0)
        assert state["ro"] == [1 / (y * s)] and state["H_diag"] == (y * s) / (y * y)
    else:
        assert state["H_diag"] == 1.0


def test_two_parameters_of_which_one_is_frozen_later():
    a, between, b = Parameter(np.array([3.0, -1.0])), Parameter(np.zeros(5)), Parameter(np.array([[2.0]]))
    optimizer = LBFGS([b, a], lr=0.5, max_iter=4)

    def closure():
        optimizer.zero_grad()
        loss = (a * a).sum() * 2 + (b * b).sum() + a.sum() * b.sum()
        loss.backward()
        return loss

    twin = Parameter(np.array([2.0, 3.0, -1.0]))
    other = LBFGS([twin], lr=0.5, max_iter=4)

    def its():
        other.zero_grad()
        x, y = twin[:1], twin[1:]
        loss = (y * y).sum() * 2 + (x * x).sum() + y.sum() * x.sum()
        loss.backward()
        return loss

    for _ in range(2):
        assert optimizer.step(closure).item() == pytest.approx(other.step(its).item(), rel=1e-12)
        np.testing.assert_allclose([*b.data.ravel(), *a.data], twin.data, rtol=1e-12)
    a.requires_grad = False
    before, b_before = a.data.tolist(), b.item()
    optimizer.step(closure)
    assert a.data.tolist() == before and b.item() != b_before
    assert optimizer.state["prev_flat_grad"][1:].tolist() == [0, 0]
    a.requires_grad, b.requires_grad = True, False
    before, b_before = a.data.tolist(), b.item()
    optimizer.step(closure)
    assert a.data.tolist() != before and b.item() == b_before and not between.data.any()


def test_gradients_of_what_is_frozen_do_not_count():
    first, second, third = (Parameter(np.array(values)) for values in ([1.0, 2.0], [3.0, 4.0], [5.0, 6.0]))
    optimizer = LBFGS([third, first, second], lr=0.5, max_iter=1)
    first.requires_grad = False

    def closure():
        for parameter in (first, second, third):
            parameter.grad = 0.125 * parameter.data
        return minidl.tensor(1.0)

    optimizer.step(closure)
    assert optimizer.state["prev_flat_grad"].tolist() == [0.625, 0.75, 0, 0, 0.375, 0.5]
    share = 0.5 / 2.25
    np.testing.assert_allclose(third.data, [5 - 0.625 * share, 6 - 0.75 * share], rtol=1e-12)
    np.testing.assert_allclose(second.data, [3 - 0.375 * share, 4 - 0.5 * share], rtol=1e-12)
    assert first.data.tolist() == [1, 2]


def test_without_a_parameter_that_has_elements_nothing_is_to_do():
    _, _, optimizer = given([(1.0, [])], start=())
    assert counted(optimizer) == (1, 0)


def test_other_parameters_begin_anew():
    for change in (lambda o: o.param_groups[0]["params"].append(Parameter(np.ones(2))),
                   lambda o: o.param_groups.__setitem__(0, dict(o.param_groups[0], params=[
                       Parameter(np.zeros(1, np.float32))]))):
        _, _, optimizer = given(FALLING, max_iter=3, tolerance_change=0.0)
        assert counted(optimizer) == (3, 3)
        change(optimizer)
        given(FALLING, optimizer=optimizer)
        assert counted(optimizer) == (6, 3)
        assert optimizer.state["d"].dtype == optimizer.param_groups[0]["params"][0].dtype
    _, _, optimizer = given(FALLING, max_iter=3, tolerance_change=0.0)
    given(FALLING, optimizer=optimizer)  # the same go on
    assert counted(optimizer) == (6, 6)


@pytest.mark.parametrize("search", [None, "strong_wolfe"])
@pytest.mark.parametrize("at", [1, 2, 3])
def test_what_a_closure_raises_leaves_all_as_it_was(search, at):
    places, _, optimizer = given(FALLING * 9, max_iter=3, tolerance_change=0.0, line_search_fn=search)
    parameter, = optimizer.param_groups[0]["params"]
    before, values, kept = pickle.dumps(optimizer.state), parameter.data.tolist(), optimizer.state
    for error in (KeyboardInterrupt, StopIteration):
        def answers(error=error):
            yield from FALLING[3:2 + at]
            raise error

        with pytest.raises((error, RuntimeError)):
            given(answers(), optimizer=optimizer)
        assert pickle.dumps(optimizer.state) == before and parameter.data.tolist() == values
    assert optimizer.state is not kept and places


def test_a_search_counts_what_it_looks_at():
    curve = [(5.0, [-4.0]), (9.0, [20.0]), (3.0, [0.5]), (2.9, [0.1]), (2.8, [0.0])]
    places, end, optimizer = given(curve, line_search_fn="strong_wolfe", max_iter=1)
    assert counted(optimizer) == (3, 1) and len(places) == 3 and places[1] == [1.0]
    assert end == places[2] and optimizer.state["t"] == pytest.approx(places[2][0] / 4)
    assert optimizer.state["prev_loss"] == 5.0 and optimizer.state["prev_flat_grad"].tolist() == [-4]


@pytest.mark.parametrize("most, evaluations", [(1, 2), (2, 3), (3, 4), (99, 6)])
def test_a_search_has_the_evaluations_that_are_left(most, evaluations):
    walls = [(0.0, [-1.0]), *((1.0 + i, [3.0]) for i in range(4)), (-1.0, [0.0]), (-1.0, [0.0])]
    places, end, optimizer = given(walls, line_search_fn="strong_wolfe", max_iter=1, max_eval=most,
                                   tolerance_change=1e-30)
    assert counted(optimizer)[0] == evaluations
    assert end == (places[-1] if most == 99 else [0.0])  # the start is the best of those that were looked at


# The state

def saved(search=None):
    _, _, optimizer = given([(3.0, [4.0, 1.0]), (2.0, [2.0, -1.0]), (1.0, [1.0, 0.5])], start=(0.0, 0.0), max_iter=3,
                            tolerance_change=0.0, line_search_fn=search)
    return optimizer


def test_the_state_in_numbers():
    optimizer = saved()
    state, = optimizer.state_dict()["state"]
    assert set(state) == NAMES and (state["func_evals"], state["n_iter"], state["t"]) == (3, 3, 1)
    assert state["old_dirs"].tolist() == [[-2, -2], [-1, 1.5]] and state["old_stps"].shape == (2, 2)
    np.testing.assert_allclose(state["old_stps"][0], [-0.8, -0.2])
    np.testing.assert_allclose(state["ro"], [1 / 2.0, 1 / (state["old_dirs"][1] @ state["old_stps"][1])])
    assert state["prev_flat_grad"].tolist() == [1, 0.5] and state["prev_loss"] == 1.0
    group, = optimizer.state_dict()["param_groups"]
    assert group["params"] == [(2,)] and group["max_iter"] == 3
    for name in ("old_dirs", "old_stps", "d", "prev_flat_grad"):
        state[name][...] = 9
    state["ro"].append(1.0)
    again, = optimizer.state_dict()["state"]
    assert len(again["ro"]) == 2 and not any((again[name] == 9).any() for name in ("old_dirs", "d", "prev_flat_grad"))


def test_a_state_without_pairs():
    _, _, optimizer = given(FALLING, max_iter=1)
    state, = optimizer.state_dict()["state"]
    assert state["old_dirs"].shape == (0, 1) == state["old_stps"].shape and state["ro"] == []
    assert state["old_dirs"].dtype == np.float64
    other = LBFGS([Parameter(np.zeros(1))])
    other.load_state_dict(optimizer.state_dict())
    assert other.state["old_dirs"] == [] and other.param_groups[0]["max_iter"] == 1
    assert counted(other) == (1, 1)


def test_a_loaded_state_is_a_copy_and_goes_on():
    optimizer, state = saved(), saved().state_dict()
    other = LBFGS([Parameter(np.array(optimizer.param_groups[0]["params"][0].data))], lr=0.25)
    mine = other.param_groups[0]["params"]
    other.load_state_dict(state)
    for name in ("d", "prev_flat_grad", "old_dirs"):
        state["state"][0][name][...] = 9
    state["state"][0]["ro"].clear()
    assert other.param_groups[0]["params"] is mine and other.lr == 1.0
    LBFGS([Parameter(np.zeros(2))]).load_state_dict(other.state_dict())  # as it stands, it is a state again
    assert [type(other.state[name]) for name in ("func_evals", "ro", "old_dirs", "d")] == [int, list, list, np.ndarray]
    more = [(0.9, [0.5, 0.25]), (0.8, [0.25, 0.125]), (0.7, [0.1, 0.1])]
    first, end, _ = given(more, optimizer=optimizer)
    assert given(more, optimizer=other)[:2] == (first, end)
    assert counted(other) == counted(optimizer) == (6, 6)
    twin = copy.deepcopy(other)
    assert twin.state.keys() == NAMES and counted(twin) == (6, 6)


@pytest.mark.parametrize("spoil", [
    {"func_evals": -1}, {"func_evals": 1.0}, {"n_iter": True}, {"n_iter": None}, {"d": np.zeros(3)},
    {"d": np.zeros(2, np.float32)}, {"d": [0.0, 0.0]}, {"prev_flat_grad": np.zeros((1, 2))},
    {"prev_flat_grad": np.zeros(2, np.float32)}, {"old_dirs": np.zeros((3, 2))}, {"old_dirs": np.zeros((2, 3))},
    {"old_stps": np.zeros((1, 2))}, {"old_stps": np.zeros((2, 2), np.float32)}, {"ro": (1.0, 2.0)}, {"ro": [1.0]},
    {"ro": [1.0, None]}, {"t": None}, {"t": np.zeros(1)}, {"H_diag": "1"}, {"prev_loss": [1.0]}, {"more": 1}])
def test_a_state_that_does_not_fit(spoil):
    optimizer = saved()
    before, wrong = pickle.dumps(optimizer.state_dict()), optimizer.state_dict()
    wrong["state"][0].update(spoil)
    with pytest.raises(ValueError, match=r"^LBFGS.load_state_dict: expected the state of an LBFGS of these parameters"):
        optimizer.load_state_dict(wrong)
    assert pickle.dumps(optimizer.state_dict()) == before


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_state_that_lacks_something(name):
    optimizer = saved()
    wrong = optimizer.state_dict()
    del wrong["state"][0][name]
    with pytest.raises(ValueError, match=r"^LBFGS.load_state_dict"):
        optimizer.load_state_dict(wrong)


def test_counts_alone_are_a_state_before_the_first_iteration():
    optimizer = saved()
    state = optimizer.state_dict()
    state["state"] = [{"func_evals": 7, "n_iter": 1}]
    with pytest.raises(ValueError, match=r"^LBFGS.load_state_dict"):
        optimizer.load_state_dict(state)
    state["state"] = [{"func_evals": 7, "n_iter": 0}]
    optimizer.load_state_dict(state)
    assert optimizer.state == {"func_evals": 7, "n_iter": 0}
    state["state"] = saved().state_dict()["state"]
    state["state"][0].update(t=1, H_diag=2, prev_loss=3, func_evals=0, n_iter=0)  # whole numbers, and zeros
    optimizer.load_state_dict(state)
    assert optimizer.state["H_diag"] == 2


@pytest.mark.parametrize("change", [
    lambda s: s["param_groups"].append(s["param_groups"][0]), lambda s: s["param_groups"].clear(),
    lambda s: s["state"].clear(), lambda s: s["param_groups"][0].update(speed=1), lambda s: s.pop("param_groups"),
    lambda s: s["param_groups"][0].update(params=[(2,), (1,)]), lambda s: s["param_groups"][0].update(params=[(1, 2)])])
def test_groups_that_do_not_fit(change):
    optimizer = saved()
    state = optimizer.state_dict()
    change(state)
    with pytest.raises(ValueError, match=r"^LBFGS.load_state_dict"):
        optimizer.load_state_dict(state)


def test_shapes_that_were_lists_fit():
    optimizer = saved()
    state = optimizer.state_dict()
    state["param_groups"][0]["params"] = [[2]]
    optimizer.load_state_dict(state)


def test_what_it_is():
    assert LBFGS.needs_closure is True
    optimizer = LBFGS([Parameter(np.zeros(1))])
    with pytest.raises(ValueError, match=r"^LBFGS: expected one parameter group, got another one$"):
        optimizer.add_param_group({"params": [Parameter(np.zeros(1))]})
    optimizer.param_groups.append(dict(optimizer.param_groups[0], params=[Parameter(np.zeros(1))]))
    with pytest.raises(ValueError, match=r"^LBFGS: expected one parameter group, got 2$"):
        optimizer.step(lambda: 1.0)
    optimizer.param_groups.pop()
    for value in ("armijo", "", 0, False):
        with pytest.raises(ValueError, match=r"^LBFGS: expected line_search_fn to be None or 'strong_wolfe', got"):
            optimizer.param_groups[0]["line_search_fn"] = value
    optimizer.param_groups[0]["line_search_fn"] = "strong_wolfe"
    assert optimizer.param_groups[0]["line_search_fn"] == "strong_wolfe"
    for name in ("max_iter", "max_eval", "history_size"):
        optimizer.param_groups[0][name] = 1
        with pytest.raises(ValueError, match=f"LBFGS: expected {name} >= 1, got 0"):
            optimizer.param_groups[0][name] = 0
