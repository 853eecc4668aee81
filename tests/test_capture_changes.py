"""The captured step has the bits of the plain one, whatever changes between two steps."""
from __future__ import annotations

import numpy as np
import pytest
from module_cases import numbers
from twins import OPTIMIZERS, SIZES, Twins, batches, bits, mixed, plain_step, small

import minidl
from minidl import nn, optim
from minidl.autograd.parameter import Parameter


@pytest.mark.parametrize("name, changes", [
    ("momentum", {"lr": [0.1, 0.0, 0.3], "momentum": [0.9, 0.0, 0.5], "weight_decay": [0.0, 0.1, 0.0],
                  "dampening": [0.5, 0.0, 0.2], "maximize": [False, True, False]}),
    ("sgd", {"momentum": [0.0, 0.9, 0.9], "nesterov": [False, False, True]}),
    ("adam", {"lr": [0.1, 0.01, 0.0], "betas": [(0.9, 0.9), (0.0, 0.5), (0.5, 0.0)], "eps": [1e-8, 1.0, 1e-3]}),
    ("adamw", {"lr": [0.1, 0.01, 0.2], "weight_decay": [0.0, 0.5, 0.1]}),
    ("adadelta", {"lr": [1.0, 0.5, 0.2], "rho": [0.9, 0.1, 0.5], "weight_decay": [0.0, 0.5, 0.1]}),
])
def test_settings_are_read_at_each_step(name, changes):
    twins = Twins(lambda: (model := small(), nn.CrossEntropyLoss(), OPTIMIZERS[name](model.parameters())))
    for number, (x, y) in enumerate(batches(twins.plain[1], (4, 3), [9] * 12)):
        def change(model, optimizer, number=number):
            for setting, values in changes.items():
                optimizer.param_groups[0][setting] = values[number // 2 % 3]

        twins.each(change)
        twins.train(x, y)
    twins.check()


@pytest.mark.parametrize("name", ["momentum", "adam", "adadelta"])
def test_states_are_loaded_in_between(name):
    twins = Twins(lambda: (model := small(), nn.CrossEntropyLoss(), OPTIMIZERS[name](model.parameters())))
    data = list(batches(twins.plain[1], (4, 3), SIZES))
    fresh = twins.plain[2].state_dict()  # without arrays
    for x, y in data[:3]:
        twins.train(x, y)
    weights, moments = twins.plain[0].state_dict(), twins.plain[2].state_dict()
    for loaded in (moments, fresh, moments):
        for x, y in data[3:]:
            twins.train(x, y)
        twins.each(lambda model, optimizer: model.load_state_dict(weights))
        twins.each(lambda model, optimizer, loaded=loaded: optimizer.load_state_dict(loaded))
        for x, y in data:
            twins.train(x, y)
        twins.check()


def test_plain_and_captured_steps_on_one_model():
    twins = Twins(lambda: (model := mixed(), nn.NLLLoss(), optim.Adam(model.parameters())))
    for number, (x, y) in enumerate(batches(twins.plain[1], (7, 3), SIZES * 2)):
        if number % 3:
            assert plain_step(*twins.captured, x, y) == plain_step(*twins.plain, x, y)
        else:
            twins.train(x, y)
    twins.check()


def test_what_the_modules_saved_stays():
    """A captured step between a forward and its backward does not disturb them; but its update is noticed."""
    model = small()
    step = minidl.capture(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.0))
    (x, y), (other, _) = batches(step.criterion, (4, 3), [5, 5])
    model(other)
    saved = [module.saved for module in model.modules()]
    step(x, y)
    assert all(module.saved is left for module, left in zip(model.modules(), saved, strict=True))
    with pytest.raises(RuntimeError, match=r"modified by an inplace operation: Linear\(5, 3\): weight"):
        model.backward(np.ones((5, 3), np.float32))


def test_the_storage_moves():
    twins = Twins(lambda: (model := small(), nn.CrossEntropyLoss(), optim.Adam(model.parameters())))
    (x, y), = batches(twins.plain[1], (4, 3), [9])
    twins.train(x, y)
    other = nn.Linear(3, 3)
    left = [parameter.data for parameter in twins.captured[0].parameters()]
    minidl.autograd.storage.flatten([*other.parameters(), *twins.captured[0].parameters()])
    assert twins.captured[0][0].weight.data is not left[0]
    for array in left:
        array[...] = np.nan  # nobody reads them any more
    for _ in range(3):
        twins.train(x, y)
    twins.check()


def test_modules_come_and_go():
    twins = Twins(lambda: (model := small(), nn.CrossEntropyLoss(), optim.Adam(model.parameters())))
    (x, y), = batches(twins.plain[1], (4, 3), [9])

    changes = [
        lambda model, optimizer: model.append(nn.Sigmoid()),
        lambda model, optimizer: model.insert(0, nn.Sequential()),
        lambda model, optimizer: model[0].append(nn.ReLU()),  # within
        lambda model, optimizer: model.pop(),
        lambda model, optimizer: model.__setitem__(2, nn.LeakyReLU(0.2)),
        lambda model, optimizer: setattr(model[2], "settings", {"negative_slope": 0.4}),
        lambda model, optimizer: model[2].settings.update(negative_slope=0.7),
        lambda model, optimizer: setattr(model[3], "bias", None),
    ]
    twins.train(x, y)
    for change in changes:
        twins.each(change)
        twins.train(x, y)
        twins.check()


def test_a_weight_is_replaced():
    twins = Twins(lambda: (model := small(), nn.CrossEntropyLoss(), optim.Adam(model.parameters())))
    (x, y), = batches(twins.plain[1], (4, 3), [9])
    twins.train(x, y)
    value = numbers((5, 4))
    twins.each(lambda model, optimizer: setattr(model[0], "weight", Parameter(value, order="F")))
    for _ in range(2):  # it is not the optimizer's: its gradient adds up
        twins.train(x, y)
    twins.check()
    np.testing.assert_array_equal(twins.captured[0][0].weight.data, value)


def test_the_model_changes_its_widths():
    twins = Twins(lambda: (model := small(), nn.CrossEntropyLoss(), optim.SGD(model[0].parameters(), lr=0.1)))
    (x, y), = batches(twins.plain[1], (4, 3), [9])
    twins.train(x, y)
    minidl.manual_seed(0)
    last = nn.Linear(5, 9)
    twins.each(lambda model, optimizer: model.__setitem__(2, nn.Sequential(last)))
    last.zero_grad()
    plain = plain_step(*twins.plain, x, y + 6)
    last.zero_grad()
    assert twins.step(x, y + 6) == plain
    assert bits(twins.captured[0], twins.captured[2]) == bits(twins.plain[0], twins.plain[2])


def test_another_reduction():
    twins = Twins(lambda: (model := small(), nn.MSELoss(), optim.Adam(model.parameters())))
    for reduction, (x, y) in zip(["mean", "sum", "batchmean", "mean"],
                                 batches(twins.plain[1], (4, 3), [9] * 4), strict=True):
        twins.plain[1].reduction = twins.captured[1].reduction = reduction
        twins.train(x, y)
    twins.check()
    twins.captured[1].reduction = "none"
    with pytest.raises(ValueError, match="capture: expected a criterion that reduces to one number"):
        twins.step(x, y)


def test_a_group_is_replaced():
    twins = Twins(lambda: (model := small(), nn.CrossEntropyLoss(), optim.Adam(model.parameters())))
    (x, y), = batches(twins.plain[1], (4, 3), [9])
    twins.train(x, y)
    twins.each(lambda model, optimizer: optimizer.param_groups.__setitem__(
        0, dict(optimizer.param_groups[0], lr=0.5)))
    twins.train(x, y)
    twins.check()


def test_parameters_outside_the_model_stay_put_on_two_threads():
    # Their gradients are cleared in pieces of each one's size, and used in pieces of all together.
    minidl.set_num_threads(2)
    try:
        for _ in range(20):
            model = nn.Sequential(nn.Linear(256, 256))
            outside = [nn.Parameter(np.zeros(20_000, np.float32)) for _ in range(4)]
            step = minidl.capture(model, nn.MSELoss(), optim.SGD([*model.parameters(), *outside], lr=1.0))
            batch = np.ones((64, 256), np.float32)
            for _ in range(5):
                for parameter in outside:
                    parameter.grad = np.ones(20_000, np.float32)
                step(batch, batch)
            assert not any(parameter.data.any() for parameter in outside)
    finally:
        minidl.set_num_threads(1)
