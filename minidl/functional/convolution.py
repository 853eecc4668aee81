"""Convolution: a product of the weight with what each window of the image sees.

    y[n, o, p] = bias[o] + Σ_k patch[n, p, k] weight[o, k]        k: the taps of the window and the channels

y is linear in x and in the weight, and so each derivative is one of three operations: the convolution itself; that
for the input, which spreads the output's gradient by the weight; and that for the weight, the product of the output's
gradient with the patches. The derivatives of these are the others.
"""
from __future__ import annotations

import numpy as np

from .. import arrays
from ..arrays import FLOATS
from .images import channels_last, geometry, matrix_of, matrix_of_weight, new_images, new_weight, weight_of_matrix
from .operation import Operation
from .products import linear_bias_gradient
from .shapes import permute, squeeze, unsqueeze

_convolution = arrays.compiled("convolution")
_convolution_input_gradient = arrays.compiled("convolution_input_gradient")
_convolution_weight_gradient = arrays.compiled("convolution_weight_gradient")


def _value(x, weight, bias=None, *, size, stride, before, dilation, groups):
    y = new_images((len(x), len(weight), *size), x.dtype)
    if y.size:
        _convolution[x.dtype](
            matrix_of(x), matrix_of_weight(weight), None if bias is None else np.ascontiguousarray(bias),
            matrix_of(y), geometry(x.shape, y.shape, weight.shape[2:], stride, before, dilation, groups))
    return y


def _input_gradient(g, weight, *, size, stride, before, dilation, groups):
    dx = new_images((len(g), weight.shape[1] * groups, *size), g.dtype)
    if dx.size:
        _convolution_input_gradient[g.dtype](
            matrix_of(g), matrix_of_weight(weight), matrix_of(dx),
            geometry(dx.shape, g.shape, weight.shape[2:], stride, before, dilation, groups))
    return dx


def _add_weight_gradient(total, g, x, *, kernel, stride, before, dilation, groups):
    dweight = matrix_of_weight(total)
    if x.size:
        _convolution_weight_gradient[g.dtype](
            matrix_of(x), matrix_of(g), dweight, geometry(x.shape, g.shape, kernel, stride, before, dilation, groups))
    if not np.shares_memory(dweight, total):
        total[...] = weight_of_matrix(dweight, total.shape)


def _weight_gradient(g, x, **settings):
    total = new_weight((g.shape[1], x.shape[1] // settings["groups"], *settings["kernel"]), g.dtype)
    _add_weight_gradient(total, g, x, **settings)
    return total


convolution_input_gradient = Operation(  # of the weight and the output's gradient; size: of the input
    "convolution_input_gradient", _input_gradient,
    lambda u, d, g, weight, size, **s: convolution(channels_last(u), weight, size=g.shape[2:], **s),
    lambda u, d, g, weight, size, **s: convolution_weight_gradient(g, channels_last(u), kernel=weight.shape[2:], **s),
    reads=("1", "0"))
convolution_weight_gradient = Operation(  # of the input and the output's gradient; kernel: the weight's size
    "convolution_weight_gradient", _weight_gradient,
    lambda u, d, g, x, kernel, **s: convolution(x, u, size=g.shape[2:], **s),
    lambda u, d, g, x, kernel, **s: convolution_input_gradient(g, u, size=x.shape[2:], **s),
    reads=("1", "0"), add=_add_weight_gradient)


def _bias_gradient(g):
    """Σ g over the samples and places."""
    return linear_bias_gradient(_places(g))


def _places(g):
    """(N, O, ...) as (N, ..., O), as it lies."""
    return permute(g, (0, *range(2, g.ndim), 1))


def _add_all(totals, g, y, x, weight, bias=None, size=None, **settings):
    """Add to the gradients of weight and bias."""
    _, dweight, dbias = totals if bias is not None else (*totals, None)
    g = channels_last(g)
    if dweight is not None:
        convolution_weight_gradient.add_to(dweight, g, x, kernel=weight.shape[2:], **settings)
    if dbias is not None:
        linear_bias_gradient.add_to(dbias, _places(g))


convolution = Operation(
    "convolution", _value,
    lambda g, y, x, weight, bias=None, size=None, **s: convolution_input_gradient(
        channels_last(g), weight, size=x.shape[2:], **s),
    lambda g, y, x, weight, bias=None, size=None, **s: convolution_weight_gradient(
        channels_last(g), x, kernel=weight.shape[2:], **s),
    lambda g, y, x, weight, bias, **s: _bias_gradient(channels_last(g)),
    reads=("1", "0", ""), adds=(1, 2), add_all=_add_all)


# What a script calls

def numbers(who: str, name: str, given, axes: int, least: int) -> tuple[int, ...]:
    """One integer for each axis, of one for all or one each. ValueError for another number of them, or too small."""
    found = tuple(given) if isinstance(given, (tuple, list)) else (given,) * axes
    if len(found) == 1:
        found *= axes
    if len(found) != axes or any(not isinstance(n, (int, np.integer)) or isinstance(n, bool) for n in found):
        raise ValueError(f"{who}: expected {name} as an integer or {axes} of them, got {given!r}")
    if min(found) < least:
        raise ValueError(f"{who}: expected {name} of at least {least}, got {given!r}")
    return tuple(int(n) for n in found)


def paddings(who: str, padding, kernel, stride, dilation) -> list[tuple[int, int]]:
    """The zeros before and behind each axis. "same" splits an odd number with the larger part behind."""
    if isinstance(padding, str):
        if padding not in ("same", "valid"):
            raise ValueError(f"{who}: expected padding 'same', 'valid' or integers, got {padding!r}")
        if padding == "valid":
            return [(0, 0)] * len(kernel)
        if any(n != 1 for n in stride):
            raise ValueError(f"{who}: padding 'same' needs a stride of 1, got {stride}")
        totals = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        return [(total // 2, total - total // 2) for total in totals]
    return [(n, n) for n in numbers(who, "padding", padding, len(kernel), 0)]


def _convolve(who: str, axes: int, x, weight, bias, stride, padding, dilation, groups):
    letters = "L" if axes == 1 else "H, W"
    if weight.ndim != axes + 2:
        raise ValueError(f"{who}: expected a weight of {axes + 2} axes, got shape {weight.shape}")
    kernel = weight.shape[2:]
    stride = numbers(who, "stride", stride, axes, 1)
    dilation = numbers(who, "dilation", dilation, axes, 1)
    around = paddings(who, padding, kernel, stride, dilation)
    if not isinstance(groups, (int, np.integer)) or groups < 1 or weight.shape[0] % groups:
        raise ValueError(f"{who}: expected groups that divide the {weight.shape[0]} outputs, got {groups}")
    channels = weight.shape[1] * groups
    if x.ndim not in (axes + 1, axes + 2) or x.shape[-axes - 1] != channels:
        raise ValueError(f"{who}: expected input of shape (N, {channels}, {letters}) or ({channels}, {letters}), "
                         f"got {x.shape}")
    if bias is not None and bias.shape != (weight.shape[0],):
        raise ValueError(f"{who}: expected a bias of shape {(weight.shape[0],)}, got {bias.shape}")
    for part in (x, weight, bias):
        if part is not None and (part.dtype not in FLOATS or part.dtype != weight.dtype):
            raise TypeError(f"{who}: expected one float dtype, got {part.dtype} beside {weight.dtype}")
    if x.ndim == axes + 1:
        return squeeze(_convolve(who, axes, unsqueeze(x, 0), weight, bias, stride, padding, dilation, groups), 0)
    size = []
    for n, k, s, d, (before, behind) in zip(x.shape[2:], kernel, stride, dilation, around, strict=True):
        reach = d * (k - 1) + 1
        if n + before + behind < reach:
            raise ValueError(f"{who}: the window reaches over {reach}, more than the {n + before + behind} of the "
                             f"padded input of shape {x.shape}")
        size.append((n + before + behind - reach) // s + 1)
    settings = {"size": tuple(size), "stride": stride, "before": tuple(before for before, _ in around),
                "dilation": dilation, "groups": int(groups)}
    x = channels_last(x)
    return convolution(x, weight, **settings) if bias is None else convolution(x, weight, bias, **settings)


def conv1d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """y = the convolution of sequences: (N, C, L) or (C, L), weight (O, C / groups, k) -> (N, O, L').

    Arguments and errors as for ``conv2d``, with a number in place of each pair.
    """
    return _convolve("conv1d", 1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """y = the convolution of images: (N, C, H, W) or (C, H, W), weight (O, C / groups, kh, kw) -> (N, O, H', W').

    stride, dilation : a number or (y, x): the steps of the windows, and of the taps of a window.
    padding : zeros around the image, a number or (y, x); "valid" for none, "same" for as many as keep the size
        with a stride of 1.
    groups : each of so many groups of outputs sees its own group of channels.

    Raises ValueError for shapes and settings that do not match, and for windows larger than the padded image;
    TypeError for differing dtypes.
    """
    return _convolve("conv2d", 2, input, weight, bias, stride, padding, dilation, groups)
