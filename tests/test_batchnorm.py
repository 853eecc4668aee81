"""BatchNorm1d: against PyTorch, and compiled with the bits of the plain layer."""
from __future__ import annotations

import numpy as np
import pytest
from enumerated import operations_of
from module_cases import numbers
from theirs import torch

import minidl
from minidl import nn, optim

SHAPES = [(7, 5), (6, 5, 4), (2, 5), (1, 5, 3)]
SETTINGS = [{}, {"momentum": None}, {"momentum": 0.4, "eps": 1e-2}, {"affine": False}, {"track_running_stats": False}]


def both(settings, dtype=np.float64):
    ours = nn.BatchNorm1d(5, **settings, dtype=dtype)
    theirs = torch.nn.BatchNorm1d(5, **settings, dtype=getattr(torch, np.dtype(dtype).name))
    if ours.affine:
        ours.weight.data, ours.bias.data = numbers(5, dtype, seed=3), numbers(5, dtype, seed=4)
    theirs.load_state_dict({name: torch.from_numpy(value) for name, value in ours.state_dict().items()})
    return ours, theirs


def same_state(ours, theirs, rtol):
    state = theirs.state_dict()
    assert list(ours.state_dict()) == list(state)
    for name, value in ours.state_dict().items():
        expected = state[name].numpy()
        assert value.dtype == expected.dtype and value.shape == expected.shape
        np.testing.assert_allclose(value, expected, rtol=rtol, err_msg=name)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("tensors", [True, False])
def test_as_in_pytorch(settings, shape, tensors):
    ours, theirs = both(settings)
    for turn, mode in enumerate([True, True, False, True, False]):
        ours.train(mode)
        theirs.train(mode)
        x, g = 2 * numbers(shape, np.float64, seed=turn) + 3, numbers(shape, np.float64, seed=turn + 10)
        their_x = torch.tensor(x, requires_grad=True)
        expected = theirs(their_x)
        theirs.zero_grad()
        expected.backward(torch.from_numpy(g))
        ours.zero_grad()
        if tensors:
            mine = minidl.tensor(x, requires_grad=True)
            y = ours(mine)
            y.backward(g)
            y, dx = y.data, mine.grad
        else:
            y = ours(x)
            dx = ours.backward(g)
        np.testing.assert_allclose(y, expected.detach().numpy(), rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(dx, their_x.grad.numpy(), rtol=1e-9, atol=1e-9)
        for name, parameter in ours.named_parameters():
            wanted = dict(theirs.named_parameters())[name].grad.numpy()
            np.testing.assert_allclose(parameter.grad, wanted, rtol=1e-9, atol=1e-10)
        same_state(ours, theirs, 1e-12)


def test_in_single_precision():
    ours, theirs = both({}, np.float32)
    x = numbers((64, 5)) * 3 + 1
    np.testing.assert_allclose(ours(x), theirs(torch.from_numpy(x)).detach().numpy(), rtol=1e-5, atol=1e-5)
    same_state(ours, theirs, 1e-5)


def network(dtype=np.float32, momentum=0.1):
    minidl.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8, dtype=dtype), nn.BatchNorm1d(8, momentum=momentum, dtype=dtype), nn.ReLU(),
                         nn.Linear(8, 3, dtype=dtype))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("momentum", [0.1, None])
def test_a_captured_step_has_the_bits_of_the_plain_one(momentum, dtype):
    model, other = network(dtype, momentum), network(dtype, momentum)
    criterion, rng = nn.CrossEntropyLoss(), np.random.default_rng(0)
    optimizer, theirs = (optim.Adam(m.parameters(), lr=0.01) for m in (model, other))
    step = minidl.capture(other, criterion, theirs)
    for turn in range(12):
        n = [6, 6, 6, 9][turn % 4]
        for m in (model, other):
            m.train(turn != 7)
        x, y = rng.standard_normal((n, 4)).astype(dtype), rng.integers(0, 3, n)
        loss = criterion(model(x), y)
        optimizer.zero_grad()
        model.accumulate(criterion.backward())
        optimizer.step()
        assert step(x, y) == loss
    assert step.path == "compiled"
    assert operations_of(step.step, compiled=False) == ({"to"} if momentum is None else set())  # of the count
    for (name, mine), value in zip(other.state_dict().items(), model.state_dict().values(), strict=True):
        np.testing.assert_array_equal(mine, value, err_msg=name)
    assert other[1].num_batches_tracked.item() == 11


def test_fit_evaluate_and_predict_have_the_same_bits_captured_or_not():
    x, y = numbers((50, 4)), np.random.default_rng(1).integers(0, 3, 50)
    found = []
    for captured in (True, False):
        model = network()
        history = minidl.fit(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.1), (x, y), epochs=3,
                             batch_size=16, seed=1, progress=False, captured=captured, validation=(x, y))
        assert history.path.startswith("compiled" if captured else "plain")
        found.append((model.state_dict(), history.iteration_loss, model.predict(x)))
    (state, losses, outputs), (plain, plain_losses, plain_outputs) = found
    assert losses == plain_losses
    np.testing.assert_array_equal(outputs, plain_outputs)
    for name, value in state.items():
        np.testing.assert_array_equal(value, plain[name], err_msg=name)


def test_second_derivatives():
    ours, theirs = both({})
    x = numbers((6, 5), np.float64)
    mine, other = minidl.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    dx, = minidl.autograd.grad((ours(mine) ** 3).sum(), mine, create_graph=True)
    expected, = torch.autograd.grad((theirs(other) ** 3).sum(), other, create_graph=True)
    (dx ** 2).sum().backward()
    (expected ** 2).sum().backward()
    np.testing.assert_allclose(mine.grad, other.grad.numpy(), rtol=1e-8, atol=1e-8)


def test_what_is_refused():
    layer = nn.BatchNorm1d(5)
    assert repr(layer) == "BatchNorm1d(5, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)"
    for shape in ((5,), (3, 4), (3, 4, 5), (2, 5, 3, 3)):
        with pytest.raises(ValueError, match=r"BatchNorm1d\(5, .*\): expected input of shape \(N, 5\) or \(N, 5, L\)"):
            layer(np.ones(shape, np.float32))
    with pytest.raises(TypeError, match="expected input of dtype float32, got float64"):
        layer(np.ones((3, 5)))
    for shape in ((1, 5), (1, 5, 1)):
        with pytest.raises(ValueError, match="expected more than one value a channel in training"):
            layer(np.ones(shape, np.float32))
        layer.eval()(np.ones(shape, np.float32))
        layer.train()
    assert layer.num_batches_tracked.item() == 0
    for given in ({"num_features": 0}, {"num_features": 2.5}, {"num_features": 3, "eps": -1.0},
                  {"num_features": 3, "momentum": np.nan}):
        with pytest.raises(ValueError, match="BatchNorm1d: expected"):
            nn.BatchNorm1d(**given)
