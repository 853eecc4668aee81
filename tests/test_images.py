"""Convolution, pooling and padding against PyTorch: values, gradients and second gradients, in float64."""
from __future__ import annotations

import itertools

import numpy as np
import pytest
from theirs import torch

import minidl
from minidl import functional as F
from minidl import nn
from minidl.autograd import grad

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths:UserWarning")

FLAT = [{"kernel_size": k, "stride": s, "padding": p, "dilation": d, "groups": g}
        for k, s, p, d, g in itertools.product((1, 3), (1, 2), (0, 2, "valid"), (1, 2), (1, 2))]
SAME = [{"kernel_size": k, "padding": "same", "dilation": d} for k in (1, 2, 3, 4) for d in (1, 3)]
UNEVEN = [{"kernel_size": k, "stride": s, "padding": p, "dilation": d, "bias": False}
          for k, s, p, d in itertools.product(((2, 3), (4, 1)), ((1, 2), (3, 1)), ((0, 1), (2, 0)), ((1, 1), (2, 1)))]
CONVOLUTIONS = [
    *(("Conv2d", (4, 6), case, shape) for case in (*FLAT, *SAME) for shape in ((3, 4, 8, 7),)),
    *(("Conv2d", (4, 6), case, (2, 4, 8, 9)) for case in UNEVEN),
    *(("Conv1d", (4, 6), case, (3, 4, 11)) for case in (*FLAT, *SAME)),
    ("Conv2d", (1, 1), {"kernel_size": 1}, (1, 1, 1, 1)),
    ("Conv2d", (3, 3), {"kernel_size": 3, "groups": 3}, (3, 5, 5)),
    ("Conv1d", (2, 5), {"kernel_size": 2}, (2, 6)),
    ("Conv2d", (1, 6), {"kernel_size": 5, "padding": 2}, (5, 1, 28, 28)),
    ("Conv2d", (17, 33), {"kernel_size": 3, "padding": 1}, (13, 17, 6, 6)),
    ("Conv1d", (8, 16), {"kernel_size": 7}, (2, 8, 7)),
]
POOLS = [
    *(("MaxPool2d", (k,), {"stride": s, "padding": p, "dilation": d, "ceil_mode": c}, (2, 3, 8, 9))
      for k, s, p, d, c in itertools.product((2, 3, (3, 2)), (None, 1, (2, 3)), (0, 1), (1, 2), (False, True))),
    *(("MaxPool1d", (k,), {"stride": s, "padding": p, "ceil_mode": c}, (2, 3, 10))
      for k, s, p, c in itertools.product((2, 3), (None, 1, 2), (0, 1), (False, True))),
    *(("AvgPool2d", (k,), {"stride": s, "padding": p, "ceil_mode": c, "count_include_pad": i, "divisor_override": v},
       (2, 3, 8, 9))
      for k, s, p, c, i, v in itertools.product(
          (2, 3, (3, 2)), (None, 1, (2, 3)), (0, 1), (False, True), (False, True), (None, 5))),
    *(("AvgPool1d", (k,), {"stride": s, "padding": p, "ceil_mode": c, "count_include_pad": i}, (2, 3, 10))
      for k, s, p, c, i in itertools.product((2, 3), (None, 1, 2), (0, 1), (False, True), (False, True))),
    *(("AdaptiveAvgPool2d", (size,), {}, (2, 3, 8, 9)) for size in (1, 3, 8, (2, 5), (None, 4), (9, 11))),
    *(("AdaptiveAvgPool1d", (size,), {}, (2, 3, 10)) for size in (1, 3, 10, 13)),
    *(("ZeroPad2d", (padding,), {}, (2, 3, 4, 5)) for padding in (0, 1, (1, 2, 3, 0), (-1, 2, 0, -2))),
    *(("MaxPool2d", (2,), {}, (3, 4, 4)), ("AvgPool2d", (2,), {}, (3, 4, 4)), ("AvgPool1d", (2,), {}, (3, 4)),
      ("ZeroPad2d", (1,), {}, (3, 4, 4)), ("AdaptiveAvgPool2d", (2,), {}, (3, 4, 4))),
    *(("Unflatten", arguments, {}, (2, 12, 3)) for arguments in ((1, (3, 4)), (1, (2, -1)), (-2, (12,)))),
]


def numbers(shape, seed=0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def both(name: str, arguments, settings: dict, x: np.ndarray):
    """(module, twin) with the same values."""
    takes_dtype = name.startswith("Conv")
    ours = getattr(nn, name)(*arguments, **settings, **({"dtype": np.float64} if takes_dtype else {}))
    twin = getattr(torch.nn, name)(*arguments, **settings, **({"dtype": torch.float64} if takes_dtype else {}))
    assert [(key, value.shape) for key, value in ours.state_dict().items()] == [
        (key, tuple(value.shape)) for key, value in twin.state_dict().items()]
    if takes_dtype:
        twin.load_state_dict({key: torch.from_numpy(value) for key, value in ours.state_dict().items()})
    return ours, twin


def layouts(x: np.ndarray):
    """The same numbers in the order of the index, with channels last, and strided."""
    yield x
    if x.ndim > 2:
        yield np.ascontiguousarray(np.moveaxis(x, -x.ndim + 1, -1)).transpose(0, x.ndim - 1, *range(1, x.ndim - 1))
        yield np.repeat(x, 2, axis=-1)[..., ::2]


def close(ours, theirs) -> None:
    wanted = theirs.detach().numpy()
    assert np.shape(ours) == wanted.shape
    np.testing.assert_allclose(np.asarray(ours), wanted, rtol=1e-11, atol=1e-12)


def compare(name, arguments, settings, shape) -> None:
    """Value, first and second gradients of Σ g y, and of Σ of squared first ones, for input, parameters and g."""
    values = numbers(shape)
    ours, twin = both(name, arguments, settings, values)
    their_x = torch.from_numpy(values.copy()).requires_grad_()
    theirs = twin(their_x)
    their_g = torch.from_numpy(numbers(theirs.shape, 1)).requires_grad_()
    leaves = [their_x, *twin.parameters()]
    first = torch.autograd.grad((theirs * their_g).sum(), leaves, create_graph=True)
    weights = [torch.from_numpy(numbers(d.shape, 2)) for d in first]
    second = torch.autograd.grad(
        sum(((d * w).sum() for d, w in zip(first, weights, strict=True)), (theirs * 0).sum()), [*leaves, their_g],
        allow_unused=True)
    for given in layouts(values):
        x = minidl.Tensor(given, requires_grad=True)
        y = ours(x)
        close(y.data, theirs)
        close(ours(given), theirs)
        g = minidl.Tensor(their_g.detach().numpy(), requires_grad=True)
        ours.zero_grad()
        ours(x).backward(g.data)
        close(x.grad, first[0])
        for parameter, wanted in zip(ours.parameters(), first[1:], strict=True):
            close(parameter.grad, wanted)
        mine = grad((y * g).sum(), [x, *ours.parameters()], create_graph=True)
        for got, wanted in zip(mine, first, strict=True):
            close(got.data, wanted)
        total = sum(((d * w.numpy()).sum() for d, w in zip(mine, weights, strict=True)), (y * 0).sum())
        again = grad(total, [x, *ours.parameters(), g], allow_unused=True)
        for got, wanted in zip(again, second, strict=True):
            if got is None or wanted is None:
                assert got is None or not got.data.any()
                assert wanted is None or not wanted.any()
            else:
                close(got.data, wanted)


@pytest.mark.parametrize("name, channels, settings, shape", CONVOLUTIONS)
def test_convolution(name, channels, settings, shape):
    compare(name, channels, settings, shape)


@pytest.mark.parametrize("name, arguments, settings, shape", POOLS)
def test_pooling(name, arguments, settings, shape):
    compare(name, arguments, settings, shape)


@pytest.mark.parametrize("name, shape", [
    ("MaxPool2d", (2, 3, 8, 9)), ("MaxPool1d", (2, 3, 9)), ("MaxPool2d", (3, 4, 5))])
def test_the_places_of_the_largest(name, shape):
    x = np.round(numbers(shape))  # with ties
    for settings in ({}, {"stride": 1, "padding": 1, "dilation": 2}, {"ceil_mode": True}):
        y, places = getattr(nn, name)(2, return_indices=True, **settings)(minidl.tensor(x))
        theirs, their_places = getattr(torch.nn, name)(2, return_indices=True, **settings)(torch.from_numpy(x))
        close(y.data, theirs)
        np.testing.assert_array_equal(places.data, their_places.numpy())


def test_ties_and_nan_go_where_pytorch_sends_them():
    x = np.round(numbers((3, 2, 7, 7)))
    x[0, 0, 2, 2] = x[1, 1, 0, 0] = x[1, 1, 0, 1] = np.nan
    x[2] = -np.inf
    for settings in ({}, {"stride": 1, "padding": 1}):
        ours, theirs = minidl.Tensor(x, requires_grad=True), torch.from_numpy(x.copy()).requires_grad_()
        y, wanted = F.max_pool2d(ours, 3, **settings), torch.nn.functional.max_pool2d(theirs, 3, **settings)
        np.testing.assert_array_equal(y.data, wanted.detach().numpy())
        g = numbers(y.shape, 1)
        y.backward(g)
        wanted.backward(torch.from_numpy(g))
        np.testing.assert_allclose(ours.grad, theirs.grad.numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name, channels, settings", [
    ("Conv2d", (3, 8), {"kernel_size": 3}), ("Conv2d", (4, 8), {"kernel_size": (5, 2), "groups": 2}),
    ("Conv1d", (6, 8), {"kernel_size": 3, "padding": "same", "bias": False}),
    ("Conv2d", (2, 8), {"kernel_size": 3, "padding": 1, "dilation": (2, 1), "stride": 2})])
def test_initial_values_are_spread_as_those_of_pytorch(name, channels, settings):
    ours = getattr(nn, name)(*channels, **settings, generator=0)
    bound = 1 / np.sqrt(np.prod(ours.weight.shape[1:]))
    for parameter in ours.parameters():
        assert abs(parameter.data).max() <= bound and abs(parameter.data).max() > 0.6 * bound
    twin = getattr(torch.nn, name)(*channels, **settings)
    assert twin.weight.abs().max() <= bound
    assert repr(ours) == repr(twin)


def test_the_weight_lies_as_the_product_reads_it():
    module = nn.Conv2d(3, 5, (2, 4))
    assert module.weight.shape == (5, 3, 2, 4)
    assert module.weight._data.transpose(2, 3, 1, 0).flags.c_contiguous
    assert nn.Conv2d(3, 5, 2)(np.zeros((2, 3, 4, 4), np.float32)).transpose(0, 2, 3, 1).flags.c_contiguous
    flat = module.flat_parameters
    assert np.shares_memory(flat, module.weight._data) and flat.size == 5 * 3 * 8 + 5


@pytest.mark.parametrize("call, error, message", [
    (lambda: nn.Conv2d(0, 1, 3), ValueError, "Conv2d: expected in_channels"),
    (lambda: nn.Conv2d(3, 4, 3, groups=2), ValueError, "in_channels must be divisible by groups"),
    (lambda: nn.Conv2d(4, 3, 3, groups=2), ValueError, "out_channels must be divisible by groups"),
    (lambda: nn.Conv2d(1, 1, 0), ValueError, "kernel_size of at least 1"),
    (lambda: nn.Conv2d(1, 1, (1, 2, 3)), ValueError, "kernel_size as an integer or 2"),
    (lambda: nn.Conv2d(1, 1, 3, stride=0), ValueError, "stride of at least 1"),
    (lambda: nn.Conv2d(1, 1, 3, padding=-1), ValueError, "padding of at least 0"),
    (lambda: nn.Conv2d(1, 1, 3, padding="some"), ValueError, "padding 'same', 'valid' or integers"),
    (lambda: nn.Conv2d(1, 1, 3, padding="same", stride=2), ValueError, "needs a stride of 1"),
    (lambda: nn.Conv2d(1, 1, 3, padding_mode="mirror"), ValueError, "padding_mode"),
    (lambda: nn.Conv2d(3, 1, 3)(np.zeros((2, 4, 5, 5), np.float32)), ValueError,
     r"Conv2d\(3, 1, .*expected input of shape \(N, 3, H, W\) or \(3, H, W\), got \(2, 4, 5, 5\)"),
    (lambda: nn.Conv1d(3, 1, 3)(np.zeros((2, 3, 5, 5), np.float32)), ValueError, r"\(N, 3, L\)"),
    (lambda: nn.Conv2d(3, 1, 3)(np.zeros((2, 3, 5, 5))), TypeError, "input of dtype float32, got float64"),
    (lambda: nn.Conv2d(3, 1, 6)(np.zeros((2, 3, 5, 5), np.float32)), ValueError, "window reaches over 6"),
    (lambda: nn.MaxPool2d(0)(np.zeros((2, 3, 5, 5))), ValueError, "kernel_size of at least 1"),
    (lambda: nn.MaxPool2d(3, padding=2)(np.zeros((2, 3, 5, 5))), ValueError, "at most half the window"),
    (lambda: nn.MaxPool2d(6)(np.zeros((2, 3, 5, 5))), ValueError, "window reaches over 6"),
    (lambda: nn.MaxPool2d(2)(np.zeros((2, 5))), ValueError, r"\(N, C, H, W\) or \(C, H, W\)"),
    (lambda: nn.MaxPool2d(2)(np.zeros((2, 3, 5, 5), int)), TypeError, "float32 or float64"),
    (lambda: nn.AvgPool2d(2, divisor_override=0)(np.zeros((2, 3, 5, 5))), ValueError, "divisor of at least 1"),
    (lambda: nn.AdaptiveAvgPool2d(0)(np.zeros((2, 3, 5, 5))), ValueError, "output_size of at least 1"),
    (lambda: nn.ZeroPad2d((1, 2)), ValueError, "an integer or four"),
    (lambda: nn.ZeroPad2d(-3)(np.zeros((2, 3, 5, 5))), ValueError, "nothing is left"),
    (lambda: nn.Unflatten(1, (2, 3))(np.zeros((2, 7))), ValueError, "an axis of these lengths"),
    (lambda: nn.Unflatten(1, (-1, -1)), ValueError, "one at most is -1"),
    (lambda: nn.Unflatten(2, (2, 3))(np.zeros((2, 6))), ValueError, "has this axis"),
    (lambda: F.conv2d(np.zeros((1, 2, 4, 4)), np.zeros((1, 2, 3, 3), np.float32)), TypeError, "one float dtype"),
    (lambda: F.conv2d(np.zeros((1, 2, 4, 4)), np.zeros((1, 2, 3))), ValueError, "weight of 4 axes"),
    (lambda: F.conv2d(np.zeros((1, 2, 4, 4)), np.zeros((1, 2, 3, 3)), np.zeros(2)), ValueError,
     r"bias of shape \(1,\)"),
])
def test_what_does_not_fit(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_no_samples_give_no_output_and_gradients_of_zero():
    module, x = nn.Conv2d(2, 3, 3, dtype=np.float64), minidl.Tensor(np.zeros((0, 2, 5, 5)), requires_grad=True)
    y = F.max_pool2d(module(x), 3)
    assert y.shape == (0, 3, 1, 1)
    y.sum().backward()
    assert not module.weight.grad.any() and not module.bias.grad.any() and x.grad.shape == x.shape
