"""Numbers in an optimizer's formula: computed, compared and branched on, compiled as in Python, at every change."""
# ruff: noqa: SIM300 - numbers stand on either side
from __future__ import annotations

import builtins
import math
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from minidl.autograd import storage
from minidl.autograd.parameter import Parameter
from minidl.optim import Optimizer, compiled
from minidl.optim.functions import is_array, maximum, minimum, sign, sqrt, where
from minidl.optim.group import at_least_zero
from minidl.optim.symbols import NotRecordable, Trace

W, G = np.array([1.0, -2.0, 0.5, 0.0]), np.array([0.5, -2.0, 3.0, 0.0])


class Own(Optimizer):
    rules = {"lr": at_least_zero, "share": at_least_zero}  # noqa: RUF012
    state_names = ("m",)

    def __init__(self, params, lr=0.5, share=0.25):
        super().__init__(params, lr=lr, share=share)


def made(formula, **settings):
    parameter = Parameter(W)
    return parameter, type("Made", (Own,), {"formula": formula})([parameter], **settings)


def step(parameter, optimizer, recorded=True):
    parameter.data = W
    parameter.grad = G
    optimizer.step()
    assert (optimizer.reason is None) == recorded, optimizer.reason
    return parameter.data.tolist()


COMPUTED = {
    "sum": lambda s: s.lr + s.share, "sum with a number": lambda s: s.lr + 3, "number plus": lambda s: 3 + s.lr,
    "difference": lambda s: s.lr - s.share, "less a number": lambda s: s.lr - 3, "number less": lambda s: 3 - s.lr,
    "product": lambda s: s.lr * s.share, "times": lambda s: s.lr * 3, "number times": lambda s: 3 * s.lr,
    "quotient": lambda s: s.lr / s.share, "over": lambda s: s.lr / 4, "number over": lambda s: 3 / s.lr,
    "power": lambda s: s.lr ** s.share, "square": lambda s: s.lr ** 2, "number to the power": lambda s: 3 ** s.lr,
    "negative": lambda s: -s.lr, "positive": lambda s: +s.lr, "absolute": lambda s: abs(s.share - s.lr),
    "root": lambda s: sqrt(s.lr), "root of a number": lambda s: sqrt(2.0), "step": lambda s: 1 / (s.step + s.lr),
    "true": lambda s: s.lr + True, "pi": lambda s: s.lr * math.pi, "least": lambda s: min(s.lr, s.share, 0.5),
    "most": lambda s: max(s.lr, s.share, 0.5), "larger": lambda s: maximum(s.lr, s.share),
    "smaller": lambda s: minimum(s.lr, s.share), "chosen": lambda s: where(s.lr > s.share, s.lr, 7.0),
}
COMPARED = {
    "less": lambda s: s.lr < s.share, "less than a number": lambda s: s.lr < 0.5, "number less": lambda s: 0.5 < s.lr,
    "more": lambda s: s.lr > s.share, "more than": lambda s: s.lr > 0.5, "number more": lambda s: 0.5 > s.lr,
    "at most": lambda s: s.lr <= s.share, "at most a number": lambda s: s.lr <= 0.5, "not over": lambda s: 0.5 <= s.lr,
    "at least": lambda s: s.lr >= s.share, "at least a number": lambda s: s.lr >= 0.5, "under": lambda s: 0.5 >= s.lr,
    "equal": lambda s: s.lr == s.share, "equal to a number": lambda s: s.lr == 0.5, "number": lambda s: 0.5 == s.lr,
    "other": lambda s: s.lr != s.share, "other than a number": lambda s: s.lr != 0.5, "truth": lambda s: bool(s.lr),
    "not": lambda s: not s.lr, "both": lambda s: s.lr and s.share > 0.25, "step": lambda s: s.step > 4,
    "whole": lambda s: s.lr == 1,
}
VALUES = [(0.5, 0.25), (0.25, 0.5), (0.5, 0.5), (1.0, 0.25), (0.25, 0.25), (0.75, 0.75), (1.0, 2.0)]


@pytest.mark.parametrize("name", COMPUTED)
def test_numbers_that_are_computed(name):
    kind = type("Computed", (Own,), {"formula": lambda self, w, g, state, s: w - self.number(s) * g,
                                     "number": staticmethod(COMPUTED[name])})
    parameter = Parameter(W)
    optimizer = kind([parameter])
    for t, (lr, share) in enumerate(VALUES, 1):
        optimizer.param_groups[0].update(lr=lr, share=share)
        number = COMPUTED[name](SimpleNamespace(lr=lr, share=share, step=float(t)))
        assert step(parameter, optimizer) == (W - number * G).tolist(), (lr, share)


@pytest.mark.parametrize("name", COMPARED)
def test_numbers_that_steer_a_branch(name):
    kind = type("Steered", (Own,), {"formula": lambda self, w, g, state, s: w - g if self.seen(s) else w + 2 * g,
                                    "seen": staticmethod(COMPARED[name])})
    parameter = Parameter(W)
    optimizer = kind([parameter])
    for t, (lr, share) in enumerate([*VALUES, (0.0, 0.0), (0.0, 1.0), *VALUES], 1):
        optimizer.param_groups[0].update(lr=lr, share=share)
        seen = COMPARED[name](SimpleNamespace(lr=lr, share=share, step=float(t)))
        assert step(parameter, optimizer) == (W - G if seen else W + 2 * G).tolist(), (lr, share)


def test_a_number_is_added_to_in_place():
    def formula(self, w, g, state, s):
        rate = s.lr
        rate += 1
        rate *= 4
        rate -= 0.5
        rate /= 2
        rate **= 2
        return w - rate * g - s.lr

    parameter, optimizer = made(formula)
    assert step(parameter, optimizer) == (W - 2.75 ** 2 * G - 0.5).tolist()
    optimizer.lr = 0.25
    assert step(parameter, optimizer) == (W - 2.25 ** 2 * G - 0.25).tolist()


ARRAYS = {
    "less": (lambda w, g, s: w < g, W < G), "at most": (lambda w, g, s: w <= g, W <= G),
    "more": (lambda w, g, s: w > g, W > G), "at least": (lambda w, g, s: w >= g, W >= G),
    "equal": (lambda w, g, s: w == g, W == G), "other": (lambda w, g, s: w != g, W != G),
    "less than": (lambda w, g, s: w < 0.5, W < 0.5), "number less": (lambda w, g, s: 0.5 < w, W > 0.5),
    "at most a number": (lambda w, g, s: w <= 0.5, W <= 0.5), "number at most": (lambda w, g, s: s.lr <= w, W >= 0.5),
    "number more": (lambda w, g, s: s.lr > w, W < 0.5), "at least a number": (lambda w, g, s: w >= s.lr, W >= 0.5),
    "equal to a number": (lambda w, g, s: w == s.lr, W == 0.5), "number other": (lambda w, g, s: 1 != w, W != 1),
    "and": (lambda w, g, s: (w > 0) & (g > 1), (W > 0) & (G > 1)),
    "or": (lambda w, g, s: (w > 0.75) | (g > 1), (W > 0.75) | (G > 1)), "not": (lambda w, g, s: ~(w > 0), ~(W > 0)),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_that_are_compared(name):
    rule, condition = ARRAYS[name]
    kind = type("Compared", (Own,), {"formula": lambda self, w, g, state, s: where(self.rule(w, g, s), w + 8, g * 3),
                                     "rule": staticmethod(rule)})
    parameter = Parameter(W)
    optimizer = kind([parameter])
    assert step(parameter, optimizer) == np.where(condition, W + 8, G * 3).tolist()


@pytest.mark.parametrize("formula, expected", [
    (lambda self, w, g, state, s: where(w > 0, 3.0, w), np.where(W > 0, 3.0, W)),
    (lambda self, w, g, state, s: where(w > 0, w, s.lr), np.where(W > 0, W, 0.5)),
    (lambda self, w, g, state, s: where(s.lr > 0.25, w, g), W), (lambda self, w, g, state, s: where(False, w, g), G),
    (lambda self, w, g, state, s: maximum(0.25, w), np.maximum(W, 0.25)),
    (lambda self, w, g, state, s: minimum(w, s.lr), np.minimum(W, 0.5)), (lambda self, w, g, state, s: w * w, W * W),
    (lambda self, w, g, state, s: w ** 2 - g ** 2.0, W * W - G * G), (lambda self, w, g, state, s: 7, W * 0 + 7),
    (lambda self, w, g, state, s: s.lr, W * 0 + 0.5), (lambda self, w, g, state, s: 3 - g / 4, 3 - G / 4),
    (lambda self, w, g, state, s: 1 / (g * g + 1) - s.lr / (w * w + 1), 1 / (G * G + 1) - 0.5 / (W * W + 1)),
    (lambda self, w, g, state, s: sign(g) * abs(-w) + +w, np.sign(G) * abs(W) + W)])
def test_values_of_arrays_and_numbers(formula, expected):
    parameter, optimizer = made(formula)
    assert step(parameter, optimizer) == expected.tolist()
    optimizer.compiled = False
    assert step(parameter, optimizer, recorded=False) == expected.tolist()


# What is refused, and runs as Python

class Writing:
    """A formula that is no function of the class."""

    def __call__(self, w, g, state, s):
        return w - g


def with_a_table(g, *, table=[0.5]):  # noqa: B006
    return g * table[0]


def marked(g):
    return g * marked.share


marked.share = 0.5


def writes_a_setting(self, w, g, state, s):
    s.lr = 0.25
    return w - s.lr * g


REFUSED = {
    "a condition": (lambda self, w, g, state, s: w > g, W > G),
    "a sum of a condition": (lambda self, w, g, state, s: w + (w > g), W + (W > G)),
    "a condition and a truth": (lambda self, w, g, state, s: where((w > g) & True, w, g), np.where(W > G, W, G)),
    "a cube": (lambda self, w, g, state, s: w ** 3, W ** 3),
    "the sign of a number": (lambda self, w, g, state, s: w * sign(-s.lr), -W),
    "a remainder": (lambda self, w, g, state, s: w * (s.lr % 0.375), W * 0.125),
    "an argument by name": (lambda self, w, g, state, s: w - with_a_table(g), W - 0.5 * G),
    "an attribute of a function": (lambda self, w, g, state, s: w - marked(g), W - 0.5 * G),
    "a class": (lambda self, w, g, state, s: w - g * (self.__class__ is not None), W - G),
    "a setting written": (writes_a_setting, W - 0.25 * G), "a formula that is no function": (Writing(), W - G),
    "a NumPy number": (lambda self, w, g, state, s: w - np.float64(0.5) * g, W - 0.5 * G),
    "rounded": (lambda self, w, g, state, s: w - round(s.lr + 1.25) * g, W - 2 * G),
    "a text": (lambda self, w, g, state, s: w - len(str(s.lr)) * g, W - 3 * G),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_chain_cannot_do_runs_as_python(name):
    formula, expected = REFUSED[name]
    parameter, optimizer = made(formula)
    for _ in range(3):
        assert step(parameter, optimizer, recorded=False) == expected.tolist()
        assert optimizer.reason.startswith(("NotRecordable: ", "TypeError: unsupported operand")), optimizer.reason


def test_an_attribute_that_hides_a_constant_of_the_base():
    class Base(Own):
        share_of_all = 0.5

    class Hiding(Base):
        @property
        def share_of_all(self):
            return 2.0

        def formula(self, w, g, state, s):
            return w - self.share_of_all * g

    parameter = Parameter(W)
    assert step(parameter, Hiding([parameter]), recorded=False) == (W - 2 * G).tolist()


@pytest.mark.parametrize("rule", [lambda what, value: np.float64(value), lambda what, value: [float(value)],
                                  lambda what, value: (np.float64(value),)])
def test_settings_that_may_change_unseen(rule):
    class Listed(Optimizer):
        rules = {"lr": rule}  # noqa: RUF012

        def __init__(self, params):
            super().__init__(params, lr=0.5)

        def formula(self, w, g, state, s):
            return w - (s.lr[0] if type(s.lr) in (list, tuple) else s.lr) * g

    parameter = Parameter(W)
    optimizer = Listed([parameter])
    assert step(parameter, optimizer, recorded=False) == (W - 0.5 * G).tolist()
    if isinstance(optimizer.lr, list):
        optimizer.lr[0] = 0.25
        assert step(parameter, optimizer, recorded=False) == (W - 0.25 * G).tolist()


def test_a_state_that_the_optimizer_has_not():
    def formula(self, w, g, state, s):
        state.speed = g
        return w

    parameter, optimizer = made(formula)
    with pytest.raises(AttributeError, match=r"^expected a state of m, got 'speed'$"):
        step(parameter, optimizer)


@pytest.mark.parametrize("compiled", [True, False])
def test_what_a_formula_is_given(compiled):
    seen = []

    class Looking(Own):
        def formula(self, w, g, state, s):
            seen.append((vars(s).keys(), vars(state).keys(), type(s.step)))
            return w

    parameter = Parameter(W)
    optimizer = Looking([parameter])
    optimizer.compiled = compiled
    step(parameter, optimizer, recorded=False)
    assert seen[-1] == ({"lr", "share", "step"}, {"m"}, float)


# What was recorded and changes later

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
    class Halving(Own):
        def settings(self, group):
            return super().settings(dict(group, lr=group["lr"] / 2))

        def formula(self, w, g, state, s):
            return w - s.lr * g

    parameter = Parameter(W)
    optimizer = Halving([parameter])
    for lr in (0.5, 0.25, 2.0, 4.0):
        optimizer.lr = lr
        assert step(parameter, optimizer) == (W - lr / 2 * G).tolist()


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


# The functions on numbers and arrays

NAN = float("nan")


def test_functions_of_numbers():
    assert sqrt(9.0) == 3 and type(sqrt(9.0)) is float and [sign(x) for x in (-2.5, 0, 3)] == [-1, 0, 1]
    assert type(sign(2)) is float and math.isnan(sign(NAN))
    assert (maximum(1, 2), maximum(2, 1), minimum(1, 2), minimum(2, 1)) == (2, 2, 1, 1)
    assert all(math.isnan(f(*pair)) for f in (maximum, minimum) for pair in ((NAN, 1.0), (1.0, NAN)))
    assert math.copysign(1, maximum(-0.0, 0.0)) == -1 and math.copysign(1, minimum(0.0, -0.0)) == 1
    assert (where(True, 1, 2), where(False, 1, 2)) == (1, 2)


def test_functions_of_arrays():
    a, b = np.array([1.0, 5.0, NAN, 1.0, -0.0]), np.array([2.0, 3.0, 1.0, NAN, 0.0])
    np.testing.assert_array_equal(maximum(a, b), [2, 5, NAN, NAN, 0])
    np.testing.assert_array_equal(minimum(a, b), [1, 3, NAN, NAN, 0])
    assert np.signbit(maximum(a, b)[4]) and np.signbit(minimum(a, b)[4]) and not np.signbit(maximum(b, a)[4])
    np.testing.assert_array_equal(maximum(2.0, a), [2, 5, NAN, 2, 2])
    np.testing.assert_array_equal(minimum(a, 2.0), [1, 2, NAN, 1, -0.0])
    np.testing.assert_array_equal(sqrt(np.array([4.0, 9.0])), [2, 3])
    np.testing.assert_array_equal(sign(np.array([4.0, -9.0, 0.0])), [1, -1, 0])
    np.testing.assert_array_equal(where(b > 1.5, a, 7.0), [1, 5, 7, 7, 7])
    with pytest.raises(TypeError, match=r"^where: expected an array on one side at least, got two numbers$"):
        where(b > 1, 1.0, 2.0)
    trace = Trace()
    assert is_array(a) and not is_array(1.0) and is_array(trace.array("place", 0)) and not is_array(trace.constant(2))


def test_symbols_of_a_trace():
    trace, other = Trace(), Trace()
    w, lr = trace.array("place", 0), trace.number(("setting", 0), 0.5)
    assert trace.array("place", 0).place == w.place == 0 and trace.array("place", 1).place == 1
    assert trace.constant(0.0).place != trace.constant(-0.0).place and trace.constant(1).place == trace.constant(
        1.0).place
    for wrong in (lambda: w + "a", lambda: w + other.array("place", 0), lambda: lr + "a", lambda: lr + None,
                  lambda: float(lr), lambda: int(lr), lambda: bool(w), lambda: w + (w > 1),
                  lambda: (w > 1) & w, lambda: iter(w), lambda: len(w), lambda: 1 in w, lambda: w ** 3, lambda: w ** lr,
                  lambda: bool(w > 1), lambda: lr.apply("sign", lr), lambda: (lr - 1) ** 0.5, lambda: f"{lr:.2f}",
                  lambda: w.__iadd__(1), lambda: w.__array__(), lambda: str(w), lambda: round(lr),
                  lambda: lr.__index__()):
        with pytest.raises(NotRecordable):
            wrong()
    for unhashable in (w, lr, w > 1):
        with pytest.raises(TypeError, match="unhashable"):
            hash(unhashable)
