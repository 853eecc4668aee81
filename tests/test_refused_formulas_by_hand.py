"""Formulas of an optimizer that a chain cannot run, which run as Python, with the same result at every step."""
from __future__ import annotations

import numpy as np
import pytest
from small_formulas import G, Own, W, made, step

from minidl.autograd.parameter import Parameter
from minidl.optim import Optimizer
from minidl.optim.functions import sign, where


class Writing:
    """A formula that is no function of the class."""

    def __call__(self, w, g, state, s):
        return w - g


def with_a_table(g, *, table=[0.5]):  # noqa: B006
    return g * table[0]


def marked(g):
    return g * marked.share


marked.share = 0.5
marked.halved = lambda g: g / 2


as_list, least = list, min


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
    "a function of a function": (lambda self, w, g, state, s: w - marked.halved(g), W - 0.5 * G),
    "an attribute of a function": (lambda self, w, g, state, s: w - marked(g), W - 0.5 * G),
    "a class": (lambda self, w, g, state, s: w - g * (self.__class__ is not None), W - G),
    "a setting written": (writes_a_setting, W - 0.25 * G), "a formula that is no function": (Writing(), W - G),
    "another name of a class": (lambda self, w, g, state, s: as_list((w, g))[0] - g, W - G),
    "another name of a builtin": (lambda self, w, g, state, s: w - least(s.lr, 1.0) * g, W - 0.5 * G),
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


def test_what_a_formula_notes_at_a_function_is_noted_at_each_step():
    def formula(self, w, g, state, s):
        marked.seen = s.step
        return w - g

    parameter, optimizer = made(formula)
    marked.seen = 0
    for count in range(1, 4):
        step(parameter, optimizer, recorded=False)
        assert marked.seen == count and optimizer.state_dict()["state"][0]["step"] == [count]


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


def test_the_parameters_are_no_setting():
    parameter, optimizer = made(lambda self, w, g, state, s: w - len(s.params) * g)
    with pytest.raises(AttributeError, match="params"):
        step(parameter, optimizer)
    assert parameter.data.tolist() == W.tolist()


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
