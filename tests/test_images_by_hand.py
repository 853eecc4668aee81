"""Convolution and pooling window by window in NumPy, for the settings that are compared with PyTorch; the gradients by
finite differences of Σ g y along one direction."""
from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from test_images import CONVOLUTIONS, POOLS, numbers

import minidl
from minidl import functional as F
from minidl import nn

MODES = [(name, channels, {"kernel_size": 3, "padding": 2, "padding_mode": mode}, shape)
         for name, channels, shape in (("Conv2d", (4, 6), (3, 4, 5, 6)), ("Conv1d", (4, 6), (3, 4, 7)))
         for mode in ("reflect", "replicate", "circular")]


def each(value, axes: int) -> tuple:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,) * axes


def padded(x, pads, mode="constant", value=0.0):
    """x with (before, behind) of each of its last axes."""
    around = [(0, 0)] * (x.ndim - len(pads)) + list(pads)
    how = {"mode": {"replicate": "edge", "circular": "wrap"}.get(mode, mode)}
    return np.pad(x, around, **how, **({"constant_values": value} if mode == "constant" else {}))


def windows(x, kernel, stride, dilation, counts):
    """The window at each place: (N, C, places of each axis, kernel of each axis); outside of x NaN."""
    axes = len(kernel)
    need = [(n - 1) * s + d * (k - 1) + 1 for n, s, d, k in zip(counts, stride, dilation, kernel, strict=True)]
    x = padded(x, [(0, max(0, n - size)) for n, size in zip(need, x.shape[-axes:], strict=True)], value=np.nan)
    y = np.empty((*x.shape[:-axes], *counts, *kernel))
    for place in np.ndindex(*counts):
        for tap in np.ndindex(*kernel):
            at = tuple(p * s + t * d for p, s, t, d in zip(place, stride, tap, dilation, strict=True))
            y[(..., *place, *tap)] = x[(..., *at)]
    return y


def count_of(size, pad, kernel, stride, dilation=1, ceil_mode=False) -> int:
    """How many windows: the last one of ceil_mode begins within the image or the padding before it."""
    room = size + pad[0] + pad[1] - dilation * (kernel - 1) - 1
    count = (-(-room // stride) if ceil_mode else room // stride) + 1
    return count - 1 if ceil_mode and (count - 1) * stride >= size + pad[0] else count


def convolved(name, settings, x, weight, bias):
    axes = 1 if name == "Conv1d" else 2
    kernel, stride, dilation = (each(settings.get(key, 1), axes) for key in ("kernel_size", "stride", "dilation"))
    padding, groups = settings.get("padding", 0), settings.get("groups", 1)
    if padding == "same":
        totals = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        pads = [(total // 2, total - total // 2) for total in totals]
    else:
        pads = [(p, p) for p in each(0 if padding == "valid" else padding, axes)]
    mode = settings.get("padding_mode", "constant")
    counts = [count_of(n, p, k, s, d) for n, p, k, s, d in zip(x.shape[-axes:], pads, kernel, stride, dilation,
                                                               strict=True)]
    found = windows(padded(x, pads, mode), kernel, stride, dilation, counts)
    found = found.reshape(len(x), groups, -1, *counts, *kernel)
    parts = weight.reshape(groups, -1, *weight.shape[1:])
    sums = np.einsum("ngcyp,gocp->ngoy" if axes == 1 else "ngcyzpq,gocpq->ngoyz", found, parts)
    y = sums.reshape(len(x), -1, *counts)
    return y if bias is None else y + bias.reshape(-1, *[1] * axes)


def pooled(name, arguments, settings, x):
    axes = 1 if name.endswith("1d") else 2
    kernel = each(arguments[0], axes)
    stride = kernel if settings.get("stride") is None else each(settings["stride"], axes)
    padding, dilation = each(settings.get("padding", 0), axes), each(settings.get("dilation", 1), axes)
    counts = [count_of(n, (p, p), k, s, d, settings.get("ceil_mode", False))
              for n, p, k, s, d in zip(x.shape[-axes:], padding, kernel, stride, dilation, strict=True)]
    pads, last = [(p, p) for p in padding], tuple(range(-axes, 0))
    if name.startswith("Max"):
        return np.nanmax(windows(padded(x, pads, value=np.nan), kernel, stride, dilation, counts), axis=last)
    sums = np.nansum(windows(padded(x, pads), kernel, stride, dilation, counts), axis=last)
    inside = padded(np.ones(x.shape), pads, value=1.0 if settings.get("count_include_pad", True) else 0.0)
    divisor = np.nansum(windows(inside, kernel, stride, dilation, counts), axis=last)
    return sums / (settings.get("divisor_override") or divisor)


def adaptive(size, x):
    axes = x.ndim - 2
    sizes = [n if want is None else want for want, n in zip(each(size, axes), x.shape[-axes:], strict=True)]
    y = np.empty((*x.shape[:2], *sizes))
    for place in np.ndindex(*sizes):
        y[(..., *place)] = x[(..., *[slice(i * n // want, math.ceil((i + 1) * n / want)) for i, n, want in zip(
            place, x.shape[-axes:], sizes, strict=True)])].mean(axis=tuple(range(-axes, 0)))
    return y


def check(module, x, expected) -> None:
    """Values of a batch and of one sample; the derivative along a direction of the input and of each parameter."""
    np.testing.assert_allclose(module(x), expected, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(module(minidl.tensor(x[0])).data, expected[0], rtol=1e-11, atol=1e-12)
    leaf, g = minidl.tensor(x.copy(), requires_grad=True), numbers(expected.shape, 1)
    module.zero_grad()
    module(leaf).backward(g)
    step = 1e-6
    for values, gradient in [(x, leaf.grad), *((p.data, p.grad) for p in module.parameters())]:
        before, along = values.copy(), numbers(values.shape, 4)
        ends = []
        for sign in (1, -1):
            with minidl.no_grad():
                values[...] = before + sign * step * along
                ends.append((module(x) * g).sum())
                values[...] = before
        difference = (ends[0] - ends[1]) / (2 * step)
        np.testing.assert_allclose((gradient * along).sum(), difference, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name, channels, settings, shape", [case for case in [*CONVOLUTIONS, *MODES]
                                                             if len(case[3]) == (3 if case[0] == "Conv1d" else 4)])
def test_convolution(name, channels, settings, shape):
    module, x = getattr(nn, name)(*channels, **settings, dtype=np.float64, generator=3), numbers(shape)
    bias = None if module.bias is None else module.bias.data
    check(module, x, convolved(name, settings, x, module.weight.data, bias))


@pytest.mark.parametrize("name, arguments, settings, shape", [
    case for case in POOLS if case[0][:3] in ("Max", "Avg") and len(case[3]) == (3 if case[0].endswith("1d") else 4)])
def test_pooling(name, arguments, settings, shape):
    x = numbers(shape)
    check(getattr(nn, name)(*arguments, **settings), x, pooled(name, arguments, settings, x))


@pytest.mark.parametrize("name, arguments, settings, shape", [
    case for case in POOLS if case[0].startswith("Adaptive") and len(case[3]) == (3 if case[0].endswith("1d") else 4)])
def test_adaptive_pooling(name, arguments, settings, shape):
    x = numbers(shape)
    check(getattr(nn, name)(*arguments), x, adaptive(arguments[0], x))


@pytest.mark.parametrize("settings", [{}, {"stride": 1, "padding": 1, "dilation": 2}, {"ceil_mode": True}], ids=str)
@pytest.mark.parametrize("shape", [(2, 3, 8, 9), (2, 3, 9)], ids=str)
def test_the_places_of_the_largest(shape, settings):
    """The first of equal ones, as a place in the whole image."""
    axes = len(shape) - 2
    x = np.round(numbers(shape))
    y, places = (F.max_pool1d if axes == 1 else F.max_pool2d)(x, 3, return_indices=True, **settings)
    np.testing.assert_array_equal(np.take_along_axis(x.reshape(*shape[:2], -1), places.reshape(*shape[:2], -1), -1),
                                  y.reshape(*shape[:2], -1))
    stride, padding, dilation = settings.get("stride", 3), settings.get("padding", 0), settings.get("dilation", 1)
    for place in np.ndindex(*y.shape):
        taps = itertools.product(*[[p * stride - padding + t * dilation for t in range(3)] for p in place[2:]])
        there = [at for at in taps if all(0 <= i < n for i, n in zip(at, shape[2:], strict=True))]
        first = next(at for at in there if x[(*place[:2], *at)] == y[place])
        assert places[place] == np.ravel_multi_index(first, shape[2:])
