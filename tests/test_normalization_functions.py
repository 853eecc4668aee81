"""The functions of normalisation by their formulas: defaults, each choice of weights, statistics, what is refused."""
from __future__ import annotations

import numpy as np
import pytest
from module_cases import numbers

import minidl
from minidl import functional as F

X = 3 * numbers((4, 6), np.float64) + 1
IMAGES = 3 * numbers((3, 4, 2, 3), np.float64, 1) - 1
W, B = np.linspace(0.5, 1.5, 6), np.linspace(-1.0, 1.0, 6)
SMALL = 1e-3  # of values so small that eps counts


def normal(x, axes, eps=1e-5):
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)


def same(call, *arrays, expected):
    """Of arrays and of Tensors."""
    for of in (np.array, minidl.tensor):
        got = call(*[None if a is None else of(a) for a in arrays])
        assert isinstance(got, minidl.Tensor) == (of is minidl.tensor)
        assert got.shape == expected.shape and got.dtype == expected.dtype
        np.testing.assert_allclose(np.asarray(got), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("more, eps", [({}, 1e-5), ({"eps": 0.3}, 0.3)])
@pytest.mark.parametrize("w, b", [(None, None), (W, None), (W, B)])
def test_rows_of_a_matrix(w, b, more, eps):
    x = SMALL * X
    scaled = lambda y: y * (1 if w is None else w) + (0 if b is None else b)  # noqa: E731
    same(lambda x, w, b: F.layer_norm(x, 6, w, b, **more), x, w, b, expected=scaled(normal(x, 1, eps)))
    same(lambda x, w, b: F.layer_norm(x, (np.int64(6),), w, b, **more), x, w, b, expected=scaled(normal(x, 1, eps)))
    same(lambda x, w, b: F.batch_norm(x, None, None, w, b, True, **more), x, w, b, expected=scaled(normal(x, 0, eps)))


@pytest.mark.parametrize("w, b", [(None, None), (W, None), (W, B), (None, B)])
def test_several_axes_and_groups(w, b):
    x = SMALL * IMAGES
    last = [part if part is None else part.reshape(2, 3) for part in (w, b)]
    each = [part if part is None else part[:4] for part in (w, b)]
    grouped = normal(x.reshape(3, 2, 2, 2, 3), (2, 3, 4)).reshape(x.shape)

    def scaled(y, parts, shape):
        parts = [part if part is None else part.reshape(shape) for part in parts]
        return y * (1 if parts[0] is None else parts[0]) + (0 if parts[1] is None else parts[1])

    if w is not None or b is None:
        same(lambda x, w, b: F.layer_norm(x, (2, 3), w, b), x, *last,
             expected=scaled(normal(x, (2, 3)), last, (2, 3)))
        same(lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True), x, *each,
             expected=scaled(normal(x, (0, 2, 3)), each, (4, 1, 1)))
    same(lambda x, w, b: F.group_norm(x, 2, w, b), x, *each, expected=scaled(grouped, each, (4, 1, 1)))
    same(lambda x, w, b: F.instance_norm(x, None, None, w, b), x, *each,
         expected=scaled(normal(x, (2, 3)), each, (4, 1, 1)))
    same(lambda x, w, b: F.instance_norm(x, weight=w, bias=b, eps=0.3), x, *each,
         expected=scaled(normal(x, (2, 3), 0.3), each, (4, 1, 1)))
    same(lambda x, w, b: F.group_norm(x, 4, w, b, 0.3), x, *each,
         expected=scaled(normal(x, (2, 3), 0.3), each, (4, 1, 1)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_root_mean_squares(dtype):
    """Of eps alone where all is zero, by default the machine's."""
    x = np.zeros((2, 3), dtype)
    x[0, 0] = 1e-4
    own = np.finfo(dtype).eps
    for more, eps in (({}, own), ({"eps": None}, own), ({"eps": 1e-3}, 1e-3)):
        expected = x / np.sqrt((x.astype(np.float64) ** 2).mean(1, keepdims=True) + eps)
        np.testing.assert_allclose(F.rms_norm(x, 3, **more), expected, rtol=1e-5)
        np.testing.assert_allclose(F.rms_norm(x[None], (2, 3), **more)[0],
                                   x / np.sqrt((x.astype(np.float64) ** 2).mean() + eps), rtol=1e-5)
    np.testing.assert_allclose(F.rms_norm(x, 3, np.full(3, 2, dtype)), 2 * F.rms_norm(x, 3), rtol=1e-6)


@pytest.mark.parametrize("w, b", [(None, None), (W[:4], None), (W[:4], B[:4]), (None, B[:4])])
def test_statistics_that_are_given(w, b):
    mean, variance = np.arange(4.0), np.arange(4.0) * 1e-5
    expected = (IMAGES - mean[:, None, None]) / np.sqrt(variance[:, None, None] + 1e-5)
    expected = expected * (1 if w is None else w[:, None, None]) + (0 if b is None else b[:, None, None])
    for call in (F.batch_norm, lambda *parts: F.instance_norm(*parts, use_input_stats=False)):
        given = mean.copy(), variance.copy()
        same(call, IMAGES, *given, w, b, expected=expected)
        tensors = [minidl.tensor(part) for part in given]
        call(minidl.tensor(IMAGES), *tensors)
        assert tensors[0].tolist() == mean.tolist() and tensors[1].tolist() == variance.tolist()
    wide = (IMAGES - mean[:, None, None]) / np.sqrt(variance[:, None, None] + 0.3)
    same(lambda *parts: F.batch_norm(*parts, eps=0.3), IMAGES, mean, variance, expected=wide)
    same(lambda *parts: F.instance_norm(*parts, use_input_stats=False, eps=0.3), IMAGES, mean, variance, expected=wide)


@pytest.mark.parametrize("more, share", [({}, 0.1), ({"momentum": 0.25}, 0.25)])
def test_statistics_move(more, share):
    for call, of_x, spread in (
            (lambda *parts: F.batch_norm(*parts, training=True, **more), IMAGES.mean((0, 2, 3)),
             IMAGES.var((0, 2, 3), ddof=1)),
            (lambda *parts: F.instance_norm(*parts, **more), IMAGES.mean((2, 3)).mean(0),
             IMAGES.var((2, 3), ddof=1).mean(0))):
        mean, variance = minidl.tensor(np.arange(4.0)), minidl.tensor(np.arange(4.0) + 1)
        x = minidl.tensor(IMAGES, requires_grad=True)
        y = call(x, mean, variance)
        np.testing.assert_allclose(mean.data, np.arange(4.0) * (1 - share) + share * of_x, rtol=1e-12)
        np.testing.assert_allclose(variance.data, (np.arange(4.0) + 1) * (1 - share) + share * spread, rtol=1e-12)
        assert y.requires_grad and not mean.requires_grad and not variance.requires_grad


def test_the_least_that_has_a_variance():
    pair = np.array([[1.0], [3.0]])
    np.testing.assert_allclose(F.batch_norm(pair, None, None, training=True, eps=0.0), [[-1], [1]])
    np.testing.assert_allclose(F.instance_norm(pair.reshape(1, 1, 2), eps=0.0), [[[-1, 1]]])
    mean, variance = minidl.zeros(1, dtype=np.float64), minidl.ones(1, dtype=np.float64)
    F.batch_norm(minidl.tensor(pair), mean, variance, training=True, momentum=1.0)
    assert (mean.item(), variance.item()) == (2, 2)
    F.instance_norm(minidl.tensor(pair.reshape(1, 1, 2) * 3), mean, variance, momentum=1.0)
    assert (mean.item(), variance.item()) == (6, 18)


@pytest.mark.parametrize("call, message", [
    (lambda: F.batch_norm(X[:1], None, None, training=True), r"more than one value a channel in training, got .*1, 6"),
    (lambda: F.batch_norm(X, None, None, None, B, True), "batch_norm: expected a weight with the bias"),
    (lambda: F.batch_norm(X, None, B), "batch_norm: expected running_mean and running_var in evaluation"),
    (lambda: F.batch_norm(X, B, None), "batch_norm: expected running_mean and running_var in evaluation"),
    (lambda: F.instance_norm(X[:, :, None]), r"more than one place in training, got input \(4, 6, 1\)"),
    (lambda: F.layer_norm(X, 6, None, B), "layer_norm: expected a weight with the bias"),
    *[(lambda name=name, shape=shape: getattr(F, name)(X, shape), rf"{name}: expected input of shape {message}, got .4")
      for name in ("layer_norm", "rms_norm") for shape, message in (
          (5, r"\(\.\.\., 5\)"), ((), r"\(\.\.\.\)"), ((4, 5), r"\(\.\.\., 4, 5\)"),
          ((1, 4, 6), r"\(\.\.\., 1, 4, 6\)"),
          ((3, 6), r"\(\.\.\., 3, 6\)"))],
    (lambda: F.group_norm(X, 4), "C divisible by 4"), (lambda: F.group_norm(X[0], 1), "shape .N, C"),
])
def test_what_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("w, b", [(None, None), (W, None), (W, B)])
@pytest.mark.parametrize("name", ["layer_norm", "batch_norm"])
def test_first_and_second_derivatives(name, w, b):
    """Those of Σ y³, and of Σ (dx)², along a direction, against differences."""
    given = [None if a is None else minidl.tensor(a.copy(), requires_grad=True) for a in (X, w, b)]
    leaves = [leaf for leaf in given if leaf is not None]

    def total():
        x, *parts = given
        y = F.layer_norm(x, 6, *parts, eps=0.1) if name == "layer_norm" else F.batch_norm(
            x, None, None, *parts, True, eps=0.1)
        return (y * y * y).sum()

    def squares(create_graph=False):
        return sum((dx * dx).sum() for dx in minidl.autograd.grad(total(), leaves, create_graph=create_graph))

    for call, found in ((total, minidl.autograd.grad(total(), leaves)),
                        (squares, minidl.autograd.grad(squares(True), leaves))):
        for leaf, got in zip(leaves, found, strict=True):
            along, before, ends = numbers(leaf.shape, np.float64, 5), leaf.data.copy(), []
            for sign in (1, -1):
                with minidl.no_grad():
                    leaf.copy_(before + sign * 1e-5 * along)
                ends.append(call().item())
            with minidl.no_grad():
                leaf.copy_(before)
            np.testing.assert_allclose((got.data * along).sum(), (ends[0] - ends[1]) / 2e-5, rtol=1e-6)
