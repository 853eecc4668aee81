"""RNN, LSTM, GRU and their cells step by step in NumPy, for every setting; the gradients by finite differences."""
from __future__ import annotations

import itertools

import numpy as np
import pytest
from module_cases import numbers
from test_recurrent import KINDS, SETTINGS, initial

import minidl
from minidl import nn
from minidl.autograd import grad

LENGTHS = [None, np.array([4, 1, 3])]
PROJECTED = [{"proj_size": 2, "bidirectional": both, "num_layers": layers}
             for both, layers in itertools.product([False, True], [1, 2])]


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def stepped(kind: str, more: dict, x, states, weights):
    """One step of one level: the new states; weights is a function of a name."""
    h = states[0]
    a, b = x @ weights("weight_ih").T, h @ weights("weight_hh").T
    if weights("bias_ih") is not None:
        a, b = a + weights("bias_ih"), b + weights("bias_hh")
    if kind == "RNN":
        return (np.maximum(a + b, 0) if more.get("nonlinearity") == "relu" else np.tanh(a + b),)
    if kind == "LSTM":
        i, f, g, o = np.split(a + b, 4, axis=-1)
        c = sigmoid(f) * states[1] + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        return h if weights("weight_hr") is None else h @ weights("weight_hr").T, c
    (r, z, n), (of_r, of_z, of_n) = np.split(a, 3, axis=-1), np.split(b, 3, axis=-1)
    z = sigmoid(z + of_z)
    return ((1 - z) * np.tanh(n + sigmoid(r + of_r) * of_n) + z * h,)


def unrolled(kind: str, more: dict, module, x, hx, lengths):
    """(outputs (T, N, ...), last states) of a module, sequence by sequence."""
    outputs, ends = [], []
    for n in range(x.shape[1]):
        long = len(x) if lengths is None else lengths[n]
        below, last = x[:long, n], []
        for level in range(module.num_layers):
            sides = []
            for side, ending in enumerate(("", "_reverse") if module.bidirectional else ("",)):
                def weights(name, ending=ending, level=level):
                    found = getattr(module, f"{name}_l{level}{ending}", None)
                    return None if found is None else found.data

                place = level * (1 + module.bidirectional) + side
                states, hs = tuple(state[place, n] for state in hx), []
                for row in below[::-1] if side else below:
                    states = stepped(kind, more, row, states, weights)
                    hs.append(states[0])
                last.append(states)
                sides.append(np.stack(hs[::-1] if side else hs))
            below = np.concatenate(sides, axis=-1)
        outputs.append(np.concatenate([below, np.zeros((len(x) - long, below.shape[-1]))]))
        ends.append(last)
    return np.stack(outputs, 1), tuple(
        np.stack([np.stack([level[k] for level in one]) for one in ends], 1) for k in range(len(hx)))


def check(kind, more, settings, lengths, with_states) -> None:
    minidl.manual_seed(1)
    module = getattr(nn, kind)(3, 5, **more, **settings, dtype=np.float64)
    levels = module.num_layers * (2 if module.bidirectional else 1)
    size = settings.get("proj_size") or 5
    x, state = numbers((4, 3, 3), np.float64), initial(kind, (levels, 3, 5))
    hx = state if isinstance(state, tuple) else (state,)
    hx = (hx[0][..., :size], *hx[1:])
    zeros = tuple(np.zeros_like(part) for part in hx)
    y, last = unrolled(kind, more, module, x, hx if with_states else zeros, lengths)
    given = x.swapaxes(0, 1) if module.batch_first else x
    wanted = y.swapaxes(0, 1) if module.batch_first else y
    named = {"hx": (hx if len(hx) == 2 else hx[0]) if with_states else None, "lengths": lengths}

    def run(given):
        got, ends = module(given, **named)
        return got, ends if kind == "LSTM" else (ends,)

    leaf = minidl.tensor(given.copy(), requires_grad=True)
    got, ends = run(leaf)
    np.testing.assert_allclose(got.data, wanted, rtol=1e-10, atol=1e-12)
    for mine, expected in zip(ends, last, strict=True):
        np.testing.assert_allclose(mine.data, expected, rtol=1e-10, atol=1e-12)
    factors = [numbers(part.shape, np.float64, 3 + i) for i, part in enumerate((got, *ends))]

    def total(given):
        got, ends = run(given)
        return sum(float((np.asarray(part) * factor).sum())
                   for part, factor in zip((got, *ends), factors, strict=True))

    sum((part * factor).sum() for part, factor in zip((got, *ends), factors, strict=True)).backward()
    for values, gradient in [(given, leaf.grad), *((p.data, p.grad) for p in module.parameters())]:
        before, along = values.copy(), numbers(values.shape, np.float64, 8)
        sums = []
        for sign in (1, -1):
            with minidl.no_grad():
                values[...] = before + sign * 1e-6 * along
                sums.append(total(given))
                values[...] = before
        np.testing.assert_allclose((gradient * along).sum(), (sums[0] - sums[1]) / 2e-6, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("with_states", [False, True])
@pytest.mark.parametrize("lengths", LENGTHS, ids=["whole", "lengths"])
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("kind, more", KINDS)
def test_every_setting(kind, more, settings, lengths, with_states):
    check(kind, more, settings, lengths, with_states)


@pytest.mark.parametrize("with_states", [False, True])
@pytest.mark.parametrize("lengths", LENGTHS, ids=["whole", "lengths"])
@pytest.mark.parametrize("settings", PROJECTED, ids=str)
def test_projected_states(settings, lengths, with_states):
    check("LSTM", {}, settings, lengths, with_states)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind, more", KINDS)
def test_cells(kind, more, bias):
    cell = getattr(nn, f"{kind}Cell")(3, 5, bias=bias, **more, dtype=np.float64, generator=2)
    for shape in ((4, 3), (3,)):
        x, state = numbers(shape, np.float64), initial(kind, (*shape[:-1], 5))
        states = state if isinstance(state, tuple) else (state,)
        for given, hx in ((None, tuple(np.zeros_like(part) for part in states)), (state, states)):
            expected = stepped(kind, more, x, hx, lambda name: None if (
                found := getattr(cell, name, None)) is None else found.data)
            got = cell(x, given)
            for mine, wanted in zip(got if kind == "LSTM" else (got,), expected, strict=True):
                np.testing.assert_allclose(mine, wanted, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_a_single_sequence(kind):
    module = getattr(nn, kind)(3, 5, num_layers=2, bidirectional=True, dtype=np.float64, generator=0)
    x = numbers((4, 3), np.float64)
    (y, last), (rows, ends) = module(x), module(x[:, None])
    np.testing.assert_array_equal(y, rows[:, 0])
    for one, many in zip(last if kind == "LSTM" else [last], ends if kind == "LSTM" else [ends], strict=True):
        np.testing.assert_array_equal(one, many[:, 0])


def test_names_shapes_and_first_values():
    for kind, gates in (("RNN", 1), ("GRU", 3), ("LSTM", 4)):
        layer = getattr(nn, kind)(3, 16, num_layers=2, bidirectional=True, generator=0)
        expected = {}
        for level, ending in itertools.product((0, 1), ("", "_reverse")):
            expected |= {f"weight_ih_l{level}{ending}": (gates * 16, 3 if level == 0 else 32),
                         f"weight_hh_l{level}{ending}": (gates * 16, 16), f"bias_ih_l{level}{ending}": (gates * 16,),
                         f"bias_hh_l{level}{ending}": (gates * 16,)}
        assert {name: p.shape for name, p in layer.named_parameters()} == expected
        assert list(dict(layer.named_parameters())) == list(expected)
        cell = getattr(nn, f"{kind}Cell")(3, 16, generator=0)
        assert {name: (p.shape, p.name) for name, p in cell.named_parameters()} == {
            name: ((gates * 16, *more), name) for name, more in (
                ("weight_ih", (3,)), ("weight_hh", (16,)), ("bias_ih", ()), ("bias_hh", ()))}
        for p in (*layer.parameters(), *cell.parameters()):  # uniform within ±1/√16
            assert 0.17 < abs(p.data).max() <= 0.25
            assert p.numel() < 200 or abs(p.data.std() - 0.5 / np.sqrt(12)) < 0.015


@pytest.mark.parametrize("length", [1, 2, 5])
@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
def test_the_gradient_of_a_gradient_of_any_length(kind, length):
    layer = getattr(nn, kind)(3, 4, dtype=np.float64, generator=1)
    x, along = (numbers((length, 2, 3), np.float64, seed) for seed in (0, 1))

    def gradient(values, create_graph=False):
        leaf = minidl.tensor(values, requires_grad=True)
        return leaf, grad((layer(leaf)[0] ** 2).sum(), leaf, create_graph=create_graph)[0]

    leaf, first = gradient(x, create_graph=True)
    second = grad((first * along).sum(), leaf)[0].data
    ends = [gradient(x + step * along)[1].data for step in (1e-6, -1e-6)]
    np.testing.assert_allclose(second, (ends[0] - ends[1]) / 2e-6, rtol=1e-6, atol=1e-8)
