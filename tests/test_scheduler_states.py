"""What schedulers' load_state_dict refuses: every attribute of every scheduler, with values that are wrong for it."""
from __future__ import annotations

import json
import math

import numpy as np
import pytest

from minidl.autograd.parameter import Parameter
from minidl.optim import SGD, Adadelta
from minidl.optim import lr_scheduler as schedulers
from minidl.optim.lr_scheduler import CyclicLR, DecayOnRise, LRScheduler, ReduceLROnPlateau, StepLR

# One of each kind, on an optimizer of two groups. A scheduler that is not here fails the first test.
MADE = {
    StepLR: {"step_size": 3, "gamma": 0.5},
    CyclicLR: {"base_lr": [0.01, 0.02], "max_lr": [0.1, 0.2], "step_size_up": 2, "step_size_down": 6},
    ReduceLROnPlateau: {"patience": 2, "cooldown": 3, "min_lr": [0.0, 0.1]},
    DecayOnRise: {"factor": 0.25},
}

# Wrong in any place: of another type, or no number that Python itself has.
NOWHERE = [None, "", "1", "nan", b"1", [], {}, (), object, [None], [[0.1], [0.2]], (0.01, 0.02), 1j, math.nan,
           np.float64(0.05), np.float32(0.05), np.int64(3), np.bool_(True), np.str_("min"), np.array(0.05),
           np.array([0.01, 0.02]), {"0": 0.01, "1": 0.02}]
NOT_A_COUNT = [*NOWHERE, -1, 0.5, 2.0, True, False, math.inf, [1, 1]]
NOT_AT_LEAST_0 = [*NOWHERE, -1, -0.1, -math.inf, math.inf, True, [0.1, 0.1], 10 ** 400]
NOT_BETWEEN = [*NOT_AT_LEAST_0, 0, 0.0, 1, 1.0, 1.5]
NOT_A_FLAG = [*NOWHERE, 0, 1, 0.0, [True, True]]
NOT_A_NAME = [*NOWHERE, 0, 1.0, True, "MIN", "min ", "square", "relative", ["min", "min"]]
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
}


def subclasses(kind):
    for below in kind.__subclasses__():
        if below.__module__.startswith(schedulers.__name__):
            yield below
            yield from subclasses(below)


KINDS = list(subclasses(LRScheduler))


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
