"""The arrays that p.data and p.grad give: a Tensor's methods beside NumPy's, copies, views, and which writes count."""
from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.autograd.counted import Counted
from minidl.autograd.values import Values

A = np.arange(9.0).reshape(3, 3)

WRITES = {
    "[...]": lambda a: a.__setitem__(0, 1), "fill": lambda a: a.fill(2), "put": lambda a: a.put([0], 5),
    "put by name": lambda a: a.put(indices=[0], values=[5], mode="clip"), "sort": lambda a: a.sort(0),
    "sort by name": lambda a: a.sort(axis=0, kind="stable"), "partition": lambda a: a.partition(1, axis=0),
    "partition by name": lambda a: a.partition(kth=1), "copyto": lambda a: np.copyto(a, 2),
    "fill_diagonal": lambda a: np.fill_diagonal(a, 7), "place": lambda a: np.place(a, a > 3, [1]),
    "np.put": lambda a: np.put(a, [1], 3), "putmask": lambda a: np.putmask(a, a > 3, 1),
    "put_along_axis": lambda a: np.put_along_axis(a, np.array([[0]]), 8, 1), "+=": lambda a: a.__iadd__(1),
    "out=": lambda a: np.multiply(a, 2, out=a), "zero_": lambda a: a.zero_(), "add_": lambda a: a.add_(A, alpha=2),
    "clamp_": lambda a: a.clamp_(1, 3), "view of a view": lambda a: a[1:].T[0].fill(3),
}


@pytest.mark.parametrize("name", WRITES)
def test_what_writes_counts_and_writes(name):
    w = nn.Parameter(A, "w")
    expected = A.copy()
    version = w._version
    WRITES[name](w.data)
    assert w._version > version
    if not name.endswith("_"):
        WRITES[name](expected)
        assert w.data.tolist() == expected.tolist() and w.store.values[w.start:w.start + 9].tolist() == (
            expected.ravel().tolist())


@pytest.mark.parametrize("read", [
    lambda a: a.sum(), lambda a: np.copyto(np.zeros((3, 3)), a), lambda a: np.put(np.zeros(9), [0], a[0]),
    lambda a: np.multiply(a, 2), lambda a: a.T, lambda a: a.copy().fill(3), lambda a: copy.deepcopy(a).fill(3),
    lambda a: np.array(a).fill(3), lambda a: np.concatenate([a, a]), lambda a: np.sort(a), lambda a: a.argsort(),
    lambda a: pickle.loads(pickle.dumps(a)), lambda a: a.view(np.int64), lambda a: (a + 1).fill(3), repr, str,
    lambda a: a.norm(2), lambda a: a.clone().zero_(), lambda a: np.multiply(a, 2, out=np.zeros((3, 3)))])
def test_what_reads_counts_nothing(read):
    w = nn.Parameter(A, "w")
    version = w._version
    read(w.data)
    assert w._version == version and w.data.tolist() == A.tolist()


def arrays():
    w = nn.Parameter(A, "w")
    w.grad = 2 * A
    return w.data, w.grad


@pytest.mark.parametrize("which", [0, 1])
def test_copies_and_results_are_plain(which):
    array = arrays()[which]
    assert isinstance(array, Values) and isinstance(array, Counted) is (which == 0)
    for result in (array + 1, np.exp(array), array.sum(0), pickle.loads(pickle.dumps(array)), array @ array, -array):
        assert type(result) is np.ndarray
    assert type(array.sum()) is np.float64 and type(np.add.reduce(array, axis=None)) is np.float64
    twin = copy.deepcopy(array)
    assert type(twin) is (np.ndarray if which == 0 else Values) and twin.tolist() == array.tolist()
    assert not np.shares_memory(twin, array)
    assert repr(array) == repr(np.asarray(array)) and array.data is array
    out = np.zeros((3, 3))
    assert np.add(array, 1, out=out) is out and np.add(array, 0, out=array) is array


@pytest.mark.parametrize("which", [0, 1])
def test_views_of_another_shape(which):
    array = arrays()[which]
    for shape in ((9,), (-1,), (1, 9), (3, 1, 3), (np.int64(9),)):
        for seen in (array.view(*shape), array.view(shape)):
            assert seen.tolist() == array.reshape(shape).tolist() and np.shares_memory(seen, array)
    assert array.view(np.int64).dtype == np.int64 and type(array.view(np.ndarray)) is np.ndarray
    assert array.view(dtype=np.int64).dtype == np.int64 and array.view().tolist() == array.tolist()
    assert array.view(np.int64, np.ndarray).shape == (3, 3)


@pytest.mark.parametrize("which", [0, 1])
def test_a_tensors_methods(which):
    array = arrays()[which]
    plain = np.array(array)
    norm = array.norm(1)
    assert isinstance(norm, minidl.Tensor) and norm.item() == abs(plain).sum() and not norm.requires_grad
    assert array.T.norm().item() == pytest.approx(np.linalg.norm(plain))
    assert array[1].norm(1).item() == plain[1].sum() and array.clone().tolist() == plain.tolist()
    assert array[:, 1].add_(1).tolist() == array[:, 1].tolist() == (plain[:, 1] + 1).tolist()
    assert array.size == 9 and array.max(1).tolist() == np.array(array).max(1).tolist()
    assert array.mul_(2) is array.mul_(1)
    for wrong in ("nothing", "_data", "status", "grad", "__made__"):
        with pytest.raises(AttributeError, match=f"'{type(array).__name__}' object has no attribute '{wrong}'"):
            getattr(array, wrong)
    assert not hasattr(array, "requires_grad")


def test_a_change_of_a_gradient_is_none_of_the_values():
    w = nn.Parameter(A, "w")
    w.grad = A + 1
    version = w._version
    w.grad.zero_()
    w.grad.add_(3)
    w.grad[0] = 2
    assert w._version == version and w.data.tolist() == A.tolist()
    assert w.grad.tolist() == [[2] * 3, [3] * 3, [3] * 3]


def test_what_a_parameter_is_given():
    w = nn.Parameter(A, "w")
    assert (w.name, w.order, w.requires_grad, w.grad, w.has_grad()) == ("w", "C", True, None, False)
    w.accumulate(minidl.tensor(A))
    w.accumulate(A)
    assert w.grad.tolist() == (2 * A).tolist() and w.has_grad()
    w.zero_grad(set_to_none=False)
    assert w.has_grad() and w.grad.tolist() == (0 * A).tolist()
    w.zero_grad()
    assert w.grad is None and not w.has_grad()
    w.zero_grad(set_to_none=False)
    assert w.grad is None
    w.gradient[1, 1] = 1
    assert w.has_grad() and w.grad[1, 1] == 1
    for wrong in (1, "True", None):
        with pytest.raises(TypeError, match=f"requires_grad must be a bool, got {type(wrong).__name__}"):
            w.requires_grad = wrong
    w.requires_grad = np.bool_(False)
    assert not w.requires_grad and not (w * 2).requires_grad
    assert w.described() == "Parameter 'w' of shape (3, 3)"
    listed = nn.Parameter([0.5, 1.5])
    assert listed.dtype == np.float32 and listed.name == "parameter"


def test_what_a_tensor_is_given():
    x = minidl.tensor(A.copy())
    assert x.requires_grad_() is x and x.requires_grad and x.requires_grad_(False) is x and not x.requires_grad
    for wrong in (1, "yes", None):
        with pytest.raises(TypeError, match=f"requires_grad must be a bool, got {type(wrong).__name__}"):
            x.requires_grad = wrong
    with pytest.raises(TypeError, match="Tensor: only float32 and float64 have gradients, got int64"):
        minidl.tensor([1]).requires_grad = True
    y = minidl.tensor(A, requires_grad=True) * 2
    assert y.requires_grad_() is y and y.requires_grad_(True) is y
    with pytest.raises(RuntimeError, match="you can only change requires_grad flags of leaf variables"):
        y.requires_grad_(False)
    with pytest.raises(RuntimeError, match="you can only change requires_grad flags of leaf variables"):
        y.requires_grad = True
    x.data = [1.0, 2.0]
    assert x.dtype == np.float32 and x.tolist() == [1, 2]
    x.requires_grad = True
    with pytest.raises(TypeError, match="Tensor: only float32 and float64 have gradients, got int64"):
        x.data = np.array([1, 2])
    x.data = np.array([3.0])
    assert x.dtype == np.float64 and x.tolist() == [3]


def test_numbers_as_an_index():
    whole = minidl.tensor([2])
    assert [10, 20, 30][whole] == 30 and [1, 2, 3][minidl.tensor(np.array(1, np.uint8))] == 2
    for wrong in (minidl.tensor([1.0]), minidl.tensor([1, 2]), minidl.tensor([True])):
        with pytest.raises(TypeError, match="only Tensors of one integer can be converted to an index"):
            [1, 2, 3][wrong]
    assert int(minidl.tensor([2.7])) == 2 and float(whole) == 2.0 and f"{minidl.tensor(2.5):.2f}" == "2.50"
    assert minidl.tensor([0.0]).__bool__() is False and minidl.tensor([[3]]).__bool__() is True


def test_shapes_in_place():
    x = minidl.tensor(A.reshape(1, 3, 1, 3).copy())
    array = x.data
    assert x.squeeze_(0) is x and x.shape == (3, 1, 3) and np.shares_memory(x.data, array)
    assert x.unsqueeze_(-1) is x and x.shape == (3, 1, 3, 1) and x.squeeze_().shape == (3, 3)
    w, p = minidl.tensor(A.copy(), requires_grad=True), nn.Parameter(A[None], requires_grad=False)
    for call in (lambda: w.squeeze_(), lambda: w.unsqueeze_(0), lambda: p.squeeze_(), lambda: p.unsqueeze_(0)):
        with pytest.raises(RuntimeError,
         match="a Tensor that requires grad, or a Parameter, does not change its shape"):
            call()
    assert w.shape == (3, 3) and p.shape == (1, 3, 3)


def test_sizes():
    x = minidl.tensor(A[:2])
    assert (x.size(), x.size(0), x.size(-1), x.size(dim=1), x.dim(), x.numel()) == ((2, 3), 2, 3, 3, 2, 6)


def test_numbers_in_a_dtype():
    """Numbers are read in it; what is an array or a Tensor is cast."""
    assert minidl.tensor([0.1], dtype=np.float64).item() == 0.1 and minidl.tensor(0.1, dtype=np.float64).item() == 0.1
    assert minidl.tensor([2 ** 53 + 1], dtype=np.int64).item() == 2 ** 53 + 1
    assert minidl.tensor([0.1]).item() == np.float32(0.1)
    single = minidl.tensor([0.1])
    assert minidl.tensor(single, dtype=np.float64).item() == np.float32(0.1)
    assert minidl.tensor(A, dtype=np.float64).data is A and minidl.tensor(minidl.tensor(A), dtype=np.float64).data is A
    x = minidl.tensor(A, dtype=np.float32, requires_grad=True)
    assert x.requires_grad and x.is_leaf and x.dtype == np.float32
    assert not minidl.tensor(A, dtype=np.float32).requires_grad


def test_a_cast_in_a_captured_step():
    @minidl.capture
    def step(x):
        y, z = minidl.tensor(x, dtype=np.float64), minidl.tensor(x, dtype=np.float64, requires_grad=True)
        return y * 3 + minidl.tensor([0.1, 0.2], dtype=np.float64), minidl.autograd.grad((z * z).sum(), z)[0]

    for k in range(5):
        x = np.array([k + 0.5, k * 0.1], np.float32)
        y, gradient = step(x)
        assert y.dtype == gradient.dtype == np.float64 and gradient.tolist() == (2 * x.astype(np.float64)).tolist()
        assert y.tolist() == (3 * x.astype(np.float64) + [0.1, 0.2]).tolist()
