"""A value read out of a Tensor while a step is recorded is refused: no replay would read it again.

A branch on it is frozen on a tape (ReverseDiff, JAX), ``item()`` and ``tolist()`` are baked in (tinygrad).
"""
from __future__ import annotations

import math

import numpy as np
from recorded_twins import refused, right, right_or_refused, training

import minidl
from minidl import functional as F
from minidl import nn


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
