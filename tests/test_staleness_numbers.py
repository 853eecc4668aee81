"""Numbers and arrays that a step makes outside minidl are refused: a replay would use the first ones for ever."""
from __future__ import annotations

import math
import random
import time

import numpy as np
from recorded_twins import refused, right

import minidl
from minidl import functional as F
from minidl import nn
from minidl.compiled import streams


@refused
def test_noise_of_numpy(run):
    step = run.capture(lambda x: x + run.rng.standard_normal(x.shape).astype(np.float32))
    run.maps(step)


@refused
def test_noise_of_the_global_generator(run):
    np.random.seed(0)
    step = run.capture(lambda x: x * np.random.rand(4).astype(np.float32))
    run.maps(step)


@refused
def test_a_number_of_numpys_global_generator(run):
    np.random.seed(0)
    step = run.capture(lambda x: x * np.random.rand())
    run.maps(step)


@refused
def test_a_number_of_a_generator(run):
    step = run.capture(lambda x: x * float(run.rng.random()))
    run.maps(step)


@refused
def test_a_mask_of_numpy(run):
    def mask(shape):
        return (np.arange(math.prod(shape)) % 2).reshape(shape).astype(np.float32)

    step = run.capture(lambda x: x * mask(x.shape))
    run.maps(step)


@refused
def test_numpy_between_two_calls_of_a_helper(run):
    table = run.numbers(4)

    def helper(x):
        return x * (table * 2)

    step = run.capture(lambda x: helper(F.tanh(x)))
    run.maps(step)
    table[...] = 1
    run.maps(step)


@refused
def test_a_tensor_of_an_array_made_here(run):
    step = run.capture(lambda x: x * minidl.tensor(np.ones(4, np.float32)))
    run.maps(step)


@refused
def test_arithmetic_on_the_array_of_a_parameter(run):
    model = run.hold(nn.Linear(4, 3))
    step = run.capture(lambda x: model(x) + (model.weight.data ** 2).sum())
    run.maps(step)


@refused
def test_random(run):
    random.seed(0)
    step = run.capture(lambda x: x * random.random())
    run.maps(step)


@refused
def test_a_coin_within_a_helper(run):
    random.seed(0)

    def flipped(x):
        return -x if random.randint(0, 1) else x

    step = run.capture(lambda x: flipped(x) + 1)
    run.maps(step)


@refused
def test_time(run):
    step = run.capture(lambda x: x + 0 * time.time())
    run.maps(step)


@refused
def test_a_clock_under_another_name(run):
    from time import perf_counter as now
    step = run.capture(lambda x: x + 0 * now())
    run.maps(step)


@right
def test_numbers_of_the_text(run):
    step = run.capture(lambda x: x * math.sqrt(2) + minidl.tensor([1.0, 2.0, 3.0, 4.0]) - minidl.ones(4) * 1e-3)
    run.maps(step)


def test_numpys_global_stream_tells_the_second_normal_number_that_waits():
    """Which is drawn without a change of the generator's words."""
    stream, before = streams.GlobalStream(), np.random.get_state()
    try:
        np.random.seed(0)
        told = [stream()]
        for _ in range(4):
            np.random.standard_normal()
            told += [stream(), stream()]
        assert [state[1] for state in told] == [0, 1, 1, 0, 0, 1, 1, 0, 0]
        assert told[1] == told[2] != told[3] == told[4] and told[1][0] == told[3][0]  # the same words
        assert len({*told}) == 5
        undo = stream.undo()
        drawn = np.random.standard_normal(3).tolist()
        undo()
        assert np.random.standard_normal(3).tolist() == drawn
    finally:
        np.random.set_state(before)
