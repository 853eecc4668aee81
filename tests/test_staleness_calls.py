"""Steps within steps, errors, refusals, threads: what a captured step does where it cannot do what it is told."""
from __future__ import annotations

import threading

import numpy as np
import pytest
from recorded_twins import CALLS, Run, refused, right, right_or_refused, told, training

import minidl
from minidl import functional as F
from minidl import nn, optim

# Steps within steps


@right_or_refused
def test_a_step_within_a_step(run):
    """tinygrad's fails at the second call."""
    factor = 2.0
    inner = run.capture(lambda x: x * factor)
    outer = run.capture(lambda x: inner(F.tanh(x)) + inner(x))
    run.maps(inner, 3)
    run.maps(outer)
    factor = 3.0
    run.maps(outer)
    run.maps(inner, 3)


@right
def test_two_steps_over_one_model(run):
    made = training(run)
    predict = run.capture(lambda x: F.softmax(made.model(x), dim=1))
    for _ in range(6):
        run.trains(made.step, 2)
        run.maps(predict, 2)


@right
def test_the_same_function_twice(run):
    model = run.hold(nn.Linear(4, 3))

    def function(x):
        return model(x)

    one, other = run.capture(function), run.capture(function)
    run.maps(one)
    model.bias.data += 1
    run.maps(other)
    run.maps(one)


@right
def test_without_the_tape(run):
    model = run.hold(nn.Linear(4, 3))
    predict = run.capture(lambda x: model(x))
    made = training(run)
    for _ in range(3):
        run.maps(predict, 2)
        run.trains(made.step, 2)
        with minidl.no_grad():
            run.maps(predict, 2)
            run.trains(made.step, 2)  # whose backward() raises, as in plain Python


# Errors


@right
def test_a_batch_that_does_not_fit(run):
    made = training(run)
    for _ in range(3):
        run.trains(made.step, 2)
        run.calls(made.step, run.numbers(6, 5), run.rng.integers(0, 3, 6))
        run.calls(made.step, run.numbers(6, 4), np.full(6, 3))
        run.calls(made.step, run.numbers(6, 4), np.array([0, 1, 2, -1, 0, 1]))
        run.calls(made.step, run.numbers(6, 4, dtype=np.float64), run.rng.integers(0, 3, 6))
        run.calls(made.step, run.numbers(6, 4), run.numbers(6))
        run.calls(made.step, run.numbers(6, 4))
    run.trains(made.step, CALLS)


@right
def test_an_error_of_the_functions_own(run):
    limit = 3

    @run.capture
    def step(x):
        y = x * 2
        if len(x) > limit:
            raise KeyError("too long")
        return y

    for rows in (5, 3, 5, 2):
        run.maps(step, 3, (rows, 4))
    limit = 1
    run.maps(step, 5, (3, 4))
    limit = 9
    run.maps(step, 5, (5, 4))


def test_an_error_leaves_no_program():
    broken = [True]

    @minidl.capture
    def step(x):
        y = x * 2
        if broken[0]:
            raise KeyError("broken")
        return y

    x = np.ones(4, np.float32)
    for _ in range(3):
        with pytest.raises(KeyError, match="broken"):
            step(x)
    assert step.recordings == 0
    broken[0] = False
    assert step(x).tolist() == [2] * 4
    assert step.recordings == 1
    broken[0] = True
    with pytest.raises(KeyError, match="broken"):
        step(x)


def test_a_refusal_leaves_no_program():
    step = minidl.capture(lambda x: x * float(x.sum()))
    for _ in range(3):
        with pytest.raises(minidl.CaptureError):
            step(np.ones(4, np.float32))
    assert step.recordings == 0
    assert issubclass(minidl.CaptureError, RuntimeError)


@refused
def test_a_refusal_after_the_update(run):
    made = training(run)

    @run.capture
    def step(x, t):
        loss = made.criterion(made.model(x), t)
        made.optimizer.zero_grad()
        loss.backward()
        made.optimizer.step()
        return float(loss)

    run.trains(step)


def test_a_step_that_calls_itself():
    @minidl.capture
    def step(x):
        return step(x * 2)

    with pytest.raises(RuntimeError) as caught:
        step(np.ones(4, np.float32))
    assert not isinstance(caught.value, RecursionError)
    assert step.recordings == 0


class Calling(nn.Module):
    """A module on arrays that calls what it is told to."""

    def __init__(self):
        self.call = None

    def forward(self, x):
        if self.call is not None:
            self.call()
        return x * 2

    def backward(self, gradient):
        return gradient * 2


@pytest.mark.parametrize("before", [0, 1, 3])
def test_a_step_that_calls_itself_from_a_module_in_its_middle(before):
    module, x, caught = Calling(), np.ones(4, np.float32), []
    step = minidl.capture(lambda x: module(x) + 1)
    for _ in range(before):
        assert step(x).tolist() == [3] * 4

    def again():
        with pytest.raises(RuntimeError) as error:
            step(x)
        caught.append(error.value)

    module.call = again
    assert step(x).tolist() == [3] * 4
    assert len(caught) == 1 and not isinstance(caught[0], RecursionError)
    module.call = None
    assert step(x).tolist() == [3] * 4


@pytest.mark.parametrize("before", [0, 1, 3])
def test_a_step_in_two_threads_at_once(before):
    module, x = Calling(), np.ones(4, np.float32)
    step = minidl.capture(lambda x: module(x) + 1)
    for _ in range(before):
        step(x)
    inside, go_on, results = threading.Event(), threading.Event(), []

    def wait():
        inside.set()
        assert go_on.wait(20)

    module.call = wait
    thread = threading.Thread(target=lambda: results.append(step(x).tolist()))
    thread.start()
    try:
        assert inside.wait(20)
        with pytest.raises(RuntimeError):
            step(x)
    finally:
        go_on.set()
        thread.join()
    assert results == [[3] * 4]
    module.call = None
    assert step(x).tolist() == [3] * 4


def test_steps_of_two_threads_one_after_the_other():
    def scenario(run):
        made = training(run, optim.SGD, lr=0.1)
        for _ in range(6):
            thread = threading.Thread(target=run.trains, args=(made.step, 2))
            thread.start()
            thread.join()

    assert told(scenario)[0] is None


def test_threads_with_steps_of_their_own():
    """What one thread records, computes or reads is no affair of another."""
    def prepared(compiled):
        run = Run(compiled)
        model = nn.Sequential(nn.Linear(4, 5), nn.Dropout(0.3, generator=1), nn.Tanh(), nn.Linear(5, 3))
        return run, training(run, model=model).step

    def follow(run, step):
        for rows in (6, 3, 9, 6, 3):
            run.trains(step, 5, rows)

    expected, _ = one = prepared(compiled=False)
    follow(*one)
    several = [prepared(compiled=True) for _ in range(3)]
    plainly = prepared(compiled=False)
    threads = [threading.Thread(target=follow, args=pair) for pair in (*several, plainly)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for run, _ in (*several, plainly):
        assert not run.errors
        assert run.log == expected.log


def test_another_thread_reads_what_it_computes_while_a_step_is_recorded():
    module, x = Calling(), np.ones(4, np.float32)
    step, read = minidl.capture(lambda x: module(x) + 1), []

    def elsewhere():
        thread = threading.Thread(target=lambda: read.append(float((minidl.tensor(x) * 3).sum())))
        thread.start()
        thread.join()

    module.call = elsewhere
    for call in range(5):
        assert step(x).tolist() == [3] * 4
        assert read == [12] * (call + 1)
