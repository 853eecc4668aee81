"""How operations over images become instructions: their arrays as matrices, their settings as a geometry."""
from __future__ import annotations

import math

import numpy as np

from ..functional.images import are_images, geometry, weight_axes
from . import lower_sequences  # noqa: F401  whose lowerings of copies come after those of images
from .arena import rows_of, strided
from .lower import _LOWERINGS, _all_of, lowering


def _samples(x: np.ndarray) -> np.ndarray | None:
    """Images as a matrix, a row for each sample; None if they do not lie as images."""
    if not are_images(x):
        return None
    size = x.size // len(x)
    return strided(x, (len(x), size), (size * x.itemsize, x.itemsize))


def _weight(x: np.ndarray) -> np.ndarray | None:
    """A weight as (taps and channels, outputs); None if it does not lie so."""
    if not x.transpose(weight_axes(x.ndim)).flags.c_contiguous:
        return None
    return strided(x, (x.size // len(x), len(x)), (len(x) * x.itemsize, x.itemsize))


def _run(builder, name, output, parts, numbers, bias=None, accumulates: bool = False, relu: bool = False) -> bool:
    """Run the kernel of this name on matrices, with ReLU or its derivative; False if one of them is none."""
    if any(x is None for x in (output, *parts)) or not _all_of(output.dtype, output, *parts):
        return False
    builder.program.kernel(name, output.dtype, output, *parts, c=bias, geometry=numbers, accumulates=accumulates,
                           setting=relu)
    return True


@lowering("convolution")
def _convolution(builder, name, operands, settings, output):
    x, weight, *bias = operands
    start = rows_of(bias[0]) if bias else None
    if start is not None and (not _all_of(output.dtype, start) or start.strides[1] != start.itemsize):
        return False
    numbers = geometry(x.shape, output.shape, weight.shape[2:], *_of_windows(settings))
    return _run(builder, name, _samples(output), (_samples(x), _weight(weight)), numbers, start,
                relu=settings.get("relu", False))


def _of_windows(settings: dict) -> tuple:
    return settings["stride"], settings["before"], settings["dilation"], settings.get("groups", 1)


@lowering("convolution_input_gradient")
def _convolution_input(builder, name, operands, settings, output):
    g, weight = operands
    numbers = geometry(output.shape, g.shape, weight.shape[2:], *_of_windows(settings))
    return _run(builder, name, _samples(output), (_samples(g), _weight(weight)), numbers)


@lowering("convolution_weight_gradient")
def _convolution_weight(builder, name, operands, settings, output, accumulates: bool = False):
    g, x = operands
    numbers = geometry(x.shape, g.shape, output.shape[2:], *_of_windows(settings))
    return _run(builder, name, _weight(output), (_samples(x), _samples(g)), numbers, accumulates=accumulates)


@lowering("max_pool", "max_pool_backward", "max_pool_pick", "average_pool", "average_pool_backward")
def _pool(builder, name, operands, settings, output):
    x, y = (output, operands[0]) if name.endswith("backward") else (operands[0], output)
    numbers = geometry(x.shape, y.shape, settings["kernel"], settings["stride"], settings["before"],
                       settings.get("dilation"), divisor=settings.get("divisor", 1))
    return _run(builder, name, _samples(output), tuple([_samples(operand) for operand in operands]), numbers,
                relu=settings.get("relu", False))


@lowering("turned", "channels_last")
def _turned(builder, name, operands, settings, output):
    """A copy of what lies in the order of its index to lie as images do, or the reverse."""
    x, = operands
    if x.flags.c_contiguous and are_images(output):
        matrices, rows = (_flat(x, len(x)), _samples(output)), x.shape[1]
    elif are_images(x) and output.flags.c_contiguous:
        matrices, rows = (_samples(x), _flat(output, len(x))), math.prod(x.shape[2:])
    else:
        return False
    if any(matrix is None for matrix in matrices) or not _all_of(output.dtype, *matrices):
        return False
    builder.program.kernel("turned", output.dtype, matrices[1], matrices[0], setting=rows)
    return True


def _flat(x: np.ndarray, samples: int) -> np.ndarray | None:
    size = x.size // samples
    return strided(x, (samples, size), (size * x.itemsize, x.itemsize))


def _in_order(before):
    """The lowering of what copies to the order of the index: of images by turning each, of all else as before."""
    def lowered(builder, name, operands, settings, output):
        x = operands[0]
        if not x.flags.c_contiguous and _turned(builder, name, [x], {}, output):
            return True
        return before is not None and before(builder, name, operands, settings, output)

    return lowered


for _name in ("contiguous", "flatten", "reshape", "reshape_as"):
    lowering(_name)(_in_order(_LOWERINGS.get(_name)))
