"""Modules, losses and a whole training against PyTorch."""
from __future__ import annotations

import itertools

import numpy as np
import pytest
import pytorch_twins
from module_cases import ACTIVATIONS, FLOATS, LOSSES, ROWWISE, loss_case, name_of, numbers
from theirs import torch

from minidl import nn, optim


def close(ours, theirs, scale: float = 1.0) -> None:
    """Equal to a few units in the last place of the largest element."""
    ours, theirs = np.asarray(ours), theirs.detach().numpy()
    assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
    tolerance = scale * (2e-6 if ours.dtype == np.float32 else 1e-13)
    np.testing.assert_allclose(ours, theirs, rtol=tolerance,
                               atol=tolerance * max(1, abs(theirs).max(initial=0)))


def compare(module: nn.Module, twin, x: np.ndarray) -> None:
    """Output, gradient of the input and of every parameter, for one random gradient of the output."""
    their_x = torch.from_numpy(x.copy()).requires_grad_()
    ours, theirs = module(x), twin(their_x)
    close(ours, theirs)
    g = numbers(ours.shape, ours.dtype, seed=9)
    twin.zero_grad()
    module.zero_grad()
    dx = module.backward(g)
    theirs.backward(torch.from_numpy(g))
    close(dx, their_x.grad)
    gradients = dict(twin.named_parameters())
    for name, parameter in module.named_parameters():
        close(parameter.grad, gradients[name].grad)


def same_weights(module: nn.Module, twin) -> None:
    twin.load_state_dict({name: torch.from_numpy(value) for name, value in module.state_dict().items()})


@pytest.mark.parametrize("dtype", FLOATS, ids=name_of)
@pytest.mark.parametrize("shape", [(37,), (9, 17), (2, 3, 33)])
@pytest.mark.parametrize("name, settings", ACTIVATIONS)
def test_activation(name, settings, shape, dtype):
    compare(getattr(nn, name)(**settings), pytorch_twins.module(name, **settings), 3 * numbers(shape, dtype))


@pytest.mark.parametrize("name", ["ReLU", "LeakyReLU", "ELU", "SELU", "Sigmoid", "Tanh"])
def test_activation_at_zero_and_far_out(name):
    x = np.array([0.0, -0.0, 1e-30, -1e-30, 80.0, -80.0, 200.0, -200.0], np.float32)
    compare(getattr(nn, name)(), getattr(torch.nn, name)(), x)


@pytest.mark.parametrize("dtype", FLOATS, ids=name_of)
@pytest.mark.parametrize("dim", [0, 1, 2, -2, -3])
@pytest.mark.parametrize("name", ROWWISE)
def test_softmax_dims(name, dim, dtype):
    compare(getattr(nn, name)(dim=dim), getattr(torch.nn, name)(dim=dim), numbers((3, 4, 5), dtype))


@pytest.mark.parametrize("name", ROWWISE)
def test_softmax_of_large_numbers(name):
    x = np.array([[1000.0, 999.0, -1000.0], [-1e30, 0.0, 1e30]], np.float32)
    compare(getattr(nn, name)(), getattr(torch.nn, name)(dim=-1), x)


@pytest.mark.parametrize("dtype", FLOATS, ids=name_of)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(17,), (1, 17), (0, 17), (33, 17), (2, 3, 17)])
def test_linear(shape, bias, dtype):
    ours = nn.Linear(17, 9, bias=bias, dtype=dtype, generator=0)
    twin = torch.nn.Linear(17, 9, bias=bias, dtype=getattr(torch, np.dtype(dtype).name))
    same_weights(ours, twin)
    compare(ours, twin, numbers(shape, dtype))


def test_strided_and_read_only_inputs():
    ours, twin = nn.Linear(5, 3, generator=0), torch.nn.Linear(5, 3)
    same_weights(ours, twin)
    columns = numbers((8, 10))[:, ::2]
    columns.setflags(write=False)
    compare(ours, twin, columns)
    compare(ours, twin, np.asfortranarray(columns))


@pytest.mark.parametrize("start, end", [(1, -1), (0, -1), (1, 2), (-2, -1)])
def test_flatten(start, end):
    compare(nn.Flatten(start, end), torch.nn.Flatten(start, end), numbers((2, 3, 4, 5)))


def test_identity_and_dropout_in_evaluation():
    compare(nn.Identity(), torch.nn.Identity(), numbers((3, 4)))
    compare(nn.Dropout(0.5).eval(), torch.nn.Dropout(0.5).eval(), numbers((3, 4)))


@pytest.mark.parametrize("dtype", FLOATS, ids=name_of)
@pytest.mark.parametrize("shape", [(6, 5), (1, 10), (100, 2), (33, 1)])
@pytest.mark.parametrize("name, kind, reduction", LOSSES)
def test_loss(name, kind, reduction, shape, dtype):
    output, target = loss_case(kind, shape, dtype)
    criterion = getattr(nn, name)(reduction=reduction)
    ours = np.asarray(criterion(output, target), dtype)
    twin = getattr(torch.nn, name)(reduction="sum" if reduction == "batchmean" else reduction)
    their_output = torch.from_numpy(output).requires_grad_()
    theirs = twin(their_output, torch.from_numpy(target))
    if reduction == "batchmean":
        theirs = theirs / len(output)
    close(ours, theirs, scale=4)
    g = numbers(ours.shape, dtype, seed=2) if reduction == "none" else 1.5
    theirs.backward(torch.from_numpy(g) if reduction == "none" else torch.tensor(g, dtype=theirs.dtype))
    close(criterion.backward(g), their_output.grad, scale=4)


@pytest.mark.parametrize("kind", ["labels", "rows"])
def test_cross_entropy_of_confident_outputs(kind):
    """log Σ exp neither overflows nor loses the small class."""
    output, target = loss_case(kind, (8, 4))
    output *= 1000
    criterion, their_output = nn.CrossEntropyLoss(), torch.from_numpy(output).requires_grad_()
    loss = criterion(output, target)
    theirs = torch.nn.CrossEntropyLoss()(their_output, torch.from_numpy(target))
    theirs.backward()
    close(np.float32(loss), theirs)
    close(criterion.backward(), their_output.grad)


def test_nll_of_log_softmax_is_cross_entropy():
    output, target = loss_case("labels")
    model, criterion, whole = nn.LogSoftmax(), nn.NLLLoss(), nn.CrossEntropyLoss()
    assert criterion(model(output), target) == pytest.approx(whole(output, target), rel=1e-6)
    np.testing.assert_allclose(model.backward(criterion.backward()), whole.backward(), atol=1e-7)


def twins(dtype):
    """The reports' network, 2-25-25-25-2, here and there, with the same weights."""
    sizes = [2, 25, 25, 25, 2]
    ours, theirs = [], []
    for i, (a, b) in enumerate(itertools.pairwise(sizes)):
        ours += [nn.Linear(a, b, dtype=dtype, generator=i), nn.Tanh()]
        theirs += [torch.nn.Linear(a, b, dtype=getattr(torch, np.dtype(dtype).name)), torch.nn.Tanh()]
    model, twin = nn.Sequential(ours[:-1]), torch.nn.Sequential(*theirs[:-1])
    same_weights(model, twin)
    return model, twin


@pytest.mark.parametrize("kind, settings", [
    ("SGD", {"lr": 0.1}), ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}), ("Adam", {"lr": 0.01}),
])
@pytest.mark.parametrize("loss", ["MSELoss", "CrossEntropyLoss"])
@pytest.mark.parametrize("dtype", FLOATS, ids=name_of)
def test_twenty_steps_of_training(kind, settings, loss, dtype):
    model, twin = twins(dtype)
    optimizer = getattr(optim, kind)(model.parameters(), **settings)
    their_optimizer = getattr(torch.optim, kind)(twin.parameters(), **settings)
    criterion, their_criterion = getattr(nn, loss)(), getattr(torch.nn, loss)()
    for step in range(20):
        x = numbers((16, 2), dtype, seed=step)
        y = (x**2).sum(axis=1) < 1
        y = y.astype(np.int64) if loss == "CrossEntropyLoss" else np.stack([y, ~y], axis=1).astype(dtype)
        value = criterion(model(x), y)
        optimizer.zero_grad()
        model.backward(criterion.backward())
        optimizer.step()
        their_optimizer.zero_grad()
        theirs = their_criterion(twin(torch.from_numpy(x)), torch.from_numpy(y))
        theirs.backward()
        their_optimizer.step()
        close(np.asarray(value, dtype), theirs, scale=100)
    for (name, value), theirs in zip(model.state_dict().items(), twin.state_dict().values(), strict=True):
        assert name in twin.state_dict()
        close(value, theirs, scale=100)


@pytest.mark.parametrize("make", [
    lambda lib: lib.Sequential(lib.Linear(3, 4), lib.ReLU(), lib.Sequential(lib.Linear(4, 4), lib.Tanh())),
    lambda lib: (lambda twice: lib.Sequential(twice, lib.ReLU(), twice))(lib.Linear(3, 3)),
    lambda lib: lib.ModuleList([lib.Linear(3, 4), lib.ModuleDict({"a": lib.Linear(2, 2, bias=False)})]),
], ids=["nested", "used twice", "lists"])
def test_state_dicts_are_exchanged_with_torch(make):
    ours, theirs = make(nn), make(torch.nn)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    for name, value in ours.state_dict().items():
        np.testing.assert_array_equal(value, theirs.state_dict()[name].numpy())
    other = make(torch.nn)
    same_weights(ours, other)
    for name, value in other.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), theirs.state_dict()[name].numpy())


@pytest.mark.parametrize("dtype", FLOATS, ids=name_of)
@pytest.mark.parametrize("settings", [{}, {"beta": 0.5}, {"beta": 3.0, "threshold": 2.0}, {"threshold": -1.0}])
def test_softplus_over_the_whole_range(settings, dtype):
    ours, theirs = nn.Softplus(**settings), torch.nn.Softplus(**settings)
    for first, last in ((-800, -100), (-100, 0), (-1, 25), (25, 800)):
        compare(ours, theirs, np.linspace(first, last, 201).astype(dtype))
    ends = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0], dtype)
    np.testing.assert_allclose(ours(ends), theirs(torch.from_numpy(ends)), rtol=1e-6)
