"""Every schedule against PyTorch's: rates and momenta over 100 steps, and through a state in their middle."""
from __future__ import annotations

import json
import math

import numpy as np
import pytest
from theirs import torch

import minidl
import minidl.optim
from minidl.autograd.parameter import Parameter
from minidl.optim import lr_scheduler
from minidl.optim.lr_scheduler import DecayOnRise, LRScheduler

pytestmark = pytest.mark.filterwarnings("ignore:.*:UserWarning")  # PyTorch's, of schedules that step first


def rise(epoch):
    return 0.1 + 0.9 * math.sin(epoch / 7) ** 2


def sequential(*parts, milestones):
    """A SequentialLR of (name, settings)."""
    def make(lib, optimizer):
        schedulers = [getattr(lib, name)(optimizer, **settings) for name, settings in parts]
        return lib.SequentialLR(optimizer, schedulers, milestones)
    return make


def chained(*parts):
    def make(lib, optimizer):
        return lib.ChainedScheduler([getattr(lib, name)(optimizer, **settings) for name, settings in parts])
    return make


# Of each schedule, settings; of the combined ones, how to make them. A schedule that is not here fails a test.
SETTINGS = {
    "StepLR": [{"step_size": 1}, {"step_size": 7, "gamma": 0.5}],
    "CyclicLR": [{"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 9}],
    "ReduceLROnPlateau": [{"patience": 2}, {"patience": 0, "factor": 0.5, "cooldown": 3}],
    "ExponentialLR": [{"gamma": 0.9}, {"gamma": 1.0}, {"gamma": 0.0}, {"gamma": 1.01}],
    "MultiStepLR": [{"milestones": [5, 30]}, {"milestones": [30, 5, 5], "gamma": 0.3}, {"milestones": [0, 1]},
                    {"milestones": []}],
    "ConstantLR": [{}, {"factor": 0.5, "total_iters": 20}, {"factor": 1.0}, {"total_iters": 0}],
    "LinearLR": [{}, {"start_factor": 0.1, "total_iters": 20}, {"start_factor": 1.0, "end_factor": 0.0},
                 {"start_factor": 0.3, "end_factor": 0.1, "total_iters": 60}, {"total_iters": 1}],
    "PolynomialLR": [{}, {"total_iters": 60, "power": 2.0}, {"total_iters": 30, "power": 0.5}],
    "CosineAnnealingLR": [{"T_max": 1}, {"T_max": 10}, {"T_max": 99, "eta_min": 0.01}, {"T_max": 7, "eta_min": 0.1}],
    "CosineAnnealingWarmRestarts": [{"T_0": 1}, {"T_0": 10}, {"T_0": 5, "T_mult": 2}, {"T_0": 7, "eta_min": 0.1},
                                    {"T_0": 3, "T_mult": 3, "eta_min": 0.01}],
    "LambdaLR": [{"lr_lambda": rise}, {"lr_lambda": [rise, lambda epoch: 0.95 ** epoch]}],
    "MultiplicativeLR": [{"lr_lambda": lambda epoch: 0.97}, {"lr_lambda": [rise, lambda epoch: 1.01]}],
    "OneCycleLR": [
        {"max_lr": 0.1, "total_steps": 100}, {"max_lr": [0.1, 0.4], "epochs": 10, "steps_per_epoch": 10},
        {"max_lr": 1, "total_steps": 101, "pct_start": 0.1, "anneal_strategy": "linear"},
        {"max_lr": 1, "total_steps": 120, "three_phase": True, "div_factor": 10, "final_div_factor": 100},
        {"max_lr": 1, "total_steps": 120, "three_phase": True, "anneal_strategy": "linear", "pct_start": 0.4},
        {"max_lr": 1, "total_steps": 100, "pct_start": 0.0, "base_momentum": 0.1, "max_momentum": [0.2, 0.9]},
        {"max_lr": 1, "total_steps": 120, "pct_start": 1.0}, {"max_lr": 1, "total_steps": 100, "cycle_momentum": False},
    ],
    "SequentialLR": [
        sequential(("LinearLR", {"start_factor": 0.1, "total_iters": 10}), ("CosineAnnealingLR", {"T_max": 90}),
                   milestones=[10]),
        sequential(("ConstantLR", {}), ("ExponentialLR", {"gamma": 0.9}), ("StepLR", {"step_size": 5}),
                   milestones=[4, 50]),
        sequential(("ExponentialLR", {"gamma": 0.9}), ("MultiplicativeLR", {"lr_lambda": rise}),
                   ("LambdaLR", {"lr_lambda": rise}), ("MultiStepLR", {"milestones": [0, 3]}), milestones=[5, 10, 20]),
        sequential(("PolynomialLR", {"total_iters": 9}), ("CosineAnnealingWarmRestarts", {"T_0": 8}),
                   ("ConstantLR", {"factor": 0.5}), ("LinearLR", {}), milestones=[1, 40, 60]),
        sequential(("CosineAnnealingLR", {"T_max": 7}), milestones=[]),
    ],
    "ChainedScheduler": [
        chained(("ConstantLR", {"factor": 0.1, "total_iters": 20}), ("ExponentialLR", {"gamma": 0.9})),
        chained(("LinearLR", {"total_iters": 8}), ("CosineAnnealingLR", {"T_max": 50}), ("MultiplicativeLR", {
            "lr_lambda": lambda epoch: 0.99})),
        chained(("StepLR", {"step_size": 2}),),
    ],
}
CASES = [pytest.param(name, settings, id=f"{name}-{i}") for name, some in SETTINGS.items()
         for i, settings in enumerate(some)]


def made(lib, optimizer, name, settings):
    return settings(lib, optimizer) if callable(settings) else getattr(lib, name)(optimizer, **settings)


def ours(name, settings, kind="SGD"):
    groups = [{"params": [Parameter(np.ones(2))]}, {"params": [Parameter(np.ones(2))], "lr": 0.2}]
    optimizer = getattr(minidl.optim, kind)(groups, lr=0.5)
    return optimizer, made(lr_scheduler, optimizer, name, settings)


def theirs(name, settings, kind="SGD"):
    groups = [{"params": [torch.ones(2, requires_grad=True)]},
              {"params": [torch.ones(2, requires_grad=True)], "lr": 0.2}]
    optimizer = getattr(torch.optim, kind)(groups, lr=0.5)
    return optimizer, made(torch.optim.lr_scheduler, optimizer, name, settings)


def given(scheduler, i):
    return () if scheduler.metric is None else (max(math.exp(-i / 8), 0.2) + 0.02 * math.sin(i),)


def agree(mine, reference, i):
    for a, b in zip(mine.param_groups, reference.param_groups, strict=True):
        for key in {"lr", "momentum", "betas"} & a.keys():
            np.testing.assert_allclose(a[key], b[key], rtol=1e-11, atol=1e-15, err_msg=f"{key}, step {i}")


def test_every_schedule_is_compared():
    kinds = {name for name in lr_scheduler.__all__ if isinstance(getattr(lr_scheduler, name), type)}
    assert set(SETTINGS) == kinds - {DecayOnRise.__name__, LRScheduler.__name__}


@pytest.mark.parametrize("kind", ["SGD", "Adam"])
@pytest.mark.parametrize(("name", "settings"), CASES)
def test_a_hundred_steps(name, settings, kind):
    (optimizer, scheduler), (reference, their) = ours(name, settings, kind), theirs(name, settings, kind)
    for i in range(101):
        agree(optimizer, reference, i)
        np.testing.assert_allclose(scheduler.get_last_lr(), [group["lr"] for group in reference.param_groups],
                                   rtol=1e-11, atol=1e-15)
        if i < 100:
            scheduler.step(*given(scheduler, i))
            their.step(*given(scheduler, i))


@pytest.mark.parametrize("after", [1, 10, 47])
@pytest.mark.parametrize(("name", "settings"), CASES)
def test_a_saved_state_goes_on(name, settings, after):
    optimizer, scheduler = ours(name, settings)
    for i in range(after):
        scheduler.step(*given(scheduler, i))
    state, state_of_optimizer = json.loads(json.dumps(scheduler.state_dict())), optimizer.state_dict()
    resumed, other = ours(name, settings)
    resumed.load_state_dict(state_of_optimizer)
    other.load_state_dict(state)
    assert repr(other.state_dict()) == repr(scheduler.state_dict())
    for i in range(after, 100):
        scheduler.step(*given(scheduler, i))
        other.step(*given(scheduler, i))
        assert [group["lr"] for group in resumed.param_groups] == [group["lr"] for group in optimizer.param_groups]


@pytest.mark.parametrize("settings", [{"T_0": 5}, {"T_0": 5, "T_mult": 2}, {"T_0": 3, "T_mult": 3}])
def test_warm_restarts_at_fractions_of_an_epoch(settings):
    name = "CosineAnnealingWarmRestarts"
    (optimizer, scheduler), (reference, their) = ours(name, settings), theirs(name, settings)
    for i, epoch in enumerate([*np.arange(0.25, 38, 0.25).tolist(), 26, 26.5, 2]):
        scheduler.step(epoch)
        their.step(epoch)
        agree(optimizer, reference, i)


@pytest.mark.parametrize("name", ["OneCycleLR", "SequentialLR", "ChainedScheduler", "LambdaLR"])
def test_fit_steps_them(name):
    """After each iteration or epoch, as their interval says."""
    settings = {"max_lr": 0.1, "total_steps": 20} if name == "OneCycleLR" else SETTINGS[name][0]
    model = minidl.nn.Linear(2, 1, generator=0)
    optimizer = minidl.optim.SGD(model.parameters(), lr=0.5)
    scheduler = made(lr_scheduler, optimizer, name, settings)
    X = np.ones((8, 2), np.float32)
    history = minidl.fit(model, minidl.nn.MSELoss(), optimizer, (X, X[:, :1]), epochs=5, batch_size=2,
                         scheduler=scheduler, progress=False)
    assert history.path == "compiled"
    reference = torch.optim.SGD([torch.ones(2, requires_grad=True)], lr=0.5)
    their = made(torch.optim.lr_scheduler, reference, name, settings)
    expected = []
    for _ in range(5):
        for _ in range(4):
            expected.append(reference.param_groups[0]["lr"])
            if name == "OneCycleLR":
                their.step()
        if name != "OneCycleLR":
            their.step()
    np.testing.assert_allclose(history.iteration_lr, expected, rtol=1e-12)
