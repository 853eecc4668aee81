"""The functions of recurrent layers by their formulas, step by step, and what their backward passes give."""
from __future__ import annotations

import numpy as np
import pytest
from module_cases import numbers

import minidl
from minidl.autograd import grad
from minidl.functional import recurrent

T, N, H = 3, 2, 4


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def rnn(a, h, w, nonlinearity="tanh"):
    z = a + h @ w.T
    return (np.tanh(z) if nonlinearity == "tanh" else np.maximum(z, 0),)


def lstm(a, h, c, w):
    i, f, g, o = np.split(a + h @ w.T, 4, axis=-1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def gru(a, h, w, b=0.0):
    (r, z, n), (of_r, of_z, of_n) = np.split(a, 3, -1), np.split(h @ w.T + b, 3, -1)
    z = sigmoid(z + of_z)
    n = np.tanh(n + sigmoid(r + of_r) * of_n)
    return (n + z * (h - n),)


KINDS = [("rnn", 1, 1, {}), ("rnn", 1, 1, {"nonlinearity": "relu"}), ("rnn", 1, 1, {"nonlinearity": "tanh"}),
         ("lstm", 2, 4, {}), ("gru", 1, 3, {}), ("gru", 1, 3, {"bias": True})]


def given(states: int, gates: int, more: dict, length: int = T):
    """a, the states, the weight and the bias."""
    bias = [numbers(gates * H, np.float64, 9)] if more.get("bias") else []
    return [numbers((length, N, gates * H), np.float64, 1),
     *[numbers((N, H), np.float64, 2 + k) for k in range(states)],
            numbers((gates * H, H), np.float64, 5), *bias]


def by_hand(kind, count, more, inputs, reverse):
    a, states, rest = inputs[0], tuple(inputs[1:1 + count]), inputs[1 + count:]
    more = {name: value for name, value in more.items() if name != "bias"}
    found = [None] * len(a)
    for t in reversed(range(len(a))) if reverse else range(len(a)):
        states = found[t] = globals()[kind](a[t], *states, *rest, **more)
    each = [np.stack([step[k] for step in found]) for k in range(count)]
    return each[0] if count == 1 else np.stack(each)


@pytest.mark.parametrize("length", [1, T])
@pytest.mark.parametrize("reverse", [None, False, True])
@pytest.mark.parametrize("kind, count, gates, more", KINDS)
def test_values_and_derivatives(kind, count, gates, more, reverse, length):
    inputs = given(count, gates, more, length)
    settings = {name: value for name, value in more.items() if name != "bias"}
    settings |= {} if reverse is None else {"reverse": reverse}
    expected = by_hand(kind, count, more, inputs, reverse)
    function = getattr(recurrent, kind)
    np.testing.assert_allclose(function(*inputs, **settings), expected, rtol=1e-11, atol=1e-12)
    leaves = [minidl.tensor(x.copy(), requires_grad=True) for x in inputs]
    v = numbers(expected.shape, np.float64, 7)

    def total(inputs):
        return float((by_hand(kind, count, more, inputs, reverse) * v).sum())

    y = function(*leaves, **settings)
    np.testing.assert_array_equal(y.data, function(*inputs, **settings))
    for create_graph in (False, True):
        found = grad(y, leaves, minidl.tensor(v), create_graph=create_graph, retain_graph=True)
        for k, dx in enumerate(found):
            along, ends = numbers(dx.shape, np.float64, 8), []
            for sign in (1, -1):
                changed = [x + sign * 1e-6 * along if i == k else x for i, x in enumerate(inputs)]
                ends.append(total(changed))
            np.testing.assert_allclose((dx.data * along).sum(), (ends[0] - ends[1]) / 2e-6, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("kind, count, gates, more", KINDS)
def test_the_gradient_for_each_input_by_itself(kind, count, gates, more, reverse):
    inputs = given(count, gates, more)
    settings = {name: value for name, value in more.items() if name != "bias"} | {"reverse": reverse}
    function = getattr(recurrent, kind)
    every = [minidl.tensor(x, requires_grad=True) for x in inputs]
    together = grad(function(*every, **settings).sum(), every)
    for k, expected in enumerate(together):
        some = [minidl.tensor(x, requires_grad=i == k) for i, x in enumerate(inputs)]
        np.testing.assert_array_equal(grad(function(*some, **settings).sum(), some[k])[0].data, expected.data)


@pytest.mark.parametrize("kind, count, gates, more", KINDS)
def test_arrays_in_any_order(kind, count, gates, more):
    """Turned and strided inputs, and gradients, give the same."""
    inputs = given(count, gates, more)
    settings = {name: value for name, value in more.items() if name != "bias"}
    strange = [np.asfortranarray(x) if x.ndim > 1 else np.repeat(x, 2)[::2] for x in inputs]
    results = []
    for parts in (inputs, strange):
        leaves = [minidl.tensor(x, requires_grad=True) for x in parts]
        y = getattr(recurrent, kind)(*leaves, **settings)
        v = numbers(y.shape, np.float64, 7)
        results.append([y.data, *(dx.data for dx in grad(y, leaves, np.asfortranarray(v) if parts is strange else v))])
    for mine, other in zip(*results, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-12, atol=1e-13)
