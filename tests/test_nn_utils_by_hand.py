"""Clipped gradients, vectors of parameters and averaged models, worked out in NumPy."""
from __future__ import annotations

import math

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.nn.utils import clip_grad_norm_, clip_grad_value_, parameters_to_vector, vector_to_parameters
from minidl.optim import swa_utils
from minidl.optim.swa_utils import AveragedModel, update_bn

RNG = np.random.default_rng(0)
GRADIENTS = [RNG.standard_normal((4, 3)), np.zeros(3), RNG.standard_normal(5)]


def parameters():
    found = [nn.Parameter(np.zeros(g.shape), f"p{i}") for i, g in enumerate(GRADIENTS)]
    for p, g in zip(found, GRADIENTS, strict=True):
        p.grad = g
    return found


@pytest.mark.parametrize("max_norm", [0.0, 0.01, 0.1, 1e6])
@pytest.mark.parametrize("norm_type", [2.0, 1.0, -1.0, 3.0, 0.5, 0.0, math.inf, "inf", -math.inf])
def test_gradients_of_a_norm(norm_type, max_norm):
    found = parameters()
    flat = np.concatenate([g.ravel() for g in GRADIENTS])
    order = float(norm_type)
    with np.errstate(divide="ignore"):  # an element is 0
        norm = np.linalg.norm(flat, order) if order > -math.inf else min(
            np.linalg.norm(g.ravel(), order) for g in GRADIENTS)
    assert clip_grad_norm_(found, max_norm, norm_type).item() == pytest.approx(norm, rel=1e-12)
    factor = min(1.0, max_norm / (norm + 1e-6))
    for p, g in zip(found, GRADIENTS, strict=True):
        np.testing.assert_allclose(p.grad, g * factor, rtol=1e-12, atol=1e-15)


def test_gradients_of_a_norm_that_is_not_finite():
    found = parameters()
    found[0].grad[0, 0] = np.nan
    with pytest.raises(RuntimeError, match="the norm of the gradients is nan"):
        clip_grad_norm_(found, 1.0, error_if_nonfinite=True)
    np.testing.assert_array_equal(found[2].grad, GRADIENTS[2])
    with np.errstate(invalid="ignore"):
        assert math.isnan(clip_grad_norm_(found, 1.0).item())
    assert np.isnan(found[2].grad).all()


def test_gradients_within_bounds():
    found = parameters()
    clip_grad_value_(found, 0.3)
    for p, g in zip(found, GRADIENTS, strict=True):
        np.testing.assert_array_equal(p.grad, np.clip(g, -0.3, 0.3))
    one = parameters()[0]
    clip_grad_value_(one, 0)
    assert not one.grad.any()


def test_parameters_as_one_vector_and_back():
    model = nn.Sequential(*[nn.Linear(*sizes, dtype=np.float64, generator=0) for sizes in ((4, 3), (3, 2))])
    vector = parameters_to_vector(model.parameters())
    np.testing.assert_array_equal(vector.data, np.concatenate([p.data.ravel() for p in model.parameters()]))
    (vector * vector).sum().backward()
    for p in model.parameters():
        np.testing.assert_allclose(p.grad, 2 * p.data)
    new = RNG.standard_normal(vector.shape)
    vector_to_parameters(minidl.tensor(new), model.parameters())
    np.testing.assert_array_equal(np.concatenate([p.data.ravel() for p in model.parameters()]), new)


@pytest.mark.parametrize("name, decay", [("default", None), ("get_swa_avg_fn", None), ("get_swa_multi_avg_fn", None),
                                         ("get_ema_avg_fn", 0.9), ("get_ema_multi_avg_fn", 0.9),
                                         ("get_ema_avg_fn", 0.999), ("get_ema_avg_fn", 0.0)])
@pytest.mark.parametrize("use_buffers", [False, True])
def test_averages(name, decay, use_buffers):
    if use_buffers and "multi" in name:
        return  # functions of lists of one dtype
    model = nn.Sequential(nn.Linear(4, 5, dtype=np.float64), nn.BatchNorm1d(5, dtype=np.float64))
    settings = {} if name == "default" else {"multi_avg_fn" if "multi" in name else "avg_fn": getattr(swa_utils, name)(
        *([decay] if decay not in (None, 0.999) else []))}
    average, expected, buffers = AveragedModel(model, use_buffers=use_buffers, **settings), None, None
    for step in range(1, 6):
        for p in (*model.parameters(), *[b for b in model.buffers() if b.dtype == np.float64]):
            with minidl.no_grad():
                p.copy_(np.abs(RNG.standard_normal(p.shape)))
        average.update_parameters(model)
        now = [p.data.copy() for p in model.parameters()]
        held = [b.data.copy() for b in model.buffers() if b.dtype == np.float64]
        share = 1 / step if decay is None else 1 - decay
        expected = now if expected is None else [a + share * (b - a) for a, b in zip(expected, now, strict=True)]
        buffers = held if buffers is None or not use_buffers else [
            a + share * (b - a) for a, b in zip(buffers, held, strict=True)]
    for p, wanted in zip(average.module.parameters(), expected, strict=True):
        np.testing.assert_allclose(p.data, wanted, rtol=1e-12, atol=1e-15)
    for b, wanted in zip([b for b in average.module.buffers() if b.dtype == np.float64], buffers, strict=True):
        np.testing.assert_allclose(b.data, wanted, rtol=1e-12, atol=1e-15)
    assert average.state_dict()["n_averaged"] == 5


def test_decays_are_shares():
    for make in (swa_utils.get_ema_avg_fn, swa_utils.get_ema_multi_avg_fn):
        for wrong in (-0.1, 1.1):
            with pytest.raises(ValueError, match=rf"expected a decay in \[0, 1\], got {wrong}"):
                make(wrong)
        assert make(0) and make(1)


def test_statistics_are_taken_anew():
    model = nn.Sequential(nn.Linear(4, 5, dtype=np.float64, generator=0), nn.BatchNorm1d(5, dtype=np.float64))
    x = RNG.standard_normal((24, 4))
    model(x + 7)
    model.eval()
    update_bn([(x[:8], None), (x[8:16], None), (x[16:], None)], model)
    hidden = model[0](x).reshape(3, 8, 5)
    np.testing.assert_allclose(model[1].state_dict()["running_mean"], hidden.mean(1).mean(0), rtol=1e-12)
    np.testing.assert_allclose(model[1].state_dict()["running_var"], hidden.var(1, ddof=1).mean(0), rtol=1e-12)
    assert not model.training and not model[1].training and model[1].momentum == 0.1
