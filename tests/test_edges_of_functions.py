"""Functions of windows, parts, choices and orders at the last value that they take, and the first that they refuse."""
from __future__ import annotations

import re

import numpy as np
import pytest

import minidl
from minidl import functional as F

X = np.arange(12.0).reshape(3, 4)
LINE = np.array([[[1.0, 5.0, 2.0, 4.0, 3.0]]])
IMAGE = np.arange(16.0).reshape(1, 1, 4, 4)


def check(got, expected) -> None:
    got = np.asarray(got.data if isinstance(got, minidl.Tensor) else got)
    np.testing.assert_array_equal(got, expected)
    assert got.shape == np.shape(expected)


TAKEN = [  # the call, what it gives
    # Windows
    (lambda: F.max_pool1d(LINE, 5), [[[5]]]), (lambda: F.max_pool1d(LINE, 1), LINE),
    (lambda: F.max_pool1d(LINE, 2), [[[5, 4]]]), (lambda: F.max_pool1d(LINE, 2, ()), [[[5, 4]]]),
    (lambda: F.max_pool1d(LINE, 2, 1), [[[5, 5, 4, 4]]]), (lambda: F.max_pool1d(LINE, 2, padding=1), [[[1, 5, 4]]]),
    (lambda: F.max_pool1d(LINE, 3, 1, 1), [[[5, 5, 5, 4, 4]]]), (lambda: F.max_pool1d(LINE, 3, 1, 0, 2), [[[3]]]),
    (lambda: F.max_pool1d(LINE, 2, 2, ceil_mode=True), [[[5, 4, 3]]]),
    (lambda: F.max_pool1d(LINE[..., :4], 2, 2, ceil_mode=True), [[[5, 4]]]),
    (lambda: F.max_pool1d(LINE, 2, 3, 1, ceil_mode=True), [[[1, 4]]]),  # none begins in the padding behind
    (lambda: F.max_pool1d(LINE, 1, 4, ceil_mode=True), [[[1, 3]]]),
    (lambda: F.max_pool1d(LINE, 1, 5, ceil_mode=True), [[[1]]]),
    (lambda: F.max_pool1d(LINE[0], 2, return_indices=True)[1], [[1, 3]]),
    (lambda: F.avg_pool1d(LINE, 5), [[[3]]]), (lambda: F.avg_pool1d(LINE, 2, padding=1), [[[0.5, 3.5, 3.5]]]),
    (lambda: F.avg_pool1d(LINE, 2, padding=1, count_include_pad=False), [[[1, 3.5, 3.5]]]),
    (lambda: F.avg_pool1d(LINE[0], 2, 2, 0, True), [[3, 3, 3]]),
    (lambda: F.avg_pool2d(IMAGE, 2), [[[[2.5, 4.5], [10.5, 12.5]]]]),
    (lambda: F.avg_pool2d(IMAGE, 2, divisor_override=1), [[[[10, 18], [42, 50]]]]),
    (lambda: F.avg_pool2d(IMAGE, 4, 4, 2), [[[[10 / 16, 18 / 16], [42 / 16, 50 / 16]]]]),
    (lambda: F.avg_pool2d(IMAGE, 4, 4, 2, count_include_pad=False), [[[[2.5, 4.5], [10.5, 12.5]]]]),
    (lambda: F.adaptive_avg_pool2d(IMAGE, 1), [[[[7.5]]]]),
    (lambda: F.adaptive_avg_pool2d(IMAGE, [None, 1]), [[[[1.5], [5.5], [9.5], [13.5]]]]),
    (lambda: F.adaptive_avg_pool2d(IMAGE[0], (1, None)), [[[6, 7, 8, 9]]]),
    (lambda: F.adaptive_avg_pool1d(LINE, (1,)), [[[3]]]), (lambda: F.adaptive_avg_pool1d(LINE[0], [2]), [[8 / 3, 3]]),
    (lambda: F.zero_pad2d(IMAGE, -1), IMAGE[:, :, 1:3, 1:3]), (lambda: F.zero_pad2d(IMAGE, np.int64(0)), IMAGE),
    (lambda: F.zero_pad2d(IMAGE, (-1, -2, -3, 0)), IMAGE[:, :, 3:, 1:2]),
    (lambda: F.zero_pad2d(IMAGE[0], [1, 0, 0, 0]), np.pad(IMAGE[0], ((0, 0), (0, 0), (1, 0)))),
    # Padding
    (lambda: F.pad(X, ()), X), (lambda: F.pad(X, (-4, 0)), np.zeros((3, 0))), (lambda: F.pad(X, (-1, -2)), X[:, 1:2]),
    (lambda: F.pad(X, (-1, 1)), np.pad(X[:, 1:], ((0, 0), (0, 1)))), (lambda: F.pad(X, (1, -4)), np.zeros((3, 1))),
    (lambda: F.pad(X, (0, 0, -1, 0)), X[1:]), (lambda: F.pad(X[:, :0], (1, 0)), np.zeros((3, 1))),
    (lambda: F.pad(X[:, :0], (0, 1), value=2.0), np.full((3, 1), 2.0)), (lambda: F.pad(X[:, :0], (0, 0)), X[:, :0]),
    (lambda: F.pad(X, (1, 0), "constant", None), np.pad(X, ((0, 0), (1, 0)))),
    (lambda: F.pad(X, (3, 3), "reflect", 0), np.pad(X, ((0, 0), (3, 3)), "reflect")),
    (lambda: F.pad(X, (4, 4), "circular"), np.pad(X, ((0, 0), (4, 4)), "wrap")),
    (lambda: F.pad(X, (0, 9), "replicate"), np.pad(X, ((0, 0), (0, 9)), "edge")),
    (lambda: F.pad(X, (0, 1, 2, 0), "reflect"), np.pad(X, ((2, 0), (0, 1)), "reflect")),
    (lambda: F.pad(X[:0], (0, 0, 0, 0), "replicate"), X[:0]), (lambda: F.pad(X[:, :0], (0, 0), "circular"), X[:, :0]),
    # Parts
    (lambda: F.narrow(X, 1, 0, 4), X), (lambda: F.narrow(X, 1, 4, 0), X[:, 4:]), (lambda: F.narrow(X, 0, -2, 2), X[1:]),
    (lambda: F.narrow(X, -1, -4, 1), X[:, :1]), (lambda: F.narrow(X, 0, 0, 0), X[:0]),
    (lambda: F.select(X, -1, 3), X[:, 3]),
    (lambda: F.t(np.array(2.0)), 2.0), (lambda: F.t(X[0]), X[0]), (lambda: F.roll(X[:0], 1, 0), X[:0]),
    (lambda: F.roll(X, 4, 1), X), (lambda: F.roll(X, (-1, 5), [0, 1]), np.roll(X, (-1, 5), (0, 1))),
    (lambda: F.diag(X, 3), [3]), (lambda: F.diag(X, -2), [8]), (lambda: F.diag(X, 4), []), (lambda: F.diag(X, -3), []),
    (lambda: F.movedim(np.zeros((2, 3, 4, 5)), (0, 1), (-1, 0)).shape, (3, 4, 5, 2)),
    (lambda: F.movedim(np.zeros((2, 3, 4, 5)), [3, 0], [0, 3]).shape, (5, 3, 4, 2)),
    (lambda: F.movedim(np.zeros((2, 3, 4, 5)), -1, 1).shape, (2, 5, 3, 4)),
    (lambda: F.masked_select(X, np.array([True, False, False, True])), [0, 3, 4, 7, 8, 11]),
    (lambda: F.masked_select(np.array(2.0), np.array(True)), [2]),
    (lambda: F.masked_select(np.array(2.0), np.array(False)), []), (lambda: F.masked_select(X, np.array(False)), []),
    (lambda: F.nonzero(np.array([[0, 1], [2, 0]])), [[0, 1], [1, 0]]), (lambda: F.nonzero(np.array(3)), [[]]),
    (lambda: F.nonzero(np.array(0)), np.zeros((0, 0))), (lambda: F.nonzero(np.zeros((2, 3))), np.zeros((0, 2))),
    (lambda: F.nonzero(np.array(3), as_tuple=True)[0], [0]),
    (lambda: F.nonzero(np.array([[0, 1], [2, 0]]), as_tuple=True)[1], [1, 0]),
    (lambda: F.count_nonzero(X, [0, 1]), 11), (lambda: F.count_nonzero(X, (1,)), [3, 4, 4]),
    (lambda: F.bincount(np.array([1, 3, 1]), np.array([0.5, 2.0, 0.25])), [0, 0.75, 0, 2]),
    (lambda: F.bincount(np.array([1]), None, 3), [0, 1, 0]),
    *[(lambda beta=beta, alpha=alpha: F.addmm(X, np.ones((3, 2)), X[:2], beta=beta, alpha=alpha),
       beta * X + alpha * np.ones((3, 2)) @ X[:2]) for beta in (-1, 0, 1, 2) for alpha in (-1, 0, 1, 2)],
    # Choices and orders
    (lambda: F.topk(X, 0).indices, np.zeros((3, 0))), (lambda: F.topk(X, 4).indices, [[3, 2, 1, 0]] * 3),
    (lambda: F.topk(X, 2, 0, False).indices, [[0] * 4, [1] * 4]),
    (lambda: F.argsort(X[::-1], 0), [[2] * 4, [1] * 4, [0] * 4]),
    (lambda: F.argsort(np.array([[1, 1, 0, 1]]), descending=True), [[0, 1, 3, 2]]),
    (lambda: F.sort(np.array([2.0, np.nan, 1.0]), descending=True).indices, [1, 0, 2]),
    (lambda: F.gather(X, 1, np.array([[3], [0], [1]])), [[3], [4], [9]]),
    (lambda: F.gather(X, -2, np.array([[2, 0]])), [[8, 1]]),
    (lambda: F.scatter_add(X, 0, np.array([[2, 2]]), np.array([[10.0, 20.0, 30.0], [1.0, 1.0, 1.0]])),
     [[0, 1, 2, 3], [4, 5, 6, 7], [18, 29, 10, 11]]),
    (lambda: F.one_hot(np.array([0, 2]), 3), [[1, 0, 0], [0, 0, 1]]),
    (lambda: F.one_hot(np.array([1], np.uint8)), [[0, 1]]),
    (lambda: F.clamp(np.array([1.0, np.nan, -3.0]), 0), [1, np.nan, 0]),
    (lambda: F.clamp(X[0], max=1.5), [0, 1, 1.5, 1.5]),
    (lambda: F.bernoulli(np.array([0.0, 1.0]), generator=0), [0, 1]),
    (lambda: np.sort(F.multinomial(np.array([1.0, 2.0, 3.0]), 3, generator=0)), [0, 1, 2]),
    (lambda: F.multinomial(np.array([[0.0, 2.0]]), 3, True, generator=0), [[1, 1, 1]]),
    (lambda: F.hardtanh(np.array([-2.0, 0.5, 2.0]), 1.0, 1.0), [1, 1, 1]),
    (lambda: F.prelu(np.array(-2.0), np.array([0.5])), -1.0),
    (lambda: F.prelu(np.array([-2.0, 4.0]), np.array([0.5])), [-1, 4]),
    (lambda: F.prod(np.zeros((2, 0))), 1.0), (lambda: F.prod(np.zeros((2, 0)), 1), [1, 1]),
    (lambda: F.prod(np.zeros((2, 0)), 1, True), [[1], [1]]), (lambda: F.prod(np.zeros((2, 0)), None, True), 1.0),
    (lambda: F.prod(X + 1, 0), (X + 1).prod(0)), (lambda: F.prod(X + 1, -1, True), (X + 1).prod(1, keepdims=True)),
    (lambda: F.prod(np.arange(1.0, 8.0)), 5040), (lambda: F.cumsum(np.array(3.0), 0), 3.0),
]


@pytest.mark.parametrize("call, expected", TAKEN)
def test_it_is_taken(call, expected):
    check(call(), expected)


REFUSED = [  # the call, the exception, its message
    (lambda: F.max_pool1d(LINE, 6), ValueError, "max_pool1d: the window reaches over 6, more than the 5 of the padded"),
    (lambda: F.max_pool1d(LINE, 2, padding=2), ValueError,
     "max_pool1d: expected padding of at most half the window, 1, got (2,)"),
    (lambda: F.max_pool1d(LINE, 2, padding=-1), ValueError, "max_pool1d: expected padding"),
    (lambda: F.max_pool1d(LINE, 0), ValueError, "max_pool1d: expected kernel_size"),
    (lambda: F.max_pool1d(LINE, 2, 0), ValueError, "max_pool1d: expected stride"),
    (lambda: F.max_pool1d(LINE, 2, dilation=0), ValueError, "max_pool1d: expected dilation"),
    (lambda: F.avg_pool1d(LINE, 0), ValueError, "avg_pool1d: expected kernel_size"),
    (lambda: F.avg_pool1d(LINE[0, 0], 2), ValueError,
     "avg_pool1d: expected input of shape (N, C, L) or (C, L), got (5,)"),
    (lambda: F.avg_pool1d(IMAGE, 2), ValueError,
     "avg_pool1d: expected input of shape (N, C, L) or (C, L), got (1, 1, 4, 4)"),
    (lambda: F.max_pool2d(IMAGE[0, 0], 2), ValueError,
     "max_pool2d: expected input of shape (N, C, H, W) or (C, H, W), got (4, 4)"),
    (lambda: F.max_pool2d(IMAGE.astype(int), 2), TypeError,
     "max_pool2d: expected a float32 or float64 input, got int64"),
    (lambda: F.avg_pool2d(IMAGE, 2, divisor_override=0), ValueError,
     "avg_pool2d: expected a divisor of at least 1, got 0"),
    (lambda: F.avg_pool2d(IMAGE, 5), ValueError, "avg_pool2d: the window reaches over 5, more than the 4"),
    (lambda: F.adaptive_avg_pool2d(IMAGE, 0), ValueError, "adaptive_avg_pool2d: expected output_size"),
    (lambda: F.adaptive_avg_pool2d(IMAGE, (1, 2, 3)), ValueError, "adaptive_avg_pool2d: expected output_size"),
    (lambda: F.adaptive_avg_pool1d(LINE, 0), ValueError, "adaptive_avg_pool1d: expected output_size"),
    (lambda: F.zero_pad2d(IMAGE, -2), ValueError,
     "zero_pad2d: nothing is left of an input of shape (1, 1, 4, 4) with padding -2"),
    (lambda: F.zero_pad2d(IMAGE, (-4, 0, 0, 0)), ValueError, "zero_pad2d: nothing is left"),
    (lambda: F.zero_pad2d(IMAGE, (0, 0, 0, -4)), ValueError, "zero_pad2d: nothing is left"),
    (lambda: F.zero_pad2d(IMAGE, (1, 2)), ValueError,
     "zero_pad2d: expected padding as an integer or four of them, got (1, 2)"),
    (lambda: F.zero_pad2d(IMAGE, (1, 1, 1, 0.5)), ValueError, "zero_pad2d: expected padding as an integer or four"),
    (lambda: F.zero_pad2d(IMAGE[0, 0], 1), ValueError, "zero_pad2d: expected input of shape"),
    (lambda: F.pad(X, (1,)), ValueError, "pad: expected two lengths for each of at most 2 axes, got (1,)"),
    (lambda: F.pad(X, (0,) * 6), ValueError, "pad: expected two lengths for each of at most 2 axes"),
    (lambda: F.pad(X, (-3, -2)), ValueError, "pad: nothing is left of an axis of length 4 with (-3, -2)"),
    (lambda: F.pad(X, (1, -5)), ValueError, "pad: nothing is left of an axis of length 4 with (1, -5)"),
    (lambda: F.pad(X, (-5, 3)), ValueError, "pad: nothing is left of an axis of length 4 with (-5, 3)"),
    (lambda: F.pad(X, (4, 0), "reflect"), ValueError,
     "pad: mode 'reflect' takes at most 3 on each side of an axis of length 4, got (4, 0)"),
    (lambda: F.pad(X, (0, 5), "circular"), ValueError, "pad: mode 'circular' takes at most 4"),
    (lambda: F.pad(X, (-1, 0), "replicate"), ValueError, "pad: mode 'replicate' takes at most inf"),
    (lambda: F.pad(X, (0, -1), "circular"), ValueError, "pad: mode 'circular' takes at most 4"),
    (lambda: F.pad(X[:, :0], (1, 0), "replicate"), ValueError, "pad: mode 'replicate' takes at most 0"),
    (lambda: F.pad(X, (1, 0), "edge"), ValueError,
     "pad: expected mode as one of constant, reflect, replicate, circular, got 'edge'"),
    (lambda: F.narrow(X, 1, 2, 3), ValueError, "narrow: expected a part of an axis of length 4, got 3 from 2"),
    (lambda: F.narrow(X, 1, -5, 1), ValueError, "narrow: expected a part of an axis of length 4, got 1 from -1"),
    (lambda: F.narrow(X, 1, 2, -1), ValueError, "narrow: expected a part of an axis of length 4, got -1 from 2"),
    (lambda: F.narrow(X, 2, 0, 1), ValueError, "narrow: axis 2 is out of bounds"),
    (lambda: F.select(X, 2, 0), ValueError, "select: axis 2 is out of bounds"),
    (lambda: F.select(X, 0, 3), IndexError, "index 3"),
    (lambda: F.t(X[None]), ValueError, "t: expected at most 2 axes, got shape (1, 3, 4)"),
    (lambda: F.mm(X, X[0]), ValueError, "mm: expected (2, 2) axes, got shapes [(3, 4), (4,)]"),
    (lambda: F.mv(X, X), ValueError, "mv: expected (2, 1) axes"),
    (lambda: F.dot(X, X), ValueError, "dot: expected (1, 1) axes"),
    (lambda: F.trace(X[0]), ValueError, "trace: expected (2,) axes"),
    (lambda: F.diag(X[None]), ValueError, "diag: expected a vector"),
    (lambda: F.diag(np.array(1.0)), ValueError, "diag: expected a vector or a matrix, got shape ()"),
    (lambda: F.movedim(X, 2, 0), ValueError, "source: axis 2"),
    (lambda: F.movedim(X, 0, 2), ValueError, "destination: axis 2"),
    (lambda: F.topk(X, -1), ValueError, "topk: expected k from 0 to 4, got -1"),
    (lambda: F.topk(X, 4, 0), ValueError, "got 4"),
    (lambda: F.topk(X, 1, 2), ValueError, "topk: axis 2"),
    (lambda: F.sort(X, 2), ValueError, "sort: axis 2"),
    (lambda: F.index_select(X, 2, np.array([0])), ValueError, "index_select: axis 2"),
    (lambda: F.gather(X, 2, np.array([[0]])), ValueError, "gather: axis 2"),
    (lambda: F.gather(X, 0, np.array([[3]])), IndexError, "gather: expected indices from 0 to 2, got 3"),
    (lambda: F.gather(X, 0, np.array([[0.0]])), ValueError,
     "gather: expected indices of integers with 2 axes, got float64"),
    (lambda: F.scatter_add(X, 2, np.array([[0]]), X), ValueError, "scatter_add: axis 2"),
    (lambda: F.scatter_add(X, 1, np.array([[-1]]), X), IndexError, "scatter_add: expected indices from 0 to 3, got -1"),
    (lambda: F.scatter_add(X, 1, np.array([0]), X), ValueError,
     "scatter_add: expected indices of integers with 2 axes"),
    (lambda: F.one_hot(np.array([-1]), 3), ValueError, "one_hot: expected labels from 0 to 2, got -1"),
    (lambda: F.one_hot(np.array([1, 3]), 3), ValueError, "one_hot: expected labels from 0 to 2, got 3"),
    (lambda: F.one_hot(np.array([True]), 3), TypeError, "one_hot: expected integers, got bool"),
    (lambda: F.bernoulli(np.array([-0.1])), ValueError, "bernoulli: expected"),
    (lambda: F.bernoulli(np.array([np.nan])), ValueError, "bernoulli: expected probabilities within [0, 1]"),
    (lambda: F.multinomial(np.array(1.0), 1), ValueError, "multinomial: expected weights of shape (K,) or (N, K)"),
    (lambda: F.multinomial(np.array([[1.0, 2.0], [1.0, 0.0]]), 2), ValueError,
     "multinomial: expected 2 weights above 0 in each row, got 1"),
    (lambda: F.multinomial(np.array([np.inf, 1.0]), 1), ValueError, "multinomial: expected finite weights"),
    (lambda: F.multinomial(np.array([[1.0, 2.0], [0.0, 0.0]]), 1, True), ValueError,
     "multinomial: expected 1 weights above 0 in each row, got 0"),
    (lambda: F.hardtanh(X, 1.0, 0.5), ValueError, "hardtanh: expected min_val of at most max_val, got 1.0 and 0.5"),
    (lambda: F.hardtanh(X, np.nan, 0.5), ValueError, "hardtanh: expected min_val"),
    (lambda: F.gelu(X, "erf"), ValueError, "gelu: expected approximate 'none' or 'tanh', got 'erf'"),
    (lambda: F.prelu(X, np.ones((1, 1))), ValueError, "prelu: expected a weight of shape (1,) or (4,), got (1, 1)"),
    (lambda: F.prelu(X[0], np.ones(4)), ValueError, "prelu: expected a weight of shape (1,) or (1,), got (4,)"),
    (lambda: F.cumsum(X, 2), ValueError, "cumsum: axis 2"), (lambda: F.prod(X, 2), ValueError, "prod: axis 2"),
    (lambda: F.norm(X, "2"), ValueError, "norm: expected p as a number or 'fro', got '2'"),
]


@pytest.mark.parametrize("call, error, message", REFUSED)
def test_it_is_refused(call, error, message):
    with pytest.raises(error, match=re.escape(message)):
        call()


@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
def test_labels_and_weights_at_their_edges(name):
    z = np.log(np.array([[0.25, 0.75], [0.5, 0.5]]))
    loss, weight = getattr(F, name), np.array([1.0, 3.0])
    assert loss(z, np.array([0, 1]), reduction="sum") == pytest.approx(-np.log(0.125))
    for labels in ([0, 2], [-1, 0]):
        for more in ({}, {"weight": weight}):
            with pytest.raises(ValueError, match=rf"expected labels from 0 to 1, got {sum(labels)}"):
                loss(z, np.array(labels), **more)
    for wrong in (np.ones(3), np.ones((1, 2))):
        with pytest.raises(ValueError, match=r"expected a weight of shape \(2,\), got "):
            loss(z, np.array([0, 1]), weight=wrong)
    assert loss(z, np.array([1, 7]), ignore_index=7, reduction="sum") == pytest.approx(-np.log(0.75))
    assert loss(z, np.array([1, 0]), weight=weight) == pytest.approx((-3 * np.log(0.75) - np.log(0.5)) / 4)
    assert loss(z, np.array([1, 0]), weight=weight, ignore_index=0) == pytest.approx(-np.log(0.75))


def test_the_running_sum_of_a_number():
    x = minidl.tensor(3.0, requires_grad=True)
    y = F.cumsum(x, 0)
    y.backward()
    assert y.shape == () and x.grad.tolist() == 1


@pytest.mark.parametrize("more", [{}, {"ignore_index": 2}, {"reduction": "sum"}, {"reduction": "none"}])
def test_a_class_without_weight_may_have_no_probability(more):
    """Its share of the smoothed labels is zero, and so are its logarithm's part and its gradient."""
    z = minidl.tensor(np.array([[0.0, 1.0, -np.inf], [2.0, 1.0, -np.inf]]), requires_grad=True)
    weight, t = np.array([1.0, 3.0, 0.0]), np.array([0, 1])
    loss = F.cross_entropy(z, t, weight, label_smoothing=0.3, **more)
    p = np.exp(z.data[:, :2]) / np.exp(z.data[:, :2]).sum(1, keepdims=True)
    share = weight[:2] * (0.7 * np.eye(2) + 0.1)
    rows = -(share * np.log(p)).sum(1)
    expected = {"sum": rows.sum(), "none": rows}.get(more.get("reduction"), rows.sum() / 4)
    np.testing.assert_allclose(loss.data, expected, rtol=1e-12)
    loss.sum().backward()
    slopes = p * share.sum(1, keepdims=True) - share
    np.testing.assert_allclose(z.grad[:, :2], slopes / (1 if "reduction" in more else 4), rtol=1e-12)
    assert z.grad[:, 2].tolist() == [0, 0]


@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
@pytest.mark.parametrize("weight", [None, np.array([1.0, 2.0, 0.0])])
def test_no_label_that_counts_has_no_gradient(name, weight):
    """Also of labels whose weights are zero; with a graph of the gradient, and in a captured step."""
    z, labels = np.arange(6.0).reshape(2, 3), np.array([2, 2])
    ignored = -100 if weight is not None else 2

    def step(z, t, weight):
        z.requires_grad_()
        loss = getattr(F, name)(z, t, weight, ignore_index=ignored)
        return loss, *minidl.autograd.grad(loss, z)

    captured, leaf = minidl.capture(step), minidl.tensor(z.copy(), requires_grad=True)
    whole = getattr(F, name)(leaf, labels, weight, ignore_index=ignored)
    found = [step(minidl.tensor(z.copy()), labels, weight),
             (whole, *minidl.autograd.grad(whole, leaf, create_graph=True))]
    for loss, dz in [*found, *(captured(z.copy(), labels, weight) for _ in range(4))]:
        assert np.isnan(loss.item()) and dz.tolist() == [[0] * 3] * 2
