"""A recorded step that is altered or entered, between its calls or in their middle: plain Python's bits, or an error.

What may be altered stands in scripts/fuzz_alterations.py; it is done to a plain and to a captured side alike, by the
tests between two calls, or by a user's loss, optimizer or generator that the step calls.
"""
from __future__ import annotations

import random

import fuzz_steps
import numpy as np
import pytest
from fuzz_alterations import ALTERATIONS
from fuzz_kernels import Finding
from recorded_twins import plain

import minidl

MOMENTS = ("between", *fuzz_steps.DURING)
ENTERED = ("raise", "enter", "enter larger")
# A step may have read its batch already when it is written to, and has then a copy of its own.
BATCH = ("batch_written", "labels_written", "index_written", "batch_resized")
CASES = [(what, when) for when in MOMENTS for what in (*ALTERATIONS, *ENTERED)
         if what not in (ENTERED if when == "between" else BATCH)]


class Loss(fuzz_steps.Loss):
    """On the tape a loss is told the gradient of its output."""

    def forward(self, z, t):
        return super().forward(z, t)

    def backward(self, gradient=1.0):
        self.happening.at("loss backward")
        return self.inner.backward(float(gradient))


class Called:
    """A side's step, as a function of its own that reads the side's parts by their names."""

    def __init__(self, side, capture):
        self.criterion, self.running = side.criterion, False

        def step(x, y, index=None):
            if index is not None:
                x, y = x[index], y[index]
            loss = self.criterion(side.model(x), y)
            side.optimizer.zero_grad()
            loss.backward()
            side.optimizer.step()
            return loss

        self.call = capture(step)

    def run(self, *batch) -> float:
        return float(self.call(*batch))


class Entered(Called):
    """Plain Python may be entered in its middle; here it is refused, as a captured step refuses it."""

    def run(self, *batch) -> float:
        if self.running:
            fuzz_steps.refuses()
        self.running = True
        try:
            return super().run(*batch)
        finally:
            self.running = False


class Side(fuzz_steps.Side):
    def __init__(self, seed: int, when: str, captured: bool):
        super().__init__(seed, when, captured=False)
        if isinstance(self.criterion, fuzz_steps.Loss):
            self.criterion = Loss(self.loss, self.happening)
        self.step = Called(self, minidl.capture) if captured else Entered(self, plain)


@pytest.fixture(autouse=True)
def recorded_sides(monkeypatch):
    monkeypatch.setattr(fuzz_steps, "Side", Side)
    yield
    minidl.set_num_threads(1)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("what, when", CASES, ids=map(" ".join, CASES))
def test_an_altered_recording_equals_plain_python_or_raises(what, when):
    with np.errstate(all="ignore"):
        for seed in range(6):
            try:
                fuzz_steps.in_step(random.Random(f"{what} {when} {seed}"), seed, when, what, False)
            except Finding as finding:
                if not finding.key.startswith("gradients changed"):  # zero_grad() came before the error
                    raise


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("when", ["thread", "signal"])
@pytest.mark.parametrize("what", [*ALTERATIONS, "enter", "enter larger"])
def test_the_process_lives_on_whatever_happens_to_a_recording(what, when):
    with np.errstate(all="ignore"):
        assert fuzz_steps.at_any_moment(random.Random(f"{what} {when}"), 1, when, what) == 30


def test_three_threads_call_one_recording():
    with np.errstate(all="ignore"):
        assert fuzz_steps.many_threads(2)
