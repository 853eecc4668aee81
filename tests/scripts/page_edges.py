"""Calls the kernels with arrays that end, or begin, at memory that nobody may touch.

    PYTHONPATH=tests python tests/scripts/page_edges.py [target ...]

A kernel that reads or writes one element beyond an array then ends the process, where a build without sanitizers would
not notice it. The calls are those of the tests of kernels, and of the fuzzer; the last name that is printed is that of
the last call. Needs mprotect().
"""
from __future__ import annotations

import ctypes
import mmap
import random
import sys

import fuzz_arrays
import fuzz_kernels
import numpy as np
import test_sequence_kernels
import test_window_kernels

from minidl import kernels

PAGE = mmap.PAGESIZE
DTYPES = np.float32, np.float64
mprotect = ctypes.CDLL(None, use_errno=True).mprotect
mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


def at_an_edge(array: np.ndarray, end: bool) -> np.ndarray:
    """A copy with the same strides, directly before a page that is protected, or behind one."""
    low, high = np.lib.array_utils.byte_bounds(array)
    size = (high - low + PAGE - 1) // PAGE * PAGE
    memory = np.frombuffer(mmap.mmap(-1, size + 2 * PAGE), np.uint8)
    for begin in (memory.ctypes.data, memory.ctypes.data + size + PAGE):
        if mprotect(begin, PAGE, 0):
            raise OSError(ctypes.get_errno(), "mprotect")
    first = PAGE + (size - (high - low) if end else 0)
    ctypes.memmove(memory.ctypes.data + first, low, high - low)
    copy = np.ndarray(array.shape, array.dtype, memory, first + array.ctypes.data - low, array.strides)
    copy.flags.writeable = array.flags.writeable
    return copy


class AtEdges:
    """The kernels of a module, called with such copies in place of the arrays."""

    def __init__(self, module):
        self.module, self.rng, self.last = module, random.Random(0), ""

    def __getattr__(self, name: str):
        function = getattr(self.module, name)
        return self.moved(name, function) if callable(function) else function

    def moved(self, name: str, function):
        def call(*arguments):
            if name != self.last:
                self.last = name
                print(name, flush=True)
            given = list(arguments)
            arrays = {i: a for i, a in enumerate(arguments) if isinstance(a, np.ndarray) and a.size and a.flags.aligned}
            for i, a in arrays.items():
                if not any(np.may_share_memory(a, b) for j, b in arrays.items() if j != i):
                    given[i] = at_an_edge(a, self.rng.random() < 0.7)
            result = function(*given)
            for i, a in arrays.items():
                if given[i] is not a and a.flags.writeable:
                    a[...] = given[i]
            return result

        call.__doc__ = function.__doc__
        return call


def fuzzed(module: AtEdges, dtype) -> None:
    """Every operation on arrays of all shapes that lie in any way."""
    rng = random.Random(0)
    for kernel in fuzz_kernels.functions(module.module):
        kernel.function = module.moved(kernel.name, kernel.function)
        for _ in range(15):
            sizes = {letter: rng.choice(fuzz_arrays.SIZES) for letter in "MNK"}
            fuzz_kernels.fitting(rng, kernel, sizes, np.dtype(dtype).str[1:])


def windows(module: AtEdges, dtype) -> None:
    draw, rng = random.Random(1), np.random.default_rng(1)
    for name in test_window_kernels.PARTS:
        for number in range(25):
            geometry = test_window_kernels.drawn(draw, name)
            test_window_kernels.check(module, name, geometry, draw.choice([1, 2, 5, 13, 50]), dtype, rng, number)


def sequences(target: str, dtype) -> None:
    for kind, reverse, relu in (("rnn", 0, 0), ("lstm", 1, None), ("gru", 0, None)):
        test_sequence_kernels.test_recurrent(kind, reverse, relu, target, dtype)
    for kind in ("layer_norm", "batch_norm"):
        test_sequence_kernels.test_normalization(kind, target, dtype)
    test_sequence_kernels.test_products_of_stacks(target, dtype)
    test_sequence_kernels.test_rows_of_a_table(target, dtype)


def main() -> None:
    targets = sys.argv[1:] or kernels.targets()
    made = {(target, dtype): AtEdges(kernels.load(target, dtype)) for target in targets for dtype in DTYPES}
    kernels.load = lambda target, dtype: made[target, dtype]  # as these tests get them
    for (target, dtype), module in made.items():
        fuzzed(module, dtype)
        windows(module, dtype)
        sequences(target, dtype)
    print("none touches what is beyond its arrays")


if __name__ == "__main__":
    main()
