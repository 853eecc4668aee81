"""Averages of weights: their counts and kinds, integer buffers, other models; the statistics of BatchNorm anew."""
from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.optim.swa_utils import (
    AveragedModel,
    get_ema_avg_fn,
    get_ema_multi_avg_fn,
    get_swa_avg_fn,
    get_swa_multi_avg_fn,
    update_bn,
)


class Counter(nn.Module):
    """A weight, a buffer of floats and one of integers."""

    def __init__(self, value=0.0, dtype=np.float32):
        self.weight = nn.Parameter(np.array([value, 2 * value], dtype))
        self.register_buffer("mean", minidl.tensor(np.array([value], dtype)))
        self.register_buffer("count", minidl.tensor(np.array([int(value)])))

    def forward(self, x):
        return x * self.weight + self.mean


def put(model, value):
    with minidl.no_grad():
        for tensor, scale in ((model.weight, [1, 2]), (model.mean, [1]), (model.count, [1])):
            tensor.copy_(minidl.tensor(np.array(scale, tensor.dtype) * tensor.dtype.type(value)))
    return model


@pytest.mark.parametrize("use_buffers", [False, True])
@pytest.mark.parametrize("settings, expected", [
    ({}, [8, 6, 8]), ({"avg_fn": get_swa_avg_fn()}, [8, 6, 8]), ({"avg_fn": get_ema_avg_fn(0.75)}, [8, 7, 8.25]),
    ({"avg_fn": get_ema_avg_fn(0)}, [8, 4, 12]), ({"avg_fn": get_ema_avg_fn(1)}, [8, 8, 8]),
    ({"avg_fn": lambda mean, p, n: mean + p * n}, [8, 12, 36])])
def test_averages_of_three_models(settings, expected, use_buffers):
    model = Counter()
    averaged = AveragedModel(model, use_buffers=use_buffers, **settings)
    for n, (value, mean) in enumerate(zip((8, 4, 12), expected, strict=True), 1):
        averaged.update_parameters(put(model, value))
        one = averaged.module
        assert one.weight.data.tolist() == [mean, 2 * mean] and averaged.n_averaged.item() == n
        assert one.mean.data.tolist() == [mean if use_buffers else value]
        assert one.count.data.tolist() == [int(mean) if use_buffers else value]
        assert one.count.dtype == np.int64 and one.weight.dtype == one.mean.dtype == np.float32
        assert model.weight.data.tolist() == [value, 2 * value]
    assert averaged(minidl.tensor(np.float32([1, 1]))).data.tolist() == [
        expected[-1] + one.mean.item(), 2 * expected[-1] + one.mean.item()]
    assert not averaged.n_averaged.requires_grad and averaged.n_averaged.dtype == np.int64


@pytest.mark.parametrize("make, expected", [(get_swa_multi_avg_fn, 6), (lambda: get_ema_multi_avg_fn(0.75), 7)])
def test_averages_of_lists(make, expected):
    model = Counter(dtype=np.float64)
    averaged = AveragedModel(model, multi_avg_fn=make())
    for value in (8, 4):
        averaged.update_parameters(put(model, value))
    assert averaged.module.weight.data.tolist() == [expected, 2 * expected] and averaged.n_averaged.item() == 2
    assert averaged.module.mean.data.tolist() == [4] == averaged.module.count.data.tolist()


def test_the_functions_in_numbers():
    mean, p = minidl.tensor(np.float32([8.0])), minidl.tensor(np.float32([4.0]))
    mean.requires_grad = True
    n = minidl.tensor(np.array(3))
    assert get_swa_avg_fn()(mean, p, n).tolist() == [7] and get_ema_avg_fn(0.25)(mean, p, n).tolist() == [5]
    assert get_ema_avg_fn()(mean, p, n).data[0] == pytest.approx(7.996, rel=1e-6)
    for made in (get_swa_avg_fn(), get_ema_avg_fn()):
        assert not made(mean, p, n).requires_grad and made(mean, p, n).dtype == np.float32
    for made, expected in ((get_swa_multi_avg_fn(), 7), (get_ema_multi_avg_fn(0.25), 5)):
        one, other = minidl.tensor(np.float32([8.0])), minidl.tensor(np.float32([8.0]))
        assert made([one, other], [p, p], n) is None and one.tolist() == other.tolist() == [expected]
    one = nn.Parameter(np.float32([8.0]))  # a leaf, which is written to without a gradient
    get_ema_multi_avg_fn()([one], [p], n)
    assert one.requires_grad
    assert one.data[0] == pytest.approx(7.996, rel=1e-6)
    whole = get_swa_avg_fn()(minidl.tensor(np.array([8])), minidl.tensor(np.array([5])), n)
    assert whole.dtype == np.float64 and whole.tolist() == [7.25]


def test_what_is_refused():
    model = nn.Linear(2, 3)
    with pytest.raises(ValueError, match=r"^AveragedModel: expected avg_fn or multi_avg_fn, got both$"):
        AveragedModel(model, avg_fn=get_swa_avg_fn(), multi_avg_fn=get_swa_multi_avg_fn())
    averaged = AveragedModel(model)
    before = averaged.module.weight.data.copy()
    for other in (nn.Linear(3, 2), nn.Linear(2, 3, bias=False)):
        with pytest.raises(ValueError, match=r"^AveragedModel: expected a model like Linear, of which it is a copy"):
            averaged.update_parameters(other)
    assert averaged.n_averaged.item() == 0 and averaged.module.weight.data.tolist() == before.tolist()
    averaged.update_parameters(nn.Linear(2, 3, generator=0))
    assert averaged.n_averaged.item() == 1


def test_the_average_is_saved_with_its_count():
    model = Counter()
    averaged = AveragedModel(model)
    averaged.update_parameters(put(model, 8))
    state = averaged.state_dict()
    assert set(state) == {"n_averaged", "module.weight", "module.mean", "module.count"}
    other = AveragedModel(Counter())
    other.load_state_dict(state)
    other.update_parameters(put(model, 4))
    assert other.module.weight.data.tolist() == [6, 12] and other.n_averaged.item() == 2


# update_bn

X = np.random.default_rng(0).standard_normal((12, 3)) + 2


def normed(momentum=0.25):
    return nn.Sequential(nn.BatchNorm1d(3, momentum=momentum, dtype=np.float64), nn.Tanh(),
                         nn.BatchNorm1d(3, momentum=0.5, affine=False, dtype=np.float64),
                         nn.BatchNorm1d(3, track_running_stats=False, dtype=np.float64))


@pytest.mark.parametrize("batch", [lambda x: x, lambda x: (x,), lambda x: [x, None], lambda x: minidl.tensor(x),
                                   lambda x: (minidl.tensor(x), 1), lambda x: [minidl.tensor(x)]])
@pytest.mark.parametrize("training", [True, False])
def test_statistics_are_means_over_the_batches(batch, training):
    model = normed()
    model(minidl.tensor(X * 9))
    model.train(training)
    update_bn([batch(X[:4]), batch(X[4:8]), batch(X[8:])], model)
    parts, first, second = X.reshape(3, 4, 3), model[0], model[2]
    np.testing.assert_allclose(first.running_mean.data, parts.mean(1).mean(0), rtol=1e-12)
    np.testing.assert_allclose(first.running_var.data, parts.var(1, ddof=1).mean(0), rtol=1e-12)
    inner = np.tanh((parts - parts.mean(1, keepdims=True)) / np.sqrt(parts.var(1, keepdims=True) + 1e-5))
    np.testing.assert_allclose(second.running_mean.data, inner.mean(1).mean(0), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(second.running_var.data, inner.var(1, ddof=1).mean(0), rtol=1e-9)
    assert [one.momentum for one in (first, second, model[3])] == [0.25, 0.5, 0.1]
    assert first.num_batches_tracked.item() == second.num_batches_tracked.item() == 3
    assert model.training is training and first.training is training
    assert first.weight.grad is None


def test_without_a_batch_the_statistics_are_those_of_the_beginning():
    model = normed()
    model(minidl.tensor(X))
    update_bn([], model)
    assert model[0].running_mean.data.tolist() == [0] * 3 and model[0].running_var.data.tolist() == [1] * 3
    assert model[0].num_batches_tracked.item() == 0 and model[0].momentum == 0.25


def test_what_a_loader_raises_leaves_momenta_and_mode():
    def loader():
        yield X
        raise KeyError("mine")

    model = normed()
    model.eval()
    with pytest.raises(KeyError, match="mine"):
        update_bn(loader(), model)
    assert [model[i].momentum for i in (0, 2)] == [0.25, 0.5] and not model.training and not model[0].training


def test_a_model_without_statistics_is_not_asked():
    class Refusing(nn.Module):
        def __init__(self):
            self.inner = nn.BatchNorm1d(3, track_running_stats=False)

        def forward(self, x):
            raise KeyError("mine")

    assert update_bn([X], Refusing()) is None
