"""A captured step follows the model, the optimizer and the generators, whatever is done to them between two calls.

CUDA graphs freeze a learning rate, a count of steps and an address; Chainer's static graphs the mode. Where the
change is read at each replay, no new recording is made.
"""
from __future__ import annotations

import copy
from types import SimpleNamespace

import numpy as np
import pytest
from recorded_twins import CALLS, right, right_or_refused, told, training

import minidl
from minidl import functional as F
from minidl import nn, optim


def dropping(p=0.5, generator=1):
    generator = None if generator is None else np.random.default_rng(generator)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(p, generator=generator), nn.Linear(8, 3))


# Settings of the optimizer


@right
def test_a_learning_rate(run):
    made = training(run, optim.SGD, lr=0.1)
    run.trains(made.step)
    made.optimizer.lr = 0.01
    run.trains(made.step)
    made.optimizer.param_groups[0]["lr"] = 0.5
    run.trains(made.step)
    made.optimizer.lr = 0.0
    run.trains(made.step)
    run.recorded(made.step, 1)


@right
def test_a_schedule_between_calls(run):
    made = training(run, optim.Adam, lr=0.1)
    scheduler = optim.lr_scheduler.StepLR(made.optimizer, step_size=2, gamma=0.5)
    for _ in range(12):
        run.trains(made.step, 1)
        scheduler.step()
    run.recorded(made.step, 1)


SETTINGS = {
    "SGD": (optim.SGD, {"lr": 0.1, "momentum": 0.9}, [
        {"momentum": 0.5}, {"weight_decay": 0.1}, {"dampening": 0.3}, {"weight_decay": 0.0, "maximize": True},
        {"dampening": 0.0, "nesterov": True, "maximize": False}, {"nesterov": False, "momentum": 0.0},
        {"momentum": 0.9, "lr": 0.01}]),
    "Adam": (optim.Adam, {}, [{"betas": (0.5, 0.9)}, {"eps": 1e-3}, {"weight_decay": 0.1}, {"lr": 0.0}]),
    "AdamW": (optim.AdamW, {}, [{"betas": (0.0, 0.9)}, {"weight_decay": 0.5}, {"eps": 1.0}, {"lr": 0.1}]),
    "Adadelta": (optim.Adadelta, {"lr": 1.0}, [{"rho": 0.1}, {"eps": 1e-3}, {"weight_decay": 0.1}, {"lr": 0.5}]),
}


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_every_setting_of_an_optimizer(name):
    make, first, changes = SETTINGS[name]

    def scenario(run):
        made = training(run, make, **first)
        run.trains(made.step)
        for change in changes:
            made.optimizer.param_groups[0].update(change)
            run.trains(made.step)

    refusal, _ = told(scenario)
    assert refusal is None


@right
def test_the_count_of_steps(run):
    """Adam's corrections of its bias differ at each step."""
    made = training(run, optim.Adam, lr=0.5, betas=(0.5, 0.5))
    run.trains(made.step, 40)
    run.recorded(made.step, 1)


@right
def test_a_state_of_the_optimizer_is_loaded(run):
    made = training(run, optim.Adam, lr=0.1)
    empty = made.optimizer.state_dict()
    run.trains(made.step)
    saved = made.optimizer.state_dict()
    run.trains(made.step)
    for state in (saved, empty, saved):
        made.optimizer.load_state_dict(state)
        run.trains(made.step)


@right
def test_groups_come_and_go(run):
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
    made = training(run, lambda parameters, lr: optim.Adam(parameters[:2], lr=lr), model=model)
    run.trains(made.step)
    made.optimizer.add_param_group({"params": model[2].parameters(), "lr": 0.5})
    run.trains(made.step)
    made.optimizer.param_groups[1]["params"].pop()
    run.trains(made.step)
    made.optimizer.param_groups.pop()
    run.trains(made.step)
    made.optimizer.param_groups[0] = dict(made.optimizer.param_groups[0], lr=0.3)
    run.trains(made.step)


@right
def test_another_optimizer_under_the_name(run):
    model = run.hold(nn.Linear(4, 3))
    optimizer = run.hold(optim.SGD(model.parameters(), lr=0.1))

    @run.capture
    def step(x):
        loss = (model(x) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    run.maps(step)
    optimizer = run.hold(optim.Adam(model.parameters(), lr=0.1))
    run.maps(step)


@right
def test_gradients_that_are_there_before(run):
    """Nothing clears them: they add up from call to call."""
    model = run.hold(nn.Linear(4, 3))

    @run.capture
    def step(x):
        loss = (model(x) ** 2).mean()
        loss.backward()
        return loss

    run.maps(step)
    model.zero_grad()
    run.maps(step)
    model.weight.grad = run.numbers(3, 4)
    run.maps(step)
    model.zero_grad(set_to_none=False)
    model.bias.grad = None
    run.maps(step)


@right
def test_a_step_of_the_optimizer_alone(run):
    """It moves what has a gradient, and leaves alone what has none."""
    model = run.hold(nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 3)))
    optimizer = run.hold(optim.Adam(model.parameters(), lr=0.1))
    step = run.capture(lambda: optimizer.step())
    for _ in range(3):
        for chosen in (model.parameters(), model[0].parameters(), [model[1].bias], []):
            model.zero_grad()
            for parameter in chosen:
                parameter.grad = run.numbers(*parameter.shape)
            run.calls(step, n=2)


# Modes, flags, values


@right
def test_training_and_evaluation(run):
    made = training(run, model=dropping())
    generator = run.hold(made.model[2].generator)
    for mode in (True, False, True, False):
        made.model.train(mode)
        run.trains(made.step)
    made.model[2].train()  # the Dropout alone
    run.trains(made.step)
    assert generator is made.model[2].generator


@right
def test_a_probability(run):
    made = training(run, model=dropping())
    run.hold(made.model[2].generator)
    for p in (0.5, 0.2, 0.0, 1.0, 0.5):
        made.model[2].p = p
        run.trains(made.step)


@right
def test_frozen_parameters(run):
    made = training(run)
    run.trains(made.step)
    for flags in ((False, True), (True, False), (True, True)):
        for layer, flag in zip((made.model[0], made.model[2]), flags, strict=True):
            layer.requires_grad_(flag)
        run.trains(made.step)
    made.model[0].bias.requires_grad = False
    run.trains(made.step)


@right
def test_values_of_parameters(run):
    made = training(run)
    run.trains(made.step)
    saved = made.model.state_dict()
    run.trains(made.step)
    made.model.load_state_dict(saved)
    run.trains(made.step)
    made.model[0].weight.data = run.numbers(5, 4)
    run.trains(made.step)
    made.model[0].weight.data[2] = 0
    run.trains(made.step)
    made.model[2].bias.zero_()
    run.trains(made.step)
    made.model.flat_parameters[...] *= 0.5
    run.trains(made.step)


@right
def test_plain_steps_in_between(run):
    made = training(run)
    for _ in range(4):
        run.trains(made.step, 3)
        loss = made.criterion(made.model(minidl.tensor(run.numbers(5, 4))), run.rng.integers(0, 3, 5))
        made.optimizer.zero_grad()
        loss.backward()
        made.optimizer.step()


@right
def test_parameters_move_in_memory(run):
    made = training(run)
    run.trains(made.step)
    left = [parameter.data for parameter in made.model.parameters()]
    larger = nn.Sequential(nn.Linear(3, 3), made.model)
    assert larger.flat_parameters.size == 12 + 43
    for array in left:
        if not any(np.shares_memory(array, parameter.data) for parameter in made.model.parameters()):
            array[...] = np.nan  # nobody reads them any more
    run.trains(made.step)


@right
def test_a_parameter_is_replaced(run):
    made = training(run)
    run.trains(made.step)
    made.model[0].weight = nn.Parameter(run.numbers(5, 4), order="F")
    run.trains(made.step)  # it is not the optimizer's: its gradient adds up
    made.model[2].bias = None
    run.trains(made.step)
    made.model[2].bias = nn.Parameter(run.numbers(3))
    run.trains(made.step)


@right
def test_modules_come_and_go(run):
    made = training(run)
    run.trains(made.step)
    for change in (
        lambda model: model.append(nn.Sigmoid()),
        lambda model: model.insert(0, nn.Identity()),
        lambda model: model.pop(),
        lambda model: model.__setitem__(2, nn.LeakyReLU(0.2)),
        lambda model: model[2].settings.update(negative_slope=0.7),
        lambda model: model.__setitem__(3, nn.Linear(5, 3)),
        lambda model: model.__setitem__(0, nn.Sequential(nn.Linear(4, 4), nn.Tanh())),
        lambda model: model[0].append(nn.Linear(4, 4, bias=False)),
    ):
        change(made.model)
        run.trains(made.step, 5)


@right
def test_a_copy_of_the_model_takes_its_place(run):
    model = run.hold(nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)))
    optimizer = run.hold(optim.Adam(model.parameters(), lr=0.1))

    @run.capture
    def step(x):
        loss = (model(x) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    run.maps(step)
    old = model, optimizer
    model, optimizer = run.hold(copy.deepcopy((model, optimizer)))
    run.maps(step)
    model = old[0]  # the optimizer stays that of the copy
    run.maps(step)
    optimizer = old[1]
    run.maps(step)


@right
def test_the_number_of_threads(run):
    made = training(run, model=nn.Sequential(nn.Linear(4, 200), nn.Tanh(), nn.Linear(200, 200), nn.Linear(200, 3)))
    try:
        for threads in (1, 2, 1, 2):
            minidl.set_num_threads(threads)
            run.trains(made.step, 5, rows=64)
    finally:
        minidl.set_num_threads(1)


@right
def test_values_that_are_read_between_calls(run):
    """Outside the step a loss is a number like any other: here it steers the learning rate."""
    made = training(run, optim.SGD, lr=0.5)
    scheduler = optim.lr_scheduler.ReduceLROnPlateau(made.optimizer, patience=1)
    best = run.hold([float("inf")])
    for _ in range(20):
        run.trains(made.step, 1)
        loss = float(run.outputs[-1])
        best[0] = min(best[0], loss)
        scheduler.step(loss)
    run.recorded(made.step, 1)


@right
def test_another_reduction(run):
    made = training(run)
    for reduction in ("mean", "sum", "mean"):
        made.criterion.reduction = reduction
        run.trains(made.step)


@right
def test_a_method_of_an_instance(run):
    made = training(run)
    run.trains(made.step)
    made.model[1].forward = lambda x: F.relu(x) if isinstance(x, minidl.Tensor) else np.maximum(x, 0)
    run.trains(made.step)
    del made.model[1].forward
    run.trains(made.step)


# Generators


@right
def test_minidls_own_stream(run):
    made = training(run, model=dropping(generator=None))
    run.trains(made.step)
    minidl.manual_seed(7)
    run.trains(made.step)
    minidl.randn(3)  # somebody else draws, too
    run.trains(made.step)
    run.hold(minidl.random.generator())
    run.trains(made.step)
    run.recorded(made.step, 1)


@right
def test_the_generator_of_a_module(run):
    made = training(run, model=dropping())
    generator = run.hold(made.model[2].generator)
    run.trains(made.step)
    saved = generator.bit_generator.state
    generator.random(5)
    run.trains(made.step)
    generator.bit_generator.state = saved
    run.trains(made.step)
    run.recorded(made.step, 1)
    made.model[2].generator = run.hold(np.random.default_rng(9))
    run.trains(made.step)
    made.model[2].generator = None
    run.trains(made.step)


@right
def test_noise_within_the_step(run):
    generator = run.hold(np.random.default_rng(3))

    @run.capture
    def step(x):
        own, given = minidl.randn(4), minidl.randn(*x.shape, generator=generator)
        return x + own * 0.1 + F.dropout(given, 0.3, generator=generator)

    run.maps(step)
    generator = run.hold(np.random.default_rng(4))
    run.maps(step)
    minidl.manual_seed(1)
    run.maps(step)


@right
def test_a_seed_gives_the_same_numbers_at_each_call(run):
    step = run.capture(lambda x: F.dropout(x, 0.5, generator=3) + minidl.randn(4, generator=5))
    run.maps(step)
    run.maps(step, shape=(3, 4))


@right
def test_one_generator_in_several_places(run):
    generator = run.hold(np.random.default_rng(3))
    model = run.hold(nn.Sequential(nn.Dropout(0.5, generator=generator), nn.Linear(4, 4),
                                   nn.Dropout(0.2, generator=generator)))
    step = run.capture(lambda x: model(x) + F.dropout(model(x), 0.1, generator=generator))
    run.maps(step)


# What is called in its place


class Doubled(nn.Module):
    """A forward and a backward on arrays."""

    gain = 2.0

    def forward(self, x):
        self.saved = x
        return np.sign(x) * x * x * np.float32(self.gain)

    def backward(self, gradient):
        return gradient * 2 * abs(self.require_saved()) * np.float32(self.gain)


@right
def test_a_module_on_arrays(run):
    module = Doubled()
    made = training(run, model=nn.Sequential(nn.Linear(4, 5), module, nn.Linear(5, 3)))
    run.trains(made.step)
    run.runs(made.step, r"^compiled; in place: .*Doubled")
    module.gain = 3.0  # it is called, so that it may read what it likes
    run.trains(made.step)
    module.draws = np.random.default_rng(0)
    module.forward = lambda x: Doubled.forward(module, x) * np.float32(module.draws.random())
    run.trains(made.step)


@right
def test_a_module_on_arrays_that_counts(run):
    class Counting(Doubled):
        def __init__(self):
            self.count = 0

        def forward(self, x):
            self.count += 1
            return super().forward(x) / np.float32(self.count)

        def backward(self, gradient):
            return super().backward(gradient) / np.float32(self.count)

    made = training(run, model=nn.Sequential(nn.Linear(4, 5), Counting(), nn.Linear(5, 3)))
    run.trains(made.step, 2 * CALLS)


class SignDescent(optim.Optimizer):
    rules = {"lr": optim.SGD.rules["lr"]}  # noqa: RUF012

    def __init__(self, params, lr=0.01):
        super().__init__(params, lr=lr)

    def update(self, group, part):
        for w, g, *_ in part.blocks():
            w -= np.float32(group["lr"]) * np.sign(g)


@right
def test_an_optimizer_of_ones_own(run):
    made = training(run, SignDescent)
    run.trains(made.step)
    run.runs(made.step, r"^compiled; in place: .*SignDescent")
    made.optimizer.lr = 0.5
    run.trains(made.step)


@right_or_refused
def test_an_optimizer_that_shares_nothing(run):
    class Descent:
        def __init__(self, params, lr):
            self.params, self.lr, self.count = params, lr, 0

        def zero_grad(self):
            for parameter in self.params:
                parameter.grad = None

        def step(self):
            self.count += 1
            for parameter in self.params:
                parameter.data -= np.float32(self.lr / self.count) * parameter.grad

    model = run.hold(nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)))
    made = SimpleNamespace(criterion=nn.CrossEntropyLoss(), optimizer=Descent(model.parameters(), 0.1))

    @run.capture
    def step(x, t):
        made.optimizer.zero_grad()
        loss = made.criterion(model(x), t)
        loss.backward()
        made.optimizer.step()
        return loss

    run.trains(step)
    made.optimizer.lr = 0.5
    run.trains(step)
