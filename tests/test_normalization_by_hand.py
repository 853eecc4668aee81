"""Normalisations by their formulas in NumPy: outputs, running statistics, and gradients by finite differences."""
from __future__ import annotations

import itertools

import numpy as np
import pytest
from module_cases import numbers
from test_normalization import CASES

import minidl
from minidl import nn

ALL = [*CASES, *[(name, (5,), {"momentum": momentum, "affine": affine, "track_running_stats": tracked}, [shape])
                 for name, shape in (("BatchNorm1d", (6, 5)), ("BatchNorm1d", (6, 5, 3)), ("InstanceNorm1d", (3, 5, 7)),
                                     ("InstanceNorm2d", (3, 5, 4, 2)))
                 for momentum, affine, tracked in itertools.product([0.1, None, 0.7], [True, False], [True, False])
                 if momentum is not None or name.startswith("Batch")]]


def over(name: str, args, shape) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(the axes that are normalised together, the shape to which weights are broadcast)."""
    if name in ("LayerNorm", "RMSNorm"):
        return tuple(range(-len(args[0]), 0)), tuple(args[0])
    channels = (-1, *[1] * (len(shape) - 2))
    if name == "GroupNorm":
        return tuple(range(2, len(shape) + 1)), channels
    return ((0, *range(2, len(shape))) if name.startswith("Batch") else tuple(range(2, len(shape)))), channels


def normalized(name: str, args, settings, x, statistics=None):
    """x without weights, from its own mean and variance or from those that are given."""
    axes, channels = over(name, args, x.shape)
    rows = x.reshape(len(x), args[0], -1, *x.shape[2:]) if name == "GroupNorm" else x
    if name == "RMSNorm":
        eps = settings.get("eps")
        return x / np.sqrt((x * x).mean(axes, keepdims=True) + (np.finfo(x.dtype).eps if eps is None else eps))
    mean, variance = (rows.mean(axes, keepdims=True), rows.var(axes, keepdims=True)) if statistics is None else [
        part.reshape(channels) for part in statistics]
    return ((rows - mean) / np.sqrt(variance + settings.get("eps", 1e-5))).reshape(x.shape)


def weighted(name, args, module, y):
    channels = over(name, args, y.shape)[1]
    for parameter, join in ((getattr(module, "weight", None), np.multiply), (getattr(module, "bias", None), np.add)):
        y = y if parameter is None else join(y, parameter.data.reshape(channels))
    return y


def made(name, args, settings):
    module = getattr(nn, name)(*args, **settings, dtype=np.float64)
    for k, parameter in enumerate(module.parameters()):
        parameter.data = numbers(parameter.shape, np.float64, seed=k)
    return module


@pytest.mark.parametrize("name, args, settings, shapes", ALL, ids=str)
def test_outputs_and_gradients(name, args, settings, shapes):
    for seed, shape in enumerate(shapes):
        module, x = made(name, args, settings), 2 * numbers(shape, np.float64, seed=seed) + 1
        expected = weighted(name, args, module, normalized(name, args, settings, x))
        leaf, g = minidl.tensor(x.copy(), requires_grad=True), numbers(shape, np.float64, seed=8)
        y = module(leaf)
        np.testing.assert_allclose(y.data, expected, rtol=1e-8, atol=1e-9)
        y.backward(g)
        for values, gradient in [(x, leaf.grad), *((p.data, p.grad) for p in module.parameters())]:
            before, along = values.copy(), numbers(values.shape, np.float64, 4)
            ends = []
            for sign in (1, -1):
                values[...] = before + sign * 1e-6 * along
                ends.append((weighted(name, args, module, normalized(name, args, settings, x)) * g).sum())
                values[...] = before
            np.testing.assert_allclose((gradient * along).sum(), (ends[0] - ends[1]) / 2e-6, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name, args, settings, shapes", [case for case in ALL if "track_running_stats" in case[2]],
                         ids=str)
def test_running_statistics(name, args, settings, shapes):
    """In training means and unbiased variances of what is normalised together move them; evaluation reads them."""
    module, (shape,) = made(name, args, settings), shapes
    axes, momentum = over(name, args, shape)[0], settings["momentum"]
    mean, variance = np.zeros(5), np.ones(5)
    for step in range(1, 4):
        x = numbers(shape, np.float64, seed=step) * step + 1
        share = 1 / step if momentum is None else momentum
        of_x, spread = x.mean(axes), x.var(axes, ddof=1)
        if not name.startswith("Batch"):  # those of the samples, on the average
            of_x, spread = of_x.mean(0), spread.mean(0)
        mean, variance = mean + share * (of_x - mean), variance + share * (spread - variance)
        module.train()
        np.testing.assert_allclose(module(x), weighted(name, args, module, normalized(name, args, settings, x)),
                                   rtol=1e-8, atol=1e-9)
        module.eval()
        statistics = (mean, variance) if settings["track_running_stats"] else None
        np.testing.assert_allclose(module(x), weighted(
            name, args, module, normalized(name, args, settings, x, statistics)), rtol=1e-8, atol=1e-9)
    state = module.state_dict()
    if settings["track_running_stats"]:
        np.testing.assert_allclose(state["running_mean"], mean, rtol=1e-12)
        np.testing.assert_allclose(state["running_var"], variance, rtol=1e-12)
        assert state["num_batches_tracked"] == 3
    else:
        assert not {"running_mean", "running_var"} & state.keys()
