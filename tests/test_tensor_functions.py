"""Functions of Tensors beyond their values and gradients, which test_functional.py compares: bad input, methods, ties,
new Tensors, changes in place, and products of stacks in compiled steps."""
from __future__ import annotations

import inspect

import numpy as np
import pytest
from enumerated import operations_of
from module_cases import numbers
from theirs import torch

import minidl
from minidl import functional as F
from minidl import nn
from minidl.autograd import methods
from minidl.autograd.methods import Methods

A = numbers((3, 4))


@pytest.mark.parametrize("call, error, message", [
    (lambda: F.clamp(A), ValueError, "clamp: expected min or max, got neither"),
    (lambda: F.gather(A, 1, np.array([[4]])), IndexError, "gather: expected indices from 0 to 3, got 4"),
    (lambda: F.gather(A, 1, np.array([[-1]])), IndexError, "gather: expected indices from 0 to 3, got -1"),
    (lambda: F.gather(A, 1, np.array([1])), ValueError, "gather: expected indices of integers with 2 axes"),
    (lambda: F.scatter_add(A, 0, np.array([[3]]), A), IndexError, "scatter_add: expected indices from 0 to 2, got 3"),
    (lambda: F.topk(A, 5), ValueError, "topk: expected k from 0 to 4, got 5"),
    (lambda: F.split(A, 0), ValueError, "split: expected parts of length 1 or more, got 0"),
    (lambda: F.split(A, [1, 1]), ValueError, "split: expected lengths whose sum is 3, got"),
    (lambda: F.chunk(A, 0), ValueError, "chunk: expected 1 part or more, got 0"),
    (lambda: F.repeat(A, 2), ValueError, "repeat: expected a number for each of 2 axes, got 1"),
    (lambda: F.outer(A, A), ValueError, "outer: expected two vectors"),
    (lambda: F.bmm(A, A), ValueError, r"bmm: expected shapes \(B, M, K\) and \(B, K, N\)"),
    (lambda: F.norm(A, "nuc"), ValueError, "norm: expected p as a number or 'fro', got 'nuc'"),
    (lambda: F.einsum("ii->i", A[:, :3]), ValueError, "einsum: expected a letter for each axis"),
    (lambda: F.einsum("ij,jk->ik", A), ValueError, "einsum: expected a letter for each axis"),
    (lambda: F.einsum("ij->ik", A), ValueError, "einsum: expected a letter for each axis"),
    (lambda: F.prelu(A, np.ones(3, np.float32)), ValueError, r"prelu: expected a weight of shape \(1,\) or \(4,\)"),
    (lambda: F.triplet_margin_loss(A, A, A, margin=0), ValueError, "TripletMarginLoss: expected margin above 0, got 0"),
    (lambda: F.cosine_embedding_loss(A, A, A), ValueError, "CosineEmbeddingLoss: expected inputs"),
    (lambda: nn.GELU("erf"), ValueError, "GELU: expected approximate 'none' or 'tanh', got 'erf'"),
    (lambda: nn.Hardtanh(1, 1), ValueError, "Hardtanh: expected min_val below max_val"),
    (lambda: nn.PReLU(0), ValueError, "PReLU: expected num_parameters to be a positive integer, got 0"),
    (lambda: nn.SmoothL1Loss(beta=-1), ValueError, "SmoothL1Loss: expected beta of at least 0, got -1"),
    (lambda: F.binary_cross_entropy(A, abs(A)), ValueError, "BCELoss: expected outputs between 0 and 1"),
])
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()


class Asked:
    """Stands for the package functional: gives back what it is asked for."""

    def __getattr__(self, name):
        return lambda *args, **kwargs: (name, args, kwargs)


@pytest.mark.parametrize("name", [name for name, method in vars(Methods).items() if inspect.isfunction(method)])
def test_a_method_passes_its_arguments_on_by_their_names(name, monkeypatch):
    monkeypatch.setattr(methods, "rows", Asked())
    method, itself = vars(Methods)[name], object()
    given = {parameter: object() for parameter in list(inspect.signature(method).parameters)[1:]}
    if any(p.kind is p.VAR_POSITIONAL for p in inspect.signature(method).parameters.values()):
        assert method(itself, 3, 4) in [(name, (itself, 3, 4), {}), (name, (itself, (3, 4)), {})]
        return
    asked, args, kwargs = method(itself, **given)
    function = getattr(F, name)
    bound = inspect.signature(function).bind(*args, **kwargs) if inspect.isfunction(function) else None
    assert asked == name and args[0] is itself
    if bound is None or not given.keys() <= bound.arguments.keys():  # by their order
        assert (*args[1:], *kwargs.values()) == tuple(given.values())
    else:
        assert {parameter: bound.arguments[parameter] for parameter in given} == given


def test_every_method_is_the_function_of_its_name():
    methods = {name: method for name, method in vars(Methods).items() if inspect.isfunction(method)}
    assert len(methods) >= 27
    for name in methods:
        mine = list(inspect.signature(methods[name]).parameters.values())[1:]
        found = getattr(F, name)
        if inspect.isfunction(found):
            assert {p.default for p in mine} <= {p.default for p in inspect.signature(found).parameters.values()}, name


def test_ties_share_the_gradient_of_maximum():
    for name in ("maximum", "minimum"):
        a, b = np.array([1.0, 2.0, np.nan, np.inf, 0.0]), np.array([1.0, 3.0, 1.0, np.inf, np.nan])
        pairs = [[minidl.tensor(x.copy(), requires_grad=True) for x in (a, b)],
                 [torch.tensor(x, requires_grad=True) for x in (a, b)]]
        outputs = [getattr(L, name)(*pair) for L, pair in zip((F, torch), pairs, strict=True)]
        np.testing.assert_array_equal(outputs[0].data, outputs[1].detach().numpy())
        for y in outputs:
            y[:2].sum().backward()
        for mine, theirs in zip(*pairs, strict=True):
            np.testing.assert_array_equal(mine.grad, theirs.grad.numpy())


def test_nan_is_sorted_as_the_largest():
    x = np.array([2.0, np.nan, 1.0, 2.0, -1.0])
    for descending in (False, True):
        got = F.sort(x, 0, descending)
        expected = torch.sort(torch.from_numpy(x), stable=True, dim=0, descending=descending)
        np.testing.assert_array_equal(got.values, expected.values.numpy())
        np.testing.assert_array_equal(got.indices, expected.indices.numpy())


@pytest.mark.parametrize("name, args", [
    ("arange", (5,)), ("arange", (1, 7, 2)), ("arange", (0.0, 1.0, 0.25)), ("linspace", (-1, 1, 5)), ("eye", (3,)),
    ("eye", (2, 3)), ("full", ((2, 3), 1.5)), ("full", ((2,), 7)), ("full", ((2,), True))])
def test_new_tensors_as_in_pytorch(name, args):
    got, expected = getattr(minidl, name)(*args), getattr(torch, name)(*args)
    assert f"torch.{got.dtype}" == str(expected.dtype)
    np.testing.assert_allclose(got.data, expected.numpy(), rtol=1e-7)


def test_random_tensors():
    x = minidl.rand(1000, generator=0, dtype=np.float64)
    assert x.dtype == np.float64 and x.data.min() >= 0 and x.data.max() < 1 and abs(x.data.mean() - 0.5) < 0.05
    for like in (minidl.rand_like, minidl.randn_like):
        assert like(x, generator=1).shape == (1000,) and like(x).dtype == np.float64
    assert minidl.full_like(x, 3).dtype == np.float64 and minidl.zeros_like(x).shape == (1000,)


def test_changes_in_place():
    x = minidl.tensor(A.copy())
    assert x.clamp_(-0.5, 0.5) is x and abs(x.data).max() <= 0.5
    assert x.masked_fill_(x > 0, 2.0) is x and set(np.unique(x.data[x.data > 0])) <= {2.0}
    array = x.data
    assert x.unsqueeze_(0) is x and x.shape == (1, 3, 4) and np.shares_memory(x.data, array)
    assert x.squeeze_() is x and x.shape == (3, 4)
    w = nn.Parameter(A[None].copy())
    for change in (w.squeeze_, lambda: w.clamp_(0, 1)):
        with pytest.raises(RuntimeError, match="requires grad"):
            change()
    with minidl.no_grad():
        w.clamp_(0, 1)
    assert w.data.min() == 0


@pytest.mark.parametrize("shapes", [((2, 3, 4), (2, 4, 5)), ((2, 1, 3, 4), (5, 4, 2)), ((3, 4), (2, 4, 5)),
                                    ((2, 3, 4), (4, 5)), ((1, 1, 1), (4, 1, 1)), ((1, 2, 3, 4), (2, 1, 2, 4, 5)),
                                    ((2, 1, 2, 3, 4), (2, 4, 5))], ids=str)
@pytest.mark.parametrize("turned", [False, True])
def test_products_of_stacks_run_compiled(shapes, turned):
    a, b = (numbers(shape, seed=i) for i, shape in enumerate(shapes))
    if turned:
        b = np.swapaxes(b, -1, -2).copy()

    def step(a, b):
        a.requires_grad_()
        b.requires_grad_()
        y = a @ (b.transpose(-1, -2) if turned else b)
        return y, *minidl.autograd.grad((y * y).sum(), [a, b])

    captured = minidl.capture(step)
    for scale in (1, 2, 3, 4):
        got = captured(a * np.float32(scale), b)
        expected = step(minidl.tensor(a * np.float32(scale)), minidl.tensor(b.copy()))
        for mine, plain in zip(got, expected, strict=True):
            np.testing.assert_array_equal(mine.data, plain.data)
    assert captured.path == "compiled" and "matmul" in operations_of(captured)
    assert "matmul" not in operations_of(captured, compiled=False)
