"""A captured step follows the globals that it names, and tells them from attributes of their names."""
from __future__ import annotations

import numpy as np
import pytest

import minidl

scale = 2.0
values, max = 0, None  # globals of the names of an attribute and a method


def test_a_global_of_an_attributes_name_is_not_guarded():
    global values, max

    @minidl.capture
    def step(x):
        return x.max(1).values * scale

    x = minidl.tensor(np.arange(6, dtype=np.float32).reshape(2, 3))
    for k in range(6):
        values, max = k, str(k)
        assert step(x).tolist() == [2 * scale, 5 * scale]
    assert step.recordings == 1


@pytest.mark.parametrize("text", [
    "def step(x): return x * scale", "def step(x): return x * globals()['scale']",
    "def step(x): return (lambda: x * scale)()", "def step(x): return sum([x * scale for _ in range(1)])",
    "def step(x):\n    class Inner:\n        found = scale\n    return x * Inner.found"])
def test_a_global_is_guarded_however_it_is_named(text):
    space = {"scale": 2.0}
    exec(text, space)
    step = minidl.capture(space["step"])
    x = minidl.tensor(np.ones(2, np.float32))
    for k in range(1, 5):
        space["scale"] = float(k)
        assert step(x).tolist() == [k, k]
    assert step.recordings == 4
