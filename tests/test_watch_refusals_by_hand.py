"""What a recorded function may not call or change is refused with its name; what it may is not."""
from __future__ import annotations

import random
import sys
import time
import types
from time import perf_counter

import numpy as np
import pytest

import minidl
from minidl import nn, optim

X = np.ones(2, np.float32)
MINE, OLD, DRAWN = np.random.default_rng(0), np.random.RandomState(0), random.Random(0)


@pytest.mark.parametrize("call, name", [
    (time.time, r"time\.time"), (perf_counter, r"time\.perf_counter"), (lambda: time.monotonic(), r"time\.monotonic"),
    (random.random, r"random\.random"), (lambda: random.random(), r"random\.random"),
    (lambda: random.gauss(0, 1), r"random\.random"), (lambda: random.randint(1, 9), r"random\.getrandbits"),
    (lambda: DRAWN.random(), r"random\.random")])
def test_values_that_differ_at_each_call_are_refused_by_name(call, name):
    message = rf"^capture: the function asks {name} for a value, which would stay the same at each later call: give it "
    with pytest.raises(minidl.CaptureError, match=message):
        minidl.capture(lambda x: x * float(call()))(X)


@pytest.mark.parametrize("call", [np.random.rand, np.random.standard_normal, lambda: OLD.rand(), lambda: MINE.random(),
                                  OLD.standard_normal, MINE.standard_normal])
def test_numbers_of_a_generator_that_the_function_finds_are_refused(call):
    for _ in range(2):  # the second normal number of a pair waited
        with pytest.raises(minidl.CaptureError, match=r"^capture: the function draws random numbers outside minidl, "):
            minidl.capture(lambda x: x * float(call()))(X)
        call()


@pytest.mark.parametrize("call", [lambda: max(2.0, 1.0), lambda: np.sqrt(4.0), lambda: len([1, 2]),
                                  lambda: minidl.get_num_threads() + 1.0])
def test_other_functions_in_c_are_not(call):
    assert minidl.capture(lambda x: x * call())(X).data.tolist() == [2, 2]


def test_within_a_module_on_arrays_anything_may_be_called():
    class Draws(nn.Module):
        def forward(self, x):
            return x * np.float32(np.random.rand() < 2) * np.float32(time.time() > 0)

        def backward(self, gradient):
            return gradient

    module = Draws()
    assert minidl.capture(lambda x: module(x) * 2.0)(X).data.tolist() == [2, 2]


def changed_list(held):
    held.items.append(1)


def changed_entry(held):
    held.entries["a"] = 2


def new_entry(held):
    held.entries["b"] = 2


def changed_attribute(held):
    held.scale = 3.0


def changed_mode(held):
    held.module.eval()


def new_attribute(held):
    held.module.more = 3.0


def changed_setting(held):
    held.optimizer.lr = 3.0


def changed_array(held):
    held.table[0] = 3.0


def changed_set(held):
    held.kinds.add(3)


@pytest.mark.parametrize("change, what", [
    (changed_list, "the items of a list"), (changed_entry, r"an item of a dict\['a'\]"),
    (new_entry, "the keys of an item of a dict"), (changed_attribute, r"SimpleNamespace\['scale'\]"),
    (changed_mode, r"Linear\.training"), (new_attribute, r"Linear\.more"), (changed_setting, "SGD's lr"),
    (changed_array, "the elements of an array"), (changed_set, "the items of a set")])
def test_what_a_function_changes_is_named(change, what):
    module = nn.Linear(2, 2, generator=0)
    held = types.SimpleNamespace(
        items=[0], entries={"a": 1}, scale=2.0, module=module, table=np.zeros(2), kinds={1},
        optimizer=optim.SGD(module.parameters(), lr=2.0))

    def step(x):
        y = held.module(x) * held.scale * len(held.items) * held.entries["a"] + float(held.table[1]) + len(held.kinds)
        change(held)
        return y

    message = rf"^capture: the function changes {what}, which it reads: a later call would not do so\. Keep such state"
    with pytest.raises(minidl.CaptureError, match=message):
        minidl.capture(step)(X)


def test_a_profiler_of_ones_own_is_put_back():
    told = []

    def mine(frame, event, argument):
        told.append(event)

    step = minidl.capture(lambda x: x * 2.0)
    sys.setprofile(mine)
    try:
        step(X)
        kept = sys.getprofile()
    finally:
        sys.setprofile(None)
    assert kept is mine and told
