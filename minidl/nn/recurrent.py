"""RNN, LSTM and GRU: layers over sequences, of several levels and both directions."""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import functional, random
from ..autograd.parameter import Parameter
from ..autograd.tensor import Tensor
from ..functional import cat, linear, stack, where
from ..functional.casts import contiguous
from ..functional.elementwise import zeros_of
from ..functional.operation import Operation
from ..functional.recurrent import gru, lstm, rnn
from . import init
from .module import Module


def _checked_lengths(lengths, x) -> np.ndarray:
    """The lengths of the sequences, in int64. ValueError unless there is one for each, from 1 to the whole."""
    lengths = np.asarray(lengths)
    if lengths.dtype.kind not in "iu" or lengths.shape != x.shape[1:2]:
        raise ValueError(f"expected lengths as integers of shape {x.shape[1:2]}, got {lengths.dtype} of shape "
                         f"{lengths.shape}")
    if lengths.size and not 1 <= lengths.min() <= lengths.max() <= len(x):
        raise ValueError(f"expected lengths from 1 to {len(x)}, got {lengths.min()} to {lengths.max()}")
    return lengths.astype(np.int64)


def _turned_places(lengths, x):
    """For each step and sequence the step that stands there if the sequence is turned round within its length."""
    lengths, times = _checked_lengths(lengths, x), np.arange(len(x))[:, None]
    return np.where(times < lengths, lengths - 1 - times, times)


_turned = Operation("turned_places", _turned_places, arity=2)
_within = Operation(  # (T, N, 1)
    "within", lambda lengths, x: np.arange(len(x))[:, None, None] < _checked_lengths(lengths, x)[:, None], arity=2)
_last = Operation("last_places", lambda lengths, x: _checked_lengths(lengths, x) - 1, arity=2)
_samples = Operation("samples", lambda x: np.arange(x.shape[1]), arity=1)


class RecurrentModule(Module):
    """What RNN, LSTM and GRU share.

    x (T, N, input_size), with batch_first (N, T, input_size), or a single sequence (T, input_size) -> the pair of
    the last level's h for all steps, (T, N, D hidden_size), and the last states (levels D, N, hidden_size), which
    can be given to begin with; D is 2 if bidirectional, the outputs of both directions then side by side.

        weight_ih_l0 (gates H, in), weight_hh_l0 (gates H, H), bias_ih_l0, bias_hh_l0 (gates H,), then those of
        the other direction ("_reverse"), then of the next level ("_l1"); uniform in ±1/√H at first

    num_layers : levels, each of which is given the outputs of the one below. dropout : of what a level gives to
    the next, in training. bias : False leaves the biases out. dtype : np.float32 or np.float64. generator : a seed
    or a numpy.random.Generator, for the initial values and the dropout.

    Sequences of several lengths are padded to the longest, and ``lengths`` (N,) tells how long each is: outputs
    beyond it are zero, the last states are those of its last step, and the other direction begins there. PyTorch
    packs sequences for this; a mask needs no other kind of data, and no order of the samples.

    Raises ValueError for inputs, states and lengths of other shapes, TypeError for another dtype.
    """

    proj_size = 0  # of an LSTM whose h is projected
    gates = 1   # rows of a weight, in H
    states = 1  # arrays of a state

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True,
                 batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False, dtype=None, *,
                 generator=None):
        for name, value in (("input_size", input_size), ("hidden_size", hidden_size), ("num_layers", num_layers)):
            if not isinstance(value, (int, np.integer)) or value < 1:
                raise ValueError(f"{type(self).__name__}: expected {name} to be a positive integer, got {value!r}")
        if not 0 <= dropout <= 1:
            raise ValueError(f"{type(self).__name__}: expected a dropout from 0 to 1, got {dropout}")
        self.input_size, self.hidden_size, self.num_layers = int(input_size), int(hidden_size), int(num_layers)
        self.bias, self.batch_first, self.dropout = bias, batch_first, dropout
        self.bidirectional = bidirectional
        self.dtype = np.dtype(np.float32 if dtype is None else dtype)
        self.generator = None if generator is None else random.generator(generator)
        rows, bound = self.gates * hidden_size, 1 / math.sqrt(hidden_size)
        given = self.proj_size or hidden_size  # the length of h
        for level in range(num_layers):
            below = input_size if level == 0 else given * len(self._directions())
            for ending in self._directions():
                shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, below), "weight_hh": (rows, given)}
                if bias:
                    shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
                if self.proj_size:
                    shapes["weight_hr"] = given, hidden_size
                for name, shape in shapes.items():
                    name = f"{name}_l{level}{ending}"
                    order: Any = "F" if len(shape) == 2 else "C"
                    parameter = Parameter(np.zeros(shape, self.dtype), name, order=order)
                    init.uniform_(parameter, -bound, bound, generator=self.generator)
                    setattr(self, name, parameter)

    def _directions(self) -> tuple[str, ...]:
        return ("", "_reverse") if self.bidirectional else ("",)

    def forward(self, input, hx=None, *, lengths=None):
        """(outputs, last states); see the class."""
        if not isinstance(input, Tensor):
            input = Tensor(input)
        x, single = self._steps_first(input)
        states = self._initial(hx, x, single)
        last: list[list] = [[] for _ in range(self.states)]
        within = None if lengths is None else _within(lengths, x)
        for level in range(self.num_layers):
            if level and self.dropout and self.training:
                x = functional.dropout(x, self.dropout, generator=self.generator)
            outputs = []
            for ending in self._directions():
                start = [state[len(last[0])] for state in states]
                y, ends = self._sequence(x, start, level, ending, lengths)
                outputs.append(y if within is None else where(within, y, 0.0))
                for k, end in enumerate(ends):
                    last[k].append(end)
            x = outputs[0] if len(outputs) == 1 else cat(outputs, -1)
        found = [stack(ends, 0) for ends in last]
        if single:
            x, found = x[:, 0], [state[:, 0] for state in found]
        elif self.batch_first:
            x = x.transpose(0, 1)
        return x, found[0] if self.states == 1 else tuple(found)

    def _steps_first(self, x):
        """The input as (T, N, input_size), and whether it was a single sequence."""
        if x.ndim not in (2, 3) or x.shape[-1] != self.input_size or not all(x.shape[:-1]):
            shape = f"(N, T, {self.input_size})" if self.batch_first else f"(T, N, {self.input_size})"
            raise ValueError(
                f"{self.title()}: expected input of shape {shape} or (T, {self.input_size}), got {x.shape}")
        if x.dtype != self.dtype:
            raise TypeError(f"{self.title()}: expected input of dtype {self.dtype}, got {x.dtype}")
        if x.ndim == 2:
            return x.unsqueeze(1), True
        return contiguous(x.transpose(0, 1)) if self.batch_first else x, False

    def _initial(self, hx, x, single: bool) -> list:
        """The states to begin with, (levels D, N, H) each."""
        many = self.num_layers * len(self._directions()), x.shape[1]
        shapes = [(*many, self.proj_size or self.hidden_size), (*many, self.hidden_size)][:self.states]
        if hx is None:
            return [zeros_of(x, shape) for shape in shapes]
        given = [hx] if self.states == 1 else list(hx)
        if len(given) != self.states:
            raise ValueError(f"{self.title()}: expected {self.states} initial states, got {len(given)}")
        for state, shape in zip(given, shapes, strict=True):
            expected = shape[::2] if single else shape
            if state.shape != expected:
                raise ValueError(f"{self.title()}: expected initial states of shape {expected}, got {state.shape}")
            if state.dtype != self.dtype:
                raise TypeError(f"{self.title()}: expected initial states of dtype {self.dtype}, got {state.dtype}")
        given = [state if isinstance(state, Tensor) else Tensor(state) for state in given]
        return [state.unsqueeze(1) for state in given] if single else given

    def _sequence(self, x, states: list, level: int, ending: str, lengths):
        """h of a level in one direction for all steps, and its last states."""
        names = ["weight_ih", "weight_hh", "bias_ih", "bias_hh"] + ["weight_hr"] * (self.proj_size > 0)
        weights = [getattr(self, f"{name}_l{level}{ending}", None) for name in names]
        reverse = bool(ending)
        if lengths is None:
            y = self._run(x, states, weights, reverse)
            place = 0 if reverse else -1
            return (y, [y[place]]) if self.states == 1 else (y[0], [y[0][place], y[1][place]])
        samples = _samples(x)
        if reverse:
            turned = _turned(lengths, x)
            x = x[turned, samples]
        y, last = self._run(x, states, weights, False), _last(lengths, x)
        each = [y] if self.states == 1 else [y[0], y[1]]
        ends = [state[last, samples] for state in each]
        return each[0][turned, samples] if reverse else each[0], ends

    def _run(self, x, states, weights, reverse: bool):
        """What the layer's row gives."""
        raise NotImplementedError(f"{type(self).__name__} defines no sequence")

    def extra_repr(self) -> str:
        parts = [f"{self.input_size}, {self.hidden_size}"]
        for name, default in (("num_layers", 1), ("bias", True), ("batch_first", False), ("dropout", 0.0),
                              ("bidirectional", False), ("nonlinearity", "tanh")):
            if getattr(self, name, default) != default:
                parts.append(f"{name}={getattr(self, name)}")
        return ", ".join(parts)


def _together(a, b):
    return a + b if a is not None else None


class RNN(RecurrentModule):
    __doc__ = "Elman's network: h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu. " + str(RecurrentModule.__doc__)

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, nonlinearity: str = "tanh",
                 bias: bool = True, batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False,
                 dtype=None, *, generator=None):
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"RNN: expected nonlinearity 'tanh' or 'relu', got {nonlinearity!r}")
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, dtype,
                         generator=generator)
        self.nonlinearity = nonlinearity

    def _run(self, x, states, weights, reverse: bool):
        weight_ih, weight_hh, bias_ih, bias_hh = weights
        return rnn(linear(x, weight_ih, _together(bias_ih, bias_hh)), states[0], weight_hh, reverse=reverse,
                   nonlinearity=self.nonlinearity)


class LSTM(RecurrentModule):
    __doc__ = """Gates in the order i, f, g, o: c' = sigmoid(f) c + sigmoid(i) tanh(g), h' = sigmoid(o) tanh(c').

    States are pairs (h, c). proj_size : if above 0, h' is projected to so many numbers by a further weight,
    weight_hr_l0 (proj_size, H) (Sak, Senior and Beaufays 2014); its steps are then single operations.

    """ + str(RecurrentModule.__doc__)
    gates, states = 4, 2

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True,
                 batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False, proj_size: int = 0,
                 dtype=None, *, generator=None):
        most = max(hidden_size, 1) if isinstance(hidden_size, (int, np.integer)) else math.inf  # refused below
        if not isinstance(proj_size, (int, np.integer)) or not 0 <= proj_size < most:
            raise ValueError(f"LSTM: expected a proj_size from 0 to hidden_size - 1, got {proj_size!r}")
        self.proj_size = int(proj_size)
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, dtype,
                         generator=generator)

    def _run(self, x, states, weights, reverse: bool):
        weight_ih, weight_hh, bias_ih, bias_hh, *projection = weights
        gates = linear(x, weight_ih, _together(bias_ih, bias_hh))
        if projection:
            weight_hr, = projection
            return self._projected(gates, states, weight_hh, weight_hr, reverse)
        return lstm(gates, states[0], states[1], weight_hh, reverse=reverse)

    def _projected(self, gates, states, weight_hh, weight_hr, reverse: bool):
        """h and c for all steps, step by step."""
        h, c = states
        places = list(range(gates.shape[0]))[::-1 if reverse else 1]
        found: dict[int, tuple] = {}
        for t in places:
            i, f, g, o = functional.chunk(gates[t] + linear(h, weight_hh), 4, -1)
            c = functional.sigmoid(f) * c + functional.sigmoid(i) * functional.tanh(g)
            h = linear(functional.sigmoid(o) * functional.tanh(c), weight_hr)
            found[t] = h, c
        return tuple([stack([found[t][k] for t in sorted(found)], 0) for k in range(2)])

    def extra_repr(self) -> str:
        return super().extra_repr() + (f", proj_size={self.proj_size}" if self.proj_size else "")


class GRU(RecurrentModule):
    __doc__ = """Gates in the order r, z, n: n = tanh(a_n + r (W_hn h + b_hn)), h' = (1 - z) n + z h.

    """ + str(RecurrentModule.__doc__)
    gates = 3

    def _run(self, x, states, weights, reverse: bool):
        weight_ih, weight_hh, bias_ih, bias_hh = weights
        return gru(linear(x, weight_ih, bias_ih), states[0], weight_hh, bias_hh, reverse=reverse)
