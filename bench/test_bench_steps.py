"""The training step of each network, and its inference: minidl beside NumPy by hand and PyTorch."""
from __future__ import annotations

import pytest
from contestants import RIVALS, checked, installed
from networks import WIDTHS, forward_flops, step_flops

NAMES = installed("minidl captured", "minidl", "minidl tape", "NumPy by hand", "PyTorch eager")


@pytest.mark.parametrize("rival", NAMES)
@pytest.mark.parametrize("size", [4, 16, 64, 128])
@pytest.mark.parametrize("network", WIDTHS)
def test_step(timed, network, size, rival):
    contestant = checked(rival, network, size)
    timed(contestant.step, group=f"step of {network}, batch {size}", samples=size,
          flops=step_flops(network, size))


@pytest.mark.parametrize("rival", [name for name in NAMES if "predict" in RIVALS[name].can])
@pytest.mark.parametrize("size", [1, 64])
@pytest.mark.parametrize("network", WIDTHS)
def test_inference(timed, network, size, rival):
    contestant = checked(rival, network, size)
    timed(contestant.predict, group=f"inference of {network}, batch {size}", samples=size,
          flops=forward_flops(network, size))
