"""The text of a recorded step: how each array is named, and what each kind of line says."""
from __future__ import annotations

import re

import numpy as np
import pytest

import minidl
from minidl import nn, optim
from minidl.compiled.listing import argument_names
from minidl.compiled.nesting import arrays_of

X, T = np.ones((2, 3), np.float32), np.zeros(2, np.int64)


@pytest.mark.parametrize("args, named, names, expected", [
    ((X,), {}, ["x"], ["x"]), ((X, X), {}, ["x", "t"], ["x", "t"]), ((X, X), {}, ["x"], ["x", "argument 2"]),
    ((X, 3, X), {}, ["x", "n", "t"], ["x", "t"]), ((X,), {"t": X}, ["x"], ["x", "t"]), ((), {}, [], []),
    (((X, X),), {}, ["batch"], ["batch[0]", "batch[1]"]), (([X, 2, X],), {}, ["batch"], ["batch[0]", "batch[2]"]),
    ((X, [X, (X, 1, X)]), {}, ["x", "more"], ["x", "more[0]", "more[1][0]", "more[1][2]"]),
    (({"a": X, "b": [X, X]},), {}, ["o"], ["o['a']", "o['b'][0]", "o['b'][1]"]),
    ((X,), {"options": {"mask": X, "sizes": (1, X)}}, ["x"], ["x", "options['mask']", "options['sizes'][1]"]),
])
def test_arrays_are_named_by_their_places_among_the_arguments(args, named, names, expected):
    arrays: list[np.ndarray] = []
    assert argument_names(arrays_of((args, named), arrays), names) == expected and len(arrays) == len(expected)


def body(step) -> list[str]:
    """The operations of the listing, without the time of each."""
    return [line.strip() for line in step.listing().splitlines()]


def test_operations_are_told_with_arguments_results_and_settings():
    @minidl.capture
    def step(batch, scale):
        a = (batch[0] * scale).sum(1)
        return minidl.functional.softmax(batch[1]["t"], dim=-1).sum() + a.mean() * 2.5

    step([X, {"t": X}], np.float32(2))
    text = "\n".join(body(step))
    for part in (r"%1\[2, 3\] = mul\(batch\[0\]\[2, 3\], ", r"%2\[2\] = sum\(%1\[2, 3\], .*dim=", r"2\.5",
                 r"= softmax\(batch\[1\]\['t'\]\[2, 3\].*dim="):
        assert re.search(part, text), (part, text)


def test_a_training_step_names_parameters_and_gradients():
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    criterion, optimizer = nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.1)

    @minidl.capture
    def step(x, t):
        loss = criterion(model(x), t)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    step(X, T)
    text = step.listing()
    for name, parameter in model.named_parameters():
        shape = ", ".join(map(str, parameter.shape))
        assert f"{parameter.name}[{shape}]" in text and f"{parameter.name}.grad[{shape}]" in text, (name, text)


def test_what_is_no_operation_is_told_in_its_own_way():
    state, total = minidl.zeros(3), minidl.zeros(2, 3)
    generator = np.random.default_rng(0)

    @minidl.capture
    def step(x):
        state.copy_(x.sum(0))
        total.zero_()
        return x * minidl.rand(2, 3, generator=generator) + state

    step(X)
    text = step.listing()
    for part in (r"array\[3\] <- ", r"array\[2, 3\] <- ", r"= random numbers\("):
        assert re.search(part, text), (part, text)
