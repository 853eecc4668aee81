"""Every operation that threads share, in a program written by hand: the bits of one thread, however many there are."""
from __future__ import annotations

import numpy as np
import pytest
import test_window_kernels as windows

import minidl
from minidl import kernels
from minidl.kernels.replay import Replay

DTYPES = (np.float32, np.float64)
TABLES = {np.dtype(dtype): kernels.of(dtype).TABLE for dtype in DTYPES}
MANY = 5_000_000  # multiply-adds, or a quarter of elements: enough for threads wherever they meet slowly
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)
# height, width, channels, output's height, width, channels, kernel, stride, dilation, groups, padding, divisor
GEOMETRIES = {
    "few outputs": (12, 12, 1, 8, 8, 6, 5, 5, 1, 1, 1, 1, 1, 0, 0, 1),
    "few outputs of some channels": (9, 10, 7, 7, 8, 3, 3, 3, 1, 1, 1, 1, 1, 0, 0, 1),
    "padded": (7, 9, 8, 7, 9, 17, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1),
    "groups": (8, 8, 12, 8, 8, 8, 3, 3, 1, 1, 1, 1, 4, 1, 1, 1),
    "strides and dilations": (9, 9, 5, 3, 4, 20, 3, 2, 2, 2, 2, 1, 1, 0, 0, 1),
    "one tap": (8, 8, 16, 8, 8, 40, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1),
}


def bits(write, given, output, threads: int) -> bytes:
    """What is in the output after the program that ``write`` makes has run on so many threads."""
    output[...] = given
    program = Replay(TABLES)
    write(program)
    program.next_check = 0
    minidl.set_num_threads(threads)
    try:
        assert program.replayed((), lambda: "ran") == "ran"
    finally:
        minidl.set_num_threads(1)
    return output.tobytes()


def check(write, output) -> None:
    given = output.copy()
    one = bits(write, given, output, 1)
    for threads in (2, 3, 7):
        assert bits(write, given, output, threads) == one, threads


@every_dtype
@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("name", windows.PARTS)
def test_windows(name, geometry, dtype):
    geometry = GEOMETRIES[geometry]
    if name not in windows.CONVOLUTIONS:  # as many outputs as channels, in one group
        geometry = (*geometry[:5], geometry[2], *geometry[6:12], 1, *geometry[13:])
    kh, kw, channels = geometry[6], geometry[7], geometry[5] // geometry[12]
    elements = geometry[3] * geometry[4] * geometry[5] if windows.PARTS[name][0] == "y" else np.prod(geometry[:3])
    rows = min(int(MANY // (elements * kh * kw * channels)) + 1, 2000)
    made = windows.arrays(name, geometry, rows, dtype, np.random.default_rng(0), False)
    *inputs, output = made
    a, b = inputs[0], inputs[1] if len(inputs) > 1 else None
    bias = inputs[2].reshape(1, -1) if name == "convolution" else None
    for accumulates in (False, True) if name == "convolution_weight_gradient" else (False,):
        check(lambda program, added=accumulates: program.kernel(
            name, np.dtype(dtype), output, a, b, bias, geometry=geometry, accumulates=added), output)


def shapes(m: int, n: int, k: int) -> tuple:
    return (m, k), (k, n), (m, n)


@every_dtype
@pytest.mark.parametrize("m, n, k", [(300, 130, 140), (7, 900, 800), (33, 400, 400), (2000, 50, 51), (1000, 3, 1700)])
@pytest.mark.parametrize("start", ["zero", "row", "output"])
def test_products(m, n, k, start, dtype):
    rng = np.random.default_rng(0)
    a, b, c = (rng.normal(size=shape).astype(dtype) for shape in shapes(m, n, k))
    row = rng.normal(size=(1, n)).astype(dtype) if start == "row" else None
    for left in (a, np.asfortranarray(a)):
        for right in (b, np.asfortranarray(b)):
            check(lambda program, left=left, right=right: program.kernel(
                "matmul", np.dtype(dtype), c, left, right, row, accumulates=start == "output"), c)


@every_dtype
@pytest.mark.parametrize("m, n", [(1500, 1000), (1, 1_400_000), (1_400_000, 1), (5, 300_000), (40_001, 35)])
@pytest.mark.parametrize("name", ["exp", "relu_backward", "multiply", "column_sum", "column_sum added", "turned"])
def test_elements_and_columns(name, m, n, dtype):
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=(m, n)).astype(dtype) for _ in range(2))
    name, _, added = name.partition(" ")
    output = np.ones((1, n) if name == "column_sum" else (m, n), dtype)
    other = b if name in ("relu_backward", "multiply") else None
    check(lambda program: program.kernel(
        name, np.dtype(dtype), output, a, other, accumulates=bool(added),
        setting=next(d for d in (7, 5, 3, 1) if n % d == 0) if name == "turned" else 0), output)
