"""Any step that one writes oneself: captured, it has the bits of plain Python, on one thread and on two."""
from __future__ import annotations

import sys

import numpy as np
import pytest

pytest.importorskip("hypothesis")
from hypothesis import given, settings
from random_steps import BUILT, LINES, MODULES, OF_VALUES, Step, change, steps
from recorded_twins import Run

import minidl
from minidl import functional as F
from minidl import nn


def followed(step: Step, compiled: bool) -> Run:
    """A Run of the step's calls."""
    run = Run(compiled)
    names = step.build(run.capture)
    run.hold(*(names[f"m{i}"] for i in range(MODULES)))
    run.hold(*(names[name] for name in ("weight", "o0", "o1", "generator")), minidl.random.generator())
    for rows, what in zip(step.rows, step.changes, strict=True):
        x, y = (run.numbers(rows, 4, dtype=step.dtype) for _ in range(2))
        run.calls(names["step"], x, y, run.rng.integers(0, 4, rows))
        change(names, what, run.rng)
    run.runs(names["step"], r"^compiled")
    if set(step.changes) == {"none"}:
        run.recorded(names["step"], 1, len(set(step.rows)))
    return run


def check(step: Step) -> None:
    expected = followed(step, compiled=False)
    for error in expected.errors:
        assert isinstance(error, ValueError), f"the step itself is wrong: {error!r}"  # some refuse a batch of one row
    for threads in (1, 2):
        minidl.set_num_threads(threads)
        try:
            got = followed(step, compiled=True)
        finally:
            minidl.set_num_threads(1)
        for number, (mine, reference) in enumerate(zip(got.log, expected.log, strict=True)):
            assert mine == reference, f"call {number + 1} differs on {threads} threads"


@settings(max_examples=25, derandomize=True, deadline=None, database=None)
@given(steps())
def test_some_random_steps(step):
    check(step)


@pytest.mark.slow
@settings(max_examples=300, derandomize=True, deadline=None, database=None)
@given(steps())
def test_many_random_steps(step):
    check(step)


@pytest.mark.parametrize("line", OF_VALUES)
def test_what_only_values_tell_is_not_recorded(line):
    step = minidl.capture(eval(f"lambda a: {line}", {"F": F}))
    with pytest.raises(minidl.CaptureError, match="value"):
        step(minidl.tensor([[0.5, -1.0], [2.0, 3.0]]))


@pytest.mark.parametrize("line", sorted(set(LINES)))
def test_a_step_of_each_operation(line):
    text = f"""
def looped(module, h, n):
    for _ in range(n):
        h = module(h) + h
    return h

def step(x, y, t):
    loss = F.cross_entropy(m0({line.format(a='m1(x)', b='y')}), t)
    o0.zero_grad(); o1.zero_grad()
    loss.backward()
    o0.step(); o1.step()
    return loss
"""
    check(Step(text, ["Linear", "Linear", "Residual", "OnArrays"], ["adam", "momentum"], np.float32,
               [5, 5, 5, 17, 5, 17], ["none"] * 6, seed=1))


@pytest.mark.parametrize("name", sorted(BUILT))
def test_a_step_of_each_module(name):
    text = """
def step(x, y, t):
    loss = F.cross_entropy(m0(m2(m1(m2(x)))), t)
    o0.zero_grad(); o1.zero_grad()
    loss.backward()
    o0.step(); o1.step()
    return loss
"""
    check(Step(text, ["Linear", "Linear", name, name], ["adadelta", "adamw"], np.float32,
               [5, 5, 17, 5, 5, 17], ["none", "eval", "none", "train", "none", "none"], seed=1))


def test_the_lines_call_every_operation():
    text = " ".join([*LINES, *OF_VALUES])
    left = [name for name in F.__all__ if f"F.{name}(" not in text and not isinstance(getattr(F, name), type)]
    assert not left
    modules = [name for name in nn.__all__ if isinstance(getattr(nn, name), type)
               and issubclass(getattr(nn, name), nn.Module) and not issubclass(getattr(nn, name), nn.Loss)]
    of_pairs = {"CosineEmbeddingLoss", "CosineSimilarity", "PairwiseDistance", "TripletMarginLoss"}
    containers = {"Module", "ModuleList", "ModuleDict", "ParameterDict", "ParameterList"}
    assert set(modules) - BUILT.keys() == containers | of_pairs


def test_python_runs_the_function_at_few_calls():
    """At the first, and at replays 1, 2, 4, 8 and so on."""
    model = nn.Linear(4, 3)

    def function(x):
        return F.tanh(model(x))

    step, ran, calls = minidl.capture(function), [], 0

    def trace(frame, event, argument):
        if frame.f_code is function.__code__:
            ran.append(calls)

    x, before = np.ones((6, 4), np.float32), sys.gettrace()
    sys.settrace(trace)
    try:
        while calls < 40:
            step(x)
            calls += 1
    finally:
        sys.settrace(before)
    assert ran == [0, 1, 2, 4, 8, 16, 32]
    assert step.recordings == 1
    assert step.path == "compiled"
