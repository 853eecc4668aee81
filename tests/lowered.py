"""Runs the instructions that a single operation becomes, on arrays that a test gives."""
from __future__ import annotations

import numpy as np

from minidl import kernels
from minidl.compiled import lower_images, lower_sequences  # noqa: F401  their lowerings are registered
from minidl.compiled.lower import lower
from minidl.kernels.replay import Replay

F4, F8, I8 = np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.int64)
TABLES = {dtype: kernels.of(dtype).TABLE for dtype in (F4, F8)}


class Maker:
    """Takes the place of a program's builder: its arrays are given, and labels are its own if ``mine``."""

    def __init__(self, mine=True):
        self.program, self.mine, self.asked = Replay(TABLES), mine, []
        self.program.next_check = 0

    def number(self, value, dtype):
        self.asked.append(value)
        return np.asarray(value, dtype)

    def scratch(self, shape, dtype):
        return np.empty(shape, dtype)

    def owns(self, array):
        return self.mine

    def by_rows(self, weight):
        return weight


def numbers(*shape, dtype=F4, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def run(name, operands, settings, output, mine=True, **how):
    """How many instructions were made and run; None, and none made, where there are none."""
    maker = Maker(mine)
    begin = len(maker.program)
    made = lower(maker, name, operands, settings, output, **how)
    assert made in (True, False, None)
    if not made:
        assert len(maker.program) == begin
        return None
    assert maker.program.replayed((), lambda: "ran") == "ran"
    return len(maker.program) - begin


def gives(name, operands, wanted, settings=None, output=None, instructions=1, exact=True, mine=True, **how):
    """The operation becomes so many instructions, which leave the wanted numbers in the output."""
    wanted = np.asarray(wanted)
    output = np.full(wanted.shape, 77, wanted.dtype) if output is None else output
    assert run(name, operands, settings or {}, output, mine, **how) == instructions
    if exact:
        np.testing.assert_array_equal(output, wanted)
    else:
        np.testing.assert_allclose(output, wanted, rtol=1e-5, atol=1e-5)


def is_left(name, operands, output, settings=None, mine=True, **how):
    before = output.copy()
    assert run(name, operands, settings or {}, output, mine, **how) is None
    np.testing.assert_array_equal(output, before)
