"""The operations that an optimizer's formula is written as: joined, in few slots, and to their places at once."""
from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from minidl.autograd.parameter import Parameter
from minidl.optim import Optimizer, chains
from minidl.optim.functions import maximum, sqrt, where
from minidl.optim.group import at_least_zero
from minidl.optim.recording import record


def written(monkeypatch, formula, names, settings, **more):
    """What the kernel's chain is made from: (text, arrays, settings, numbers, guards, used, operations, ...)."""
    kind = type("Made", (Optimizer,), {"rules": dict.fromkeys(settings, at_least_zero), "state_names": names,
                                       "formula": formula})
    optimizer = kind([Parameter(np.zeros(1))], **settings)
    monkeypatch.setattr(chains, "kernels", SimpleNamespace(of=lambda dtype: SimpleNamespace(
        Chain=lambda *given: (dtype, *given))))
    group, = optimizer.param_groups
    return chains.chain(record(optimizer, group, names, 1), group, 2 + len(names), np.float64, **more)


def momentum(self, w, g, state, s):
    state.m = s.share * state.m + g
    return w - s.lr * state.m


def averaged(self, w, g, state, s):
    state.m = s.share * state.m + g * (1 - s.share)
    return w - s.lr * state.m / s.step


def exchanged(self, w, g, state, s):
    state.m, state.v = state.v, state.m
    return g


def read_twice(self, w, g, state, s):
    p = w * g
    state.m = p + p
    state.v = p - g * state.v
    return w * 2.0 + g


def chosen(self, w, g, state, s):
    state.m = s.lr
    return where(g > state.m, maximum(w, 0.0), -abs(g)) if s.lr < s.share else g


def unused(self, w, g, state, s):
    sqrt(abs(w * 7.0))
    return (w - g) * (w - g) + g


def behind(self, w, g, state, s):
    a = g + w * g
    b = a - w * a
    state.m = b * a + state.m * b
    return (a - b) * s.lr


def read_later(self, w, g, state, s):
    new = w - g
    state.m = w * 2.0
    return new


def two_places(self, w, g, state, s):
    state.m = w * 2.0
    return state.m


def kept(self, w, g, state, s):
    return w - g


# w, g and the state are slots 0, 1, 2, ..., then come the numbers that are used, then temporaries
CASES = [
    (momentum, "m", "t0 = multiply n0 s0; t1 = add t0 g; t2 = multiply n1 t1; t3 = subtract w t2; w = t3; s0 = t1",
     [1, 0], [("product_and", 2, 3, 2, 1, 3), ("less_product", 0, 4, 2, 0, 4)], 0),
    (averaged, "m", "t0 = multiply n0 s0; t1 = multiply n1 g; t2 = add t0 t1; t3 = multiply n2 t2; t4 = divide t3 n3; "
     "t5 = subtract w t4; w = t5; s0 = t2", [1, 4, 0, 2],
     [("two_products", 2, 3, 2, 4, 1), ("multiply", 7, 5, 2, 5, 5), ("divide", 7, 7, 6, 7, 7),
      ("subtract", 0, 0, 7, 0, 0)], 1),
    (exchanged, "mv", "w = g; s0 = s1; s1 = s0", [],
     [("copy", 4, 1, 1, 1, 1), ("copy", 5, 3, 3, 3, 3), ("copy", 6, 2, 2, 2, 2), ("copy", 0, 4, 4, 4, 4),
      ("copy", 2, 5, 5, 5, 5), ("copy", 3, 6, 6, 6, 6)], 3),
    (read_twice, "mv", "t0 = multiply w g; t1 = add t0 t0; t2 = multiply g s1; t3 = subtract t0 t2; "
     "t4 = multiply n0 w; t5 = add t4 g; w = t5; s0 = t1; s1 = t3", [3],
     [("multiply", 5, 0, 1, 0, 0), ("add", 2, 5, 5, 5, 5), ("less_product", 3, 1, 3, 5, 1),
      ("product_and", 0, 4, 0, 1, 4)], 1),
    (chosen, "m", "t0 = greater g n0; t1 = maximum w n1; t2 = absolute g; t3 = negative t2; t4 = where t0 t1 t3; "
     "w = t4; s0 = n0", [0, 3],
     [("greater", 5, 1, 3, 1, 1), ("maximum", 6, 0, 4, 0, 0), ("absolute", 7, 1, 1, 1, 1), ("negative", 7, 7, 7, 7, 7),
      ("where", 0, 5, 6, 7, 5), ("copy", 2, 3, 3, 3, 3)], 3),
    (unused, "", "t0 = subtract w g; t1 = multiply t0 t0; t2 = add t1 g; w = t2", [],
     [("subtract", 2, 0, 1, 0, 0), ("product_and", 0, 2, 2, 1, 2)], 1),
    (behind, "m", "t0 = multiply w g; t1 = add g t0; t2 = multiply w t1; t3 = subtract t1 t2; t4 = multiply t3 t1; "
     "t5 = multiply s0 t3; t6 = add t4 t5; t7 = subtract t1 t3; t8 = multiply n0 t7; w = t8; s0 = t6", [0],
     [("product_and", 4, 0, 1, 1, 0), ("less_product", 5, 0, 4, 4, 0), ("two_products", 2, 5, 4, 2, 5),
      ("subtract", 5, 4, 5, 4, 4), ("multiply", 0, 3, 5, 3, 3)], 2),
    (read_later, "m", "t0 = subtract w g; t1 = multiply n0 w; w = t0; s0 = t1", [3],
     [("subtract", 4, 0, 1, 0, 0), ("multiply", 2, 3, 0, 3, 3), ("copy", 0, 4, 4, 4, 4)], 1),
    (two_places, "m", "t0 = multiply n0 w; w = t0; s0 = t0", [3],
     [("multiply", 0, 3, 0, 3, 3), ("copy", 2, 0, 0, 0, 0)], 0),
    (kept, "m", "t0 = subtract w g; w = t0", [], [("subtract", 0, 0, 1, 0, 0)], 0),
]


@pytest.mark.parametrize("formula, names, text, used, operations, temporaries", CASES)
def test_a_formula_is_written_so(formula, names, text, used, operations, temporaries, monkeypatch):
    found = written(monkeypatch, formula, tuple(names), {"lr": 0.125, "share": 0.25})
    dtype, its_text, arrays, count, table, guards, its_used, its_operations, its_temporaries, whole = found
    assert its_text == text and its_operations == operations and its_temporaries == temporaries
    assert (dtype, arrays, count, its_used, whole) == (np.float64, 2 + len(names), 2, used, True)
    assert table[:3] == [("setting", 0, 0, 0.0), ("setting", 1, 0, 0.0), ("step", 0, 0, 0.0)]
    assert guards == ([("less", 0, 1, True)] if formula is chosen else [])
    assert table[3:] == {averaged: [("constant", 0, 0, 1.0), ("subtract", 3, 1, 0.0)], chosen: [
        ("constant", 0, 0, 0.0)], unused: [("constant", 0, 0, 7.0)]}.get(
            formula, [("constant", 0, 0, 2.0)] if "n0 w" in text else [])
    assert written(monkeypatch, formula, tuple(names), {"lr": 0.125, "share": 0.25}, whole=False)[-1] is False
