"""RNNCell, LSTMCell and GRUCell: a single step of the recurrent layers."""
from __future__ import annotations

import math

import numpy as np

from ..autograd.parameter import Parameter
from ..functional import linear
from ..functional.elementwise import zeros_of
from ..functional.recurrent import gru_step, lstm_step, rnn_step
from . import init
from .module import Module


class Cell(Module):
    """One step: x (N, input_size) and the states (N, hidden_size), zeros by default, -> the states after it.

    weight_ih (gates H, in), weight_hh (gates H, H), bias_ih, bias_hh (gates H,) begin uniform in ±1/√H. x and the
    states may be vectors. bias : False leaves the biases out. Raises ValueError for inputs of another shape and
    TypeError for another dtype.
    """

    gates, states = 1, 1

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, dtype=None, *, generator=None):
        for name, value in (("input_size", input_size), ("hidden_size", hidden_size)):
            if not isinstance(value, (int, np.integer)) or value < 1:
                raise ValueError(f"{type(self).__name__}: expected {name} to be a positive integer, got {value!r}")
        self.input_size, self.hidden_size, self.bias = int(input_size), int(hidden_size), bias
        self.dtype = np.dtype(np.float32 if dtype is None else dtype)
        rows, bound = self.gates * hidden_size, 1 / math.sqrt(hidden_size)
        self.weight_ih = Parameter(np.zeros((rows, input_size), self.dtype), "weight_ih", order="F")
        self.weight_hh = Parameter(np.zeros((rows, hidden_size), self.dtype), "weight_hh", order="F")
        self.bias_ih = Parameter(np.zeros(rows, self.dtype), "bias_ih") if bias else None
        self.bias_hh = Parameter(np.zeros(rows, self.dtype), "bias_hh") if bias else None
        for parameter in (self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh):
            if parameter is not None:
                init.uniform_(parameter, -bound, bound, generator=generator)

    def forward(self, input, hx=None):
        """The states after the step."""
        if input.ndim not in (1, 2) or input.shape[-1] != self.input_size:
            raise ValueError(f"{self}: expected input of shape (N, {self.input_size}), got {input.shape}")
        if input.dtype != self.dtype:
            raise TypeError(f"{self}: expected input of dtype {self.dtype}, got {input.dtype}")
        shape = (*input.shape[:-1], self.hidden_size)
        if hx is None:
            hx = zeros_of(input, shape) if self.states == 1 else [zeros_of(input, shape)] * self.states
        states = [hx] if self.states == 1 else list(hx)
        if len(states) != self.states or any(state.shape != shape for state in states):
            raise ValueError(f"{self}: expected {self.states} states of shape {shape}, got "
                             f"{[state.shape for state in states]}")
        after, _ = self._step(linear(input, self.weight_ih, self.bias_ih), states)
        return after[0] if self.states == 1 else after

    def _step(self, a, states):
        raise NotImplementedError(f"{type(self).__name__} defines no step")

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


class RNNCell(Cell):
    __doc__ = "h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu. " + str(Cell.__doc__)

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh", dtype=None,
                 *, generator=None):
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"RNNCell: expected nonlinearity 'tanh' or 'relu', got {nonlinearity!r}")
        super().__init__(input_size, hidden_size, bias, dtype, generator=generator)
        self.nonlinearity = nonlinearity

    def extra_repr(self) -> str:
        return super().extra_repr() + ("" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity}")

    def _step(self, a, states):
        return rnn_step(a, states, self.weight_hh, self.bias_hh, self.nonlinearity)


class LSTMCell(Cell):
    __doc__ = "A step of LSTM; the states are a pair (h, c). " + str(Cell.__doc__)
    gates, states = 4, 2

    def _step(self, a, states):
        return lstm_step(a, states, self.weight_hh, self.bias_hh)


class GRUCell(Cell):
    __doc__ = "A step of GRU. " + str(Cell.__doc__)
    gates = 3

    def _step(self, a, states):
        return gru_step(a, states, self.weight_hh, self.bias_hh)
