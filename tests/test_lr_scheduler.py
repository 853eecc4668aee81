"""The schedulers against PyTorch's, and the reports' rules."""
from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
from theirs import torch

import minidl.optim
from minidl.autograd.parameter import Parameter
from minidl.optim import SGD, Adadelta, Adam
from minidl.optim.lr_scheduler import CyclicLR, DecayOnRise, LRScheduler, ReduceLROnPlateau, StepLR

STEPS = 60


def parameter():
    return Parameter(np.ones(2, np.float32))


def optimizer(kind=SGD, **settings):
    return kind([parameter()], **{"lr": 0.5, **settings})


def two_groups(kind=SGD):
    return kind([{"params": [parameter()]}, {"params": [parameter()], "lr": 0.2}], lr=0.5)


def torch_groups(torch, kind):
    groups = [{"params": [torch.ones(2, requires_grad=True)]},
              {"params": [torch.ones(2, requires_grad=True)], "lr": 0.2}]
    return getattr(torch.optim, kind)(groups, lr=0.5)


def metrics(seed):
    """A noisy fall that ends in a plateau."""
    noise = np.random.default_rng(seed).normal(0, 0.02, STEPS)
    return [float(m) for m in np.maximum(np.exp(-np.arange(STEPS) / 8), 0.2) + noise]


def compare_with_torch(name, settings, feed=None, kind="SGD"):
    """The rates and momenta of both over 60 steps."""
    ours = two_groups(getattr(minidl.optim, kind))
    theirs = torch_groups(torch, kind)
    mine = getattr(minidl.optim.lr_scheduler, name)(ours, **settings)
    reference = getattr(torch.optim.lr_scheduler, name)(theirs, **settings)
    theirs.step()  # PyTorch warns of a scheduler that steps first
    for i in range(STEPS):
        for a, b in zip(ours.param_groups, theirs.param_groups, strict=True):
            for key in {"lr", "momentum", "betas"} & a.keys():
                np.testing.assert_allclose(a[key], b[key], rtol=1e-12, atol=1e-15, err_msg=f"{key}, step {i}")
        np.testing.assert_allclose(mine.get_last_lr(), reference.get_last_lr(), rtol=1e-12, atol=1e-15)
        arguments = () if feed is None else (feed[i],)
        mine.step(*arguments)
        reference.step(*arguments)


@pytest.mark.parametrize("settings", [{"step_size": 1}, {"step_size": 7, "gamma": 0.5}, {"step_size": 100}])
def test_step_lr_against_torch(settings):
    compare_with_torch("StepLR", settings)


@pytest.mark.parametrize("kind", ["SGD", "Adam"])
@pytest.mark.parametrize("settings", [
    {}, {"step_size_up": 5}, {"step_size_up": 1}, {"step_size_up": 3, "step_size_down": 8},
    {"step_size_up": 5, "mode": "triangular2"}, {"step_size_up": 5, "mode": "exp_range", "gamma": 0.97},
    {"step_size_up": 5, "cycle_momentum": False},
    {"step_size_up": 5, "base_momentum": 0, "max_momentum": 0.5},
    {"step_size_up": 4, "base_lr": [0.01, 0.02], "max_lr": [0.1, 0.3], "max_momentum": [0.9, 0.95]},
])
def test_cyclic_lr_against_torch(settings, kind):
    compare_with_torch("CyclicLR", {"base_lr": 0.01, "max_lr": 0.1, **settings}, kind=kind)


def test_cyclic_lr_of_an_optimizer_without_momentum():
    settings = {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 5, "cycle_momentum": False}
    compare_with_torch("CyclicLR", settings, kind="Adadelta")


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("settings", [
    {}, {"patience": 2}, {"patience": 0, "factor": 0.5}, {"patience": 1, "cooldown": 4},
    {"patience": 1, "threshold": 0.05}, {"patience": 1, "threshold": 0.03, "threshold_mode": "abs"},
    {"patience": 1, "min_lr": 0.01}, {"patience": 1, "min_lr": [0.1, 0.001]}, {"patience": 0, "eps": 0.01},
])
@pytest.mark.parametrize("mode", ["min", "max"])
def test_reduce_lr_on_plateau_against_torch(settings, mode, sign):
    for seed in range(3):
        compare_with_torch("ReduceLROnPlateau", {"mode": mode, **settings}, [sign * m for m in metrics(seed)])


def test_reduce_lr_on_plateau_takes_nan_as_torch_does():
    feed = [math.nan if i % 3 else m for i, m in enumerate(metrics(0))]
    compare_with_torch("ReduceLROnPlateau", {"patience": 1}, feed)


def test_step_decay_of_report_001():
    opt = optimizer()
    scheduler = StepLR(opt, step_size=10, gamma=0.5)
    for epoch in range(STEPS):
        assert opt.lr == pytest.approx(0.5 * 0.5 ** math.floor(epoch / 10), rel=1e-15)
        scheduler.step()


def test_decay_on_rise_is_report_003s_rule():
    opt = two_groups()
    scheduler = DecayOnRise(opt, factor=0.25)
    loss, rate = metrics(1), 0.5
    for i in range(STEPS):
        scheduler.step(np.float64(loss[i]))
        if i > 0 and loss[i] > loss[i - 1]:
            rate *= 0.25
        assert scheduler.get_last_lr() == pytest.approx([rate, 0.4 * rate], rel=1e-12)
    assert rate < 0.5


def test_an_equal_loss_is_not_a_rise():
    opt = optimizer()
    scheduler = DecayOnRise(opt)
    for loss, lr in [(1.0, 0.5), (1.0, 0.5), (2.0, 0.25), (2.0, 0.25), (math.inf, 0.125), (1.0, 0.125)]:
        scheduler.step(loss)
        assert opt.lr == lr


def test_the_training_loop_is_told_when_and_with_what():
    told = {kind: (kind.interval, kind.metric) for kind in (StepLR, CyclicLR, ReduceLROnPlateau, DecayOnRise)}
    assert told == {StepLR: ("epoch", None), CyclicLR: ("iteration", None),
                    ReduceLROnPlateau: ("epoch", "validation_loss"), DecayOnRise: ("epoch", "loss")}


def test_a_rate_that_the_user_writes_is_kept():
    opt = optimizer()
    scheduler = StepLR(opt, step_size=1, gamma=0.5)
    opt.lr = 8
    scheduler.step()
    assert scheduler.get_last_lr() == [4]


SCHEDULERS = [
    (StepLR, {"step_size": 3, "gamma": 0.7}),
    (CyclicLR, {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 5, "mode": "triangular2"}),
    (ReduceLROnPlateau, {"patience": 1, "cooldown": 2}),
    (DecayOnRise, {}),
]


def advance(scheduler, feed):
    for value in feed:
        scheduler.step(*([] if scheduler.metric is None else [value]))
        yield list(scheduler.get_last_lr())


@pytest.mark.parametrize(("kind", "settings"), SCHEDULERS)
def test_a_loaded_state_goes_on(kind, settings):
    feed = metrics(2)
    opt = optimizer()
    scheduler = kind(opt, **settings)
    list(advance(scheduler, feed[:25]))
    states = pickle.loads(pickle.dumps((opt.state_dict(), scheduler.state_dict())))
    other = optimizer()
    resumed = kind(other, **settings)
    other.load_state_dict(states[0])
    resumed.load_state_dict(states[1])
    assert list(advance(resumed, feed[25:])) == list(advance(scheduler, feed[25:]))


@pytest.mark.parametrize(("kind", "settings"), SCHEDULERS)
def test_a_wrong_state_changes_nothing(kind, settings):
    scheduler = kind(optimizer(), **settings)
    before = scheduler.state_dict()
    assert "optimizer" not in before
    missing = {key: value for key, value in before.items() if key != "last_epoch"}
    for state in ({}, missing, {**before, "more": 1}, {**before, "last_epoch": "3"}):
        with pytest.raises(ValueError, match=f"{kind.__name__}.load_state_dict: expected"):
            scheduler.load_state_dict(state)
    assert scheduler.state_dict() == before


def test_a_state_is_a_copy():
    scheduler = CyclicLR(optimizer(), 0.01, 0.1)
    state = scheduler.state_dict()
    state["base_lrs"][0] = 0.05
    assert scheduler.base_lrs == [0.01]
    scheduler.load_state_dict(state)
    state["base_lrs"][0] = 0.06
    assert scheduler.base_lrs == [0.05]


# Bad input.

@pytest.mark.parametrize(("kind", "settings"), SCHEDULERS)
@pytest.mark.parametrize("wrong", [None, 0.1, parameter()])
def test_no_optimizer(kind, settings, wrong):
    with pytest.raises(TypeError, match=f"expected an Optimizer, got {type(wrong).__name__}"):
        kind(wrong, **settings)


@pytest.mark.parametrize(("kind", "settings", "error", "message"), [
    (StepLR, {"step_size": 0}, ValueError, "expected step_size >= 1, got 0"),
    (StepLR, {"step_size": -3}, ValueError, "expected step_size >= 1, got -3"),
    (StepLR, {"step_size": 2.0}, TypeError, "expected step_size to be an int, got 2.0"),
    (StepLR, {"step_size": True}, TypeError, "expected step_size to be an int, got True"),
    (StepLR, {"step_size": 1, "gamma": -1}, ValueError, "expected gamma >= 0 and finite, got -1"),
    (StepLR, {"step_size": 1, "gamma": math.nan}, ValueError, "expected gamma >= 0 and finite, got nan"),
    (StepLR, {"step_size": 1, "gamma": "a"}, TypeError, "expected gamma to be a real number, got str"),
    (CyclicLR, {"max_lr": 0.001}, ValueError, "expected base_lr <= max_lr, got 0.01 and 0.001"),
    (CyclicLR, {"base_lr": -1}, ValueError, "expected base_lr >= 0 and finite, got -1"),
    (CyclicLR, {"max_lr": math.inf}, ValueError, "expected max_lr >= 0 and finite, got inf"),
    (CyclicLR, {"max_lr": [1, 2]}, ValueError, "expected max_lr to be a number or 1 of them, got 2"),
    (CyclicLR, {"step_size_up": 0}, ValueError, "expected step_size_up >= 1, got 0"),
    (CyclicLR, {"step_size_down": 0}, ValueError, "expected step_size_down >= 1, got 0"),
    (CyclicLR, {"mode": "square"}, ValueError, "expected mode to be one of triangular, .* got 'square'"),
    (CyclicLR, {"gamma": 1.5}, ValueError, "expected gamma <= 1, got 1.5"),
    (CyclicLR, {"base_momentum": 0.95}, ValueError, "expected base_momentum <= max_momentum"),
    (CyclicLR, {"max_momentum": 1}, ValueError, r"expected max_momentum in \[0, 1\), got 1"),
    *[(kind, {"factor": factor}, ValueError, "expected factor ")
      for kind in (ReduceLROnPlateau, DecayOnRise) for factor in (-0.5, 0, 1, 1.5, math.nan)],
    (ReduceLROnPlateau, {"factor": None}, TypeError, "expected factor to be a real number, got NoneType"),
    (ReduceLROnPlateau, {"mode": "best"}, ValueError, "expected mode to be one of min, max, got 'best'"),
    (ReduceLROnPlateau, {"threshold_mode": "x"}, ValueError, "expected threshold_mode to be one of rel, abs"),
    (ReduceLROnPlateau, {"patience": -1}, ValueError, "expected patience >= 0, got -1"),
    (ReduceLROnPlateau, {"cooldown": -1}, ValueError, "expected cooldown >= 0, got -1"),
    (ReduceLROnPlateau, {"threshold": -1}, ValueError, "expected threshold >= 0 and finite, got -1"),
    (ReduceLROnPlateau, {"eps": -1}, ValueError, "expected eps >= 0 and finite, got -1"),
    (ReduceLROnPlateau, {"min_lr": -1}, ValueError, "expected min_lr >= 0 and finite, got -1"),
    (ReduceLROnPlateau, {"min_lr": [0, 0]}, ValueError, "expected min_lr to be a number or 1 of them, got 2"),
])
def test_bad_settings_leave_the_optimizer_alone(kind, settings, error, message):
    opt = optimizer(momentum=0.3)
    before = dict(opt.param_groups[0])
    start = {"base_lr": 0.01, "max_lr": 0.1} if kind is CyclicLR else {}
    with pytest.raises(error, match=f"{kind.__name__}: {message}"):
        kind(opt, **{**start, **settings})
    assert opt.param_groups[0] == before


def test_cyclic_momentum_needs_a_momentum():
    with pytest.raises(ValueError, match=r"CyclicLR: expected cycle_momentum=False .* got Adadelta"):
        CyclicLR(optimizer(Adadelta), 0.01, 0.1)


@pytest.mark.parametrize("kind", [StepLR, CyclicLR])
def test_step_takes_no_metric(kind):
    scheduler = StepLR(optimizer(Adam), 2) if kind is StepLR else CyclicLR(optimizer(Adam), 0.01, 0.1)
    with pytest.raises(TypeError, match="step"):
        scheduler.step(0.5)
    assert scheduler.last_epoch == 0


@pytest.mark.parametrize("kind", [ReduceLROnPlateau, DecayOnRise])
def test_step_takes_a_number(kind):
    scheduler = kind(optimizer())
    with pytest.raises(TypeError, match="step"):
        scheduler.step()
    for wrong in (None, "0.5", [0.5], np.ones(1)):
        with pytest.raises(TypeError, match=r"expected the (metric|loss) to be a real number"):
            scheduler.step(wrong)
    assert scheduler.last_epoch == 0


def test_decay_on_rise_refuses_nan():
    scheduler = DecayOnRise(optimizer())
    with pytest.raises(ValueError, match="DecayOnRise: expected a loss that is a number, got nan"):
        scheduler.step(math.nan)
    assert scheduler.last_loss == math.inf


def test_all_are_lr_schedulers():
    assert minidl.optim.lr_scheduler.StepLR is StepLR
    assert all(issubclass(kind, LRScheduler) for kind, _ in SCHEDULERS)
