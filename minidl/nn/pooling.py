"""Pooling: the largest, or the average, of what each window of a channel sees."""
from __future__ import annotations

from .. import functional
from .module import Module


class _Pool(Module):
    """What the poolings share: settings, and the function that is called with them."""

    def __init__(self, kernel_size, stride=None, padding=0, **settings):
        self.kernel_size, self.stride, self.padding = kernel_size, kernel_size if stride is None else stride, padding
        vars(self).update(settings)
        self._names = tuple(settings)

    def forward(self, x):
        """(N, C, ...) -> (N, C, ...), or without N."""
        function = getattr(functional, self.function)
        settings = {name: getattr(self, name) for name in self._names}
        return function(x, self.kernel_size, self.stride, self.padding, **settings)

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={getattr(self, name)}" for name in ("kernel_size", "stride", "padding", *self._names))


class MaxPool1d(_Pool):
    """The largest of each window of sequences: (N, C, L) -> (N, C, L'). Arguments as for MaxPool2d."""

    function = "max_pool1d"

    def __init__(self, kernel_size, stride=None, padding=0, dilation=1, return_indices=False, ceil_mode=False):
        super().__init__(kernel_size, stride, padding, dilation=dilation, return_indices=return_indices,
                         ceil_mode=ceil_mode)


class MaxPool2d(_Pool):
    """The largest of each window of images: (N, C, H, W) -> (N, C, H', W'). Its gradient goes to the first of them.

    kernel_size, stride, padding, dilation : a number or (y, x); the stride is by default the kernel_size. The padding,
        of minus infinity, is at most half a window.
    return_indices : give (y, the place y W + x of each largest), too.
    ceil_mode : also windows that hang over the end, if they begin before it.
    """

    function = "max_pool2d"

    def __init__(self, kernel_size, stride=None, padding=0, dilation=1, return_indices=False, ceil_mode=False):
        super().__init__(kernel_size, stride, padding, dilation=dilation, return_indices=return_indices,
                         ceil_mode=ceil_mode)


class AvgPool1d(_Pool):
    """The average of each window of sequences: (N, C, L) -> (N, C, L'). Arguments as for AvgPool2d."""

    function = "avg_pool1d"

    def __init__(self, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
        super().__init__(kernel_size, stride, padding, ceil_mode=ceil_mode, count_include_pad=count_include_pad)


class AvgPool2d(_Pool):
    """The average of each window of images: (N, C, H, W) -> (N, C, H', W').

    kernel_size, stride, padding : a number or (y, x); the stride is by default the kernel_size. The padding is of zeros
        and at most half a window.
    ceil_mode : also windows that hang over the end, if they begin before it.
    count_include_pad : whether the padding counts. divisor_override : divide by this number instead.
    """

    function = "avg_pool2d"

    def __init__(self, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True,
                 divisor_override=None):
        super().__init__(kernel_size, stride, padding, ceil_mode=ceil_mode, count_include_pad=count_include_pad,
                         divisor_override=divisor_override)


class AdaptiveAvgPool1d(Module):
    """The averages of output_size windows that divide a sequence: (N, C, L) -> (N, C, output_size)."""

    def __init__(self, output_size):
        self.output_size = output_size

    def forward(self, x):
        """(N, C, L) -> (N, C, output_size), or without N."""
        return functional.adaptive_avg_pool1d(x, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool2d(Module):
    """The averages of windows that divide an image: (N, C, H, W) -> (N, C, H', W').

    output_size : (H', W'), or one number for both; None keeps the input's.
    """

    def __init__(self, output_size):
        self.output_size = output_size

    def forward(self, x):
        """(N, C, H, W) -> (N, C, H', W'), or without N."""
        return functional.adaptive_avg_pool2d(x, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"
