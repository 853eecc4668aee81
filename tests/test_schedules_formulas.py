"""The rates of every schedule over 100 steps, from closed formulas, for the settings that are compared with PyTorch."""
from __future__ import annotations

import math
from itertools import accumulate
from operator import mul

import numpy as np
import pytest
from test_schedules_parity import SETTINGS, ours, rise

from minidl.autograd.parameter import Parameter
from minidl.optim import SGD
from minidl.optim.lr_scheduler import (
    ChainedScheduler,
    ConstantLR,
    CosineAnnealingLR,
    ExponentialLR,
    LinearLR,
    MultiplicativeLR,
    SequentialLR,
)
from minidl.optim.swa_utils import SWALR

STEPS = 100


def restarts(lr, t, T_0, T_mult=1, eta_min=0.0):
    length = T_0
    while t >= length:
        t, length = t - length, length * T_mult
    return eta_min + (lr - eta_min) * (1 + math.cos(math.pi * t / length)) / 2


def per_group(value, group):
    return value[group] if isinstance(value, list) else value


def one_cycle(t, group, max_lr, total_steps=None, epochs=0, steps_per_epoch=0, pct_start=0.3, anneal_strategy="cos",
              cycle_momentum=True, base_momentum=0.85, max_momentum=0.95, div_factor=25.0, final_div_factor=1e4,
              three_phase=False):
    """(rate, momentum): from one to the next of several numbers, which are reached at the ends of the phases."""
    total = total_steps or epochs * steps_per_epoch
    high = per_group(max_lr, group)
    first = high / div_factor
    ends = [pct_start * total - 1, *([2 * pct_start * total - 2] if three_phase else []), total - 1]
    rates = [first, high, *([first] if three_phase else []), first / final_div_factor]
    least, most = per_group(base_momentum, group), per_group(max_momentum, group)
    momenta = [most, least, *([most] if three_phase else []), most]
    phase = next(i for i, end in enumerate(ends) if t <= end or i == len(ends) - 1)
    begin = ends[phase - 1] if phase else 0.0
    share = (t - begin) / (ends[phase] - begin)
    share = share if anneal_strategy == "linear" else (1 - math.cos(math.pi * share)) / 2
    between = [values[phase] + share * (values[phase + 1] - values[phase]) for values in (rates, momenta)]
    return between[0], between[1] if cycle_momentum else 0.0


# (the first rate of the group, the step, the group, the settings) -> the rate
RATES = {
    "StepLR": lambda lr, t, i, step_size, gamma=0.1: lr * gamma ** (t // step_size),
    "ExponentialLR": lambda lr, t, i, gamma: lr * gamma ** t,
    "MultiStepLR": lambda lr, t, i, milestones, gamma=0.1: lr * gamma ** sum(one <= t for one in milestones),
    "ConstantLR": lambda lr, t, i, factor=1 / 3, total_iters=5: lr * (
        factor if t < total_iters or not total_iters else 1),  # of no step at all: PyTorch never takes it back
    "LinearLR": lambda lr, t, i, start_factor=1 / 3, end_factor=1.0, total_iters=5: lr * (
        start_factor + (end_factor - start_factor) * min(t / total_iters, 1)),
    "PolynomialLR": lambda lr, t, i, total_iters=5, power=1.0: lr * (1 - min(t / total_iters, 1)) ** power,
    "CosineAnnealingLR": lambda lr, t, i, T_max, eta_min=0.0: eta_min + (lr - eta_min) * (
        1 + math.cos(math.pi * t / T_max)) / 2,
    "CosineAnnealingWarmRestarts": lambda lr, t, i, **settings: restarts(lr, t, **settings),
    "LambdaLR": lambda lr, t, i, lr_lambda: lr * per_group(lr_lambda, i)(t),
    "MultiplicativeLR": lambda lr, t, i, lr_lambda: lr * math.prod(
        [per_group(lr_lambda, i)(k) for k in range(1, t + 1)]),
    "OneCycleLR": lambda lr, t, i, **settings: one_cycle(t, i, **settings)[0],
}
ELSEWHERE = {"CyclicLR", "ReduceLROnPlateau",  # test_schedules_by_hand.py
             "SequentialLR", "ChainedScheduler"}  # below
CASES = [(name, settings) for name, some in SETTINGS.items() if name in RATES for settings in some]


def test_every_schedule_has_a_formula():
    assert RATES.keys() | ELSEWHERE == SETTINGS.keys()


@pytest.mark.parametrize("name, settings", CASES, ids=[f"{name}-{i}" for i, (name, _) in enumerate(CASES)])
def test_a_hundred_steps(name, settings):
    optimizer, scheduler = ours(name, settings)
    for t in range(STEPS):
        for i, (group, lr) in enumerate(zip(optimizer.param_groups, (0.5, 0.2), strict=True)):
            assert group["lr"] == pytest.approx(RATES[name](lr, t, i, **settings), rel=1e-9, abs=1e-13), (t, i)
            if name == "OneCycleLR":
                assert group["momentum"] == pytest.approx(one_cycle(t, i, **settings)[1], rel=1e-9), (t, i)
        assert scheduler.last_epoch == t
        assert scheduler.get_last_lr() == [group["lr"] for group in optimizer.param_groups]
        if t < STEPS - 1:
            scheduler.step()


def plain():
    return SGD([{"params": [Parameter(np.ones(2))]}, {"params": [Parameter(np.ones(2))], "lr": 0.2}], lr=0.5)


@pytest.mark.parametrize("make, factors", [
    (lambda o: [ConstantLR(o, 0.1, 20), ExponentialLR(o, 0.9)], lambda t: (0.1 if t < 20 else 1) * 0.9 ** t),
    (lambda o: [ExponentialLR(o, 0.9)], lambda t: 0.9 ** t),
    (lambda o: [LinearLR(o, total_iters=8), CosineAnnealingLR(o, 50), MultiplicativeLR(o, lambda t: 0.99)],
     lambda t: (1 / 3 + 2 / 3 * min(t / 8, 1)) * (1 + math.cos(math.pi * t / 50)) / 2 * 0.99 ** t),
])
def test_chained_schedules_multiply(make, factors):
    optimizer = plain()
    scheduler = ChainedScheduler(make(optimizer))
    for t in range(50):
        for group, lr in zip(optimizer.param_groups, (0.5, 0.2), strict=True):
            assert group["lr"] == pytest.approx(lr * factors(t), rel=1e-9, abs=1e-12), t
        scheduler.step()


def test_schedules_one_after_the_other():
    """Each begins anew, with the optimizer's first rate; a MultiplicativeLR multiplies the rate that it finds."""
    optimizer = plain()
    scheduler = SequentialLR(optimizer, [
        LinearLR(optimizer, 0.1, total_iters=10), ExponentialLR(optimizer, 0.9), MultiplicativeLR(optimizer, rise),
        ConstantLR(optimizer, 0.5, 4)], milestones=[10, 20, 30])
    factors = [*(0.1 + 0.09 * t for t in range(10)), *(0.9 ** t for t in range(10)),
               *list(accumulate([0.9 ** 9, *map(rise, range(10))], mul))[1:], *[0.5] * 4, *[1.0] * 6]
    for t, factor in enumerate(factors):
        for group, lr in zip(optimizer.param_groups, (0.5, 0.2), strict=True):
            assert group["lr"] == pytest.approx(lr * factor, rel=1e-9), t
        scheduler.step()


@pytest.mark.parametrize("swa_lr", [0.05, [0.05, 0.9]])
@pytest.mark.parametrize("settings, share", [
    ({}, lambda t: (1 - math.cos(math.pi * min(t / 10, 1))) / 2),
    ({"anneal_epochs": 4}, lambda t: (1 - math.cos(math.pi * min(t / 4, 1))) / 2),
    ({"anneal_epochs": 4, "anneal_strategy": "linear"}, lambda t: min(t / 4, 1)),
    ({"anneal_epochs": 1, "anneal_strategy": "linear"}, lambda t: min(t, 1)),
    ({"anneal_epochs": 0}, lambda t: 1)], ids=["cosine", "cosine in 4", "linear in 4", "linear in 1", "at once"])
def test_the_rate_of_averaged_weights(settings, share, swa_lr):
    optimizer = plain()
    scheduler = SWALR(optimizer, swa_lr, **settings)
    for t in range(15):
        for i, (group, lr) in enumerate(zip(optimizer.param_groups, (0.5, 0.2), strict=True)):
            end = per_group(swa_lr, i)
            assert group["lr"] == pytest.approx(lr + share(t) * (end - lr), rel=1e-9), (t, i)
        scheduler.step()
