"""Each method of a Tensor that another test compares with PyTorch alone: what it gives, by hand; defaults; refusals."""
from __future__ import annotations

import inspect

import numpy as np
import pytest

import minidl
from minidl import Tensor
from minidl import functional as F
from minidl.autograd.named_methods import IN_PLACE, NAMES

A = np.array([[1.0, -2.0, 3.0], [0.5, 4.0, -1.0]])


def made(data=A, dtype=None):
    return minidl.tensor(data, dtype=dtype)


VALUES = {  # what the call gives; its dtype
    "clip": (lambda: made().clip(-1, 1), np.clip(A, -1, 1)), "clip below": (lambda: made().clip(0), np.maximum(A, 0)),
    "clip above": (lambda: made().clip(max=0), np.minimum(A, 0)), "absolute": (lambda: made().absolute(), abs(A)),
    "negative": (lambda: made().negative(), -A), "subtract": (lambda: made().subtract(A[0]), A - A[0]),
    "multiply": (lambda: made().multiply(3), 3 * A), "divide": (lambda: made().divide(A[:1]), A / A[:1]),
    "expand_as": (lambda: made(A[:1]).expand_as(made()), np.broadcast_to(A[:1], (2, 3))),
    "reshape_as": (lambda: made().reshape_as(made(A.T)), A.reshape(3, 2)),
    "where": (lambda: made().where(made() > 0, made() * 10), np.where(A > 0, A, 10 * A)),
    "broadcast_to": (lambda: made(A[0]).broadcast_to(2, 3), np.broadcast_to(A[0], (2, 3))),
    "mT": (lambda: made(A[None]).mT, A.T[None]), "T": (lambda: made(A[None]).T, A[None].T),
    "int": (lambda: made([1.7, -1.7]).int(), np.array([1, -1], np.int32)),
    "bool": (lambda: made([0, 2]).bool(), np.array([False, True])), "long": (lambda: made([1.7]).long(), np.array([1])),
    "float": (lambda: made().float(), A.astype(np.float32)), "double": (lambda: made([1.5]).double(), np.array([1.5])),
    "type": (lambda: made([1.7]).type(np.int64), np.array([1])), "cpu": (lambda: made().cpu(), A),
    "type_as": (lambda: made().type_as(made([1])), A.astype(np.int64)),
    "to a dtype": (lambda: made().to(np.float32), A.astype(np.float32)),
    "to by name": (lambda: made().to(dtype=np.float32, device="cpu", non_blocking=True), A.astype(np.float32)),
    "new_zeros": (lambda: made().new_zeros(2, 1), np.zeros((2, 1))),
    "new_zeros of a shape": (lambda: made().float().new_zeros((2, 1)), np.zeros((2, 1), np.float32)),
    "new_ones": (lambda: made().float().new_ones(2), np.ones(2, np.float32)),
    "new_ones of a shape": (lambda: made([1]).new_ones((1, 2)), np.ones((1, 2), np.int64)),
    "new_full": (lambda: made().float().new_full((2, 1), 1.5), np.full((2, 1), 1.5, np.float32)),
    "new_full of a list": (lambda: made([1]).new_full([2], 3), np.full(2, 3)),
    "new_tensor": (lambda: made().float().new_tensor([[1, 2]]), np.array([[1, 2]], np.float32)),
    "new_tensor of a Tensor": (lambda: made().new_tensor(made([1, 2])), np.array([1.0, 2.0])),
    "new_tensor, dtype": (lambda: made().new_tensor([1.5], np.int64), np.array([1])),
    "add": (lambda: made().add(2, alpha=3), A + 6), "add alone": (lambda: made().add(A), A + A),
    "sub": (lambda: made().sub(A, alpha=0.5), A / 2), "sub alone": (lambda: made().sub(1), A - 1),
    "mul": (lambda: made().mul(2), 2 * A), "div": (lambda: made().div(2), A / 2),
    "pow": (lambda: made().pow(2), A ** 2),
    "matmul": (lambda: made().matmul(A.T), A @ A.T), "neg": (lambda: made().neg(), -A),
    "abs": (lambda: made().abs(), abs(A)),
    "sqrt": (lambda: made(abs(A)).sqrt(), np.sqrt(abs(A))), "exp": (lambda: made().exp(), np.exp(A)),
    "log": (lambda: made(abs(A)).log(), np.log(abs(A))), "tanh": (lambda: made().tanh(), np.tanh(A)),
    "sigmoid": (lambda: made().sigmoid(), 1 / (1 + np.exp(-A))), "relu": (lambda: made().relu(), np.maximum(A, 0)),
    "softmax": (lambda: made().softmax(), np.exp(A) / np.exp(A).sum(-1, keepdims=True)),
    "softmax of columns": (lambda: made().softmax(0), np.exp(A) / np.exp(A).sum(0)),
    "log_softmax": (lambda: made().log_softmax(), A - np.log(np.exp(A).sum(-1, keepdims=True))),
    "log_softmax of columns": (lambda: made().log_softmax(0), A - np.log(np.exp(A).sum(0))),
    "flatten": (lambda: made(A[None]).flatten(), A.ravel()),
    "flatten from 1": (lambda: made(A[None]).flatten(1), A.reshape(1, 6)),
    "flatten to 1": (lambda: made(A[None]).flatten(0, 1), A), "squeeze": (lambda: made(A[None, :, None]).squeeze(), A),
    "squeeze an axis": (lambda: made(A[None, :, None]).squeeze(0), A[:, None]),
    "unsqueeze": (lambda: made().unsqueeze(1), A[:, None]),
    "view": (lambda: made().view(3, 2), A.reshape(3, 2)),
    "view_as": (lambda: made().view_as(made(A.T)), A.reshape(3, 2)),
    "permute": (lambda: made().permute(1, 0), A.T), "transpose": (lambda: made().transpose(0, 1), A.T),
    "clone": (lambda: made().clone(), A), "contiguous": (lambda: made(A.T).contiguous(), A.T),
    "detach": (lambda: made().detach(), A),
    "lt": (lambda: made().lt(1), A < 1), "le": (lambda: made().le(1), A <= 1), "gt": (lambda: made().gt(1), A > 1),
    "ge": (lambda: made().ge(1), A >= 1), "eq": (lambda: made().eq(1), A == 1), "ne": (lambda: made().ne(1), A != 1),
    "erf": (lambda: made([0.0]).erf(), np.zeros(1, np.float32)),
    "topk": (lambda: made().topk(2).values, np.array([[3, 1], [4, 0.5]])),
    "topk least": (lambda: made().topk(1, 0, False).indices, np.array([[1, 0, 1]])),
    "sort": (lambda: made().sort().values, np.sort(A)),
    "sort down": (lambda: made().sort(0, True).indices, np.array([[0, 1, 0], [1, 0, 1]])),
    "argsort": (lambda: made().argsort(), np.argsort(A)),
    "argsort down": (lambda: made().argsort(0, True), np.argsort(-A, 0)),
    "var": (lambda: made().var(), A.var(ddof=1)), "var of all": (lambda: made().var(1, False), A.var(1)),
    "var, correction": (lambda: made().var(1, correction=0, keepdim=True), A.var(1, keepdims=True)),
    "std": (lambda: made().std(1), A.std(1, ddof=1)),
    "std of all": (lambda: made().std(0, False, True), A.std(0, keepdims=True)),
    "std, correction": (lambda: made().std(correction=2), np.sqrt(A.var() * 6 / 4)),
    "norm": (lambda: made().norm(), np.linalg.norm(A)),
    "norm, 1": (lambda: made().norm(1, 0, True), abs(A).sum(0, keepdims=True)),
    "prod": (lambda: made().prod(), A.prod()), "prod of rows": (lambda: made().prod(1, True), A.prod(1, keepdims=True)),
    "amax": (lambda: made().amax(), A.max()), "amax of rows": (lambda: made().amax(1, True), A.max(1, keepdims=True)),
    "amin": (lambda: made().amin(), A.min()), "amin of rows": (lambda: made().amin((0, 1)), A.min()),
    "split": (lambda: made().split(1)[1], A[1:]), "split columns": (lambda: made().split(2, 1)[1], A[:, 2:]),
    "chunk": (lambda: made().chunk(2)[0], A[:1]), "chunk columns": (lambda: made().chunk(3, 1)[2], A[:, 2:]),
    "tril": (lambda: made().tril(), np.tril(A)), "tril 1": (lambda: made().tril(1), np.tril(A, 1)),
    "triu": (lambda: made().triu(), np.triu(A)), "triu -1": (lambda: made().triu(-1), np.triu(A, -1)),
}


@pytest.mark.parametrize("name", VALUES)
def test_its_values(name):
    call, expected = VALUES[name]
    got = call()
    assert isinstance(got, Tensor) and got.shape == np.shape(expected) and got.dtype == np.asarray(expected).dtype
    np.testing.assert_allclose(got.data, expected, rtol=1e-12)


def test_what_a_tensor_is():
    x = made()
    assert (x.nelement(), x.ndimension(), x.type(), made([1]).type()) == (6, 2, "float64", "int64")
    assert x.is_floating_point() and not made([1]).is_floating_point() and not made([True]).is_floating_point()
    assert x.is_contiguous() and not x.T.is_contiguous() and x.is_cuda is False
    assert x.cpu() is x and str(x.device) == "cpu"
    with pytest.raises(ValueError, match="expected 'cpu'"):
        x.cuda()
    with pytest.raises(ValueError, match="expected 'cpu'"):
        x.to(device="cuda")


def test_whether_two_are_equal():
    x = made()
    for other in (made(), A):
        assert x.equal(other) is True and x.allclose(other) is True
    assert x.equal(A + 1e-9) is False and x.equal(A[:1]) is False and x.equal(made(A[0])) is False
    assert x.allclose(A * (1 + 9e-6)) is True and x.allclose(A * (1 + 2e-5)) is False
    assert x.allclose(A * 1.5, rtol=0.5) is True and x.allclose(A + 0.5, 0, 0.5) is True
    assert made([0.0]).allclose(made([9e-9])) is True and made([0.0]).allclose(made([1.1e-8])) is False
    nan = np.array([np.nan])
    assert made(nan).allclose(nan) is False and made(nan).allclose(nan, equal_nan=True) is True
    assert made(nan).equal(nan) is False


def test_methods_of_a_name_call_the_functions():
    """With their arguments, and under their names."""
    x = made(abs(A))
    for name in NAMES:
        method = getattr(Tensor, name)
        assert (method.__name__, method.__doc__) == (name, f"functional.{name} of this Tensor.")
    for name in IN_PLACE:
        method = getattr(Tensor, f"{name}_")
        assert (method.__name__, method.__doc__) == (f"{name}_", f"functional.{name} of this Tensor, in place.")
    assert x.lerp(3 * x, 0.5).tolist() == (2 * x).tolist() and x.lerp(3 * x, weight=0.5).tolist() == (2 * x).tolist()
    assert x.roll(1, dims=0).tolist() == np.roll(abs(A), 1, 0).tolist()
    assert x.pow_(2) is x and x.tolist() == (A ** 2).tolist()


@pytest.mark.parametrize("name", ["sum", "mean", "max", "min", "argmax", "argmin", "all", "any"])
def test_reductions_by_any_name_of_their_arguments(name):
    x = made(A > 0) if name in ("all", "any") else made()
    kept = getattr(F, name)(x, 1, True)
    kept = kept[0] if isinstance(kept, tuple) else kept
    assert kept.shape == (2, 1)
    for call in (lambda m: m(1, True), lambda m: m(dim=1, keepdim=True), lambda m: m(axis=1, keepdims=True)):
        got = call(getattr(x, name))
        np.testing.assert_array_equal((got[0] if isinstance(got, tuple) else got).data, kept.data)
    parameters = inspect.signature(getattr(Tensor, name)).parameters
    assert [p.default for p in parameters.values()][1:] == [None, False, None, False]


class Other:
    """Takes part in every operator with a Tensor on the left or right."""

    def __getattr__(self, name):
        raise AttributeError(name)


for _name in ("add", "sub", "mul", "truediv", "pow", "matmul", "mod", "floordiv", "and", "or", "xor"):
    setattr(Other, f"__r{_name}__", lambda self, left, name=_name: (name, "right", left))
    setattr(Other, f"__{_name}__", lambda self, right, name=_name: (name, "left", right))
for _name, _turned in (("lt", "gt"), ("le", "ge"), ("gt", "lt"), ("ge", "le"), ("eq", "eq"), ("ne", "ne")):
    setattr(Other, f"__{_name}__", lambda self, right, name=_name: (name, "compared", right))


def test_what_is_no_input_has_its_own_operators():
    x, other = made([1, 2]), Other()
    for name in ("add", "sub", "mul", "truediv", "pow", "matmul", "mod", "floordiv", "and", "or", "xor"):
        for method in (f"__{name}__", f"__r{name}__"):
            assert getattr(x, method)(other) is NotImplemented, method
    for name in ("lt", "le", "gt", "ge", "eq", "ne"):
        assert getattr(x, f"__{name}__")(other) is NotImplemented
    for name in ("add", "sub", "mul", "truediv", "pow", "matmul"):
        assert getattr(x, f"__i{name}__")(other) is NotImplemented
    assert x + other == ("add", "right", x) and (other - x)[:2] == ("sub", "left") and (x < other)[0] == "gt"
    with pytest.raises(TypeError, match="unsupported operand"):
        x + "text"
    assert (x == "text") is False and (x != "text") is True and hash(x) == object.__hash__(x)


def test_in_place_operators_of_leaves_and_others():
    w = minidl.tensor(A.copy(), requires_grad=True)
    for name, expected in (("add", A + 2), ("sub", A), ("mul", 2 * A), ("truediv", A), ("pow", A ** 2)):
        method = getattr(w, f"__i{name}__")
        with pytest.raises(RuntimeError, match=r"a leaf that requires grad changes in place within no_grad\(\) alone"):
            method(2)
        with minidl.no_grad():
            assert method(2) is w
        np.testing.assert_allclose(w.data, expected)
    square = minidl.tensor(np.eye(2) * 3, requires_grad=True)
    with minidl.no_grad():
        square @= np.ones((2, 2))
    assert square.tolist() == [[3, 3], [3, 3]]
    half = minidl.tensor(A.astype(np.float32), requires_grad=True)
    with minidl.no_grad(), pytest.raises(TypeError, match="a result of float64 does not fit into a Tensor of float32"):
        half += A
    np.testing.assert_array_equal(half.data, A.astype(np.float32))
    y = w * 1
    before = y
    y += 1
    assert y is not before and y.requires_grad
    plain = made()
    first = plain
    plain *= 2
    assert plain is not first and first.tolist() == A.tolist()


@pytest.mark.parametrize("name, expected", [("add", [2.5, 2]), ("sub", [0.5, 2]), ("add_", [2.5, 2]),
                                            ("sub_", [0.5, 2])])
def test_truth_values_are_added_as_they_are(name, expected):
    """Times 1 they would be integers, and the sum in double precision."""
    for other in (np.array([True, False]), made([True, False])):
        for more in ({}, {"alpha": 1}):
            got = getattr(made([1.5, 2.0]), name)(other, **more)
            assert got.dtype == np.float32 and got.tolist() == expected
