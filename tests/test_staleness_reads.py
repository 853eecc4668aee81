"""What no replay could repeat is refused while it is recorded: values read, numbers made, things changed by Python.

Each is a wrong number elsewhere: a branch frozen on a tape (ReverseDiff), ``item()`` and ``tolist()`` baked in
(tinygrad), a side effect that happens once (JAX, Chainer's static graphs), a counter that stands still (CUDA graphs).
"""
from __future__ import annotations

import itertools
import math
import random
import time

import numpy as np
from recorded_twins import refused, right, right_or_refused, training

import minidl
from minidl import functional as F
from minidl import nn, optim

COUNTER = 0

# A value is read out of a Tensor


@refused
def test_a_branch_on_a_sum(run):
    @run.capture
    def step(x):
        if x.sum() > 0:
            return x * x
        return -x

    run.maps(step)


@refused
def test_a_branch_on_what_is_computed(run):
    step = run.capture(lambda x: F.tanh(x) if F.exp(x).mean() < 2 else x)
    run.maps(step)


@refused
def test_a_loop_until_it_is_small(run):
    @run.capture
    def step(x):
        while abs(x).sum() > 1:
            x = x / 2
        return x

    run.maps(step)


@refused
def test_the_builtin_max(run):
    step = run.capture(lambda x: max(x.sum(), x.mean()) * 2)
    run.maps(step)


@refused
def test_an_assertion(run):
    @run.capture
    def step(x):
        assert (abs(x) < 100).all()
        return x

    run.maps(step)


@refused
def test_float(run):
    step = run.capture(lambda x: x * float(x.sum()))
    run.maps(step)


@refused
def test_int(run):
    step = run.capture(lambda x: x[int(abs(x[0, 0]) * 0)])
    run.maps(step)


@refused
def test_bool(run):
    step = run.capture(lambda x: x * bool(x.sum()))
    run.maps(step)


@refused
def test_item(run):
    step = run.capture(lambda x: minidl.zeros(4) + x.sum().item())
    run.maps(step)


@refused
def test_tolist(run):
    step = run.capture(lambda x: minidl.tensor(x.tolist()))
    run.maps(step)


@refused
def test_numpy_of_an_argument(run):
    step = run.capture(lambda x: minidl.tensor(x.numpy() * 2))
    run.maps(step)


@refused
def test_numpy_of_what_is_computed(run):
    step = run.capture(lambda x: minidl.tensor(F.tanh(x).detach().numpy()))
    run.maps(step)


@refused
def test_asarray(run):
    step = run.capture(lambda x: x * np.asarray(x).max())
    run.maps(step)


@refused
def test_a_function_of_numpy(run):
    step = run.capture(lambda x: minidl.tensor(np.where(x > 0, 1, 0)))
    run.maps(step)


@right_or_refused
def test_data_of_an_argument(run):
    step = run.capture(lambda x: minidl.tensor(x.data * 2))
    run.maps(step)


@refused
def test_a_loss_in_a_text(run):
    lines = []

    @run.capture
    def step(x):
        loss = (x * x).sum()
        lines.append(f"{loss:.3f}")
        return loss

    run.maps(step)


@right_or_refused
def test_a_tensor_in_a_text(run):
    @run.capture
    def step(x):
        return x * 2, repr(x.sum()), str(x[0])

    run.maps(step)


@refused
def test_a_loss_that_is_logged_as_a_number(run):
    made, losses = training(run), []

    @run.capture
    def step(x, t):
        loss = made.criterion(made.model(x), t)
        made.optimizer.zero_grad()
        loss.backward()
        made.optimizer.step()
        losses.append(loss.item())

    run.trains(step)


@refused
def test_a_parameter_is_read(run):
    model = run.hold(nn.Linear(4, 3))
    step = run.capture(lambda x: model(x) * float(model.weight[0, 0]))
    run.maps(step)


@refused
def test_clipping_by_a_norm_that_python_sees(run):
    made = training(run)

    @run.capture
    def step(x, t):
        loss = made.criterion(made.model(x), t)
        made.optimizer.zero_grad()
        loss.backward()
        norm = math.sqrt(sum(float((p.grad ** 2).sum()) for p in made.model.parameters()))
        if norm > 0.1:
            for parameter in made.model.parameters():
                parameter.grad *= 0.1 / norm
        made.optimizer.step()
        return loss

    run.trains(step)


@right_or_refused
def test_a_mask_picks_elements(run):
    """Their number depends on the values."""
    step = run.capture(lambda x: x[x > 0].sum())
    run.maps(step)


@right_or_refused
def test_an_index_that_is_computed(run):
    step = run.capture(lambda x: x[F.argmax(x, dim=0)])
    run.maps(step)


@right
def test_what_may_be_asked_of_a_tensor(run):
    """Shapes and dtypes are part of the program's key."""
    @run.capture
    def step(x):
        rows, columns = x.shape
        parts = [row * i for i, row in enumerate(x)]
        scale = len(x) if x.ndim == 2 and x.dtype == np.float32 else 0
        return sum(parts) / rows + scale, x.reshape(x.size(1), -1) * x.numel() * float(columns), x.requires_grad

    for rows in (6, 5, 6, 1):
        run.maps(step, 5, (rows, 4))


# Numbers and arrays made outside minidl


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


# Python changes something


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


@refused
def test_an_iterator(run):
    steps = itertools.count()
    step = run.capture(lambda x: x * next(steps))
    run.maps(step)


@refused
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
