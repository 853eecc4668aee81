"""A captured step allocates nothing once it has seen the largest batch, and a run needs little besides its arrays."""
from __future__ import annotations

import ctypes
import gc
import json
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from module_cases import numbers
from twins import LOSSES, OPTIMIZERS, target_for

import minidl
from minidl import nn

PEAK = Path(__file__).parent / "scripts" / "peak.py"
MEGABYTE = 1 << 20
LEFT_OVER = 2048  # bytes of Python's own objects, such as a view, that live during a call: far less than a batch


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(64, 128), nn.ReLU(), nn.Sequential(nn.Linear(128, 64), nn.Tanh(), nn.Dropout(0.2, generator=0)),
        nn.Linear(64, 10), nn.LogSoftmax())


def steady(loss: str, optimizer: str, picked: bool):
    """A function that takes a captured step, of two sizes in turn, and has done so already."""
    kind, soft = LOSSES[loss]
    model, criterion, rng = network(), kind(), np.random.default_rng(0)
    step = minidl.capture(model, criterion, OPTIMIZERS[optimizer](model.parameters()))
    x, y = numbers((200, 64)), target_for(criterion, 200, 10, np.float32, rng, soft)
    choices = [rng.integers(0, 200, 100), rng.integers(0, 200, 33)]
    cut = [(x[:100], y[:100]), (x[100:133], y[100:133])]

    def steps():
        for i in range(2):
            if picked:
                step(x, y, choices[i])
            else:
                step(*cut[i])

    for _ in range(3):
        steps()
    return steps


@pytest.fixture
def quiet():
    """Without collections of garbage, which allocate when they please."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


CASES = pytest.mark.parametrize("loss, optimizer, picked", [
    ("cross entropy", "sgd", False), ("cross entropy", "adam", True), ("cross entropy of rows", "momentum", True),
    ("mse", "adadelta", True), ("mse", "nesterov", False), ("nll", "adamw", True)])


@CASES
def test_python_allocates_nothing(loss, optimizer, picked, quiet):
    steps = steady(loss, optimizer, picked)
    tracemalloc.start()
    try:
        steps()
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        for _ in range(50):
            steps()
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 256  # the numbers of the loop; not one object a step
    assert peak - before < LEFT_OVER


class Mallinfo2(ctypes.Structure):
    """What glibc says of its arenas; see mallinfo(3)."""

    _fields_ = [(name, ctypes.c_size_t) for name in (
        "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")]


@pytest.fixture(scope="module")
def c_memory():
    """A function that gives the bytes from the system in arenas and in maps, and the bytes in use."""
    try:
        mallinfo2 = ctypes.CDLL(None).mallinfo2
    except AttributeError:
        pytest.skip("this C library has no mallinfo2")
    mallinfo2.restype = Mallinfo2

    def measured() -> tuple[int, int, int]:
        info = mallinfo2()
        return info.arena, info.hblkhd, info.uordblks

    return measured


@CASES
def test_c_allocates_nothing(loss, optimizer, picked, c_memory, quiet):
    steps = steady(loss, optimizer, picked)
    c_memory()
    before = c_memory()
    for _ in range(50):
        steps()
    assert c_memory() == before


def test_the_peak_of_a_run():
    if sys.platform != "linux" or not Path("/proc/self/clear_refs").exists():
        pytest.skip("the peak of a process is read from Linux's /proc")
    done = subprocess.run([sys.executable, PEAK], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["taken"] < found["necessary"] + 5 * MEGABYTE
