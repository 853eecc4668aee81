"""The captured step: the bits of the plain one, whatever it is made of."""
from __future__ import annotations

import numpy as np
import pytest
from module_cases import ACTIVATIONS, FLOATS
from twins import CASES, LOSSES, OPTIMIZERS, SIZES, Twins, batches, bits, mixed, plain_step, small, trained

import minidl
from minidl import nn, optim

# What it is made of


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("loss, reduction", CASES)
def test_losses_and_optimizers(loss, reduction, optimizer, dtype):
    kind, soft = LOSSES[loss]

    def make(parameters):
        made = OPTIMIZERS[optimizer](parameters)
        made.lr *= 0.02 if reduction == "sum" else 1  # the sum of a batch of 100 diverges otherwise
        return made

    trained(lambda: mixed(dtype), (7, 3), kind(reduction=reduction), make, dtype, SIZES, soft)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name, settings", ACTIVATIONS)
@pytest.mark.parametrize("place", ["first", "inside", "last"])
def test_activations(name, settings, place, dtype):
    def make():
        layers = [nn.Linear(4, 19, dtype=dtype), nn.Linear(19, 3, dtype=dtype)]
        layers.insert({"first": 0, "inside": 1, "last": 2}[place], getattr(nn, name)(**settings))
        return nn.Sequential(layers)

    trained(make, criterion=nn.MSELoss(), dtype=dtype, sizes=SIZES)


@pytest.mark.parametrize("make, widths", [
    (lambda: nn.Linear(4, 3), (4, 3)),
    (lambda: nn.Sequential(nn.Linear(1, 1)), (1, 1)),
    (lambda: nn.Sequential(nn.Sequential(nn.Sequential(nn.Linear(4, 3))), nn.Identity()), (4, 3)),
    (lambda: nn.Sequential(nn.Flatten(), nn.Linear(4, 3)), (4, 3)),
    (lambda: nn.Sequential(nn.Linear(4, 8), nn.Flatten(), nn.Linear(8, 3)), (4, 3)),
    (lambda: nn.Sequential(nn.Linear(4, 300), nn.ReLU(), nn.Linear(300, 3)), (4, 3)),
    (lambda: nn.Sequential(nn.Linear(4, 6), nn.Softmax(dim=1), nn.Linear(6, 3)), (4, 3)),
    (lambda: nn.Sequential(nn.Dropout(0.2), nn.Linear(4, 3), nn.Dropout(0.0), nn.Dropout(0.5)), (4, 3)),
], ids=["a Linear", "one number", "nested", "Flatten first", "Flatten inside", "wide", "Softmax of dim 1",
        "Dropout first and last"])
def test_shapes_of_models(make, widths):
    trained(make, widths, sizes=SIZES)


def test_a_module_that_is_used_twice():
    def make():
        shared, act = nn.Linear(6, 6), nn.Tanh()
        return nn.Sequential(nn.Linear(4, 6), act, shared, act, nn.Sequential(shared, act), nn.Linear(6, 3))

    trained(make, sizes=SIZES)


def test_a_module_that_comes_first_and_last():
    def make():
        shared = nn.Linear(4, 3)
        return nn.Sequential(shared, nn.Linear(3, 4), nn.ReLU(), shared)

    trained(make, sizes=SIZES)


def test_a_parameter_that_two_modules_share():
    def make():
        first, second = nn.Linear(5, 5), nn.Linear(5, 5)
        second.weight = first.weight
        return nn.Sequential(nn.Linear(4, 5), first, nn.ReLU(), second, nn.Linear(5, 3))

    trained(make, sizes=SIZES)


def test_one_class():
    trained(lambda: nn.Linear(4, 1), (4, 1))


@pytest.fixture
def three_threads():
    before = minidl.get_num_threads()
    minidl.set_num_threads(3)
    yield
    minidl.set_num_threads(before)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("loss, reduction", CASES)
def test_threads(loss, reduction, dtype, three_threads):
    """Batches large enough to be shared, and some that are not."""
    def make():
        return nn.Sequential(
            nn.Linear(40, 100, dtype=dtype), nn.SELU(), nn.Dropout(0.2), nn.Linear(100, 90, bias=False, dtype=dtype),
            nn.Softmax(), nn.Linear(90, 10, dtype=dtype), nn.LogSoftmax())

    kind, soft = LOSSES[loss]
    trained(make, (40, 10), kind(reduction=reduction), OPTIMIZERS["adam"], dtype, [100, 257, 1, 500, 64, 333] * 3, soft)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("activation", [
    nn.ReLU, nn.Tanh, nn.ELU, nn.SELU, lambda: nn.LeakyReLU(-0.5),
    lambda: nn.Sequential(nn.LeakyReLU(0.2), nn.Sigmoid()),
], ids=["relu", "tanh", "elu", "selu", "leaky_relu", "two"])
def test_wide_layers(activation, dtype, three_threads):
    """Several panels and blocks of rows, columns shared among threads, activations that finish panels."""
    def make():
        return nn.Sequential(
            nn.Linear(130, 1030, dtype=dtype), activation(), nn.Linear(1030, 129, dtype=dtype), activation(),
            nn.Linear(129, 3, dtype=dtype))

    trained(make, (130, 3), dtype=dtype, sizes=[33, 1, 700, 8, 530])


def test_another_number_of_threads_for_each_step(three_threads):
    def make():
        model = nn.Sequential(nn.Linear(40, 90), nn.Tanh(), nn.Linear(90, 5))
        return model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.1)

    twins = Twins(make)
    for step, (x, y) in enumerate(batches(twins.plain[1], (40, 5), [400] * 60)):
        minidl.set_num_threads([3, 2, 4, 1][step % 4])
        twins.train(x, y)
    twins.check()


# What the optimizer holds


def test_parameter_groups():
    def make():
        model = mixed()
        groups = [{"params": model[1].parameters(), "lr": 0.5}, {"params": model[3].parameters()},
                  {"params": [model[4].weight], "momentum": 0.0, "dampening": 0.0},
                  {"params": [model[4].bias], "weight_decay": 0.1}]
        return model, nn.NLLLoss(), optim.SGD(groups, lr=0.1, momentum=0.9, dampening=0.5)

    twins = Twins(make)
    for x, y in batches(twins.plain[1], (7, 3), SIZES):
        twins.train(x, y)
    twins.check()


@pytest.mark.parametrize("held", [
    lambda model: [model[0].weight], lambda model: [model[0].bias, model[2].weight],
    lambda model: [model[2].bias], lambda model: model[2].parameters(),
    lambda model: model.parameters()[::-1],
], ids=["a weight", "a bias and a weight", "the last bias", "the last layer", "in reverse"])
def test_an_optimizer_that_holds_some_parameters(held):
    """The gradients of the others add up, as they do without a zero_grad()."""
    def make():
        model = small()
        return model, nn.CrossEntropyLoss(), optim.Adam(held(model))

    twins = Twins(make)
    for x, y in batches(twins.plain[1], (4, 3), SIZES):
        twins.train(x, y)
    twins.check()
    assert twins.captured[0][0].weight.grad.any()


def test_an_optimizer_that_holds_more_than_the_model():
    def make():
        model, other = small(), nn.Linear(2, 2)
        return model, nn.CrossEntropyLoss(), optim.AdamW([*model.parameters(), *other.parameters()])

    twins = Twins(make)
    for x, y in batches(twins.plain[1], (4, 3), SIZES):
        twins.train(x, y)
    twins.check()


def test_parameters_of_a_larger_set():
    """The optimizer's stretch of memory has another model's parameters in its middle."""
    def make():
        model, other = small(), nn.Linear(3, 3)
        minidl.autograd.storage.flatten([*model[0].parameters(), *other.parameters(), *model[2].parameters()])
        return model, nn.CrossEntropyLoss(), optim.Adam(model.parameters())

    twins = Twins(make)
    for x, y in batches(twins.plain[1], (4, 3), SIZES):
        twins.train(x, y)
    twins.check()


# Dropout


def test_dropout_from_minidls_stream():
    """One stream for both, so one after the other."""
    results = []
    for step in ("plain", "captured"):
        minidl.manual_seed(11)
        model = nn.Sequential(nn.Linear(4, 30), nn.Dropout(0.5), nn.ReLU(), nn.Dropout(0.25), nn.Linear(30, 3))
        parts = model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.1)
        run = minidl.capture(*parts) if step == "captured" else lambda *batch, parts=parts: plain_step(*parts, *batch)
        losses = [run(x, y) for x, y in batches(parts[1], (4, 3), SIZES)]
        results.append((losses, bits(model, parts[2])))
    assert results[0] == results[1]


def test_dropout_does_not_drop_in_evaluation_mode():
    twins = Twins(lambda: (model := mixed(), nn.NLLLoss(), optim.Adam(model.parameters())))
    data = list(batches(twins.plain[1], (7, 3), [8] * 6))
    for number, (x, y) in enumerate(data):
        if number in (2, 4):
            twins.each(lambda model, optimizer, mode=number == 4: model.train(mode))
        twins.train(x, y)
    twins.check()


def test_the_probability_and_the_generator_of_a_dropout_may_change():
    twins = Twins(lambda: (model := mixed(), nn.NLLLoss(), optim.Adam(model.parameters())))

    def change(model, optimizer, p):
        model[3][2].p, model[3][2].generator = p, np.random.default_rng(5)

    for p, (x, y) in zip([0.1, 0.0, 0.9], batches(twins.plain[1], (7, 3), [8] * 3), strict=True):
        twins.each(lambda model, optimizer, p=p: change(model, optimizer, p))
        twins.train(x, y)
    twins.check()
