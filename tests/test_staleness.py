"""A captured step follows the names that it reads: globals, closures, attributes, items. Never a stale number.

Other frameworks freeze most of these at their first values: JAX's jit a global, tinygrad's TinyJit a Python
constant, CUDA graphs a scalar and an address.
"""
from __future__ import annotations

import types

import numpy as np
from recorded_twins import right, right_or_refused

import minidl
from minidl import functional as F

FACTOR = 2.0
TABLE = np.ones(4, np.float32)


def changed(x):
    return x * 2


# Globals


@right
def test_a_global_number(run):
    global FACTOR
    FACTOR = 2.0
    step = run.capture(lambda x: x * FACTOR)
    run.maps(step)
    run.recorded(step, 1)
    FACTOR = float("2.0")  # another object of the same value
    run.maps(step)
    run.recorded(step, 1)
    for value in (3.0, -1.0, 2.0):
        FACTOR = value
        run.maps(step)


@right
def test_a_global_number_at_every_call(run):
    global FACTOR
    step = run.capture(lambda x: x + FACTOR)
    for value in range(30):
        FACTOR = value
        run.maps(step, 1)


@right
def test_numbers_that_are_equal_but_not_the_same(run):
    global FACTOR
    step = run.capture(lambda x: x * FACTOR)
    for value in (1, True, 1.0, 1):
        FACTOR = value
        run.calls(step, np.arange(4), n=4)
    step = run.capture(lambda x: 1 / (x * 0 + FACTOR * 0.0))
    for value in (1.0, -1.0, 1.0, float("nan")):
        FACTOR = value
        with np.errstate(all="ignore"):
            run.maps(step, 4)


@right
def test_a_zero_changes_its_sign(run):
    global FACTOR
    FACTOR = 0.0
    step = run.capture(lambda x: abs(x) * FACTOR)
    for value in (0.0, -0.0, 0.0, -0.0):
        FACTOR = value
        run.maps(step, 4)


@right
def test_a_global_array(run):
    global TABLE
    TABLE = run.numbers(4)
    step = run.capture(lambda x: x * TABLE)
    run.maps(step)
    TABLE[...] = 3  # in place: it is read where it lies
    run.maps(step)
    TABLE[1] = -1
    run.maps(step)
    run.recorded(step, 1)
    TABLE = run.numbers(4)
    run.maps(step)
    run.recorded(step, 2)
    TABLE = run.numbers(6, 4, dtype=np.float64)
    run.maps(step)


@right
def test_a_tensor_of_a_global_array(run):
    global TABLE
    TABLE = run.numbers(4)
    step = run.capture(lambda x: x * minidl.tensor(TABLE) + minidl.from_numpy(TABLE))
    run.maps(step)
    TABLE += 1
    run.maps(step)
    TABLE = run.numbers(4)
    run.maps(step)


@right_or_refused
def test_a_view_of_an_array(run):
    """It lies in the array, whose numbers change, but Python makes it at each call."""
    global TABLE
    TABLE = run.numbers(6, 4)
    step = run.capture(lambda x: x * TABLE[2] + TABLE.T[0].reshape(1, 6).T)
    run.maps(step)
    TABLE[...] = run.numbers(6, 4)
    run.maps(step)


@right
def test_a_function_that_the_step_calls(run):
    global changed
    changed = types.FunctionType((lambda x: x * 2).__code__, globals())
    step = run.capture(lambda x: changed(x) + 1)
    run.maps(step)
    changed = F.tanh
    run.maps(step)
    changed = lambda x: F.exp(-x * x)  # noqa: E731
    run.maps(step)


@right
def test_what_a_called_function_reads(run):
    global FACTOR
    FACTOR = 2.0

    def inner(x):
        return x * FACTOR

    def outer(x):
        return F.tanh(inner(x))

    step = run.capture(lambda x: outer(x) - 1)
    run.maps(step)
    FACTOR = 5.0
    run.maps(step)


@right
def test_a_function_changes_its_code_and_defaults(run):
    def scaled(x, by=2.0, *, plus=0.0):
        return x * by + plus

    step = run.capture(lambda x: scaled(x))
    run.maps(step)
    scaled.__defaults__ = (3.0,)
    run.maps(step)
    scaled.__kwdefaults__ = {"plus": 1.0}
    run.maps(step)
    scaled.__code__ = (lambda x, by=2.0, *, plus=0.0: x - by * plus).__code__
    run.maps(step)


@right
def test_a_name_that_appears_and_hides_another(run):
    step = run.capture(lambda x: abs(x) + 1)
    run.maps(step)
    globals()["abs"] = lambda x: -x
    try:
        run.maps(step)
    finally:
        del globals()["abs"]
    run.maps(step)


@right
def test_an_attribute_of_a_module_of_python(run):
    config = types.ModuleType("config")
    config.scale = 2.0
    step = run.capture(lambda x: x * config.scale)
    run.maps(step)
    config.scale = 0.5
    run.maps(step)


# Closures


@right
def test_a_closure(run):
    factor, names = 2.0, run.numbers(4)
    step = run.capture(lambda x: x * factor + names)
    run.maps(step)
    factor = 7.0
    run.maps(step)
    names[...] = 0
    run.maps(step)
    names = run.numbers(6, 1)
    run.maps(step)


@right
def test_a_closure_of_a_closure(run):
    def scaler(factor):
        def by(x):
            return x * factor

        def set_to(value):
            nonlocal factor
            factor = value

        return by, set_to

    by, set_to = scaler(2.0)
    step = run.capture(lambda x: by(x) + by(by(x)))
    run.maps(step)
    set_to(-3.0)
    run.maps(step)


@right
def test_a_branch_on_a_name(run):
    """tinygrad freezes the branch; ReverseDiff's compiled tape too."""
    squared = True

    @run.capture
    def step(x):
        if squared:
            return x * x
        return x + 1

    for value in (True, False, True, False):
        squared = value
        run.maps(step, 5)


@right
def test_the_length_of_a_loop(run):
    depth = 2

    @run.capture
    def step(x):
        for _ in range(depth):
            x = F.tanh(x) * 1.5
        return x

    for value in (2, 5, 0, 1):
        depth = value
        run.maps(step, 5)
