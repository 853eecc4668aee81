"""Frozen parameters: no gradient, no backward below what is trained, as in PyTorch; on arrays and on the tape."""
from __future__ import annotations

import itertools

import numpy as np
import pytest
from module_cases import every_module, name_of, numbers
from theirs import torch

import minidl
from minidl import nn, optim

X, G = numbers((5, 4)), numbers((5, 2), seed=1)


def explicit_backward(model):
    model.forward(X)
    return model.backward(G)


def explicit_accumulate(model):
    model.forward(X)
    model.accumulate(G)


def tape(model):
    output = model(minidl.tensor(X))
    if output.requires_grad:
        output.backward(G)


def tape_of_an_input_with_gradient(model):
    x = minidl.tensor(X, requires_grad=True)
    model(x).backward(G)
    return x.grad


PROTOCOLS = [explicit_backward, explicit_accumulate, tape, tape_of_an_input_with_gradient]


class ForwardAlone(nn.Module):
    """The same network for the tape alone."""

    def __init__(self, layers):
        self.layers = layers

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


def network(kind=nn.Sequential):
    layers = nn.Sequential(nn.Linear(4, 3, generator=0), nn.Tanh(), nn.Linear(3, 3, generator=1), nn.ReLU(),
                           nn.Linear(3, 2, generator=2))
    return layers if kind is nn.Sequential else kind(layers)


@pytest.mark.parametrize("kind", [nn.Sequential, ForwardAlone])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_choice_of_frozen_parameters(protocol, kind):
    whole = network(kind)
    dx = protocol(whole)
    for trained in itertools.product([True, False], repeat=6):
        model = network(kind)
        for parameter, flag in zip(model.parameters(), trained, strict=True):
            parameter.requires_grad = flag
        mine = protocol(model)
        if dx is not None:
            np.testing.assert_array_equal(mine, dx)
        for parameter, full in zip(model.parameters(), whole.parameters(), strict=True):
            if parameter.requires_grad:
                np.testing.assert_array_equal(parameter.grad, full.grad)
            else:
                assert parameter.grad is None and not parameter.gradient.any()


class Probe(nn.Module):
    """Identity that counts its backwards."""

    def __init__(self):
        self.count = 0

    def forward(self, x):
        self.saved = x.shape
        return x

    def backward(self, gradient):
        self.count += 1
        return gradient


@pytest.mark.parametrize("protocol", [explicit_accumulate, tape])
@pytest.mark.parametrize("first", range(4))
def test_the_backward_ends_where_nothing_below_is_trained(protocol, first):
    probes = [Probe() for _ in range(4)]
    linears = [nn.Linear(4, 4, generator=0), nn.Linear(4, 4, generator=1), nn.Linear(4, 2, generator=2)]
    model = nn.Sequential(probes[0], linears[0], probes[1], linears[1], probes[2], linears[2], probes[3])
    for linear in linears[:first]:
        linear.requires_grad_(False)
    protocol(model)
    assert [probe.count for probe in probes] == [int(i > first) for i in range(4)]


@pytest.mark.parametrize("module", every_module(), ids=name_of)
def test_a_frozen_module_is_on_the_tape_only_if_its_input_is(module):
    x = numbers((6, 4))
    assert module.requires_grad_(False) is module
    assert not module(minidl.tensor(x)).requires_grad
    assert module(minidl.tensor(x, requires_grad=True)).requires_grad
    assert not module.is_trained()
    module.requires_grad_()
    assert module(minidl.tensor(x)).requires_grad == module.is_trained() == bool(module.parameters())


def test_a_gradient_that_there_is_stays():
    model = network()
    explicit_backward(model)
    before = [parameter.grad.copy() for parameter in model.parameters()]
    model[0].weight.requires_grad = model[2].bias.requires_grad = False
    for protocol in PROTOCOLS:
        protocol(model)
    for parameter, gradient in zip(model.parameters(), before, strict=True):
        assert np.array_equal(parameter.grad, gradient) != parameter.requires_grad


def test_frozen_between_forward_and_backward():
    model = network()
    output = model(minidl.tensor(X))
    model[2].weight.requires_grad = False
    output.backward(G)
    assert [p.grad is None for p in model.parameters()] == [False, False, True, False, False, False]


def test_an_inherited_accumulate_is_not_that_of_a_newer_backward():
    class Doubled(nn.Linear):
        def forward(self, x):
            return 2 * super().forward(x)

        def backward(self, gradient):
            return super().backward(2 * gradient)

    layer = Doubled(4, 2, generator=0)
    layer.forward(X)
    layer.accumulate(G)
    np.testing.assert_allclose(layer.weight.grad, 2 * G.T @ X, rtol=1e-5)
    layer.zero_grad()
    layer(minidl.tensor(X)).backward(G)
    np.testing.assert_allclose(layer.weight.grad, 2 * G.T @ X, rtol=1e-5)


def test_a_tensor_is_frozen_and_trained_again():
    w = minidl.tensor([1.0, 2.0], requires_grad=True)
    assert w.requires_grad_(False) is w and not (w * 2).requires_grad
    w.requires_grad_()
    (w * 3).sum().backward()
    assert w.grad.tolist() == [3, 3]


OPTIMIZERS = [
    ("SGD", {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.1}), ("Adam", {"lr": 0.01, "weight_decay": 0.1}),
    ("AdamW", {"lr": 0.01}), ("Adadelta", {"lr": 1.0}),
]


@pytest.mark.parametrize("on_tape", [True, False])
@pytest.mark.parametrize("name, settings", OPTIMIZERS)
def test_ten_steps_with_frozen_and_unused_parameters_are_those_of_pytorch(name, settings, on_tape):

    def layers(library, **kind):
        return [library.Linear(4, 3, **kind), library.Linear(3, 2, **kind), library.Linear(3, 2, **kind)]

    mine = nn.ModuleList(layers(nn, dtype=np.float64))
    theirs = torch.nn.ModuleList(layers(torch.nn, dtype=torch.float64))
    theirs.load_state_dict({name: torch.from_numpy(value) for name, value in mine.state_dict().items()})
    mine_step = getattr(optim, name)(mine.parameters(), **settings)
    their_step = getattr(torch.optim, name)(theirs.parameters(), **settings)
    x, t = numbers((6, 4), np.float64), numbers((6, 2), np.float64, seed=1)
    criterion = nn.MSELoss()
    for i in range(10):
        head = 1 + i % 2  # the other one is not used in this step
        for modules in (mine, theirs):
            modules[0].weight.requires_grad_(i not in (2, 3, 4))
            modules[head].bias.requires_grad_(i != 6)
        mine_step.zero_grad()
        their_step.zero_grad()
        model = nn.Sequential(mine[0], nn.Tanh(), mine[head])
        if on_tape:
            criterion(model(minidl.tensor(x)), t).backward()
        else:
            criterion.forward(model.forward(x), t)
            model.accumulate(criterion.backward())
        hidden = torch.tanh(theirs[0](torch.from_numpy(x)))
        torch.nn.functional.mse_loss(theirs[head](hidden), torch.from_numpy(t)).backward()
        for parameter, other in zip(mine.parameters(), theirs.parameters(), strict=True):
            assert (parameter.grad is None) == (other.grad is None)
        mine_step.step()
        their_step.step()
    for parameter, other in zip(mine.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(parameter.data, other.detach().numpy(), rtol=1e-9, atol=1e-12)
