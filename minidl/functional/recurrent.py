"""Recurrent layers: a whole sequence is one operation, which is given the input's product for all steps at once.

    rnn    h' = tanh(a + h Wᵀ), or relu
    lstm   i, f, g, o = a + h Wᵀ;    c' = sigmoid(f) c + sigmoid(i) tanh(g);    h' = sigmoid(o) tanh(c')
    gru    r = sigmoid(a_r + q_r), z = sigmoid(a_z + q_z), n = tanh(a_n + r q_n), q = h Wᵀ + b;    h' = n + z (h - n)

a (T, N, gates H) is the input's part, with the biases that are added to it; h (N, H) begins as h0, W (gates H, H).
The row of a sequence keeps all that its steps compute in one array, the work. Its derivative goes through the steps
once, backwards, and gives the gradients of a and q for all steps; what W and b receive are products over all of
them. The functions ``*_step`` are the formulas in operations: they compute a single step, and second derivatives.
"""
from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .. import arrays
from ..autograd.gradients import grad
from ..autograd.tensor import Tensor
from .activations import relu, sigmoid, tanh
from .casts import contiguous
from .composition import Composed
from .elementwise import zeros_like
from .operation import ALL_INPUTS, Operation
from .products import linear, linear_bias_gradient, linear_weight_gradient
from .shapes import cat, index, reshape, stack

# A step, in operations: (a, states, weight, bias) -> (the new states, what was summed up before the functions)


def rnn_step(a, states, weight, bias, nonlinearity: str):
    z = a + linear(states[0], weight, bias)
    return ((tanh if nonlinearity == "tanh" else relu)(z),), (z,)


def lstm_step(a, states, weight, bias):
    h, c = states
    z, n = a + linear(h, weight, bias), h.shape[-1]
    i, f, g, o = sigmoid(z[..., :n]), sigmoid(z[..., n:2 * n]), tanh(z[..., 2 * n:3 * n]), sigmoid(z[..., 3 * n:])
    c = f * c + i * g
    return (o * tanh(c), c), (z,)


def gru_step(a, states, weight, bias):
    h, = states
    q, m = linear(h, weight, bias), h.shape[-1]
    r, z = sigmoid(a[..., :m] + q[..., :m]), sigmoid(a[..., m:2 * m] + q[..., m:2 * m])
    n = tanh(a[..., 2 * m:] + r * q[..., 2 * m:])
    return (n + z * (h - n),), (a, q)


# All steps, in operations


def _steps(step: Callable, a, states, weight, bias, reverse: bool):
    """The states before each step, those after it and what it summed up, in the order of a."""
    times = range(a.shape[0])
    before, after, sums = [None] * len(times), [None] * len(times), [None] * len(times)
    for t in reversed(times) if reverse else times:
        before[t] = states
        states, sums[t] = step(reshape(a[t], a.shape[1:]), states, weight, bias)
        after[t] = states
    return before, after, sums


def _kept(after):
    """The states after each step as the row gives them: (T, N, H), or of several (states, T, N, H)."""
    each = [stack([states[k] for states in after], 0) for k in range(len(after[0]))]
    return each[0] if len(each) == 1 else stack(each, 0)


def _composed_backward(step: Callable, count: int):
    """What a row's backward gives, (T + 1, N, columns): in its first place the gradients of h0 and c0."""
    def backward(g, work, a, *rest, reverse, **settings):
        states, (weight, *bias) = rest[:count], rest[count:]
        _, after, sums = _steps(lambda *given: step(*given, **settings), a, states, weight, *bias or (None,), reverse)
        ends = [x for each in sums for x in each]
        found = grad(_kept(after), [*ends, *states], g, create_graph=True, allow_unused=True)
        found = [zeros_like(x) if dx is None else dx for dx, x in zip(found, [*ends, *states], strict=True)]
        size = len(sums[0])
        rows = [cat(found[i:i + size], -1) if size > 1 else found[i] for i in range(0, len(ends), size)]
        first = cat(found[len(ends):][::-1], -1)
        missing = rows[0].shape[-1] - first.shape[-1]
        if missing:
            first = cat([first, zeros_like(rows[0][..., :missing])], -1)
        return stack([first, *rows], 0)

    return backward


def _composed_before(step: Callable, count: int):
    """h before each step, (T, N, H)."""
    def states_before(work, a, *rest, reverse, **settings):
        states, (weight, *bias) = rest[:count], rest[count:]
        before, _, _ = _steps(lambda *given: step(*given, **settings), a, states, weight, *bias or (None,), reverse)
        return stack([states[0] for states in before], 0)

    return states_before


# The rows


class _Sequence:
    """The row of a kind of layer: ``row(a, *states, weight, bias, reverse=...)``.

    The work is one array: the states slab by slab, each (T + 1, N, H) with the initial one in the first place (in the
    last, if the steps run backwards), then what else the kernel keeps.
    """

    def __init__(self, name: str, step: Callable, states: int, kept: int, columns: int, biased: bool = False):
        """kept : numbers a unit and step in the work, beside the states. columns : of the backward's output, in H."""
        self.name, self.states, self.kept, self.columns = name, states, kept, columns
        arity = 2 + states + biased
        self.forward = Operation(f"{name}_states", self._forward)
        self.backward = Composed(f"{name}_backward", self._backward, _composed_backward(step, states), 2 + arity)
        self.before = Composed(f"{name}_before", self._before, _composed_before(step, states), 1 + arity, views=True)
        self.row = Operation(
            name, self._value, self._of_a, *[self._of_state(k) for k in range(states)], self._of_weight,
            *[self._of_bias] * biased, saves=True, reads=(ALL_INPUTS,) * arity, common=self._common)

    # Values

    def _forward(self, a, *rest, **settings):
        states, (weight, *bias) = rest[:self.states], rest[self.states:]
        steps, (n, h) = len(a), states[0].shape
        slab = (steps + 1) * n * h
        work = np.empty(self.states * slab + self.kept * steps * n * h, a.dtype)
        for k, state in enumerate(states):
            self._slab(work, k, steps, n, h)[steps if settings["reverse"] else 0] = state
        row = np.ascontiguousarray(bias[0]) if bias else None
        arrays.RECURRENT[self.name][a.dtype](
            np.ascontiguousarray(arrays.as_matrix(a)), weight, row, work, steps, *map(_number, settings.values()))
        return work

    @staticmethod
    def _slab(work, k: int, steps: int, n: int, h: int):
        size = (steps + 1) * n * h
        return work[k * size:(k + 1) * size].reshape(steps + 1, n, h)

    def _backward(self, g, work, a, *rest, **settings):
        weight, (n, h) = rest[self.states], rest[0].shape
        back = np.empty((len(a) + 1, n, self.columns * h), a.dtype)
        arrays.RECURRENT[f"{self.name}_backward"][a.dtype](
            arrays.as_matrix(g), np.ascontiguousarray(weight), work, arrays.as_matrix(back), len(a),
            *map(_number, settings.values()))
        return back

    def _before(self, work, a, h0, *rest, **settings):
        reverse = settings["reverse"]
        return self._slab(work, 0, len(a), *h0.shape)[slice(1, None) if reverse else slice(-1)]

    # In operations

    def _value(self, a, *rest, **settings):
        work, (n, h) = self.forward(a, *rest, **settings), rest[0].shape
        steps, k = a.shape[0], self.states
        slabs = reshape(index(work, slice(0, k * (steps + 1) * n * h)), k, steps + 1, n, h)
        after = slice(0, -1) if settings["reverse"] else slice(1, None)
        return index(slabs, (0, after) if k == 1 else (slice(None), after)), work

    def _common(self, g, work, a, *rest, **settings):
        back = self.backward(_in_order(g), work, a, *rest, **settings)
        return back, self.before(work, a, *rest, **settings)

    def _of_a(self, g, common, a, *rest, **settings):
        return common[0][1:, :, :a.shape[-1]]

    def _of_state(self, k: int):
        place = self.states - 1 - k  # c0's before h0's

        def of_state(g, common, a, *rest, **settings):
            h = rest[0].shape[-1]
            return common[0][0][:, place * h:(place + 1) * h]

        return of_state

    def _of_sums(self, common, weight):
        back = common[0]
        return back[1:, :, back.shape[-1] - weight.shape[0]:]

    def _of_weight(self, g, common, a, *rest, **settings):
        return linear_weight_gradient(self._of_sums(common, rest[self.states]), common[1])

    def _of_bias(self, g, common, a, *rest, **settings):
        return linear_bias_gradient(self._of_sums(common, rest[self.states]))


def _in_order(g):
    return contiguous(g) if isinstance(g, Tensor) else np.ascontiguousarray(g)


def _number(setting) -> float:
    return float(setting == "relu" if isinstance(setting, str) else setting)


_rnn = _Sequence("rnn", rnn_step, 1, 0, 1)
_lstm = _Sequence("lstm", lstm_step, 2, 5, 4)
_gru = _Sequence("gru", gru_step, 1, 4, 6, biased=True)


def rnn(a, h0, weight, *, reverse: bool = False, nonlinearity: str = "tanh"):
    """h after each step, (T, N, H), of an Elman network (1990); a (T, N, H)."""
    return _rnn.row(a, h0, weight, reverse=reverse, nonlinearity=nonlinearity)


def lstm(a, h0, c0, weight, *, reverse: bool = False):
    """h and c after each step, (2, T, N, H), of an LSTM (Hochreiter and Schmidhuber 1997); a (T, N, 4 H)."""
    return _lstm.row(a, h0, c0, weight, reverse=reverse)


def gru(a, h0, weight, bias=None, *, reverse: bool = False):
    """h after each step, (T, N, H), of a GRU (Cho et al. 2014); a (T, N, 3 H)."""
    return _gru.row(a, h0, weight, *[] if bias is None else [bias], reverse=reverse)
