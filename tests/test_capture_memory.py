"""A captured step allocates nothing once it has seen the largest batch, a run needs little besides its arrays, and what
is no longer used is given back."""
from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import re
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from module_cases import numbers
from twins import LOSSES, OPTIMIZERS, target_for

import minidl
from minidl import kernels, nn

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


# What is made and dropped. Python's own memory, of its dictionaries and caches, grows in some rounds and not in others;
# where something is not given back, each time, no round is without it.
A_ROUND, ROUNDS = 10, 30
LEAST = 16 * A_ROUND  # bytes: malloc's smallest piece, a time


def given_back(function, c_memory) -> bool:
    """Whether there is a round of calls after which no more memory is in use than before."""
    def used() -> int:
        gc.collect()
        _, maps, in_use = c_memory()
        return maps + in_use

    for _ in range(ROUNDS):
        before = used()
        for _ in range(A_ROUND):
            function()
        if used() - before < LEAST:
            return True
    return False


class OwnLoss(nn.MSELoss):
    """Which a program calls as a Python function."""

    def forward(self, output, target):
        return super().forward(output, target)


class Trained:
    """What a step is made of, and its data."""

    def __init__(self, optimizer: str):
        self.model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
        self.criterion, self.optimizer = nn.CrossEntropyLoss(), OPTIMIZERS[optimizer](self.model.parameters())
        self.x, self.y = numbers((30, 6)), np.arange(30) % 3

    def step(self, x, y):
        self.optimizer.zero_grad()
        loss = self.criterion(self.model(x), y)
        loss.backward()
        self.optimizer.step()
        return loss

    def captured(self):
        """Single steps, several at once, and one whose updates no longer fit: a parameter is frozen."""
        step = minidl.capture(self.model, self.criterion, self.optimizer)
        step(self.x, self.y)
        step.program.steps(self.x, self.y, np.arange(30), 10, 0.0)
        self.model[0].weight.requires_grad_(False)
        step(self.x, self.y)

    def with_python(self):
        step = minidl.capture(self.model, OwnLoss(), self.optimizer)
        for _ in range(2):
            step(self.x, self.x[:, :3])

    def recorded(self):
        step = minidl.capture(self.step)
        for _ in range(4):
            step(self.x, self.y)

    def plain(self):
        for _ in range(3):
            self.step(minidl.tensor(self.x), self.y)

    def predicted(self):
        for _ in range(2):
            minidl.predict(self.model, self.x)


@pytest.mark.parametrize("way, optimizer", [
    ("captured", "momentum"), ("captured", "adam decay"), ("with_python", "sgd"), ("recorded", "sgd"),
    ("plain", "momentum"), ("plain", "adadelta"), ("predicted", "sgd")])
def test_what_a_step_was_made_of_is_given_back(way, optimizer, c_memory):
    assert given_back(lambda: getattr(Trained(optimizer), way)(), c_memory)


def calls_with_labels(module, dtype):
    """Each operation on labels: they fit, one is out of range, and the result is made."""
    n = 150  # more labels than there is room for without memory of their own
    for name in module.OPERATIONS:
        function = getattr(module, name)
        if "labels not None" not in function.__doc__:
            continue
        arguments = re.findall(r"(real|int64_t|double)(\[[^]]*\])? \w+( not None)?", function.__doc__.splitlines()[0])
        for label, given in ((0, True), (n, True), (0, False)):
            made = [0.5 if kind == "double" else np.full(n, label) if kind == "int64_t"
                    else np.ones((n, n), dtype) if given or needed else None for kind, _, needed in arguments]
            with contextlib.suppress(ValueError):
                function(*made)


def calls_with_stacks(module, dtype):
    """Buffers are held while a product runs, and while it is refused."""
    stacks = [np.ones((3, 20, 20), dtype) for _ in range(3)]
    for k in range(4):
        with contextlib.suppress(ValueError, TypeError):
            module.bmm(*[stack if i != k else stack[:, :9] for i, stack in enumerate(stacks)])
        with contextlib.suppress(ValueError, TypeError):
            module.bmm(*[stack if i != k else 1 for i, stack in enumerate(stacks)])


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("calls", [calls_with_labels, calls_with_stacks], ids=["labels", "stacks"])
def test_a_kernel_gives_back_what_it_copies_and_holds(calls, dtype, c_memory):
    module = kernels.of(dtype)
    assert given_back(lambda: calls(module, dtype), c_memory)
