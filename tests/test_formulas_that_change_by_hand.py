"""What changes after an optimizer's formula was recorded: names, methods, settings, parameters, what is made anew."""
from __future__ import annotations

import builtins
import sys

import numpy as np
import pytest
from small_formulas import G, Own, W, made, step

from minidl.autograd import storage
from minidl.autograd.parameter import Parameter
from minidl.optim import Adam, Optimizer, compiled
from minidl.optim.symbols import NotRecordable


def capped(g, rate):
    return g * min(rate, 1.0)


as_number = float


def test_a_builtin_that_is_hidden_later_or_replaced(monkeypatch):
    parameter, optimizer = made(lambda self, w, g, state, s: w - capped(g, s.lr), lr=2.0)
    assert step(parameter, optimizer) == (W - G).tolist()
    with monkeypatch.context() as patch:
        patch.setattr(sys.modules[__name__], "min", lambda a, b: 0.5 * b, raising=False)
        assert step(parameter, optimizer) == (W - 0.5 * G).tolist()
    assert step(parameter, optimizer) == (W - G).tolist()
    least = min
    with monkeypatch.context() as patch:
        patch.setattr(builtins, "min", lambda *values: 0.25 if values[1:] == (1.0,) else least(*values))
        parameter.data, parameter.grad = W, G
        optimizer.step()
        found = parameter.data.tolist()
    assert found == (W - 0.25 * G).tolist()


def test_a_name_of_a_builtin_that_gets_another(monkeypatch):
    parameter, optimizer = made(lambda self, w, g, state, s: w - as_number(2.5) * g)
    assert step(parameter, optimizer) == (W - 2.5 * G).tolist()
    monkeypatch.setattr(sys.modules[__name__], "as_number", int)
    assert step(parameter, optimizer) == (W - 2 * G).tolist()


@pytest.mark.parametrize("name, replacement, moved", [
    ("update", lambda group, part: None, 0), ("keeps_state", lambda group: False, 1),
    ("state_of", lambda group: ("m",), 1), ("settings", lambda group: dict(group, lr=0.25), 0.5)])
def test_a_method_that_the_instance_gets_later(name, replacement, moved):
    parameter, optimizer = made(lambda self, w, g, state, s: w - 2 * s.lr * g)
    assert step(parameter, optimizer) == (W - G).tolist()
    setattr(optimizer, name, replacement)
    optimizer.lr = float("0.5")  # another object: settings are read where one has changed
    for _ in range(2):
        assert step(parameter, optimizer, recorded=False) == (W - moved * G).tolist()
    delattr(optimizer, name)
    optimizer.lr = float("0.5")
    for _ in range(3):  # what failed once is tried again after a while
        parameter.data, parameter.grad = W, G
        optimizer.step()
    assert optimizer.reason is None and parameter.data.tolist() == (W - G).tolist()


class Rate(float):
    """A number that changes unseen."""

    now = 0.25

    def __float__(self):
        return self.now


def test_a_number_of_ones_own_that_changes_unseen():
    parameter, optimizer = made(lambda self, w, g, state, s: w - s.lr * g)
    group = optimizer.param_groups[0] = dict(optimizer.param_groups[0])
    assert step(parameter, optimizer) == (W - 0.5 * G).tolist()
    rate = group["lr"] = Rate(0.25)
    for rate.now in (0.25, 4.0, 2.0):
        assert step(parameter, optimizer, recorded=False) == (W - rate.now * G).tolist()


def test_the_rate_of_a_plain_dict_at_each_step():
    parameter, optimizer = made(lambda self, w, g, state, s: w - s.lr * g)
    group = optimizer.param_groups[0] = dict(optimizer.param_groups[0])
    for lr in (0.5, 0.25, np.float32(2.0), 4, 0.5):
        group["lr"] = lr
        assert step(parameter, optimizer) == (W - float(lr) * G).tolist()


def test_settings_of_ones_own_are_read_at_each_change():
    asked = []

    class Halving(Own):
        def settings(self, group):
            asked.append(group["lr"])
            return super().settings(dict(group, lr=group["lr"] / 2))

        def formula(self, w, g, state, s):
            return w - s.lr * g

    parameter = Parameter(W)
    optimizer = Halving([parameter])
    for lr in (0.5, 0.25, 2.0, 4.0):
        optimizer.lr = lr
        assert step(parameter, optimizer) == (W - lr / 2 * G).tolist()
    asked.clear()
    optimizer.compiled = False
    for lr, number in ((4.0, 0), (3.0, 1), (3.0, 1)):
        if optimizer.lr != lr:
            optimizer.lr = lr
        assert step(parameter, optimizer, recorded=False) == (W - lr / 2 * G).tolist()
        assert asked == [3.0] * number


def test_a_state_whose_names_hang_on_a_float():
    class Growing(Own):
        state_names = ("m", "v")

        def state_of(self, group):
            return ("m",) if group["lr"] < 0.3 else ("m", "v")

        def formula(self, w, g, state, s):
            state.m = g + state.m
            return w - s.lr * g

    parameter = Parameter(W)
    optimizer = Growing([parameter], lr=0.125)
    for lr, names in ((0.125, ["step", "m"]), (0.25, ["step", "m"]), (0.5, ["step", "m", "v"])):
        optimizer.lr = lr
        assert step(parameter, optimizer) == (W - lr * G).tolist()
        assert list(optimizer.state_dict()["state"][0]) == names


def test_a_lack_of_memory_is_no_reason_to_go_on_in_python():
    def without(*_):
        raise MemoryError

    parameter, optimizer = made(lambda self, w, g, state, s: w - g)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "record", without)
        with pytest.raises(MemoryError):
            step(parameter, optimizer)
    assert parameter.data.tolist() == W.tolist() and step(parameter, optimizer) == (W - G).tolist()


def test_compiled_is_read_at_every_step():
    parameter, optimizer = made(lambda self, w, g, state, s: w - g)
    assert optimizer.reason is None
    step(parameter, optimizer)
    for runs_compiled in (False, True, False, True):
        optimizer.compiled = runs_compiled
        step(parameter, optimizer, recorded=runs_compiled)
        assert optimizer.reason == (None if runs_compiled else "compiled is False")


def test_a_formula_that_fails_is_tried_more_and_more_rarely():
    attempts, now = [], 0

    def noted(optimizer, settings, names, number):
        attempts.append(now)
        if now < 20:
            raise NotRecordable("not yet")
        return record(optimizer, settings, names, number)

    record = compiled.record
    parameter, optimizer = made(lambda self, w, g, state, s: w - g)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "record", noted)
        for now in range(1, 34):
            step(parameter, optimizer, recorded=now >= 31)
        assert attempts == [1, 3, 7, 15, 31]
        assert optimizer._compiler.reason is None


def test_steps_are_made_once_and_only_read_numbers_anew(monkeypatch):
    told = []

    def noted(name):
        method = getattr(compiled.Compiler, name)

        def noting(self, *arguments):
            answer = method(self, *arguments)
            told.append(name if answer else f"not {name}")
            return answer

        monkeypatch.setattr(compiled.Compiler, name, noting)

    for name in ("steps", "renewed", "adopted"):
        noted(name)

    def answers():
        found = told.copy()
        told.clear()
        return found

    parameters = [Parameter(W), Parameter(W)]
    optimizer = Adam([{"params": parameters[:1]}, {"params": parameters[1:], "lr": 0.25}])

    def steps(count=2):
        for _ in range(count):
            for parameter in parameters:
                parameter.grad = G
            optimizer.step()
            optimizer.zero_grad()

    steps(4)
    assert answers() == ["steps"]
    for lr in (0.5, 0.125):  # a schedule
        optimizer.lr = lr
        steps()
    assert answers() == ["adopted"] * 2
    optimizer.param_groups[1]["betas"] = (0.5, 0.25)
    steps()
    assert answers() == ["not adopted", "renewed"]
    optimizer.param_groups[0]["maximize"] = True
    steps()
    assert answers() == ["not adopted", "not renewed", "steps"]
    parameters[0].requires_grad = False
    steps()
    assert answers()[-1] == "steps"
    optimizer.param_groups[1] = dict(optimizer.param_groups[1])
    steps()
    assert answers()[-1] == "steps"
    optimizer.param_groups[1]["lr"] = 0.75
    steps()
    assert answers()[-1] == "renewed"
    optimizer.load_state_dict(optimizer.state_dict())
    steps()
    assert answers()[-1] == "steps"
    storage.flatten(parameters[::-1])
    steps()
    assert answers()[-1] == "steps" and not answers()
    assert optimizer.reason is None


def test_a_gradient_that_is_written_by_hand_after_compiled_steps():
    first, second = Parameter(W), Parameter(W)
    assert second.store is first.store and second.start == first.start + W.size
    kind = type("Made", (Own,), {"formula": lambda self, w, g, state, s: w - g})
    optimizer = kind([first, second])
    for _ in range(2):
        first.grad = G
        optimizer.step()
    assert second.data.tolist() == W.tolist()
    second.gradient[...] = 2 * G
    optimizer.step()
    assert second.data.tolist() == (W - 2 * G).tolist() and optimizer.reason is None


def test_two_groups_of_two_dtypes_have_one_recording():
    parameters = [Parameter(W), Parameter(W.astype(np.float32))]
    kind = type("Made", (Own,), {"formula": lambda self, w, g, state, s: w - s.lr * g})
    optimizer = kind([{"params": [parameter]} for parameter in parameters])
    for count in range(1, 3):
        for parameter in parameters:
            parameter.grad = G.astype(parameter.dtype)
        optimizer.step()
        assert all(p.data.tolist() == (W - 0.5 * count * G).tolist() for p in parameters)
    (_, _, chains), = optimizer._compiler.recorded
    assert set(chains) == {np.dtype(np.float32), np.dtype(np.float64)} and optimizer.reason is None


def test_a_formula_of_more_than_sixteen_branches_is_given_up_for_a_while():
    class Whole(Optimizer):
        rules = {"n": lambda what, value: int(value)}  # noqa: RUF012

        def __init__(self, params, n=0):
            super().__init__(params, n=n)

        def formula(self, w, g, state, s):
            return w - s.n * g

    parameter = Parameter(W)
    optimizer = Whole([parameter])
    for n in [*range(16), *range(16)]:
        optimizer.param_groups[0]["n"] = n
        assert step(parameter, optimizer) == (W - n * G).tolist()
    optimizer.param_groups[0]["n"] = 16
    for _ in range(2):
        assert step(parameter, optimizer, recorded=False) == (W - 16 * G).tolist()
        assert optimizer.reason == "NotRecordable: the formula takes another branch time and again"
    for n in (16, 3, 16):
        optimizer.param_groups[0]["n"] = n
        assert step(parameter, optimizer) == (W - n * G).tolist()


@pytest.mark.parametrize("change", [
    lambda o, new: o.param_groups[0].update(params=[new]),
    lambda o, new: o.param_groups[0]["params"].__setitem__(0, new),
    lambda o, new: o.param_groups.__setitem__(0, dict(o.param_groups[0], params=[new])),
    lambda o, new: setattr(o, "param_groups", [dict(o.param_groups[0], params=[new])])])
def test_other_parameters_after_compiled_steps(change):
    parameter, optimizer = made(lambda self, w, g, state, s: w - g)
    step(parameter, optimizer)
    new = Parameter(W)
    change(optimizer, new)
    parameter.data = W
    assert step(new, optimizer) == (W - G).tolist() and parameter.data.tolist() == W.tolist()
    assert step(new, optimizer) == (W - G).tolist()


def test_values_that_have_moved_after_compiled_steps():
    first, second = Parameter(W), Parameter(W)
    kind = type("Made", (Own,), {"formula": lambda self, w, g, state, s: w - g})
    optimizer = kind([first, second])
    for _ in range(2):
        first.grad = second.grad = G
        optimizer.step()
        values, _ = storage.flatten([second, first])
        assert values.tolist() == [*second.data, *first.data]
    assert first.data.tolist() == second.data.tolist() == (W - 2 * G).tolist()
