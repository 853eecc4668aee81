"""Numbers in an optimizer's formula: computed, compared and branched on, compiled as in Python; its functions."""
# ruff: noqa: SIM300 - numbers stand on either side
from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
from small_formulas import G, Own, W, made, step

from minidl.autograd.parameter import Parameter
from minidl.optim.functions import is_array, maximum, minimum, sign, sqrt, where
from minidl.optim.symbols import NotRecordable, Trace

COMPUTED = {
    "sum": lambda s: s.lr + s.share, "sum with a number": lambda s: s.lr + 3, "number plus": lambda s: 3 + s.lr,
    "difference": lambda s: s.lr - s.share, "less a number": lambda s: s.lr - 3, "number less": lambda s: 3 - s.lr,
    "product": lambda s: s.lr * s.share, "times": lambda s: s.lr * 3, "number times": lambda s: 3 * s.lr,
    "quotient": lambda s: s.lr / s.share, "over": lambda s: s.lr / 4, "number over": lambda s: 3 / s.lr,
    "power": lambda s: s.lr ** s.share, "square": lambda s: s.lr ** 2, "number to the power": lambda s: 3 ** s.lr,
    "negative": lambda s: -s.lr, "positive": lambda s: +s.lr, "absolute": lambda s: abs(s.share - s.lr),
    "root": lambda s: sqrt(s.lr), "root of a number": lambda s: sqrt(2.0), "step": lambda s: 1 / (s.step + s.lr),
    "true": lambda s: s.lr + True, "pi": lambda s: s.lr * math.pi,
    "root by math": lambda s: s.lr * math.sqrt(2.0), "a constant": lambda s: math.hypot(3.0, 4.0),
    "least": lambda s: min(s.lr, s.share, 0.5),
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
