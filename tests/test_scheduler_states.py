"""What schedulers' load_state_dict refuses: every attribute of every scheduler, with values that are wrong for it."""
from __future__ import annotations

import json
import math

import numpy as np
import pytest

from minidl.autograd.parameter import Parameter
from minidl.optim import SGD, Adadelta
from minidl.optim import lr_scheduler as schedulers
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

# One of each kind, on an optimizer of two groups. A scheduler that is not here fails the first test.
MADE = {
    StepLR: {"step_size": 3, "gamma": 0.5},
    CyclicLR: {"base_lr": [0.01, 0.02], "max_lr": [0.1, 0.2], "step_size_up": 2, "step_size_down": 6},
    ReduceLROnPlateau: {"patience": 2, "cooldown": 3, "min_lr": [0.0, 0.1]},
    DecayOnRise: {"factor": 0.25},
    ExponentialLR: {"gamma": 0.5}, MultiStepLR: {"milestones": [1, 3]}, ConstantLR: {}, LinearLR: {}, PolynomialLR: {},
    CosineAnnealingLR: {"T_max": 3}, CosineAnnealingWarmRestarts: {"T_0": 2, "T_mult": 2},
    LambdaLR: {"lr_lambda": lambda epoch: 1 / (1 + epoch)}, MultiplicativeLR: {"lr_lambda": lambda epoch: 0.5},
    OneCycleLR: {"max_lr": [0.1, 0.2], "total_steps": 20},
}
COMBINED = {SequentialLR, ChainedScheduler}  # which are made of others: see the end

# Wrong in any place: of another type, or no number that Python itself has.
NOWHERE = [None, "", "1", "nan", b"1", [], {}, (), object, [None], [[0.1], [0.2]], (0.01, 0.02), 1j, math.nan,
           np.float64(0.05), np.float32(0.05), np.int64(3), np.bool_(True), np.str_("min"), np.array(0.05),
           np.array([0.01, 0.02]), {"0": 0.01, "1": 0.02}]
NOT_A_COUNT = [*NOWHERE, -1, 0.5, 2.0, True, False, math.inf, [1, 1]]
NOT_AT_LEAST_0 = [*NOWHERE, -1, -0.1, -math.inf, math.inf, True, [0.1, 0.1], 10 ** 400]
NOT_BETWEEN = [*NOT_AT_LEAST_0, 0, 0.0, 1, 1.0, 1.5]
NOT_A_FLAG = [*NOWHERE, 0, 1, 0.0, [True, True]]
NOT_A_NAME = [*NOWHERE, 0, 1.0, True, "MIN", "min ", "square", "relative", ["min", "min"]]
NOT_A_SHARE = [*NOT_AT_LEAST_0, 0, 0.0, 1.5]
NOT_COUNTS = [*(x for x in NOWHERE if type(x) is not list or x), 3, [0.5], [-1], [True], ["1"], [np.int64(1)]]
NOT_A_NUMBER = [*NOWHERE, True, [0.1, 0.1], 10 ** 400]


def not_a_list(*also):
    """What is wrong for a list of two numbers >= 0."""
    inner = [None, "a", True, math.nan, math.inf, -math.inf, -0.1, 1j, [0.1], np.float64(0.1), np.float32(0.1)]
    lists = [[x, 0.05] for x in inner] + [[0.05, x] for x in inner]
    return [*NOWHERE, 0.05, 1, True, [0.05], [0.05] * 3, *lists, *also]


BAD = {
    LRScheduler: {"last_epoch": [*NOT_A_COUNT, 10 ** 400]},
    StepLR: {"step_size": [*NOT_A_COUNT, 0], "gamma": NOT_AT_LEAST_0},
    CyclicLR: {
        "base_lrs": not_a_list([0.2, 0.01], [0.01, 0.3]), "max_lrs": not_a_list([0.001, 0.2], [0.1, 0.001]),
        "total_size": [*NOT_A_COUNT, 0, 1, 3, 10 ** 400], "step_ratio": [*NOT_BETWEEN, 0.26, 1 / 3], "mode": NOT_A_NAME,
        "gamma": [*NOT_AT_LEAST_0, 1.001, 2], "cycle_momentum": NOT_A_FLAG,
        "base_momentums": not_a_list([1.0, 0.8], [0.8, 0.95]), "max_momentums": not_a_list([0.9, 1], [0.7, 0.9])},
    ReduceLROnPlateau: {
        "mode": [*NOT_A_NAME, "rel"], "factor": NOT_BETWEEN, "patience": NOT_A_COUNT, "threshold": NOT_AT_LEAST_0,
        "threshold_mode": [*NOT_A_NAME, "max"], "cooldown": NOT_A_COUNT, "min_lrs": not_a_list(),
        "eps": NOT_AT_LEAST_0, "best": NOT_A_NUMBER, "num_bad_epochs": NOT_A_COUNT, "cooldown_counter": NOT_A_COUNT},
    DecayOnRise: {"factor": NOT_BETWEEN, "last_loss": NOT_A_NUMBER},
    ExponentialLR: {"gamma": NOT_AT_LEAST_0}, MultiStepLR: {"milestones": NOT_COUNTS, "gamma": NOT_AT_LEAST_0},
    ConstantLR: {"factor": NOT_A_SHARE, "total_iters": NOT_A_COUNT},
    LinearLR: {"start_factor": NOT_A_SHARE, "end_factor": [*NOT_AT_LEAST_0, 1.5], "total_iters": NOT_A_COUNT},
    PolynomialLR: {"total_iters": NOT_A_COUNT, "power": NOT_AT_LEAST_0},
    CosineAnnealingLR: {"T_max": [*NOT_A_COUNT, 0], "eta_min": NOT_AT_LEAST_0, "base_lrs": not_a_list()},
    CosineAnnealingWarmRestarts: {
        "T_0": [*NOT_A_COUNT, 0], "T_i": [*NOT_A_COUNT, 0], "T_mult": [*NOT_A_COUNT, 0], "T_cur": NOT_AT_LEAST_0,
        "eta_min": NOT_AT_LEAST_0, "base_lrs": not_a_list()},
    LambdaLR: {"base_lrs": not_a_list()}, MultiplicativeLR: {},
    OneCycleLR: {
        "total_steps": [*NOT_A_COUNT, 0], "pct_start": [*NOT_AT_LEAST_0, 1.5], "anneal_strategy": NOT_A_NAME,
        "cycle_momentum": NOT_A_FLAG, "three_phase": NOT_A_FLAG, "max_lrs": not_a_list(), "first_lrs": not_a_list(),
        "last_lrs": not_a_list(), "base_momentums": not_a_list([1.0, 0.8]), "max_momentums": not_a_list([0.9, 1])},
}


def subclasses(kind):
    for below in kind.__subclasses__():
        if below.__module__.startswith(schedulers.__name__):
            if below.__name__ in schedulers.__all__:  # what others share has no settings of its own
                yield below
            yield from subclasses(below)


KINDS = [kind for kind in subclasses(LRScheduler) if kind not in COMBINED]


def optimizer(kind=SGD):
    return kind([{"params": [Parameter(np.ones(2, np.float32))], "lr": lr} for lr in (0.5, 0.2)])


def made(kind):
    scheduler = kind(optimizer(), **MADE[kind])
    for metric in (1.0, 2.0, 3.0, 1.5, 1.5):
        scheduler.step(*([] if kind.metric is None else [metric]))
    return scheduler


def seen(scheduler):
    """All that could have changed, with the types."""
    groups = [{name: value for name, value in group.items() if name != "params"}
              for group in scheduler.optimizer.param_groups]
    return repr((scheduler.state_dict(), groups))


def test_every_attribute_of_every_scheduler_is_tried():
    assert {kind.__name__ for kind in {*MADE, *COMBINED, LRScheduler}} == set(schedulers.__all__)
    assert set(KINDS) == set(MADE)
    for kind in KINDS:
        assert set(made(kind).state_dict()) == set(BAD[LRScheduler] | BAD[kind])


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in KINDS for name in BAD[LRScheduler] | BAD[kind]])
def test_a_bad_value_is_refused_and_changes_nothing(kind, name):
    for value in (BAD[LRScheduler] | BAD[kind])[name]:
        scheduler = made(kind)
        before = seen(scheduler)
        with pytest.raises(ValueError, match=rf"^{kind.__name__}\.load_state_dict: expected ") as caught:
            scheduler.load_state_dict({**scheduler.state_dict(), name: value})
        assert seen(scheduler) == before, value
        told = str(caught.value)
        assert any(part in told for part in (name, name.removesuffix("s"), "step_ratio", "base_")), (told, value)


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_constructor_refuses_is_refused_in_a_state(kind):
    """The values of all lists above, for every argument that is an attribute as it stands."""
    values = [value for lists in BAD.values() for some in lists.values() for value in some]
    values += [0, 1, 2, 0.5, 1.0, "min", "max", "rel", "abs", "triangular", "exp_range"]
    state = made(kind).state_dict()
    for name in MADE[kind].keys() | {"mode", "gamma", "factor", "patience", "threshold", "cooldown", "eps"}:
        for value in values if name in state else []:
            try:
                kept = getattr(kind(optimizer(), **{**MADE[kind], name: value}), name)
            except (TypeError, ValueError, OverflowError):
                with pytest.raises(ValueError, match=r"load_state_dict: expected"):
                    made(kind).load_state_dict({**state, name: value})
            else:
                if type(value) in (bool, int, float, str):
                    loaded = made(kind)
                    loaded.load_state_dict({**state, name: value})
                    assert getattr(loaded, name) == kept and type(getattr(loaded, name)) is type(kept)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("wrong", [None, [], "state", 3, ["last_epoch"]])
def test_no_dict(kind, wrong):
    scheduler = made(kind)
    before = seen(scheduler)
    with pytest.raises(TypeError, match=rf"{kind.__name__}.load_state_dict: expected a dict, got "):
        scheduler.load_state_dict(wrong)
    assert seen(scheduler) == before


@pytest.mark.parametrize("kind", KINDS)
def test_names_too_many_or_too_few(kind):
    scheduler = made(kind)
    state, before = scheduler.state_dict(), seen(scheduler)
    for wrong in ({}, {**state, "more": 1}, {**state, "optimizer": None}, {**state, 0: 1},
                  *({k: v for k, v in state.items() if k != name} for name in state)):
        with pytest.raises(ValueError, match=rf"{kind.__name__}.load_state_dict: expected last_epoch, "):
            scheduler.load_state_dict(wrong)
        assert seen(scheduler) == before


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_passes_through_json(kind):
    scheduler, other = made(kind), kind(optimizer(), **MADE[kind])
    other.load_state_dict(json.loads(json.dumps(scheduler.state_dict())))
    assert repr(other.state_dict()) == repr(scheduler.state_dict())


@pytest.mark.parametrize(("kind", "name", "value"), [
    (StepLR, "gamma", 2), (CyclicLR, "gamma", 1), (CyclicLR, "max_lrs", [1, 2]), (CyclicLR, "base_momentums", [0, 0]),
    (ReduceLROnPlateau, "best", 3), (ReduceLROnPlateau, "threshold", 0), (DecayOnRise, "last_loss", -2)])
def test_a_whole_number_for_a_float_becomes_one(kind, name, value):
    scheduler = made(kind)
    scheduler.load_state_dict({**scheduler.state_dict(), name: value})
    kept = getattr(scheduler, name)
    assert kept == value and all(type(x) is float for x in (kept if isinstance(kept, list) else [kept]))


@pytest.mark.parametrize(("kind", "name", "value"), [
    (ReduceLROnPlateau, "best", math.inf), (ReduceLROnPlateau, "best", -math.inf), (DecayOnRise, "last_loss", math.inf),
    (ReduceLROnPlateau, "cooldown", 0), (ReduceLROnPlateau, "patience", 0), (StepLR, "step_size", 1),
    (StepLR, "gamma", 0.0), (StepLR, "last_epoch", 0), (CyclicLR, "gamma", 0.0), (CyclicLR, "base_lrs", [0.1, 0.2]),
    (CyclicLR, "mode", "exp_range"), (ReduceLROnPlateau, "mode", "max"), (ReduceLROnPlateau, "threshold_mode", "abs"),
    (StepLR, "last_epoch", 2 ** 53)])
def test_the_ends_of_the_ranges_are_taken(kind, name, value):
    scheduler = made(kind)
    scheduler.load_state_dict({**scheduler.state_dict(), name: value})
    assert getattr(scheduler, name) == value


def test_the_momentum_of_an_optimizer_that_has_none():
    scheduler = CyclicLR(optimizer(Adadelta), 0.01, 0.1, cycle_momentum=False)
    with pytest.raises(ValueError, match=r"expected cycle_momentum=False with an .*, got Adadelta"):
        scheduler.load_state_dict({**scheduler.state_dict(), "cycle_momentum": True})
    assert scheduler.cycle_momentum is False


def test_a_cycle_of_any_two_lengths_is_taken():
    for up in range(1, 60):
        for down in range(1, 60):
            scheduler = CyclicLR(optimizer(), 0.01, 0.1, up, down)
            scheduler.load_state_dict(scheduler.state_dict())


class Halving(LRScheduler):
    """One of a user's own, whose attributes have no rules."""

    def __init__(self, optimizer, every):
        super().__init__(optimizer)
        self.every, self.seen = every, [0.5]


def test_attributes_without_a_rule_keep_their_types():
    scheduler = Halving(optimizer(), 3)
    scheduler.load_state_dict({"last_epoch": 2, "every": 5, "seen": [0.25]})
    assert (scheduler.last_epoch, scheduler.every, scheduler.seen) == (2, 5, [0.25])
    for name, wrong in {"every": 5.0, "seen": [1], "last_epoch": -1}.items():
        with pytest.raises(ValueError, match=f"Halving.load_state_dict: expected {name} "):
            scheduler.load_state_dict({**scheduler.state_dict(), name: wrong})
    assert (scheduler.last_epoch, scheduler.every, scheduler.seen) == (2, 5, [0.25])


def sequence():
    own = optimizer()
    return SequentialLR(own, [LinearLR(own), ChainedScheduler([StepLR(own, 2), ExponentialLR(own, 0.5)])], [3])


def test_a_state_of_several_is_taken_whole_or_not_at_all():
    scheduler = sequence()
    for _ in range(5):
        scheduler.step()
    state, before = scheduler.state_dict(), seen(scheduler)
    assert list(state) == ["last_epoch", "milestones", "base_lrs", "_schedulers"]
    first, second = state["_schedulers"]
    wrong = [None, [], 3, {}, {**state, "more": 1}, {k: v for k, v in state.items() if k != "_schedulers"}]
    wrong += [{**state, "milestones": value} for value in (*NOT_COUNTS, [], [1, 2], [0])]
    wrong += [{**state, "base_lrs": value} for value in not_a_list()]
    wrong += [{**state, "_schedulers": value} for value in (
        None, {}, [], [first], [first, second, first], [second, first], [first, None],
        [first, {**second, "_schedulers": [{**second["_schedulers"][0], "gamma": -1}, second["_schedulers"][1]]}])]
    for value in wrong:
        with pytest.raises((TypeError, ValueError), match=r"load_state_dict: expected"):
            scheduler.load_state_dict(value)
        assert seen(scheduler) == before, value
    other = sequence()
    other.load_state_dict(json.loads(json.dumps(state)))
    assert repr(other.state_dict()) == repr(state)


@pytest.mark.parametrize(("make", "error", "message"), [
    (lambda o: SequentialLR(o, [], []), ValueError, "SequentialLR: expected 0 milestones for 0 schedulers, got 0"),
    (lambda o: SequentialLR(o, [StepLR(o, 1)], [3]), ValueError, "expected 0 milestones for 1 schedulers, got 1"),
    (lambda o: SequentialLR(o, [StepLR(o, 1)] * 3, [3, 3]), ValueError, r"expected milestones > 0 that ascend"),
    (lambda o: SequentialLR(o, [StepLR(o, 1)] * 2, [1.5]), TypeError, "expected milestones to be an int, got 1.5"),
    (lambda o: SequentialLR(o, [o], []), TypeError, "expected schedulers, got SGD"),
    (lambda o: SequentialLR(optimizer(), [StepLR(o, 1)], []), ValueError, "expected schedulers of one optimizer"),
    (lambda o: ChainedScheduler([]), ValueError, "ChainedScheduler: expected at least one scheduler, got none"),
    (lambda o: ChainedScheduler([ReduceLROnPlateau(o)]), ValueError, "that wait for no metric, got ReduceLROnPlateau"),
    (lambda o: ChainedScheduler([StepLR(o, 1), StepLR(optimizer(), 1)]), ValueError, "schedulers of one optimizer"),
    (lambda o: LambdaLR(o, 3), TypeError, "LambdaLR: expected lr_lambda to be a function, got int"),
    (lambda o: LambdaLR(o, [abs]), ValueError, "LambdaLR: expected lr_lambda to be .* 2 of them, got 1"),
    (lambda o: LambdaLR(o, lambda epoch: -1), ValueError, "SGD: expected lr >= 0"),
    (lambda o: OneCycleLR(o, 0.1), ValueError, "OneCycleLR: expected total_steps, or epochs and steps_per_epoch"),
    (lambda o: OneCycleLR(o, 0.1, 9, div_factor=0), ValueError, "OneCycleLR: expected div_factor > 0, got 0"),
    (lambda o: OneCycleLR(Adadelta(o.param_groups[0]["params"]), 0.1, 9), ValueError, "expected cycle_momentum=False"),
])
def test_what_the_others_refuse(make, error, message):
    own = optimizer()
    with pytest.raises(error, match=message):
        make(own)


def test_one_cycle_ends():
    scheduler = OneCycleLR(optimizer(), 0.1, 3)
    for _ in range(3):
        scheduler.step()
    before = seen(scheduler)
    with pytest.raises(ValueError, match="OneCycleLR: expected at most 3 steps, got one more"):
        scheduler.step()
    assert seen(scheduler) == before


def test_a_function_that_fails_leaves_the_schedule_as_it_was():
    scheduler = MultiplicativeLR(optimizer(), [lambda epoch: 0.5, lambda epoch: 1 / (3 - epoch)])
    scheduler.step()
    scheduler.step()
    before = seen(scheduler)
    with pytest.raises(ZeroDivisionError):
        scheduler.step()
    assert seen(scheduler) == before
