"""Schedules of schedules, first rates, places between restarts, cycles of one step, and rates that are refused."""
from __future__ import annotations

import math

import numpy as np
import pytest

import minidl
from minidl.autograd.parameter import Parameter
from minidl.optim import SGD, Adam
from minidl.optim.lr_scheduler import (
    ChainedScheduler,
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    CyclicLR,
    DecayOnRise,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    LRScheduler,
    MultiplicativeLR,
    MultiStepLR,
    OneCycleLR,
    PolynomialLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)
from minidl.optim.swa_utils import SWALR


def made(*rates, kind=SGD, **settings):
    return kind([{"params": [Parameter(np.ones(2))], "lr": rate} for rate in rates or (1.0,)], **settings)


def followed(scheduler, steps, *given):
    """The rates before each of so many steps."""
    rates = []
    for _ in range(steps):
        rates.append(scheduler.get_last_lr())
        scheduler.step(*given)
    return rates if len(rates[0]) > 1 else [rate for rate, in rates]


# The first rates

def test_the_first_rates_are_noted_when_the_first_schedule_is_made():
    optimizer = made(1.0, 0.5)
    ExponentialLR(optimizer, 0.5).step()
    assert LambdaLR(optimizer, lambda epoch: 1.0).base_lrs == [1, 0.5] and [
        group["lr"] for group in optimizer.param_groups] == [1, 0.5]
    optimizer.lr = 0.125
    optimizer.add_param_group({"params": [Parameter(np.ones(3))], "lr": 4})
    assert CosineAnnealingLR(optimizer, 3).base_lrs == [1, 0.5, 4]
    optimizer.param_groups.pop(0)
    assert CosineAnnealingLR(optimizer, 3).base_lrs == [1, 0.5]


@pytest.mark.parametrize("kind, given, missing", [
    (LambdaLR, [lambda epoch: 1.0], "an Optimizer"), (MultiplicativeLR, [lambda epoch: 1.0], "an Optimizer"),
    (CosineAnnealingLR, [3], "an Optimizer"), (CosineAnnealingWarmRestarts, [3], "an Optimizer"),
    (OneCycleLR, [0.1, 10], "an Optimizer"), (SequentialLR, [[], []], "an Optimizer"), (SWALR, [0.1], "an Optimizer"),
    (ExponentialLR, [0.5], "an Optimizer"), (MultiStepLR, [[1]], "an Optimizer")])
def test_of_no_optimizer(kind, given, missing):
    with pytest.raises(TypeError, match=rf"^{kind.__name__}: expected {missing}, got int$"):
        kind(3, *given)


# Schedules of schedules

def test_one_after_the_other_from_the_first_rate():
    optimizer = made(1.0)
    scheduler = SequentialLR(optimizer, [ConstantLR(optimizer, 0.25, 9), StepLR(optimizer, 2, 0.5),
                                         ExponentialLR(optimizer, 0.5)], [2, 5])
    assert followed(scheduler, 8) == [0.25, 0.25, 1, 1, 0.5, 1, 0.5, 0.25]
    assert [one.last_epoch for one in scheduler.schedulers] == [1, 2, 3] and scheduler.last_epoch == 8


def test_several_at_once_within_a_sequence_begin_anew():
    optimizer = made(1.0, 8.0)
    inner = [StepLR(optimizer, 2, 0.5), ConstantLR(optimizer, 0.25, 3)]
    chain = ChainedScheduler(inner)
    chain.step()
    scheduler = SequentialLR(optimizer, [ExponentialLR(optimizer, 0.5), chain], [2])
    rates = [1, 0.5, 0.25, 0.25, 0.125, 0.5, 0.25]
    assert followed(scheduler, 7) == [[rate, 8 * rate] for rate in rates]
    assert (chain.last_epoch, [one.last_epoch for one in inner], scheduler.last_epoch) == (5, [5, 5], 7)
    assert scheduler.base_lrs == [1, 8]


def test_the_first_schedule_of_a_sequence_starts_it():
    optimizer = made(1.0)
    first = ConstantLR(optimizer, 0.5, 2)
    second = ConstantLR(optimizer, 0.25, 2)
    assert optimizer.lr == 0.125
    scheduler = SequentialLR(optimizer, [first, second], [3])
    assert optimizer.lr == 0.5
    assert followed(scheduler, 7) == [0.5, 0.5, 1, 0.25, 0.25, 1, 1]


def test_a_chain_in_a_sequence_starts_all_that_are_in_it():
    optimizer = made(1.0)
    chain = ChainedScheduler([ConstantLR(optimizer, 0.5, 2), ConstantLR(optimizer, 0.25, 1)])
    SequentialLR(optimizer, [chain], [])
    assert optimizer.lr == 0.125


def test_how_often_a_combined_schedule_asks_for_steps():
    optimizer = made(1.0, momentum=0.5)
    cycle, decay = CyclicLR(optimizer, 0.1, 1.0), StepLR(optimizer, 3)
    assert ChainedScheduler([cycle, decay]).interval == "iteration" == SequentialLR(
        optimizer, [cycle, decay], [3]).interval
    assert ChainedScheduler([decay, cycle]).interval == "epoch"
    assert ChainedScheduler([decay], optimizer).optimizer is optimizer
    assert ChainedScheduler(iter([decay])).schedulers == [decay]
    with pytest.raises(ValueError, match="ChainedScheduler: expected schedulers of one optimizer"):
        ChainedScheduler([decay], made(1.0))
    with pytest.raises(ValueError, match="that wait for no metric, got DecayOnRise"):
        ChainedScheduler([decay, DecayOnRise(optimizer)])
    assert decay.metric is None and DecayOnRise.metric == "loss" and ReduceLROnPlateau.metric == "validation_loss"
    for milestones in ([2, 1], (1, 2)):
        three = [StepLR(optimizer, 1) for _ in range(3)]
        assert SequentialLR(optimizer, three, milestones).milestones == [1, 2]


def test_the_state_of_a_combined_schedule():
    optimizer = made(1.0)
    scheduler = SequentialLR(optimizer, [StepLR(optimizer, 2), ExponentialLR(optimizer, 0.5)], [2])
    followed(scheduler, 3)
    state = scheduler.state_dict()
    assert state == {"last_epoch": 3, "milestones": [2], "base_lrs": [1.0], "_schedulers": [
        {"last_epoch": 1, "step_size": 2, "gamma": 0.1}, {"last_epoch": 1, "gamma": 0.5}]}
    state["milestones"].append(9)
    assert scheduler.milestones == [2]
    chain = ChainedScheduler(scheduler.schedulers)
    assert chain.state_dict() == {"last_epoch": 0, "_schedulers": state["_schedulers"]}
    chain.load_state_dict({"last_epoch": 7, "_schedulers": [
        {"last_epoch": 5, "step_size": 4, "gamma": 0.25}, {"last_epoch": 6, "gamma": 0.125}]})
    assert (chain.last_epoch, scheduler.schedulers[0].step_size, scheduler.schedulers[1].gamma) == (7, 4, 0.125)
    with pytest.raises(ValueError, match=r"^SequentialLR.load_state_dict: expected 1 milestones, got"):
        scheduler.load_state_dict({**scheduler.state_dict(), "milestones": [1, 2]})
    with pytest.raises(TypeError, match=r"^ChainedScheduler.load_state_dict: expected a dict, got list"):
        chain.load_state_dict([])


# Rates that are refused

@pytest.mark.parametrize("kind", [LambdaLR, MultiplicativeLR])
def test_a_rate_that_is_refused_leaves_all_groups(kind):
    optimizer = made(1.0, 2.0)
    scheduler = kind(optimizer, [lambda epoch: 0.5 if epoch else 1.0, lambda epoch: 1.0 - 2 * epoch])
    with pytest.raises(ValueError, match="SGD: expected lr >= 0 and finite, got -2"):
        scheduler.step()
    assert scheduler.get_last_lr() == [1, 2] and scheduler.last_epoch == 0


def test_a_number_beyond_floats():
    with pytest.raises(ValueError, match="StepLR: expected gamma within the range of a float, got 1000"):
        StepLR(made(), 1, 10 ** 400)
    with pytest.raises(ValueError, match="CyclicLR: expected max_lr within the range of a float"):
        CyclicLR(made(momentum=0.5), 0.1, [10 ** 400])


# One by one

@pytest.mark.parametrize("T_mult, lengths", [(1, [4] * 12), (2, [4, 8, 16, 32]), (3, [4, 12, 36])])
@pytest.mark.parametrize("eta_min", [0.0, 0.25])
def test_places_between_restarts(T_mult, lengths, eta_min):
    optimizer = made(1.0, 3.0)
    scheduler = CosineAnnealingWarmRestarts(optimizer, 4, T_mult, eta_min)
    stepped = CosineAnnealingWarmRestarts(made(1.0, 3.0), 4, T_mult, eta_min)
    for epoch in [0, 0.5, 3.75, 4, 4.25, 11, 12, 12.5, 27.5, 28, 40, 3, 0]:
        begin, i = 0, 0
        while epoch >= begin + lengths[i]:
            begin, i = begin + lengths[i], i + 1
        scheduler.step(epoch)
        height = (1 + math.cos(math.pi * (epoch - begin) / lengths[i])) / 2
        assert scheduler.get_last_lr() == pytest.approx([eta_min + (lr - eta_min) * height for lr in (1, 3)], rel=1e-12)
        assert (scheduler.last_epoch, scheduler.T_i, scheduler.T_cur) == (int(epoch), lengths[i], epoch - begin)
    for epoch in range(1, 41):
        stepped.step()
        scheduler.step(epoch)
        assert stepped.get_last_lr() == scheduler.get_last_lr()
        assert stepped.state_dict() == scheduler.state_dict()


def test_places_that_are_none():
    scheduler = CosineAnnealingWarmRestarts(made(), 4)
    for wrong, error in ((-0.5, ValueError), (math.inf, ValueError), ("1", TypeError)):
        with pytest.raises(error, match="CosineAnnealingWarmRestarts: expected epoch"):
            scheduler.step(wrong)
    assert (scheduler.last_epoch, scheduler.T_cur, scheduler.T_mult, scheduler.eta_min) == (0, 0, 1, 0)
    scheduler.step(0)
    assert scheduler.get_last_lr() == [1]


@pytest.mark.parametrize("settings, rates, momenta", [
    # the rise ends at pct_start total - 1 = 0: at once at the top
    ({"total_steps": 10, "pct_start": 0.1, "anneal_strategy": "linear", "div_factor": 1, "final_div_factor": 10},
     [1, 0.9, 0.8], [0.85, 0.85 + 0.1 / 9]), ({"total_steps": 1}, [4e-6], [0.95]),
    ({"total_steps": 5, "pct_start": 0.6, "anneal_strategy": "linear", "div_factor": 4, "final_div_factor": 2},
     [0.25, 0.625, 1, 0.5625, 0.125], [0.95, 0.9, 0.85, 0.9, 0.95]),
    ({"total_steps": 7, "pct_start": 3 / 7, "anneal_strategy": "linear", "three_phase": True, "div_factor": 4,
      "final_div_factor": 2}, [0.25, 0.625, 1, 0.625, 0.25, 0.1875, 0.125], [0.95, 0.9, 0.85, 0.9, 0.95, 0.95, 0.95]),
    ({"epochs": 1, "steps_per_epoch": 5, "pct_start": 0.6, "div_factor": 4, "final_div_factor": 2},
     [0.25, 0.625, 1, 0.5625, 0.125], [0.95, 0.9, 0.85, 0.9, 0.95])])
def test_one_cycle_in_numbers(settings, rates, momenta):
    optimizer = made(0.5, momentum=0.5)
    scheduler = OneCycleLR(optimizer, 1.0, **settings)
    for i, rate in enumerate(rates):
        assert optimizer.lr == pytest.approx(rate, rel=1e-9)
        if i < len(momenta):
            assert optimizer.param_groups[0]["momentum"] == pytest.approx(momenta[i], rel=1e-9)
        if i + 1 < len(rates):
            scheduler.step()


def test_the_defaults_of_one_cycle_and_their_places():
    optimizer = made(0.5, kind=Adam)
    scheduler = OneCycleLR(optimizer, 1.0, 10)
    assert scheduler.state_dict() == {
        "last_epoch": 0, "total_steps": 10, "pct_start": 0.3, "anneal_strategy": "cos", "cycle_momentum": True,
        "three_phase": False, "max_lrs": [1.0], "first_lrs": [0.04], "last_lrs": [0.04 / 1e4],
        "base_momentums": [0.85], "max_momentums": [0.95]}
    assert optimizer.lr == pytest.approx(0.04) and optimizer.param_groups[0]["betas"] == (0.95, 0.999)
    assert scheduler.interval == "iteration" == CyclicLR.interval and LRScheduler.interval == "epoch"
    placed = OneCycleLR(optimizer, 1.0, None, 3, 5, 0.5, "linear", False, 0.25, 0.5, 10.0, 100.0, True)
    assert (placed.total_steps, placed.pct_start, placed.anneal_strategy, placed.cycle_momentum, placed.first_lrs,
            placed.last_lrs, placed.three_phase) == (15, 0.5, "linear", False, [0.1], [0.001], True)
    for wrong in ({"epochs": 3}, {"steps_per_epoch": 3}, {}):
        with pytest.raises(ValueError, match="expected total_steps, or epochs and steps_per_epoch"):
            OneCycleLR(optimizer, 1.0, **wrong)
    for wrong in ({"epochs": 0, "steps_per_epoch": 2}, {"epochs": 2, "steps_per_epoch": 0}, {"total_steps": 0},
                  {"total_steps": 5, "final_div_factor": 0}, {"total_steps": 5, "div_factor": -1}):
        with pytest.raises(ValueError, match="OneCycleLR: expected "):
            OneCycleLR(optimizer, 1.0, **wrong)


@pytest.mark.parametrize("scheduler, rates", [
    (lambda o: LinearLR(o), [1 / 3, 1 / 3 + 2 / 15, 1 / 3 + 4 / 15, 1 / 3 + 6 / 15, 1 / 3 + 8 / 15, 1, 1, 1]),
    (lambda o: LinearLR(o, 0.5, 0.25, 2), [0.5, 0.375, 0.25, 0.25]), (lambda o: LinearLR(o, 1.0, 0.0, 3),
                                                                     [1, 2 / 3, 1 / 3, 0, 0, 0]),
    (lambda o: LinearLR(o, 0.5, 1.0, 0), [0.5, 0.5, 0.5]), (lambda o: PolynomialLR(o), [1, 0.8, 0.6, 0.4, 0.2, 0, 0]),
    (lambda o: PolynomialLR(o, 4, 2), [1, 9 / 16, 1 / 4, 1 / 16, 0, 0]), (lambda o: PolynomialLR(o, 0), [1, 1, 1]),
    (lambda o: ConstantLR(o), [1 / 3] * 5 + [1, 1]), (lambda o: ConstantLR(o, 0.5, 1), [0.5, 1, 1]),
    (lambda o: ConstantLR(o, 0.5, 0), [0.5, 0.5, 0.5]), (lambda o: ConstantLR(o, 1), [1, 1]),
    (lambda o: MultiStepLR(o, [1, 3, 3]), [1, 0.1, 0.1, 0.001]), (lambda o: MultiStepLR(o, iter([0, 2]), 0.5),
                                                                 [0.5, 0.5, 0.25]),
    (lambda o: CosineAnnealingLR(o, 2), [1, 0.5, 0, 0.5, 1, 0.5, 0]),
    (lambda o: CosineAnnealingLR(o, 1, 0.5), [1, 0.5, 1, 0.5]),
    (lambda o: SWALR(o, 0.5, 2, "linear"), [1, 0.75, 0.5, 0.5]), (lambda o: SWALR(o, 0.5, 0), [0.5, 0.5]),
    (lambda o: SWALR(o, 0.5, 1), [1, 0.5, 0.5]),
    (lambda o: SWALR(o, 0.5), [1 - (1 - math.cos(math.pi * t / 10)) / 4 for t in range(11)] + [0.5]),
    (lambda o: StepLR(o, 1), [1, 0.1, 0.01]), (lambda o: ExponentialLR(o, 2), [1, 2, 4, 8]),
    (lambda o: MultiplicativeLR(o, lambda epoch: epoch / 2), [1, 0.5, 0.5, 0.75])])
def test_rates_in_numbers(scheduler, rates):
    assert followed(scheduler(made(1.0)), len(rates)) == pytest.approx(rates, rel=1e-12, abs=1e-15)
    assert followed(scheduler(made(4.0, 4.0)), len(rates))[0][1] == pytest.approx(
        4 * rates[0] if "SWALR" not in type(scheduler(made())).__name__ else {1: 4.0, 0.5: 0.5}[rates[0]])


def test_a_schedule_goes_on_from_what_is_written_between():
    optimizer = made(1.0)
    scheduler = SWALR(optimizer, 0.5, 4, "linear")
    scheduler.step()
    optimizer.lr = 0.6875  # as if the first rate had been 0.75
    assert followed(scheduler, 4) == pytest.approx([0.6875, 0.625, 0.5625, 0.5])
    for kind, given in ((ExponentialLR, [0.5]), (LinearLR, [0.5, 1.0, 4]), (PolynomialLR, [4])):
        one, other = made(1.0), made(2.0)
        first, second = kind(one, *given), kind(other, *given)
        first.step()
        second.step()
        one.lr = other.lr
        assert followed(first, 3) == followed(second, 3)


def test_a_metric_may_be_a_tensor():
    optimizer = made(1.0)
    scheduler = ReduceLROnPlateau(optimizer, factor=0.5, patience=0)
    for metric in (3, np.float32(2), minidl.tensor(np.float32(1)), minidl.tensor(np.array([1.0]))):
        scheduler.step(metric)
    assert optimizer.lr == 0.5 and scheduler.best == 1.0 and scheduler.last_epoch == 4


@pytest.mark.parametrize("kind, given", [(MultiStepLR, ["12"]), (MultiStepLR, [[0.5]]), (StepLR, [np.float64(2)]),
                                         (ConstantLR, [0.5, 2.0]), (LinearLR, ["1"]), (SWALR, [None])])
def test_settings_of_other_types(kind, given):
    with pytest.raises(TypeError, match=f"^{kind.__name__}: expected "):
        kind(made(), *given)


@pytest.mark.parametrize("kind, given", [
    (MultiStepLR, [[-1]]), (MultiStepLR, [[1], -1]), (ConstantLR, [0]), (ConstantLR, [1.5]), (ConstantLR, [1, -1]),
    (LinearLR, [0]), (LinearLR, [1, 1.5]), (LinearLR, [1, -0.1]), (PolynomialLR, [-1]), (PolynomialLR, [1, -1]),
    (CosineAnnealingLR, [0]), (CosineAnnealingLR, [1, -1]), (CosineAnnealingWarmRestarts, [0]),
    (CosineAnnealingWarmRestarts, [1, 0]), (SWALR, [-1]), (SWALR, [1, -1]), (SWALR, [1, 1, "sin"]),
    (ExponentialLR, [-1]), (PolynomialLR, [2 ** 53 + 1]), (CosineAnnealingLR, [2 ** 53 + 1])])
def test_settings_out_of_their_ranges(kind, given):
    optimizer = made()
    with pytest.raises(ValueError, match=f"^{kind.__name__}: expected "):
        kind(optimizer, *given)
    assert optimizer.lr == 1


@pytest.mark.parametrize("kind, given", [(PolynomialLR, [2 ** 53]), (ConstantLR, [0.5, 2 ** 53]), (SWALR, [0, 2 ** 53]),
                                         (CosineAnnealingLR, [2 ** 53]), (StepLR, [2 ** 70]), (LinearLR, [1, 0, 1])])
def test_settings_at_the_ends_of_their_ranges(kind, given):
    assert kind(made(), *given).last_epoch == 0
