"""RNN, LSTM, GRU and their cells against PyTorch; compiled they have the bits of the plain ones."""
from __future__ import annotations

import itertools

import numpy as np
import pytest
from against_torch import close, compare, same_weights
from module_cases import FLOATS, name_of, numbers
from theirs import torch

import minidl
from minidl import nn, optim

KINDS = [("RNN", {}), ("RNN", {"nonlinearity": "relu"}), ("LSTM", {}), ("GRU", {})]
SETTINGS = [dict(zip(("bias", "batch_first", "bidirectional", "num_layers"), values, strict=True))
            for values in itertools.product([True, False], [False, True], [False, True], [1, 2])]


def both(kind: str, sizes=(3, 5), **settings):
    """Ours and PyTorch's, with the same weights."""
    torch.manual_seed(0)
    ours, theirs = getattr(nn, kind)(*sizes, **settings, dtype=np.float64), getattr(torch.nn, kind)(*sizes, **settings)
    theirs = theirs.double()
    same_weights(ours, theirs)
    return ours, theirs


def initial(kind: str, shape) -> tuple:
    """An initial state, for both."""
    states = tuple(numbers(shape, np.float64, seed=k + 5) for k in range(2 if kind.startswith("LSTM") else 1))
    return states if len(states) == 2 else states[0]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("kind, more", KINDS)
def test_as_in_pytorch(kind, more, settings):
    ours, theirs = both(kind, **more, **settings)
    x = numbers((4, 2, 3), np.float64)
    assert compare(ours, theirs, [x])
    n = x.shape[0 if settings["batch_first"] else 1]
    for shape, given in (((n,), x), ((), x[:, 0])):
        levels = settings["num_layers"] * (2 if settings["bidirectional"] else 1)
        hx = initial(kind, (levels, *shape, 5))
        as_theirs = tuple(map(torch.from_numpy, hx)) if isinstance(hx, tuple) else torch.from_numpy(hx)
        as_ours = tuple(map(minidl.tensor, hx)) if isinstance(hx, tuple) else minidl.tensor(hx)
        compare(ours, theirs, [given], {"hx": as_ours}, {"hx": as_theirs}, twice=False)


@pytest.mark.parametrize("kind, more", KINDS)
def test_derivatives_for_initial_states(kind, more):
    for bidirectional in (False, True):
        ours, theirs = both(kind, bidirectional=bidirectional, **more)
        hx = initial(kind, (2 if bidirectional else 1, 3, 5))
        states = hx if isinstance(hx, tuple) else (hx,)
        mine, other = ([make(x.copy()) for x in states] for make in (minidl.tensor, torch.from_numpy))
        for x in (*mine, *other):
            x.requires_grad_()
        x = numbers((4, 3, 3), np.float64)
        (y, last), (their_y, their_last) = (
            module(make(x), tuple(given) if len(given) == 2 else given[0])
            for module, make, given in ((ours, minidl.tensor, mine), (theirs, torch.from_numpy, other)))
        pairs = [*(last if len(mine) == 2 else [last])], [*(their_last if len(mine) == 2 else [their_last])]
        (sum(((k + 2) * (s ** 2).sum() for k, s in enumerate(pairs[0])), (y ** 3).sum())).backward()
        (sum(((k + 2) * (s ** 2).sum() for k, s in enumerate(pairs[1])), (their_y ** 3).sum())).backward()
        for a, b in zip(mine, other, strict=True):
            close(a.grad, b.grad)


@pytest.mark.parametrize("bidirectional, layers, first", [
    *itertools.product([False, True], [1, 2], [False, True])])
@pytest.mark.parametrize("kind, more", KINDS)
def test_lengths_are_as_in_packed_sequences(kind, more, bidirectional, layers, first):
    ours, theirs = both(kind, bidirectional=bidirectional, num_layers=layers, batch_first=first, **more)
    x, lengths = numbers((6, 4, 3), np.float64), np.array([6, 2, 1, 4])
    x = np.ascontiguousarray(x.swapaxes(0, 1)) if first else x
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        torch.from_numpy(x), torch.from_numpy(lengths), batch_first=first, enforce_sorted=False)
    y, last = theirs(packed)
    y, _ = torch.nn.utils.rnn.pad_packed_sequence(y, batch_first=first)
    got, mine = ours(minidl.tensor(x), lengths=lengths)
    close(got.data, y)
    for a, b in zip(mine if kind == "LSTM" else [mine], last if kind == "LSTM" else [last], strict=True):
        close(a.data, b)
    y.pow(3).sum().backward()
    (got ** 3).sum().backward()
    theirs_by_name = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        close(parameter.grad, theirs_by_name[name].grad, what=name)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind, more", [
    ("RNNCell", {}), ("RNNCell", {"nonlinearity": "relu"}), ("LSTMCell", {}), ("GRUCell", {})])
def test_cells(kind, more, bias):
    ours, theirs = both(kind, bias=bias, **more)
    for shape in ((4, 3), (3,)):
        x = numbers(shape, np.float64)
        compare(ours, theirs, [x])
        hx = initial(kind, (*shape[:-1], 5))
        compare(ours, theirs, [x], {"hx": hx}, {
            "hx": tuple(map(torch.from_numpy, hx)) if isinstance(hx, tuple) else torch.from_numpy(hx)})


@pytest.mark.parametrize("kind, more", KINDS)
def test_the_reports_protocol(kind, more):
    """Arrays give arrays; backward takes the gradient of the outputs, or those of the states, too."""
    minidl.manual_seed(0)
    model = getattr(nn, kind)(3, 5, **more, dtype=np.float64)
    x = numbers((4, 2, 3), np.float64)
    y, last = model(x)
    states = last if kind == "LSTM" else (last,)
    assert all(type(a) is np.ndarray for a in (y, *states))
    given = numbers(y.shape, np.float64, seed=1)
    of_states = tuple(numbers(a.shape, np.float64, seed=2) for a in states)
    dx = model.backward((given, of_states if kind == "LSTM" else of_states[0]))
    tensor = minidl.tensor(x, requires_grad=True)
    z, ends = model(tensor)
    ends = ends if kind == "LSTM" else (ends,)
    sum(((a * b).sum() for a, b in zip(ends, of_states, strict=True)), (z * given).sum()).backward()
    np.testing.assert_allclose(dx, tensor.grad, rtol=1e-12)
    model(x)
    alone = model.backward(given)
    assert alone.shape == x.shape and not np.array_equal(alone, dx)
    with pytest.raises(ValueError, match="gradients, got 5"):
        model.backward((given,) * 5)


class Classifier(nn.Module):
    def __init__(self, kind, dtype, **settings):
        self.table = nn.Embedding(7, 3, padding_idx=0, dtype=dtype)
        self.layer = getattr(nn, kind)(3, 5, dtype=dtype, **settings)
        self.head = nn.Linear(10 if settings.get("bidirectional") else 5, 4, dtype=dtype)

    def forward(self, index, lengths=None):
        y, _ = self.layer(self.table(index), lengths=lengths)
        return self.head(y[-1] if not self.layer.batch_first else y[:, -1])


@pytest.mark.parametrize("dtype", FLOATS, ids=name_of)
@pytest.mark.parametrize("settings", [
    {}, {"bidirectional": True, "num_layers": 2, "dropout": 0.3, "generator": 1}, {"batch_first": True}], ids=str)
@pytest.mark.parametrize("kind, more", KINDS)
@pytest.mark.parametrize("with_lengths", [False, True])
def test_compiled_steps_have_the_bits_of_plain_ones(kind, more, settings, dtype, with_lengths):
    found = []
    for captured in (True, False):
        minidl.manual_seed(0)
        model = Classifier(kind, dtype, **more, **settings)
        optimizer, criterion = optim.Adam(model.parameters(), lr=0.01), nn.CrossEntropyLoss()

        def step(index, labels, lengths, model=model, optimizer=optimizer, criterion=criterion):
            loss = criterion(model(index, lengths if with_lengths else None), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss

        run, rng, losses = minidl.capture(step) if captured else step, np.random.default_rng(0), []
        for n in (6, 6, 1, 6):
            shape = (n, 5) if settings.get("batch_first") else (5, n)
            index, labels, lengths = rng.integers(0, 7, shape), rng.integers(0, 4, n), rng.integers(1, 6, n)
            losses.append(run(*(x if captured else minidl.tensor(x) for x in (index, labels, lengths))).item())
        if captured:
            assert run.path == "compiled"
            if not with_lengths and not settings.get("dropout"):
                assert "in place" not in run.listing()
        found.append((losses, {name: value.tobytes() for name, value in model.state_dict().items()}))
    assert found[0] == found[1]


def test_what_is_refused():
    layer = nn.GRU(3, 5)
    assert repr(layer) == "GRU(3, 5)"
    assert repr(nn.LSTM(3, 5, num_layers=2, bidirectional=True)) == "LSTM(3, 5, num_layers=2, bidirectional=True)"
    for shape in ((4, 2, 4), (3,), (2, 3, 4, 3), (0, 2, 3)):
        with pytest.raises(ValueError, match=r"GRU\(3, 5\): expected input of shape \(T, N, 3\) or \(T, 3\)"):
            layer(np.ones(shape, np.float32))
    x = np.ones((4, 2, 3), np.float32)
    with pytest.raises(TypeError, match="expected input of dtype float32, got float64"):
        layer(x.astype(np.float64))
    with pytest.raises(ValueError, match=r"expected initial states of shape \(1, 2, 5\), got \(2, 5\)"):
        layer(x, np.ones((2, 5), np.float32))
    with pytest.raises(ValueError, match="expected 2 initial states, got 1"):
        nn.LSTM(3, 5)(x, (np.ones((1, 2, 5), np.float32),))
    for lengths in ([5, 1], [0, 1], [1.5, 2.0], [1]):
        with pytest.raises(ValueError, match="expected lengths"):
            layer(x, lengths=np.array(lengths))
    with pytest.raises(ValueError, match="GRU: expected hidden_size to be a positive integer, got 0"):
        nn.GRU(3, 0)
    with pytest.raises(ValueError, match="expected a dropout from 0 to 1"):
        nn.GRU(3, 4, dropout=1.5)
    with pytest.raises(ValueError, match="expected nonlinearity 'tanh' or 'relu', got 'selu'"):
        nn.RNN(3, 4, nonlinearity="selu")
    with pytest.raises(ValueError, match=r"LSTMCell.*expected 2 states of shape"):
        nn.LSTMCell(3, 4)(np.ones((2, 3), np.float32), (np.ones((2, 4), np.float32), np.ones((2, 3), np.float32)))
