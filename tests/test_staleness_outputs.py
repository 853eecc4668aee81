"""What a captured step gives back is the caller's own. tinygrad and CUDA graphs overwrite an earlier call's output."""
from __future__ import annotations

import itertools

import numpy as np
from recorded_twins import CALLS, right, right_or_refused, training

import minidl
from minidl import functional as F
from minidl import nn


@right
def test_outputs_of_earlier_calls_stay(run):
    """That they do is looked at after every scenario. tinygrad and CUDA graphs overwrite them."""
    model = run.hold(nn.Linear(4, 4))
    step = run.capture(lambda x: (model(x), {"sum": x.sum(), "list": [x * 2, (x, 1.5, "text", None)]}))
    run.maps(step, 3 * CALLS)


@right
def test_outputs_have_memory_of_their_own(run):
    weight = run.hold(minidl.tensor(run.numbers(6, 4)))
    step = run.capture(lambda x: [x, x, x.T, x[:2], weight, weight.reshape(-1), x.detach(), x * 1])
    x = run.numbers(6, 4)
    for _ in range(CALLS):
        arrays = [output.data for output in run.calls(step, x)]
        for a, b in itertools.combinations([*arrays, x, weight.data], 2):
            assert not np.shares_memory(a, b)


@right
def test_outputs_are_off_the_tape(run):
    made = training(run)
    for _ in range(CALLS):
        loss = run.calls(made.step, run.numbers(6, 4), run.rng.integers(0, 3, 6))
        assert type(loss) is minidl.Tensor and loss.is_leaf and not loss.requires_grad and loss.shape == ()


@right
def test_writing_into_an_output(run):
    step = run.capture(lambda x: x * 2 + minidl.ones(4))
    for _ in range(CALLS):
        run.calls(step, run.numbers(6, 4))
        output, run.outputs[-1] = run.outputs[-1], run.outputs[-1].clone()
        output.data[...] = np.nan


@right
def test_outputs_come_in_again(run):
    """tinygrad loses a binding where an output becomes the next input."""
    step = run.capture(lambda x: F.tanh(x) * 1.5)
    x = run.numbers(6, 4)
    for _ in range(2 * CALLS):
        x = run.calls(step, x)
    run.calls(step, run.numbers(6, 4), n=3)


@right
def test_a_window_moves_on(run):
    step = run.capture(lambda window, row: (F.cat([window[1:], row]), window[:1] * 1))
    window = minidl.zeros(3, 4)
    for _ in range(CALLS):
        window, _ = run.calls(step, window, run.numbers(1, 4))


@right
def test_kinds_of_outputs(run):
    @run.capture
    def step(x, kind):
        return {"tuple": (x, 1), "list": [x], "dict": {"x": x}, "extreme": x.max(0), "none": None, "number": 2.5,
                "argmax": F.argmax(x, 1), "bool": x > 0, "empty": (), "nested": [{"a": (x, [x])}]}[kind]

    for kind in ("tuple", "list", "dict", "extreme", "none", "number", "argmax", "bool", "empty", "nested"):
        for _ in range(4):
            run.calls(step, run.numbers(6, 4), kind)


@right_or_refused
def test_a_gradient_comes_back(run):
    model = run.hold(nn.Linear(4, 3))

    @run.capture
    def step(x):
        model.zero_grad()
        (model(x) ** 2).sum().backward()
        return minidl.tensor(model.weight.grad) * 1

    run.maps(step)


@right
def test_not_a_number_passes(run):
    made = training(run)
    run.trains(made.step, 3)
    x = run.numbers(6, 4)
    x[2, 1] = np.nan
    run.calls(made.step, x, run.rng.integers(0, 3, 6))
    run.trains(made.step, 3)
