"""The floor: what it computes is right, and each target has a peak above that of its products."""
from __future__ import annotations

import floor
import pytest
from contestants import checked

from minidl import kernels

pytest.importorskip("Cython")


@pytest.mark.parametrize("size", [4, 16, 100, 128])
def test_step_of_arithmetic_alone(timed, size):
    timed(checked("compute alone", "S", size).step, group=f"step of S, batch {size}", samples=size)


@pytest.mark.parametrize("target", kernels.targets())
def test_peak(timed, target):
    code = floor.load(target)
    timed(lambda: code.fma_chains(10_000), group="peak", samples=1, flops=code.fma_chains(1) * 10_000)


def test_a_batch_that_has_no_tiles():
    contestant = checked("compute alone", "S", 4)
    with pytest.raises(ValueError, match="N a multiple of 4"):
        contestant.compiled(contestant.x[:3], contestant.y[:3], 0.1)
