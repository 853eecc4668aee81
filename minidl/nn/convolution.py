"""Conv1d and Conv2d: one small set of weights at every place of a sequence or an image."""
from __future__ import annotations

import math

import numpy as np

from ..autograd.parameter import Parameter
from ..functional import conv1d, conv2d, pad
from ..functional.convolution import numbers, paddings
from ..functional.images import weight_axes
from . import init
from .module import Module

PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class _Convolution(Module):
    """What the convolutions over one axis and over two share. A subclass names its function and its axes."""

    axes: int

    def __init__(self, in_channels: int, out_channels: int, kernel_size, stride=1, padding=0, dilation=1,
                 groups: int = 1, bias: bool = True, padding_mode: str = "zeros", dtype=None, *, generator=None):
        who = type(self).__name__
        for name, value in (("in_channels", in_channels), ("out_channels", out_channels), ("groups", groups)):
            if not isinstance(value, (int, np.integer)) or value < 1:
                raise ValueError(f"{who}: expected {name} to be a positive integer, got {value!r}")
        for name, value in (("in_channels", in_channels), ("out_channels", out_channels)):
            if value % groups:
                raise ValueError(f"{who}: {name} must be divisible by groups, got {value} and {groups}")
        if padding_mode not in PADDING_MODES:
            raise ValueError(f"{who}: expected padding_mode as one of {', '.join(PADDING_MODES)}, got {padding_mode!r}")
        self.padding_mode = padding_mode
        self.in_channels, self.out_channels, self.groups = int(in_channels), int(out_channels), int(groups)
        self.kernel_size = numbers(who, "kernel_size", kernel_size, self.axes, 1)
        self.stride = numbers(who, "stride", stride, self.axes, 1)
        self.dilation = numbers(who, "dilation", dilation, self.axes, 1)
        self.padding = padding if isinstance(padding, str) else numbers(who, "padding", padding, self.axes, 0)
        around = paddings(who, self.padding, self.kernel_size, self.stride, self.dilation)  # raises for what is none
        self._around = tuple([n for pair in reversed(around) for n in pair])  # as pad() has it
        dtype = np.dtype(np.float32 if dtype is None else dtype)
        shape = (self.out_channels, self.in_channels // self.groups, *self.kernel_size)
        self.weight = Parameter(np.zeros(shape, dtype), "weight", order=weight_axes(len(shape)))
        self.bias = Parameter(np.zeros(out_channels, dtype), "bias") if bias else None
        bound = 1 / math.sqrt(math.prod(shape[1:]))
        init.uniform_(self.weight, -bound, bound, generator=generator)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound, generator=generator)

    def check_input(self, x) -> None:
        """ValueError for an input of another shape, TypeError for one of another dtype."""
        if x.ndim not in (self.axes + 1, self.axes + 2) or x.shape[-self.axes - 1] != self.in_channels:
            letters = f"{self.in_channels}, " + ("L" if self.axes == 1 else "H, W")
            raise ValueError(f"{self}: expected input of shape (N, {letters}) or ({letters}), got {tuple(x.shape)}")
        if x.dtype != self.weight.dtype:
            raise TypeError(f"{self}: expected input of dtype {self.weight.dtype}, got {x.dtype}")

    def _padded(self, x):
        """x with what padding_mode puts around it, and the zeros that are still to come."""
        if self.padding_mode == "zeros" or not any(self._around):
            return x, self.padding
        return pad(x, self._around, self.padding_mode), 0

    def extra_repr(self) -> str:
        told = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        if self.padding != (0,) * self.axes:
            told += f", padding={self.padding}"
        if self.dilation != (1,) * self.axes:
            told += f", dilation={self.dilation}"
        if self.groups != 1:
            told += f", groups={self.groups}"
        if self.bias is None:
            told += ", bias=False"
        return told if self.padding_mode == "zeros" else f"{told}, padding_mode={self.padding_mode}"


class Conv1d(_Convolution):
    """A convolution over sequences: (N, C, L) -> (N, O, L'), or of one sequence, without N.

        y[n, o, p] = bias[o] + Σ_{c, k} weight[o, c, k] x[n, c, stride p - padding + dilation k]

    Arguments, initial values and errors as for Conv2d, with a number in place of each pair.
    """

    axes = 1

    def forward(self, x):
        """x (N, C, L) -> y (N, O, L')."""
        self.check_input(x)
        x, padding = self._padded(x)
        return conv1d(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class Conv2d(_Convolution):
    """A convolution over images: (N, C, H, W) -> (N, O, H', W'), or of one image, without N.

        y[n, o, p] = bias[o] + Σ_{c, k} weight[o, c, k] x[n, c, stride p - padding + dilation k]

    for the places p = (p_y, p_x) of the output and the taps k = (k_y, k_x) of the window. The weight has shape
    (O, C / groups, kh, kw); it and the bias (O,) begin uniform in ±1/√(C / groups kh kw), as in PyTorch. Images and
    weight lie in memory with the channels last.

    kernel_size, stride, dilation : a number or (y, x).
    padding : zeros around the image, a number or (y, x), "valid" (none), or "same" (y as large as x).
    padding_mode : what stands there in place of zeros: "reflect", "replicate" or "circular" parts of the image (pad).
    groups : each of so many groups of outputs sees its own group of channels.
    bias : False leaves it out.
    dtype : np.float32 or np.float64.
    generator : a seed or a numpy.random.Generator; by default minidl's own stream.

    Raises ValueError for settings and inputs that do not match and windows larger than the padded image, TypeError
    for another dtype.
    """

    axes = 2

    def forward(self, x):
        """x (N, C, H, W) -> y (N, O, H', W')."""
        self.check_input(x)
        x, padding = self._padded(x)
        return conv2d(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)
