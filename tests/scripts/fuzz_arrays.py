"""Arrays as nobody expects them: what the fuzzer calls the kernels with."""
from __future__ import annotations

import random

import numpy as np
from numpy.lib.stride_tricks import as_strided

SIZES = (0, 1, 2, 7, 8, 9, 15, 16, 17, 33, 64, 65, 100)
HUGE = (1 << 31, (1 << 31) + 1, 1 << 32, 1 << 42, (1 << 60) - 1, 1 << 61)
DTYPES = ("f4", "f8", "f2", "i4", "i8", "u8", "u1", "?", "c8", ">f4", ">f8", "O", "S4", "M8[s]")
_NUMBERS = np.random.default_rng(0)
# Small quarters, whose sums of products are exact in any order, and what is special to floats.
QUARTERS = _NUMBERS.integers(-16, 17, 1 << 16) / 4
SPECIAL = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -1e-40, 3e38, -3e38, 1.0, 88.8, -104.0, 1e-310])


def values(rng: random.Random, count: int, dtype, special: bool) -> np.ndarray:
    """``count`` numbers, one after the other."""
    if special:
        with np.errstate(all="ignore"):
            values = rng.choices(SPECIAL.tolist(), k=count) if count < 300 else np.resize(SPECIAL, count)
            return np.array(values).astype(dtype)
    start = rng.randrange(1 << 15)
    return np.resize(QUARTERS[start:], count).astype(dtype)


def array(rng: random.Random, shape: tuple[int, ...], dtype, special: bool = False) -> np.ndarray:
    """An array of this shape, a small one, in C order."""
    return values(rng, int(np.prod(shape)), dtype, special).reshape(shape)


# How an array may lie: each takes one in C order and returns its equal

def plain(rng, a):
    return a


def fortran(rng, a):
    return np.asfortranarray(a)


def stepped(rng, a):
    """Every second or third element, or row, of a larger array."""
    steps = [rng.randint(1, 3) for _ in a.shape]
    wide = np.full([max(n * step - rng.randrange(step), 0) for n, step in zip(a.shape, steps, strict=True)], 7, a.dtype)
    view = wide[tuple(slice(None, None, step) for step in steps)]
    if view.shape != a.shape:
        return a
    view[...] = a
    return view


def backwards(rng, a):
    """Negative strides, along some of the axes."""
    turn = tuple(slice(None, None, rng.choice((1, -1))) for _ in a.shape)
    return a[turn].copy()[turn]


def behind_an_element(rng, a):
    memory = np.empty(a.size + 1, a.dtype)
    view = memory[1:].reshape(a.shape)
    view[...] = a
    return view


def field(rng, a):
    """A field of records: of packed ones, whose strides are no whole elements, or of others."""
    record = np.dtype([("before", rng.choice(("u1", a.dtype))), ("x", a.dtype)], align=False)
    view = np.zeros(a.shape, record)["x"]
    view[...] = a
    return view


def off_by_bytes(rng, a):
    """Strides of whole elements from an address that is no multiple of an element."""
    memory = np.zeros(a.nbytes + 8, np.uint8)
    view = memory[3:3 + a.nbytes].view(a.dtype).reshape(a.shape)
    view[...] = a
    return view


def read_only(rng, a):
    a = a.copy()
    a.flags.writeable = False
    return a


def subclass(rng, a):
    return a.view(np.recarray) if a.ndim == 1 else a.view(Quiet)


class Quiet(np.ndarray):
    """A subclass of its own."""


LAYOUTS = (plain, plain, plain, fortran, stepped, backwards, behind_an_element, field, off_by_bytes, read_only,
           subclass)
ALIGNED = (plain, fortran, stepped, backwards, behind_an_element)  # which every input may have


def repeated(rng, shape: tuple[int, ...], dtype) -> np.ndarray:
    """Of any shape, of strides of zero: it has one element, or one row or column."""
    if rng.random() < 0.5 or len(shape) < 2:
        return np.broadcast_to(np.asarray(rng.choice((0.5, -1, 2)), dtype), shape)
    axis = rng.randrange(len(shape))
    line = [1] * len(shape)
    line[axis] = shape[axis] if shape[axis] <= 1000 else 1
    return np.broadcast_to(array(rng, tuple(line), dtype), shape)


def overlapping(rng, shape: tuple[int, ...], dtype) -> np.ndarray:
    """One that can be written, whose rows lie over each other."""
    line = np.zeros(max(shape[-1], 1), dtype)
    return as_strided(line, shape, (0,) * (len(shape) - 1) + (line.itemsize,))


class Odd:
    """A number to those who ask with float(); asking does something."""

    def __init__(self, value: float, happening):
        self.value, self.happening = value, happening

    def __float__(self):
        self.happening()
        return self.value


def refuse():
    raise ValueError("no number")


def anything(rng: random.Random, dtype) -> object:
    """What is no array of the kernels at all."""
    return rng.choice((
        None, 0, 1.5, "text", b"bytes", [], [[1.0]], (1, 2), {}, object(), np.float32(1), bytearray(64),
        memoryview(bytearray(64)), np.zeros((), dtype), np.zeros(5, dtype), np.zeros((2, 2, 2), dtype),
        np.zeros((1, 1, 1, 1), dtype), np.zeros((2, 3), rng.choice(DTYPES)), np.zeros(3, rng.choice(DTYPES)),
        np.zeros((3, 3), [("a", dtype), ("b", dtype)]), float("nan"), 1 << 70, -1, True, range(4)))
