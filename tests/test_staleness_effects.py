"""What Python changes within a step is refused: it would happen once, and never at a replay.

Counters stand still in CUDA graphs, lists and attributes keep the first call's Tensors in JAX and Chainer.
"""
from __future__ import annotations

import itertools

import numpy as np
from recorded_twins import refused, right_or_refused, training

import minidl
from minidl import functional as F
from minidl import nn, optim

COUNTER = 0


@refused
def test_a_global_counter(run):
    global COUNTER
    COUNTER = 0

    @run.capture
    def step(x):
        global COUNTER
        COUNTER += 1
        return x * COUNTER

    run.maps(step)


@refused
def test_a_counter_in_a_closure(run):
    count = 0

    @run.capture
    def step(x):
        nonlocal count
        count += 1
        return x / count

    run.maps(step)


@refused
def test_a_counter_on_an_object(run):
    class Warmup(nn.Module):
        def __init__(self):
            self.count = 0

        def forward(self, x):
            self.count += 1
            return x * min(1.0, self.count / 5)

    module = run.hold(Warmup())
    step = run.capture(lambda x: module(x))
    run.maps(step)


@refused
def test_a_counter_in_a_list(run):
    count = run.hold([0])

    @run.capture
    def step(x):
        count[0] += 1
        return x * 2

    run.maps(step)


@refused
def test_a_list_of_losses(run):
    losses = run.hold([])

    @run.capture
    def step(x):
        losses.append((x * x).sum())
        return x

    run.maps(step)


@refused
def test_a_dict_of_what_was_seen(run):
    seen = run.hold({})

    @run.capture
    def step(x):
        seen["last"] = x * 2
        return x

    run.maps(step)


@refused
def test_an_attribute_that_is_left_behind(run):
    """A Tensor that leaks out of the step: after a replay it would be an old one."""
    class Remembers(nn.Module):
        def __init__(self):
            self.linear, self.last = nn.Linear(4, 3), None

        def forward(self, x):
            self.last = F.tanh(self.linear(x))
            return self.last * 2

    module = run.hold(Remembers())
    step = run.capture(lambda x: module(x))
    run.maps(step)


@refused
def test_a_state_from_call_to_call(run):
    class Recurrent(nn.Module):
        def __init__(self):
            self.hidden = minidl.zeros(6, 4)

        def forward(self, x):
            self.hidden = F.tanh(self.hidden + x)
            return self.hidden

    module = run.hold(Recurrent())
    step = run.capture(lambda x: module(x))
    run.maps(step)


@right_or_refused
def test_an_iterator(run):
    steps = itertools.count()
    step = run.capture(lambda x: x * next(steps))
    run.maps(step)


@right_or_refused
def test_an_iterator_that_changes_seldom(run):
    scales = itertools.cycle([1.0] * 7 + [2.0] * 4)
    step = run.capture(lambda x: x * next(scales))
    run.maps(step, 30)


@refused
def test_a_pop(run):
    waiting = run.hold(list(range(100)))
    step = run.capture(lambda x: x * waiting.pop())
    run.maps(step)


@refused
def test_gradients_are_scaled_by_numpy(run):
    made = training(run)

    @run.capture
    def step(x, t):
        loss = made.criterion(made.model(x), t)
        made.optimizer.zero_grad()
        loss.backward()
        for parameter in made.model.parameters():
            parameter.grad *= 0.5
        made.optimizer.step()
        return loss

    run.trains(step)


@refused
def test_gradients_are_clipped_by_numpy(run):
    made = training(run)

    @run.capture
    def step(x, t):
        loss = made.criterion(made.model(x), t)
        made.optimizer.zero_grad()
        loss.backward()
        for parameter in made.model.parameters():
            np.clip(parameter.grad, -0.01, 0.01, out=parameter.grad)
        made.optimizer.step()
        return loss

    run.trains(step)


@refused
def test_parameters_are_moved_by_numpy(run):
    model = run.hold(nn.Linear(4, 3))

    @run.capture
    def step(x):
        model.zero_grad()
        loss = (model(x) ** 2).sum()
        loss.backward()
        for parameter in model.parameters():
            parameter.data -= 0.01 * parameter.grad
        return loss

    run.maps(step)


@right_or_refused
def test_parameters_are_moved_by_operations(run):
    model = run.hold(nn.Linear(4, 3))

    @run.capture
    def step(x):
        model.zero_grad()
        loss = (model(x) ** 2).sum()
        loss.backward()
        with minidl.no_grad():
            for parameter in model.parameters():
                parameter -= minidl.tensor(parameter.grad) * 0.01
        return loss

    run.maps(step)


@refused
def test_an_array_is_filled(run):
    """tinygrad: an assignment to a slice is not seen by what reads it."""
    buffer = run.hold(np.zeros((8, 4), np.float32))

    @run.capture
    def step(x):
        buffer[1:] = buffer[:-1]
        buffer[0] += 1
        return x[0] + buffer.sum(axis=0)

    run.maps(step)


@right_or_refused
def test_a_tensor_is_overwritten(run):
    cache = run.hold(minidl.ones(6, 4))

    @run.capture
    def step(x):
        y = x + cache
        cache.zero_()
        return y + cache

    run.maps(step, 3)
    cache.data[...] = 2
    run.maps(step)


@right_or_refused
def test_a_running_mean(run):
    mean = run.hold(minidl.zeros(4))

    @run.capture
    def step(x):
        mean.overwrite((mean * 0.9 + x.mean(dim=0) * 0.1).data)
        return x - mean

    run.maps(step)


@right_or_refused
def test_a_schedule_within_the_step(run):
    made = training(run, optim.SGD, lr=0.1)
    scheduler = optim.lr_scheduler.StepLR(made.optimizer, step_size=3, gamma=0.5)

    @run.capture
    def step(x, t):
        loss = made.criterion(made.model(x), t)
        made.optimizer.zero_grad()
        loss.backward()
        made.optimizer.step()
        scheduler.step()
        return loss

    run.trains(step)


@right_or_refused
def test_a_rate_that_the_step_decays(run):
    made = training(run, optim.SGD, lr=0.1)

    @run.capture
    def step(x, t):
        loss = made.criterion(made.model(x), t)
        made.optimizer.zero_grad()
        loss.backward()
        made.optimizer.step()
        made.optimizer.lr *= 0.9
        return loss

    run.trains(step)


@right_or_refused
def test_the_step_switches_modes(run):
    made = training(run, model=nn.Sequential(nn.Linear(4, 5), nn.Dropout(0.5, generator=1), nn.Linear(5, 3)))

    @run.capture
    def step(x):
        made.model.eval()
        y = made.model(x)
        made.model.train()
        return y, made.model(x)

    run.maps(step)


@right_or_refused
def test_a_seed_within_the_step(run):
    @run.capture
    def step(x):
        minidl.manual_seed(5)
        return x + minidl.randn(4)

    run.maps(step)
    minidl.randn(3)
    run.maps(step)
