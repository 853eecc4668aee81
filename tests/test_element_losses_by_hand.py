"""Losses of elements by their formulas: values, slopes of output and target, second derivatives, edges, refusals."""
from __future__ import annotations

import math
import re

import numpy as np
import pytest

import minidl
from minidl import functional as F
from minidl.autograd import grad

RNG = np.random.default_rng(0)
Z, T = RNG.normal(size=(2, 3)), RNG.normal(size=(2, 3))
P, R = RNG.uniform(0.1, 0.9, (2, 3)), RNG.uniform(0.1, 0.9, (2, 3))
W, H = RNG.uniform(0.5, 2, (2, 3)), RNG.uniform(0.5, 2, 3)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def with_logits(z, t, w=1.0, h=1.0):
    s = sigmoid(z)
    return (-w * (h * t * np.log(s) + (1 - t) * np.log(1 - s)), w * ((1 - t) * s - h * t * (1 - s)),
            w * (-h * np.log(s) + np.log(1 - s)), w * ((1 - t) + h * t) * s * (1 - s))


def entropy(z, t, w=1.0):
    return (-w * (t * np.log(z) + (1 - t) * np.log(1 - z)), w * (z - t) / (z * (1 - z)),
            w * (np.log(1 - z) - np.log(z)), w * (t / z ** 2 + (1 - t) / (1 - z) ** 2))


def huber(z, t, delta=1.0):
    d = z - t
    near = abs(d) <= delta
    slope = np.where(near, d, delta * np.sign(d))
    return np.where(near, d * d / 2, delta * (abs(d) - delta / 2)), slope, -slope, near + 0.0


def smooth(z, t, beta=1.0):
    values = huber(z, t, beta)
    return tuple(x / beta for x in values) if beta else (abs(z - t), np.sign(z - t), np.sign(t - z), 0 * z)


def kl(z, t, log_target=False):
    p = np.exp(t) if log_target else t
    return (p * (np.log(p) - z), -p, p * (t - z + 1) if log_target else np.log(p) + 1 - z, 0 * z)


D = Z - T
CASES = [  # name, output, target, weights, settings, (losses, slope, slope of the target, second derivative)
    ("mse_loss", Z, T, (), {}, (D * D, 2 * D, -2 * D, 2 + 0 * D)),
    ("l1_loss", Z, T, (), {}, (abs(D), np.sign(D), -np.sign(D), 0 * D)),
    *[("huber_loss", Z, T, (), how, huber(Z, T, **how)) for how in ({}, {"delta": 0.5}, {"delta": 1e-3})],
    *[("smooth_l1_loss", Z, T, (), how, smooth(Z, T, **how)) for how in ({}, {"beta": 0.5}, {"beta": 0})],
    *[("kl_div", Z, P if not how else T, (), how, kl(Z, P if not how else T, **how))
      for how in ({}, {"log_target": True})],
    ("binary_cross_entropy", P, R, (), {}, entropy(P, R)), ("binary_cross_entropy", P, R, (W,), {}, entropy(P, R, W)),
    ("binary_cross_entropy", P, R, (2.0,), {}, entropy(P, R, 2.0)),
    ("binary_cross_entropy_with_logits", Z, R, (), {}, with_logits(Z, R)),
    ("binary_cross_entropy_with_logits", Z, R, (W,), {}, with_logits(Z, R, W)),
    ("binary_cross_entropy_with_logits", Z, R, (None, H), {}, with_logits(Z, R, 1.0, H)),
    ("binary_cross_entropy_with_logits", Z, R, (W, H), {}, with_logits(Z, R, W, H)),
    ("binary_cross_entropy_with_logits", Z, R, (1.0, 3.0), {}, with_logits(Z, R, 1.0, 3.0)),
]
BATCHMEAN = {"mse_loss", "l1_loss", "huber_loss", "smooth_l1_loss", "kl_div", "binary_cross_entropy",
             "binary_cross_entropy_with_logits"}
WEIGHTS = ("weight", "pos_weight")


@pytest.mark.parametrize("name, z, t, weights, settings, formulas", CASES, ids=[
    f"{case[0]}-{i}" for i, case in enumerate(CASES)])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none", "batchmean"])
def test_values_and_slopes(name, z, t, weights, settings, formulas, reduction):
    function, (losses, slope, target_slope, second) = getattr(F, name), formulas
    divisor = {"mean": 6, "batchmean": 2}.get(reduction, 1)
    value = losses if reduction == "none" else losses.sum() / divisor
    by_name = dict(zip(WEIGHTS, weights, strict=False))
    how = {**settings, "reduction": reduction}
    near = {"rtol": 1e-9, "atol": 1e-12}
    for got in (function(z, t, *weights, **how), function(z, t, **how, **by_name)):
        np.testing.assert_allclose(got, value, **near)
        assert np.shape(got) == np.shape(value)
    if reduction == "mean":
        np.testing.assert_allclose(function(z, t, *weights, **settings), value, **near)
    output, target = (minidl.tensor(x.copy(), requires_grad=True) for x in (z, t))
    loss = function(output, target, *weights, **how)
    np.testing.assert_allclose(loss.data, value, **near)
    share = np.arange(1.0, 7.0).reshape(2, 3) if reduction == "none" else np.asarray(3.0)
    dz, dt = grad(loss, [output, target], minidl.tensor(share), create_graph=True)
    np.testing.assert_allclose(dz.data, slope * share / divisor, **near)
    np.testing.assert_allclose(dt.data, target_slope * share / divisor, **near)
    if dz.requires_grad:
        found, = grad(dz.sum(), output, allow_unused=True)
        found = 0 * z if found is None else found.data
    else:
        found = 0 * z
    np.testing.assert_allclose(found, second * share / divisor, **near)


@pytest.mark.parametrize("name, z, t, weights, settings, formulas", CASES, ids=[
    f"{case[0]}-{i}" for i, case in enumerate(CASES)])
def test_slopes_of_the_mean_that_is_the_default(name, z, t, weights, settings, formulas):
    output, target = (minidl.tensor(x.copy(), requires_grad=True) for x in (z, t))
    getattr(F, name)(output, target, *weights, **settings).backward()
    for leaf, slope in ((output, formulas[1]), (target, formulas[2])):
        np.testing.assert_allclose(leaf.grad, slope / 6, rtol=1e-9, atol=1e-12)


def each(name, z, t, **how):
    """The losses and both slopes."""
    output, target = (minidl.tensor(np.array(x, float), requires_grad=True) for x in (z, t))
    loss = getattr(F, name)(output, target, reduction="none", **how)
    loss.sum().backward()
    return loss.tolist(), output.grad.tolist(), target.grad.tolist()


def test_cross_entropy_takes_no_logarithm_below_minus_100():
    z = np.exp([-99.5, -100.5, -300.0])
    losses, _, _ = each("binary_cross_entropy", z, [1, 1, 1])
    np.testing.assert_allclose(losses, [99.5, 100, 100], rtol=1e-12)
    losses, slopes, target_slopes = each("binary_cross_entropy", [0, 1, 0, 1], [1, 0, 0, 1])
    assert losses == [100, 100, 0, 0] and target_slopes == [100, -100, 100, -100]
    assert slopes == [-1e12, 1e12, 0, 0]
    for small, divisor in ((1.5e-12, 1.5e-12), (0.75e-12, 1e-12), (2.5e-12, 2.5e-12)):
        _, (slope,), _ = each("binary_cross_entropy", [small], [1])
        np.testing.assert_allclose(slope, -1 / divisor, rtol=1e-9)


@pytest.mark.parametrize("z, t, loss, slope", [
    (0.0, 0.25, math.log(2), 0.25), (800.0, 0.0, 800, 1), (800.0, 1.0, 0, 0), (-800.0, 1.0, 800, -1),
    (-800.0, 0.0, 0, 0), (-40.0, 0.0, math.exp(-40), math.exp(-40)), (30.0, 1.0, math.exp(-30), -math.exp(-30))])
def test_large_outputs_keep_their_small_losses(z, t, loss, slope):
    (found,), (gradient,), _ = each("binary_cross_entropy_with_logits", [z], [t])
    np.testing.assert_allclose([found, gradient], [loss, slope], rtol=1e-9, atol=1e-16)


def test_kinks():
    for name in ("l1_loss", "smooth_l1_loss", "huber_loss"):
        assert each(name, [2, 2], [2, 2])[:2] == ([0, 0], [0, 0])
    assert each("smooth_l1_loss", [2, 3, 1], [2, 2, 2], beta=0) == ([0, 1, 1], [0, 1, -1], [0, -1, 1])
    assert each("smooth_l1_loss", [3, 1, 5], [2, 2, 2]) == ([0.5, 0.5, 2.5], [1, -1, 1], [-1, 1, -1])
    assert each("huber_loss", [4, 0, 5], [2, 2, 2], delta=2) == ([2, 2, 4], [2, -2, 2], [-2, 2, -2])
    for name, how in (("huber_loss", {"delta": 2.0}), ("huber_loss", {})):
        z = minidl.tensor([how.get("delta", 1.0)], requires_grad=True)
        dz, = grad(getattr(F, name)(z, np.zeros(1, np.float32), reduction="sum", **how), z, create_graph=True)
        assert grad(dz.sum(), z)[0].tolist() == [1]  # on the kink the parabola's


def test_nothing_of_a_probability_of_zero():
    losses, slopes, _ = each("kl_div", [0.5, -1.0], [0.0, 1.0])
    assert losses == [0, 1] and slopes == [0, -1]
    assert F.kl_div(np.array([0.5]), np.array([0.0])) == 0


@pytest.mark.parametrize("weight", [W, W.astype(np.float32), H.astype(np.float32), 2, 2.0, np.float64(2)], ids=repr)
def test_the_loss_has_the_dtype_of_the_output(weight):
    z, t = Z.astype(np.float32), R.astype(np.float32)
    expected = with_logits(Z, R, np.asarray(weight, float))[0]
    for make in (np.asarray, minidl.tensor):
        for reduction, value in (("none", expected), ("mean", expected.mean())):
            given = make(weight) if isinstance(weight, np.ndarray) else weight
            loss = F.binary_cross_entropy_with_logits(make(z), make(t), given, reduction=reduction)
            assert loss.dtype == np.float32
            np.testing.assert_allclose(loss.data if make is minidl.tensor else loss, value, rtol=2e-5)


def test_weights_of_none_are_no_weights():
    function = F.binary_cross_entropy_with_logits
    whole = function(Z, R)
    for given in ((None,), (None, None), (1, None), (1.0, 1.0), (None, 1)):
        assert function(Z, R, *given) == whole
        assert function(Z, R, **dict(zip(WEIGHTS, given, strict=False))) == whole
        assert function(minidl.tensor(Z), R, *given).item() == whole
    np.testing.assert_allclose(function(Z, R, pos_weight=H), with_logits(Z, R, 1.0, H)[0].mean(), rtol=1e-12)
    np.testing.assert_allclose(function(Z, R, W, pos_weight=H), with_logits(Z, R, W, H)[0].mean(), rtol=1e-12)
    weight = minidl.tensor(W.copy(), requires_grad=True)
    output = minidl.tensor(Z.copy(), requires_grad=True)
    function(output, R, weight).backward()
    assert weight.grad is None and output.grad is not None


TITLES = {"mse_loss": "MSELoss", "l1_loss": "L1Loss", "huber_loss": "HuberLoss", "smooth_l1_loss": "SmoothL1Loss",
          "kl_div": "KLDivLoss", "binary_cross_entropy": "BCELoss",
          "binary_cross_entropy_with_logits": "BCEWithLogitsLoss"}


@pytest.mark.parametrize("name", TITLES)
@pytest.mark.parametrize("tensor", [False, True])
def test_what_they_refuse(name, tensor):
    make = minidl.tensor if tensor else np.array
    function, title = getattr(F, name), TITLES[name]
    for z, t, kind, message in (
            (P, P[:, :2], ValueError, "a target of the output's shape (2, 3), got (2, 2)"),
            (P, P[0], ValueError, "a target of the output's shape (2, 3), got (3,)"),
            (P, P.astype(np.float32), TypeError, "a target of the output's dtype float64, got float32"),
            (P.astype(np.float32), P, TypeError, "a target of the output's dtype float32, got float64"),
            (P[:0], P[:0], ValueError, "at least one sample, got an output of shape (0, 3)"),
            (P[:, :0], P[:, :0], ValueError, "at least one sample, got an output of shape (2, 0)")):
        with pytest.raises(kind, match=f"^{re.escape(f'{title}: expected {message}')}$"):
            function(make(z), make(t))
    with pytest.raises(ValueError, match=f"^{title}: expected reduction 'mean', 'sum', 'none', 'batchmean', got 'al"):
        function(make(P), make(R), reduction="all")
    if name == "binary_cross_entropy":
        for z in (-1e-6, 1 + 1e-6, 2, -1):
            with pytest.raises(ValueError, match="BCELoss: expected outputs between 0 and 1"):
                function(make([0.5, z]), make([0.5, 0.5]))
    for setting, wrong in {"huber_loss": {"delta": (0, 0.0, -1, math.nan)},
                           "smooth_l1_loss": {"beta": (-1, -1e-9, math.nan)}}.get(name, {}).items():
        least = "above 0" if setting == "delta" else "of at least 0"
        for number in wrong:
            with pytest.raises(ValueError, match=f"^{title}: expected {setting} {least}, got {number}$"):
                function(make(P), make(R), **{setting: number})


def test_single_numbers_are_compared():
    for z, t in ((3.0, 1.0), (-1.0, 1.0)):
        assert F.mse_loss(np.array(z), np.array(t)) == 4 and F.l1_loss(np.array(z), np.array(t)) == 2
        assert F.mse_loss(minidl.tensor(z), minidl.tensor(t)).item() == 4
