"""What the kernels over windows compute, in plain loops: the twins of kernels/convolution.pxi and pooling.pxi.

x (N, H W C), y (N, H' W' O), the weight (kh kw C / groups, O). A geometry is the numbers of kernels/call.pxi's
Geometry, in their order.
"""
from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np

Array = np.ndarray

_FIELDS = ("height", "width", "channels", "out_height", "out_width", "out_channels", "kernel_height", "kernel_width",
           "stride_y", "stride_x", "dilation_y", "dilation_x", "groups", "top", "left", "divisor")
_WITH_PADDING, _INSIDE, _ADAPTIVE = 0, -1, -2


def _taken(geometry: tuple) -> SimpleNamespace:
    return SimpleNamespace(**dict(zip(_FIELDS, geometry, strict=True)))


def _images(x: Array, height: int, width: int) -> Array:
    """(N, H W C) as (N, H, W, C), a view."""
    return x.reshape(len(x), height, width, -1)


def _taps(g: SimpleNamespace) -> Iterator[tuple[int, int, int, int, int, int]]:
    """(oy, ox, ky, kx, iy, ix): for every position, every tap that lies in the image, and where."""
    for oy, ox, ky, kx in np.ndindex(g.out_height, g.out_width, g.kernel_height, g.kernel_width):
        iy, ix = oy * g.stride_y - g.top + ky * g.dilation_y, ox * g.stride_x - g.left + kx * g.dilation_x
        if 0 <= iy < g.height and 0 <= ix < g.width:
            yield oy, ox, ky, kx, iy, ix


def _groups(g: SimpleNamespace) -> Iterator[tuple[slice, slice]]:
    """The channels of the input and those of the output that belong together."""
    i, o = g.channels // g.groups, g.out_channels // g.groups
    for n in range(g.groups):
        yield slice(n * i, (n + 1) * i), slice(n * o, (n + 1) * o)


@np.errstate(all="ignore")
def convolution(x: Array, weight: Array, bias: Array | None, y: Array, geometry: tuple) -> None:
    """y[n, p, o] = bias[o] + Σ_k patch[n, p, k] weight[k, o], where patches are zero outside the image."""
    g = _taken(geometry)
    inside, out = _images(x, g.height, g.width), _images(y, g.out_height, g.out_width)
    taps = weight.reshape(g.kernel_height, g.kernel_width, -1, g.out_channels)
    out[...] = 0 if bias is None else bias
    for oy, ox, ky, kx, iy, ix in _taps(g):
        for i, o in _groups(g):
            out[:, oy, ox, o] += inside[:, iy, ix, i] @ taps[ky, kx, :, o]


@np.errstate(all="ignore")
def convolution_input_gradient(dy: Array, weight: Array, dx: Array, geometry: tuple) -> None:
    """dx = Σ_p dy[n, p, o] weight[k, o], at what element k of patch p is of x."""
    g = _taken(geometry)
    given, out = _images(dy, g.out_height, g.out_width), _images(dx, g.height, g.width)
    taps = weight.reshape(g.kernel_height, g.kernel_width, -1, g.out_channels)
    out[...] = 0
    for oy, ox, ky, kx, iy, ix in _taps(g):
        for i, o in _groups(g):
            out[:, iy, ix, i] += given[:, oy, ox, o] @ taps[ky, kx, :, o].T


@np.errstate(all="ignore")
def convolution_weight_gradient(x: Array, dy: Array, dweight: Array, geometry: tuple) -> None:
    """dweight[k, o] += Σ_{n, p} patch[n, p, k] dy[n, p, o]."""
    g = _taken(geometry)
    inside, given = _images(x, g.height, g.width), _images(dy, g.out_height, g.out_width)
    taps = dweight.reshape(g.kernel_height, g.kernel_width, -1, g.out_channels)
    for oy, ox, ky, kx, iy, ix in _taps(g):
        for i, o in _groups(g):
            taps[ky, kx, :, o] += inside[:, iy, ix, i].T @ given[:, oy, ox, o]


def turned(x: Array, y: Array, rows: int) -> None:
    """y[n] = x[n] transposed, for each x[n] as a matrix of this many rows."""
    y[...] = x.reshape(len(x), rows, -1).swapaxes(1, 2).reshape(x.shape)


def _windows(g: SimpleNamespace) -> Iterator[tuple[int, int, list[tuple[int, int]], int]]:
    """For every position: oy, ox, the places that its window sees, line by line, and what an average divides by."""
    for oy, ox in np.ndindex(g.out_height, g.out_width):
        if g.divisor == _ADAPTIVE:
            ys = range(oy * g.height // g.out_height, -(-(oy + 1) * g.height // g.out_height))
            xs = range(ox * g.width // g.out_width, -(-(ox + 1) * g.width // g.out_width))
            places = [(y, x) for y in ys for x in xs]
            yield oy, ox, places, len(places)
            continue
        top, left = oy * g.stride_y - g.top, ox * g.stride_x - g.left
        taps = [(top + ky * g.dilation_y, left + kx * g.dilation_x)
                for ky in range(g.kernel_height) for kx in range(g.kernel_width)]
        places = [(y, x) for y, x in taps if 0 <= y < g.height and 0 <= x < g.width]
        padded = min(g.kernel_height, g.height + g.top - top) * min(g.kernel_width, g.width + g.left - left)
        yield oy, ox, places, {_INSIDE: len(places), _WITH_PADDING: padded}.get(g.divisor, g.divisor)


def _largest(x: Array, places: list[tuple[int, int]]) -> Array:
    """The index into places of the first largest x, or of the last NaN: (N, C)."""
    values = np.stack([x[:, iy, ix] for iy, ix in places])
    last_nan = len(places) - 1 - np.isnan(values[::-1]).argmax(axis=0)
    return np.where(np.isnan(values).any(axis=0), last_nan, values.argmax(axis=0))


def max_pool(x: Array, y: Array, geometry: tuple) -> None:
    """y = the largest x of each window, NaN if there is one; -inf for a window that sees nothing."""
    g = _taken(geometry)
    inside, out = _images(x, g.height, g.width), _images(y, g.out_height, g.out_width)
    for oy, ox, places, _ in _windows(g):
        out[:, oy, ox] = np.max([inside[:, iy, ix] for iy, ix in places], axis=0) if places else -np.inf


@np.errstate(all="ignore")
def max_pool_backward(dy: Array, x: Array, dx: Array, geometry: tuple) -> None:
    """dx = the sums of the dy whose windows have their first largest x (or last NaN) there."""
    g = _taken(geometry)
    given, inside = _images(dy, g.out_height, g.out_width), _images(x, g.height, g.width)
    out = _images(dx, g.height, g.width)
    out[...] = 0
    for oy, ox, places, _ in _windows(g):
        if places:
            which = _largest(inside, places)
            for number, (iy, ix) in enumerate(places):
                out[:, iy, ix] += np.where(which == number, given[:, oy, ox], 0)


def max_pool_pick(u: Array, x: Array, y: Array, geometry: tuple) -> None:
    """y = u at the first largest x (or last NaN) of each window; 0 for a window that sees nothing."""
    g = _taken(geometry)
    given, inside = _images(u, g.height, g.width), _images(x, g.height, g.width)
    out = _images(y, g.out_height, g.out_width)
    for oy, ox, places, _ in _windows(g):
        out[:, oy, ox] = 0
        if places:
            values = np.stack([given[:, iy, ix] for iy, ix in places])
            out[:, oy, ox] = np.take_along_axis(values, _largest(inside, places)[None], 0)[0]


@np.errstate(all="ignore")
def average_pool(x: Array, y: Array, geometry: tuple) -> None:
    """y = the sum of the x of each window, line by line, divided by what the geometry says."""
    g = _taken(geometry)
    inside, out = _images(x, g.height, g.width), _images(y, g.out_height, g.out_width)
    for oy, ox, places, count in _windows(g):
        total = np.zeros_like(out[:, oy, ox])
        for iy, ix in places:
            total += inside[:, iy, ix]
        out[:, oy, ox] = total / x.dtype.type(count)


@np.errstate(all="ignore")
def average_pool_backward(dy: Array, dx: Array, geometry: tuple) -> None:
    """dx = the sums of dy / count over the windows that see an x."""
    g = _taken(geometry)
    given, out = _images(dy, g.out_height, g.out_width), _images(dx, g.height, g.width)
    out[...] = 0
    for oy, ox, places, count in _windows(g):
        for iy, ix in places:
            out[:, iy, ix] += given[:, oy, ox] / dy.dtype.type(count)
