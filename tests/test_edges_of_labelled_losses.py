"""Losses of labels at the last label, weight and setting that they take, and the first that they refuse; what the tape
keeps of a node."""
from __future__ import annotations

import re
import weakref

import numpy as np
import pytest

import minidl
from minidl import functional as F
from minidl.functional.applied import summed
from minidl.functional.operation import Operation

Z = np.array([[1.0, 2.0, 4.0], [3.0, 3.0, 0.0]])
LOG_P = Z - np.log(np.exp(Z).sum(1, keepdims=True))
FUNCTIONS = {"NLLLoss": (F.nll_loss, Z), "CrossEntropyLoss": (F.cross_entropy, LOG_P)}
CUBE = np.arange(24.0).reshape(2, 3, 4) / 7


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("tensor", [False, True])
@pytest.mark.parametrize("kind", [np.int64, np.int8, np.uint8, np.uint64])
def test_labels_that_do_not_count(name, tensor, kind):
    function, log_p = FUNCTIONS[name]
    for ignore_index in (0, 1, 2):
        for labels in ([0, 1], [1, 2], [2, 0], [1, 1]):
            counts = [n for n in (0, 1) if labels[n] != ignore_index]
            losses = np.array([-log_p[n, labels[n]] if n in counts else 0.0 for n in (0, 1)])
            for reduction, expected in (("none", losses), ("sum", losses.sum()),
                                        ("mean", losses.sum() / len(counts) if counts else np.nan)):
                z = minidl.tensor(Z.copy(), requires_grad=True) if tensor else Z
                with np.errstate(invalid="ignore"):
                    got = function(z, np.array(labels, kind), ignore_index=ignore_index, reduction=reduction)
                np.testing.assert_allclose(got.data if tensor else got, expected, rtol=1e-12)
                if tensor:
                    got.sum().backward()
                    outside = [n for n in (0, 1) if n not in counts]
                    assert (z.grad[outside] == 0).all() and (not counts or z.grad[counts].any())


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_mean_is_the_default_of_slopes(name):
    function, log_p = FUNCTIONS[name]
    one_hot = np.array([[0.0, 0, 1], [1, 0, 0]])
    slope = (0 if name == "NLLLoss" else np.exp(log_p)) - one_hot
    weight = np.array([2.0, 1.0, 0.5])
    for given, expected in (((), slope / 2), ((weight,), slope * weight[[2, 0], None] / 2.5)):
        z = minidl.tensor(Z.copy(), requires_grad=True)
        function(z, np.array([2, 0]), *given).backward()
        np.testing.assert_allclose(z.grad, expected, rtol=1e-12, atol=1e-15)
    if name == "CrossEntropyLoss":
        rows = np.array([[0.25, 0.5, 0.25], [1.0, 0.5, 0.0]])
        z = minidl.tensor(Z.copy(), requires_grad=True)
        function(z, rows).backward()
        np.testing.assert_allclose(z.grad, (np.exp(log_p) * rows.sum(1, keepdims=True) - rows) / 2, rtol=1e-12)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_one_sample_and_places(name, reduction):
    """(C,) and (N, C, d) are rows (R, C) at other places."""
    function, log_p = FUNCTIONS[name]
    z = minidl.tensor(Z[0].copy(), requires_grad=True)
    loss = function(z, np.array(2), reduction=reduction)
    loss.backward(np.asarray(3.0))
    np.testing.assert_allclose(loss.item(), -log_p[0, 2], rtol=1e-12)
    slope = (0 if name == "NLLLoss" else np.exp(log_p[0])) - np.array([0.0, 0, 1])
    np.testing.assert_allclose(z.grad, 3 * slope, rtol=1e-12, atol=1e-15)
    labels = np.array([[2, 0, 1, 1], [0, 1, 2, 0]])
    z, flat = (minidl.tensor(x.copy(), requires_grad=True) for x in (CUBE, CUBE.swapaxes(1, 2).reshape(8, 3)))
    loss, expected = function(z, labels, reduction=reduction), function(flat, labels.ravel(), reduction=reduction)
    np.testing.assert_array_equal(loss.data.ravel(), expected.data.ravel())
    assert loss.shape == ((2, 4) if reduction == "none" else ())
    g = np.arange(1.0, 9.0) if reduction == "none" else np.asarray(3.0)
    loss.backward(g.reshape(loss.shape))
    expected.backward(g)
    np.testing.assert_array_equal(z.grad, flat.grad.reshape(2, 4, 3).swapaxes(1, 2))
    assert z.grad.flags.c_contiguous


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("make", [np.array, minidl.tensor])
def test_minus_100_does_not_count_by_default(name, make):
    function, log_p = FUNCTIONS[name]
    assert float(function(make(Z), np.array([-100, 1]))) == pytest.approx(-log_p[1, 1], rel=1e-12)
    for label in (-99, -101, -1, 3):
        with pytest.raises(ValueError, match=f"^{name}: expected labels from 0 to 2, got {label}$"):
            function(make(Z), np.array([label, 1]))
        with pytest.raises(ValueError, match=f"^{name}: expected labels from 0 to 2, got {label}$"):
            function(make(Z), np.array([1, label]), ignore_index=0)
        if label != 3:
            found = float(function(make(Z), np.array([label, 1]), ignore_index=label))
            assert found == pytest.approx(-log_p[1, 1], rel=1e-12)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("make", [np.array, minidl.tensor])
@pytest.mark.parametrize("labels, wrong", [([0, 3, 9], 3), ([1, 2, 7], 7), ([0, -1, 5], -1), ([2, 0, 4], 4),
                                           ([1, -3, 0], -3)])
def test_the_first_label_that_is_none_is_named(name, make, labels, wrong):
    function, _ = FUNCTIONS[name]
    z = np.zeros((3, 3))
    with pytest.raises(ValueError, match=f"^{name}: expected labels from 0 to 2, got {wrong}$"):
        function(make(z), np.array(labels))
    with pytest.raises(ValueError, match=f"^{name}: expected labels from 0 to 4, got 5$"):
        function(make(np.zeros((3, 5))), np.array([4, 0, 5]))
    with pytest.raises(ValueError, match=f"^{name}: expected labels from 0 to 1, got 2$"):
        function(make(np.zeros((3, 2))), np.array([1, 0, 2]))


@pytest.mark.parametrize("smoothing", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("make", [np.array, minidl.tensor])
def test_smoothing_from_0_to_1(smoothing, make):
    labels, rows = np.array([2, 0]), np.array([[0.25, 0.5, 0.25], [1.0, 0.0, 0.0]])
    weight = np.array([2.0, 1.0, 0.5])
    for target, t in ((labels, np.eye(3)[labels]), (rows, rows)):
        smooth = (1 - smoothing) * t + smoothing / 3
        got = F.cross_entropy(make(Z), make(target), label_smoothing=smoothing, reduction="none")
        np.testing.assert_allclose(getattr(got, "data", got) if make is minidl.tensor else got,
                                   -(smooth * LOG_P).sum(1), rtol=1e-12)
        got = F.cross_entropy(make(Z), make(target), make(weight), label_smoothing=smoothing, reduction="sum")
        np.testing.assert_allclose(float(got), -(weight * smooth * LOG_P).sum(), rtol=1e-12)


@pytest.mark.parametrize("make", [np.array, minidl.tensor])
@pytest.mark.parametrize("function, z, t, how, kind, message", [
    *[(F.cross_entropy, Z, np.array([0, 1]), {"label_smoothing": s}, ValueError,
       f"CrossEntropyLoss: expected label_smoothing from 0 to 1, got {s}") for s in (-0.1, 1.1, 1.5, -1.0, 2.0)],
    (F.nll_loss, Z.astype(int), np.array([0, 1]), {}, TypeError, "NLLLoss: expected a float32 or float64 array, got"),
    (F.nll_loss, CUBE, CUBE, {}, ValueError, "NLLLoss: expected labels of shape (2, 4), got (2, 3, 4)"),
    (F.nll_loss, Z, Z, {}, ValueError, "NLLLoss: expected labels of shape (2,), got (2, 3)"),
    *[(F.cross_entropy, CUBE, np.zeros(CUBE.shape, kind), {}, ValueError,
       "CrossEntropyLoss: expected labels of shape (2, 4), got (2, 3, 4)") for kind in (np.uint8, np.int64)],
    (F.cross_entropy, CUBE, CUBE.astype(np.float32), {}, TypeError,
     "CrossEntropyLoss: expected probabilities of float64"),
    (F.cross_entropy, Z, Z[:, :2], {}, ValueError,
     "CrossEntropyLoss: expected rows of probabilities (2, 3), got (2, 2)"),
    (F.cross_entropy, Z, Z[:, :2], {"label_smoothing": 0.1}, ValueError,
     "CrossEntropyLoss: expected rows of probabilities (2, 3), got (2, 2)"),
    (F.cross_entropy, Z, Z.astype(np.float32), {"weight": np.ones(3)}, TypeError,
     "CrossEntropyLoss: expected probabilities of float64, got float32"),
    (F.cross_entropy, Z, np.array([0.0, 1.0]), {"label_smoothing": 0.1}, TypeError,
     "CrossEntropyLoss: expected labels of an integer dtype, got float64"),
    *[(function, np.array(1.0), np.array(0), {}, ValueError,
       f"{name}: expected an output of shape (N, C), (C,) or (N, C, d1, ...), got ()")
      for name, (function, _) in FUNCTIONS.items()],
    *[(function, shape, np.zeros(0, int), {}, ValueError,
       f"{name}: expected at least one sample, got an output of shape {shape.shape}")
      for name, (function, _) in FUNCTIONS.items() for shape in (np.zeros((0, 3)), np.zeros((2, 0)))],
    *[(function, Z, np.array([0, 1]), {"weight": np.ones(2)}, ValueError,
       f"{name}: expected a weight of shape (3,), got (2,)") for name, (function, _) in FUNCTIONS.items()],
    *[(function, z, t, {"reduction": "total", **how}, ValueError, f"{name}: expected reduction ")
      for name, (function, _) in FUNCTIONS.items() for how in ({}, {"weight": np.ones(3)}, {"ignore_index": 0})
      for z, t in ((Z, np.array([0, 1])), (CUBE, np.zeros((2, 4), int)))]])
def test_what_they_refuse(make, function, z, t, how, kind, message):
    with pytest.raises(kind, match=f"^{re.escape(message)}"):
        function(make(z), make(t), **how)


# What the tape keeps

def test_a_value_that_saves_is_computed_once_for_its_slopes():
    calls = []
    kept = Operation("kept", lambda a, b: calls.append(1) or (a * b, (a, b)), lambda g, y, a, b: g * y[1],
                     lambda g, y, a, b: g * y[0], saves=True)
    a, b = (minidl.tensor(np.array([x]), requires_grad=True) for x in (2.0, 3.0))
    y = kept(a, b)
    y.backward()
    assert (a.grad.item(), b.grad.item()) == (3, 2) and len(calls) == 1


def test_a_node_that_went_back_keeps_neither_inputs_nor_settings():
    x = minidl.tensor(np.ones(3), requires_grad=True)
    middle = x * 2
    y = (middle * middle).sum()
    reference, name = weakref.ref(middle.data), y.node.name
    y.backward()
    del middle
    assert reference() is None and y.node.name == name == "sum"


def test_what_was_frozen_since_gets_no_gradient():
    for create_graph in (False, True):
        x, w = (minidl.Parameter(np.array([value])) for value in (2.0, 3.0))
        layer = F.linear(x.reshape(1, 1), w.reshape(1, 1)).sum() + (x * w).sum()
        w.requires_grad = False
        layer.backward(create_graph=create_graph)
        assert x.grad.item() == 6
    weight, bias = minidl.Parameter(np.ones((2, 3))), minidl.Parameter(np.zeros(2))
    y = F.linear(minidl.tensor(np.ones((4, 3))), weight, bias)
    bias.requires_grad = False
    y.sum().backward()
    assert (weight.grad == 4).all() and (bias.grad is None or not bias.grad.any())


def test_sums_of_arrays_and_of_tensors():
    x = np.arange(6.0).reshape(2, 3)
    for make in (lambda x: x, minidl.tensor):
        for arguments, expected in (((), x.sum()), ((0,), x.sum(0)), ((1, True), x.sum(1, keepdims=True)),
                                    (((0, 1),), x.sum()), ((None, True), [[15.0]])):
            found = summed(make(x), *arguments)
            np.testing.assert_array_equal(found.data if isinstance(found, minidl.Tensor) else found, expected)
            assert found.shape == np.shape(expected)
