"""The schedules' rates, worked out by hand: each mode, each comparison at equality, each default."""
from __future__ import annotations

import math

import numpy as np
import pytest

from minidl.autograd.parameter import Parameter
from minidl.optim import SGD, Adam
from minidl.optim.lr_scheduler import CyclicLR, DecayOnRise, ReduceLROnPlateau, StepLR


def optimizer(kind=SGD, lr=1.0, groups=1):
    return kind([{"params": [Parameter(np.ones(2, np.float32))]} for _ in range(groups)], lr=lr)


def plateau(metrics, lr=1.0, factor=0.5, patience=0, threshold=0.0, eps=0.0, **settings):
    """The rate after each epoch, and the scheduler. All numbers are exact in binary."""
    of = optimizer(lr=lr)
    scheduler = ReduceLROnPlateau(of, factor=factor, patience=patience, threshold=threshold, eps=eps, **settings)
    rates = []
    for metric in metrics:
        scheduler.step(metric)
        rates.append(of.lr)
    return rates, scheduler


# CyclicLR, between 1 and 3: heights 0, 1/2, 1, 1/2 over and over

UP_DOWN = [0, 0.5, 1, 0.5] * 3
SCALES = {
    "triangular": [1] * 12,
    "triangular2": [1] * 4 + [1 / 2] * 4 + [1 / 4] * 4,
    "exp_range": [0.5 ** i for i in range(12)],
}


@pytest.mark.parametrize("mode", SCALES)
def test_cycles_of_each_mode(mode):
    of = optimizer()
    scheduler = CyclicLR(of, 1, 3, step_size_up=2, mode=mode, gamma=0.5, base_momentum=0.25, max_momentum=0.75)
    for height, scale in zip(UP_DOWN, SCALES[mode], strict=True):
        assert of.lr == 1 + 2 * height * scale
        assert of.param_groups[0]["momentum"] == 0.75 - 0.5 * height * scale
        scheduler.step()


@pytest.mark.parametrize("up, down, heights", [
    (1, 3, [0, 1, 2 / 3, 1 / 3, 0, 1]), (3, 1, [0, 1 / 3, 2 / 3, 1, 0, 1 / 3]), (1, 1, [0, 1, 0, 1]),
    (1, None, [0, 1, 0, 1])])
def test_a_cycle_goes_up_and_down_in_steps_of_its_own(up, down, heights):
    of = optimizer()
    scheduler = CyclicLR(of, 0, 1, step_size_up=up, step_size_down=down, cycle_momentum=False)
    for height in heights:
        assert of.lr == pytest.approx(height, abs=1e-15)
        assert of.param_groups[0]["momentum"] == 0
        scheduler.step()


def test_a_cycle_of_beta1_and_of_several_groups():
    of = optimizer(Adam, groups=2)
    scheduler = CyclicLR(of, [0, 1], [2, 5], step_size_up=2, base_momentum=[0, 0.25], max_momentum=[0.5, 0.75])
    scheduler.step()
    assert scheduler.get_last_lr() == [1, 3]
    assert [group["betas"] for group in of.param_groups] == [(0.25, 0.999), (0.5, 0.999)]


def test_the_defaults_of_a_cycle():
    of = optimizer()
    scheduler = CyclicLR(of, 0.5, 1)
    assert (scheduler.total_size, scheduler.step_ratio, scheduler.mode, scheduler.gamma) == (4000, 0.5, "triangular", 1)
    assert of.lr == 0.5 and of.param_groups[0]["momentum"] == 0.9
    for _ in range(2000):
        scheduler.step()
    assert of.lr == 1 and of.param_groups[0]["momentum"] == 0.8


def test_a_cycle_may_stand_still():
    of = optimizer()
    CyclicLR(of, 0.5, 0.5, base_momentum=0.25, max_momentum=0.25).step()
    assert of.lr == 0.5 and of.param_groups[0]["momentum"] == 0.25
    assert CyclicLR(of, 0, 1, mode="exp_range", gamma=0).gamma == 0


# ReduceLROnPlateau

@pytest.mark.parametrize("settings, metrics, rates", [
    # an equal metric is no improvement
    ({}, [3, 2, 2, 1], [1, 1, 0.5, 0.5]),
    ({"mode": "max"}, [1, 2, 2, 3], [1, 1, 0.5, 0.5]),
    # the first metric always is one
    ({}, [1e300], [1]), ({"mode": "max"}, [-1e300], [1]),
    ({"threshold_mode": "abs"}, [1e300], [1]), ({"mode": "max", "threshold_mode": "abs"}, [-1e300], [1]),
    # better than the bar, not as good: 8 (1 - 1/4) = 6, 8 - 1/4, 8 (1 + 1/4) = 10, 8 + 1/4
    ({"threshold": 0.25}, [8, 6], [1, 0.5]), ({"threshold": 0.25}, [8, 5.9], [1, 1]),
    ({"threshold": 0.25, "threshold_mode": "abs"}, [8, 7.75], [1, 0.5]),
    ({"threshold": 0.25, "threshold_mode": "abs"}, [8, 7.7], [1, 1]),
    ({"threshold": 0.25, "mode": "max"}, [8, 10], [1, 0.5]), ({"threshold": 0.25, "mode": "max"}, [8, 10.1], [1, 1]),
    ({"threshold": 0.25, "mode": "max", "threshold_mode": "abs"}, [8, 8.25], [1, 0.5]),
    ({"threshold": 0.25, "mode": "max", "threshold_mode": "abs"}, [8, 8.3], [1, 1]),
    # more than ``patience`` bad epochs in a row
    ({"patience": 1}, [2, 2, 2, 2, 2], [1, 1, 0.5, 0.5, 0.25]),
    ({"patience": 1}, [3, 3, 2, 2, 2], [1, 1, 1, 1, 0.5]),
    # bad epochs do not count for two epochs
    ({"cooldown": 2}, [2] * 6, [1, 0.5, 0.5, 0.5, 0.25, 0.25]),
    ({"cooldown": 1, "patience": 1}, [2] * 7, [1, 1, 0.5, 0.5, 0.5, 0.25, 0.25]),
    # not below min_lr, and no change of at most eps
    ({"min_lr": 0.375}, [2] * 4, [1, 0.5, 0.375, 0.375]),
    ({"eps": 0.25}, [2] * 3, [1, 0.5, 0.5]), ({"eps": 0.24}, [2] * 3, [1, 0.5, 0.25]),
    # NaN improves nothing
    ({}, [math.nan, 2, math.nan], [0.5, 0.5, 0.25]),
])
def test_plateaus(settings, metrics, rates):
    assert plateau(metrics, **settings)[0] == rates


def test_what_a_plateau_keeps():
    _, scheduler = plateau([3, 2, 2, 2], patience=2, cooldown=4)
    assert (scheduler.best, scheduler.num_bad_epochs, scheduler.cooldown_counter, scheduler.last_epoch) == (2, 2, 0, 4)
    scheduler.step(2)
    assert (scheduler.best, scheduler.num_bad_epochs, scheduler.cooldown_counter, scheduler.last_epoch) == (2, 0, 4, 5)
    scheduler.step(2)
    assert (scheduler.num_bad_epochs, scheduler.cooldown_counter) == (0, 3)


def test_the_rate_of_a_group_below_its_min_lr_stays():
    of = optimizer(lr=0.25, groups=2)
    of.param_groups[1]["lr"] = 1.0
    scheduler = ReduceLROnPlateau(of, factor=0.5, patience=0, min_lr=[0.5, 0.125])
    scheduler.step(1)
    scheduler.step(1)
    assert scheduler.get_last_lr() == [0.25, 0.5]


def test_the_defaults_of_a_plateau():
    of = optimizer()
    scheduler = ReduceLROnPlateau(of)
    assert vars(scheduler) == {
        "optimizer": of, "last_epoch": 0, "mode": "min", "factor": 0.1, "patience": 10, "threshold": 1e-4,
        "threshold_mode": "rel", "cooldown": 0, "min_lrs": [0], "eps": 1e-8, "best": math.inf, "num_bad_epochs": 0,
        "cooldown_counter": 0}
    assert ReduceLROnPlateau(of, "max").best == -math.inf
    for epoch in range(12):
        assert of.lr == 1, epoch
        scheduler.step(1)
    assert of.lr == 0.1


# StepLR and DecayOnRise

def test_steps_of_a_rate():
    of = optimizer(groups=2)
    of.param_groups[1]["lr"] = 3
    scheduler, rates = StepLR(of, 2, gamma=0.5), []
    for _ in range(5):
        scheduler.step()
        rates.append(scheduler.get_last_lr())
    assert rates == [[1, 3], [0.5, 1.5], [0.5, 1.5], [0.25, 0.75], [0.25, 0.75]]
    assert scheduler.last_epoch == 5
    StepLR(of, 1).step()
    assert of.lr == 0.025


def test_a_rising_loss_halves_the_rate():
    of = optimizer(groups=2)
    scheduler, rates = DecayOnRise(of), []
    for loss in (5, 5, 6, 5.5, 5.75):
        scheduler.step(loss)
        rates.append(of.lr)
    assert rates == [1, 1, 0.5, 0.5, 0.25] and scheduler.get_last_lr() == [0.25, 0.25]
    assert (scheduler.last_epoch, scheduler.last_loss, scheduler.factor) == (5, 5.75, 0.5)
