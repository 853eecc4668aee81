"""Clipped gradients, parameters as a vector, averaged models: as PyTorch's, and the same bits in captured steps."""
from __future__ import annotations

import math

import numpy as np
import pytest
from theirs import torch

import minidl
from minidl import nn, optim
from minidl.nn.utils import clip_grad_norm_, clip_grad_value_, parameters_to_vector, vector_to_parameters
from minidl.optim import swa_utils
from minidl.optim.swa_utils import AveragedModel, update_bn

X = np.random.default_rng(0).standard_normal((24, 4))
Y = X[:, :1] * X[:, 1:2]


def pair(batchnorm=False):
    """A model here and there, with the same weights, in float64."""
    def make(lib, **settings):
        middle = [lib.BatchNorm1d(5, **settings)] if batchnorm else []
        return lib.Sequential(lib.Linear(4, 5, **settings), *middle, lib.Tanh(), lib.Linear(5, 1, **settings))

    ours, theirs = make(nn, dtype=np.float64), make(torch.nn, dtype=torch.float64)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def backward(ours, theirs, x=X, y=Y):
    nn.MSELoss()(ours(minidl.tensor(x)), minidl.tensor(y)).backward()
    torch.nn.MSELoss()(theirs(torch.tensor(x)), torch.tensor(y)).backward()


def same_gradients(ours, theirs):
    for p, t in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert (p.grad is None) == (t.grad is None)
        if p.grad is not None:
            np.testing.assert_allclose(p.grad, t.grad.numpy(), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("max_norm", [0.0, 0.01, 0.1, 1e6])
@pytest.mark.parametrize("norm_type", [2.0, 1.0, 3.0, 0.5, 0.0, math.inf, -math.inf, "inf"])
def test_clip_grad_norm(norm_type, max_norm):
    ours, theirs = pair()
    backward(ours, theirs)
    count = sum(int((p.grad != 0).sum()) for p in ours.parameters())
    mine = clip_grad_norm_(ours.parameters(), max_norm, norm_type)
    if norm_type == 0.0:  # of all gradients as one vector; PyTorch counts the tensors whose own norm is not zero
        assert mine.item() == count
        return
    expected = torch.nn.utils.clip_grad_norm_(theirs.parameters(), max_norm, norm_type)
    assert mine.item() == pytest.approx(expected.item(), rel=1e-12) and mine.shape == ()
    same_gradients(ours, theirs)


@pytest.mark.parametrize("frozen", [False, True])
def test_what_has_no_gradient_is_left_alone(frozen):
    ours, theirs = pair()
    assert clip_grad_norm_(ours.parameters(), 1).item() == 0
    if frozen:
        ours[2].weight.requires_grad = theirs[2].weight.requires_grad = False
    backward(ours, theirs)
    ours[0].bias.grad = theirs[0].bias.grad = None
    expected = torch.nn.utils.clip_grad_norm_(theirs.parameters(), 0.05)
    assert clip_grad_norm_(iter(ours.parameters()), 0.05).item() == pytest.approx(expected.item(), rel=1e-12)
    same_gradients(ours, theirs)
    clip_grad_value_(ours[0].weight, 0.01)
    torch.nn.utils.clip_grad_value_(theirs[0].weight, 0.01)
    same_gradients(ours, theirs)


def test_a_norm_that_is_not_finite():
    for value in (np.nan, np.inf):
        ours, theirs = pair()
        backward(ours, theirs)
        ours[0].bias.grad[1] = theirs[0].bias.grad[1] = value
        before = ours.flat_gradients.tobytes()
        with pytest.raises(RuntimeError, match=r"clip_grad_norm_: the norm of the gradients is (nan|inf)"):
            clip_grad_norm_(ours.parameters(), 1.0, error_if_nonfinite=True)
        assert ours.flat_gradients.tobytes() == before
        for norm_type in (2.0, math.inf):
            clip_grad_norm_(ours.parameters(), 1.0, norm_type)
            torch.nn.utils.clip_grad_norm_(theirs.parameters(), 1.0, norm_type)
            with np.errstate(invalid="ignore"):
                same_gradients(ours, theirs)


def test_clip_grad_value():
    ours, theirs = pair()
    backward(ours, theirs)
    clip_grad_value_(ours.parameters(), 0.03)
    torch.nn.utils.clip_grad_value_(theirs.parameters(), 0.03)
    same_gradients(ours, theirs)
    assert np.abs(ours.flat_gradients).max() == 0.03


def test_tensors_and_two_models():
    x = minidl.tensor(np.array([3.0, 4.0]), requires_grad=True)
    (x * minidl.tensor(np.array([3.0, 4.0]))).sum().backward()
    assert clip_grad_norm_(x, 1.0).item() == 5
    np.testing.assert_allclose(x.grad, [0.6, 0.8], rtol=1e-6)
    (first, second), (third, fourth) = pair(), pair()
    backward(first, second)
    backward(third, fourth)
    mine = clip_grad_norm_([*first.parameters(), *third.parameters()], 0.1, math.inf)
    expected = torch.nn.utils.clip_grad_norm_([*second.parameters(), *fourth.parameters()], 0.1, math.inf)
    assert mine.item() == pytest.approx(expected.item(), rel=1e-12)
    same_gradients(first, second)
    same_gradients(third, fourth)


def test_what_is_refused():
    ours, _ = pair()
    for function in (clip_grad_norm_, clip_grad_value_):
        with pytest.raises(ValueError, match=r"expected (max_norm|clip_value) >= 0, got -1"):
            function(ours.parameters(), -1)
        with pytest.raises(TypeError, match=r"expected Tensors, such as model\.parameters"):
            function([np.zeros(2)], 1)
    with pytest.raises(ValueError, match=r"expected a vector of shape \(31,\), got \(30,\)"):
        vector_to_parameters(minidl.tensor(np.zeros(30)), ours.parameters())
    with pytest.raises(TypeError, match="expected vec to be a Tensor, got ndarray"):
        vector_to_parameters(np.zeros(31), ours.parameters())
    with pytest.raises(ValueError, match="expected at least one parameter, got none"):
        parameters_to_vector([])
    with pytest.raises(ValueError, match="expected avg_fn or multi_avg_fn, got both"):
        AveragedModel(ours, avg_fn=abs, multi_avg_fn=abs)
    with pytest.raises(ValueError, match="AveragedModel: expected a model like Sequential"):
        AveragedModel(ours).update_parameters(nn.Linear(4, 5))
    with pytest.raises(ValueError, match=r"expected a decay in \[0, 1\], got 2"):
        swa_utils.get_ema_avg_fn(2)


def test_vectors():
    ours, theirs = pair()
    vector = parameters_to_vector(ours.parameters())
    np.testing.assert_array_equal(vector.detach().numpy(),
                                  torch.nn.utils.parameters_to_vector(theirs.parameters()).detach().numpy())
    (vector * vector).sum().backward()
    for p in ours.parameters():
        np.testing.assert_allclose(p.grad, 2 * p.data)
    new = np.random.default_rng(1).standard_normal(31)
    vector_to_parameters(minidl.tensor(new), ours.parameters())
    torch.nn.utils.vector_to_parameters(torch.tensor(new), theirs.parameters())
    for p, t in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_array_equal(p.data, t.detach().numpy())


AVERAGES = ["default", "get_ema_avg_fn", "get_swa_avg_fn", "get_ema_multi_avg_fn", "get_swa_multi_avg_fn"]


def averaged(lib, model, name, use_buffers):
    if name == "default":
        return lib.AveragedModel(model, use_buffers=use_buffers)
    made = getattr(lib, name)(*([0.9] if "ema" in name else []))
    return lib.AveragedModel(model, use_buffers=use_buffers, **{"multi_avg_fn" if "multi" in name else "avg_fn": made})


@pytest.mark.parametrize("steps", [1, 10, 100])
@pytest.mark.parametrize(("name", "use_buffers"), [*((name, False) for name in AVERAGES), ("default", True)])
def test_averaged_model(name, use_buffers, steps):
    """PyTorch's functions of lists refuse its own counter, an integer: ours are held to its other ones."""
    ours, theirs = pair(batchnorm=True)
    mine = averaged(swa_utils, ours, name, use_buffers)
    reference = averaged(torch.optim.swa_utils, theirs, name.replace("multi_", ""), use_buffers)
    rng = np.random.default_rng(2)
    for _ in range(steps):
        for p, t in zip(ours.parameters(), theirs.parameters(), strict=True):
            p.data = rng.standard_normal(p.shape)
            t.data = torch.tensor(p.data)
        for x, t in zip(ours.buffers(), theirs.buffers(), strict=True):
            new = np.abs(rng.standard_normal(x.shape))
            with minidl.no_grad():
                x.copy_(new if x.dtype == np.float64 else 3)
            t.copy_(torch.tensor(new if x.dtype == np.float64 else 3))
        mine.update_parameters(ours)
        reference.update_parameters(theirs)
    state, expected = mine.state_dict(), reference.state_dict()
    assert list(state) == list(expected)
    for key, value in state.items():
        np.testing.assert_allclose(value, expected[key].numpy(), rtol=1e-10, atol=1e-12, err_msg=key)
    np.testing.assert_array_equal(mine.eval()(X), mine.module(X))


def test_update_bn():
    ours, theirs = pair(batchnorm=True)
    batches = [X[:8], X[8:16], X[16:]]
    ours.eval()
    theirs.eval()
    update_bn([(minidl.tensor(x), None) for x in batches], ours)
    torch.optim.swa_utils.update_bn([[torch.tensor(x), None] for x in batches], theirs)
    for x, t in zip(ours.buffers(), theirs.buffers(), strict=True):
        np.testing.assert_allclose(x.numpy(), t.numpy(), rtol=1e-12)
    assert not ours.training and ours[1].momentum == 0.1
    update_bn(batches, pair()[0])  # without a BatchNorm nothing is done


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("norm_type", [2.0, 1.0, 3.0, math.inf])
def test_in_a_captured_step(norm_type, dtype):
    """The same bits as in the plain loop, compiled, with the average of the weights and a rate that changes."""
    def parts():
        model = nn.Sequential(nn.Linear(4, 5, generator=0, dtype=dtype), nn.Tanh(),
                              nn.Linear(5, 1, generator=1, dtype=dtype))
        mean = AveragedModel(model, avg_fn=swa_utils.get_ema_avg_fn(0.9))
        return model, optim.Adam(model.parameters(), lr=0.01), mean, AveragedModel(model)

    def step_of(model, optimizer, mean, equal):
        def step(x, y):
            optimizer.zero_grad()
            loss = nn.MSELoss()(model(x), y)
            loss.backward()
            norm = nn.utils.clip_grad_norm_(model.parameters(), 0.5, norm_type)
            nn.utils.clip_grad_value_(model.parameters(), 0.1)
            optimizer.step()
            vector = parameters_to_vector(model.parameters()).detach()
            vector_to_parameters(0.999 * vector, model.parameters())
            mean.update_parameters(model)
            equal.update_parameters(model)
            return loss, norm
        return step

    first, second = parts(), parts()
    step, plain = minidl.capture(step_of(*first)), step_of(*second)
    for i in range(20):
        x, y = X[i % 8:i % 8 + 8].astype(dtype), Y[i % 8:i % 8 + 8].astype(dtype)
        got, expected = step(x, y), plain(minidl.tensor(x), minidl.tensor(y))
        assert [a.item() for a in got] == [a.item() for a in expected]
        first[1].lr = second[1].lr = 0.02 / (1 + i)
    assert step.path == "compiled" and step.recordings == 1
    for a, b in zip(first, second, strict=True):
        if isinstance(a, nn.Module):
            assert {k: v.tobytes() for k, v in a.state_dict().items()} == {
                k: v.tobytes() for k, v in b.state_dict().items()}
    assert first[0].flat_gradients.tobytes() == second[0].flat_gradients.tobytes()
