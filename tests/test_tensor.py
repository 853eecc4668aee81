"""Tensor and the tape: what a Tensor is, and how gradients flow, gather and are let go."""
from __future__ import annotations

import copy
import gc
import pickle
import threading
import weakref

import numpy as np
import pytest
from theirs import torch

import minidl
from minidl import nn
from minidl.autograd.tensor import Tensor


@pytest.fixture
def x() -> Tensor:
    return minidl.tensor(np.array([[1.0, -2.0, 3.0], [0.5, 4.0, -1.0]]), requires_grad=True)


# What a Tensor is

@pytest.mark.parametrize("data, dtype", [
    ([1.0, 2.0], np.float32), ([], np.float32), (2.5, np.float32), ([[1, 2]], np.int64), (3, np.int64),
    ([True], np.bool_), (np.float64(2), np.float64), (np.ones(2), np.float64),
    (np.ones(2, np.uint8), np.uint8)])
def test_dtype_of_data(data, dtype):
    t = minidl.tensor(data)
    assert t.dtype == dtype and t.shape == np.shape(data) and not t.requires_grad and t.grad is None


def test_tensor_takes_a_dtype_and_a_tensor(x):
    assert minidl.tensor([1, 2], dtype=minidl.float64).dtype == np.float64
    again = minidl.tensor(x)
    assert again.data is x.data and not again.requires_grad
    assert minidl.tensor(x, dtype=np.float32).dtype == np.float32


def test_attributes(x):
    assert x.shape == x.size() == (2, 3) and x.size(-1) == 3
    assert x.ndim == x.dim() == len(x) == 2 and x.numel() == 6
    assert x.is_leaf and not (x * 2).is_leaf and x.tolist()[0] == [1, -2, 3]
    assert x.T.shape == (3, 2) and [row.shape for row in x] == [(3,), (3,)]


def test_numbers_from_a_tensor():
    t = minidl.tensor(2.5)
    assert t.item() == 2.5 and float(t) == 2.5 and int(t) == 2 and bool(t) and f"{t:.3f}" == "2.500"
    assert float(minidl.tensor([[4.0]])) == 4


def test_repr_and_format(x):
    t = minidl.tensor([1.0, 2.0])
    assert repr(t) == f"{t}" == "tensor([1., 2.])"
    assert "requires_grad=True" in repr(x)
    assert repr(nn.Parameter(np.ones(2, np.float32), "bias")) == "Parameter(bias, shape=(2,), dtype=float32)"


@pytest.mark.parametrize("wrong, error, match", [
    (lambda x: Tensor(["a"]), TypeError, "Tensor: expected numbers, got <U1"),
    (lambda x: Tensor(np.ones(2, complex)), TypeError, "Tensor: expected numbers, got complex128"),
    (lambda x: Tensor([1, 2], requires_grad=True), TypeError, "only float32 and float64 .*, got int64"),
    (lambda x: Tensor(np.ones(2, np.float16), requires_grad=True), TypeError, "got float16"),
    (lambda x: x.item(), ValueError, "size 1"),
    (lambda x: bool(x), ValueError, "ambiguous"),
    (lambda x: f"{x:.2f}", TypeError, "format"),
    (lambda x: len(minidl.tensor(1.0)), TypeError, "unsized"),
    (lambda x: iter(minidl.tensor(1.0)), TypeError, "unsized"),
    (lambda x: x[2], IndexError, "out of bounds"),
    (lambda x: x - [1, 2, 3], TypeError, "unsupported operand"),
    (lambda x: None * x, TypeError, "unsupported operand"),
    (lambda x: x < "1", TypeError, "not supported"),
    (lambda x: x + np.ones(4), ValueError, "broadcast"),
    (lambda x: minidl.from_numpy([1.0]), TypeError, "from_numpy: expected an array, got list"),
    (lambda x: x.to("cuda"), TypeError, "to: expected a dtype or the device 'cpu', got 'cuda'"),
])
def test_bad_use(x, wrong, error, match):
    with pytest.raises(error, match=match):
        wrong(x)


# NumPy and DLPack

def test_zero_copy_from_and_to_numpy():
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    for t in (Tensor(array), minidl.tensor(array), minidl.from_numpy(array)):
        assert t.data is array and t.numpy() is array
        assert np.shares_memory(np.asarray(t), array) and np.shares_memory(np.from_dlpack(t), array)
    array[0, 0] = 7
    assert t[0, 0].item() == 7


def test_array_protocol_casts_and_copies():
    t = minidl.tensor([1.0, 2.0])
    assert np.asarray(t, np.float64).dtype == np.float64
    assert not np.shares_memory(np.array(t), t.data)


def test_dlpack_with_pytorch():
    t = minidl.tensor(np.ones(3))
    theirs = torch.from_dlpack(t)
    theirs[1] = 5
    assert t.tolist() == [1, 5, 1]
    assert np.from_dlpack(theirs).base is not None and Tensor(np.from_dlpack(theirs)).tolist() == [1, 5, 1]


@pytest.mark.parametrize("taken", [Tensor.numpy, np.asarray, np.from_dlpack, np.exp])
def test_what_requires_grad_does_not_slip_off_the_tape(x, taken):
    with pytest.raises(RuntimeError, match=r"use detach\(\)"):
        taken(x)
    assert np.shares_memory(x.detach().numpy(), x.data)


def test_arithmetic_with_an_array_on_the_left_is_the_tensors(x):
    for y in (np.ones(3) + x, np.ones((2, 3)) * x, np.ones((4, 2)) @ x, np.float64(2) - x, 2 / x):
        assert isinstance(y, Tensor) and y.requires_grad


@pytest.mark.parametrize("number", [2, 2.5, True, np.float64(2.5), np.int64(2), np.float32(2.5)])
def test_numbers_do_not_widen(number):
    t = minidl.tensor([1.0, 2.0], requires_grad=True)
    for y in (t + number, number - t, t * number, number / t, t ** number, number ** t):
        assert y.dtype == np.float32
        y.backward(np.ones(2, np.float32))
    assert t.grad.dtype == np.float32


def test_arrays_promote_as_in_numpy_and_gradients_keep_their_inputs_dtype():
    single = minidl.tensor([1.0, 2.0], requires_grad=True)
    double = minidl.tensor(np.array([3.0, 4.0]), requires_grad=True)
    y = single * double + np.arange(2)
    assert y.dtype == np.float64
    y.sum().backward()
    assert single.grad.dtype == np.float32 and single.grad.tolist() == [3, 4]
    assert double.grad.dtype == np.float64 and double.grad.tolist() == [1, 2]


def test_comparisons_are_tensors_off_the_tape(x):
    for mask in (x > 1, x.gt(1), 1 < x, np.ones(3) < x):  # noqa: SIM300
        assert isinstance(mask, Tensor) and mask.dtype == bool and not mask.requires_grad
        assert mask.tolist() == [[False, False, True], [False, True, False]]
    assert (x == x.detach()).all() and (x != x.clone()).sum().item() == 0 and not (x <= -3).any()
    assert (x == None) is False  # noqa: E711
    assert (x > 1).float().mean().item() == pytest.approx(1 / 3)
    assert len({x, x}) == 1


def test_casts_and_copies(x):
    assert x.to("cpu") is x and x.cpu() is x and x.double() is x and x.to(np.float64) is x
    assert x.float().dtype == np.float32 and x.float().requires_grad
    assert x.long().tolist() == [[1, -2, 3], [0, 4, -1]] and not x.long().requires_grad
    assert not np.shares_memory(x.clone().data, x.data) and x.T.contiguous().data.flags.c_contiguous
    (x.float().sum() + x.clone().sum() + x.T.contiguous().sum()).backward()
    assert x.grad.dtype == np.float64 and (x.grad == 3).all()


def test_creation():
    assert minidl.zeros(2, 3).tolist() == [[0] * 3] * 2
    assert minidl.zeros((2,), dtype=minidl.long).dtype == np.int64
    assert minidl.ones(2, requires_grad=True).requires_grad and minidl.ones(()).item() == 1
    assert minidl.randn(2, 3, generator=1).tolist() == minidl.randn((2, 3), generator=1).tolist()
    assert minidl.randn(3, dtype=minidl.float64).dtype == np.float64 and minidl.randn().shape == ()


# Gradients

def test_gradients_add_up(x):
    (x * x).sum().backward()
    (3 * x).sum().backward()
    np.testing.assert_array_equal(x.grad, 2 * x.data + 3)


def test_backward_of_a_leaf():
    w = minidl.tensor([2.0], requires_grad=True)
    w.backward()
    w.backward([4.0])
    assert w.grad.tolist() == [5]


@pytest.mark.parametrize("gradient", [
    np.full((2, 3), 2.0), Tensor(np.full((2, 3), 2.0)), [[2, 2, 2], [2, 2, 2]],
    np.broadcast_to(2.0, (2, 3)), np.full((3, 2), 2.0).T])
def test_a_given_gradient(x, gradient):
    (x * 3).backward(gradient)
    assert (x.grad == 6).all() and x.grad.flags.writeable


def test_bad_backward_leaves_gradients_and_graph_as_they_were(x):
    y = x * 2
    for gradient, error, match in (
            (None, RuntimeError, r"backward: expected a gradient of shape \(2, 3\)"),
            (np.ones(3), ValueError, r"backward: expected a gradient of shape \(2, 3\), got \(3,\)"),
            (np.ones((2, 3), np.float32), TypeError, "gradient of dtype float64, got float32")):
        with pytest.raises(error, match=match):
            y.backward(gradient)
    with pytest.raises(RuntimeError, match="does not require grad"):
        x.detach().sum().backward()
    assert x.grad is None
    y.sum().backward()
    assert (x.grad == 2).all()


def test_a_tensor_used_many_times(x):
    y = x
    for _ in range(10):
        y = y + x
    (y * y).sum().backward()
    np.testing.assert_allclose(x.grad, 2 * 11 * 11 * x.data)


def test_gradients_do_not_share_memory():
    a, b = (minidl.tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
    given = np.ones(2, np.float32)
    (a + b).backward(given)
    a.grad += 5
    assert b.grad.tolist() == [1, 1] and given.tolist() == [1, 1]
    a.grad = None
    (a + a).backward(given)
    assert a.grad.tolist() == [2, 2] and given.tolist() == [1, 1]


def test_gradient_is_kept_by_leaves_alone(x):
    y = x * 2
    y.sum().backward()
    assert y.grad is None and x.grad is not None


def test_detach_cuts(x):
    (x * x.detach()).sum().backward()
    np.testing.assert_array_equal(x.grad, x.data)


def test_what_does_not_require_grad_is_not_recorded(x):
    a = minidl.tensor(np.ones((2, 3)))
    assert not (a * 2).requires_grad and (a * 2).node is None
    (a * x).sum().backward()
    assert a.grad is None


# The life of a graph

def test_second_backward_through_a_freed_graph(x):
    h = x * 2
    y, z = h.sum(), (h * h).sum()
    y.backward()
    gradient = x.grad.copy()
    for freed in (y, z):
        with pytest.raises(RuntimeError, match=r"graph was freed by an earlier backward .*retain_graph=True"):
            freed.backward()
    np.testing.assert_array_equal(x.grad, gradient)


def test_retain_graph(x):
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    np.testing.assert_array_equal(x.grad, 4 * x.data)


def test_after_backward_the_graph_holds_nothing(x):
    gc.disable()
    try:
        h = x * 2
        tensor, array = weakref.ref(h), weakref.ref(h.data)
        y = (h * h).sum()
        del h
        assert tensor() is not None
        y.backward()
        assert tensor() is None and array() is None
    finally:
        gc.enable()


def test_a_graph_without_backward_dies_with_its_output(x):
    gc.disable()
    try:
        h = x * 2
        ref = weakref.ref(h)
        y = h.exp().sum()
        del h, y
        assert ref() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("differentiated", [True, False])
def test_a_chain_of_a_hundred_thousand(differentiated):
    x = y = minidl.tensor([1.0], requires_grad=True)
    for _ in range(100_000):
        y = y + 1
    if differentiated:
        y.backward()
        assert x.grad.tolist() == [1]
    del y


def test_a_ladder_is_walked_once_a_rung():
    x = y = minidl.tensor(np.array(1.0), requires_grad=True)
    for _ in range(60):
        y = y + y
    y.backward()
    assert x.grad == 2.0 ** 60


def test_leaves_can_be_copied_and_pickled(x):
    x.grad = np.ones(x.shape)
    for twin in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert twin.requires_grad and (twin == x).all() and (twin.grad == 1).all()
        assert not np.shares_memory(twin.data, x.data)
    assert copy.copy(x).data is x.data
    for copied in (copy.deepcopy, pickle.dumps):
        with pytest.raises(RuntimeError, match=r"cannot be copied or pickled .* detach\(\)"):
            copied(x * 2)


# no_grad

def test_no_grad(x):
    with minidl.no_grad():
        assert not (x * 2).requires_grad
        with minidl.no_grad():
            pass
        assert not (x * 2).requires_grad
    assert (x * 2).requires_grad


def test_no_grad_entered_twice_and_left_by_an_exception(x):
    off = minidl.no_grad()
    with pytest.raises(KeyError), off, off:
        raise KeyError
    assert (x * 2).requires_grad


def test_no_grad_as_a_decorator(x):
    @minidl.no_grad()
    def twice(x):
        """2 x"""
        return x * 2

    assert not twice(x).requires_grad and (x * 2).requires_grad and twice.__doc__ == "2 x"


def test_no_grad_is_of_its_thread(x):
    recorded = []
    with minidl.no_grad():
        thread = threading.Thread(target=lambda: recorded.append((x * 2).requires_grad))
        thread.start()
        thread.join()
    assert recorded == [True]


def test_threads_build_and_walk_graphs_of_their_own():
    def work(leaf):
        y = leaf
        for _ in range(300):
            y = y * 1 + leaf
        y.sum().backward()

    leaves = [minidl.tensor(np.ones(3), requires_grad=True) for _ in range(4)]
    threads = [threading.Thread(target=work, args=(leaf,)) for leaf in leaves]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all((leaf.grad == 301).all() for leaf in leaves)


# Updates in place

def test_a_leaf_is_updated_in_place_within_no_grad():
    w = minidl.tensor([1.0, 2.0], requires_grad=True)
    same, array = w, w.data
    (w * w).sum().backward()
    with minidl.no_grad():
        w -= 0.5 * w.grad
        w += 1
        w *= 3
        w /= 2
    assert w is same and w.data is array and w.tolist() == [1.5, 1.5] and w.requires_grad


def test_a_parameter_is_updated_in_its_store():
    p = nn.Parameter(np.ones(2, np.float32))
    with minidl.no_grad():
        p -= np.float32(0.25)
    assert p.store.values[p.start:p.start + 2].tolist() == [0.75, 0.75]


def test_bad_updates_in_place():
    w = minidl.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(RuntimeError, match="changes in place within no_grad"):
        w -= 1
    with minidl.no_grad(), pytest.raises(TypeError, match="float64"):
        w -= np.ones(2)
    with minidl.no_grad(), pytest.raises(ValueError, match="broadcast"):
        w -= np.ones((2, 2), np.float32)
    with pytest.raises(TypeError, match="unsupported operand"):
        w += "1"
    assert w.tolist() == [1, 2]


def test_elsewhere_an_update_is_a_new_tensor(x):
    array = np.zeros(2)
    total = minidl.from_numpy(array)
    total += 1
    assert total.tolist() == [1, 1] and array.tolist() == [0, 0]
    y = x * 2
    y += x
    y.sum().backward()
    assert (x.grad == 3).all()


# Parameter

def test_parameter_assignment_keeps_the_place():
    p = nn.Parameter([1.0, 2.0])
    view, gradient = p.data, p.gradient
    assert p.grad is None
    p.data, p.grad = np.array([3, 4], np.float32), [5, 6]
    assert view.tolist() == [3, 4] and gradient.tolist() == [5, 6]
    p.grad = None
    assert p.grad is None and gradient.tolist() == [0, 0]
    (p * p).sum().backward()
    (p * p).sum().backward()
    assert p.grad.tolist() == gradient.tolist() == [12, 16]


@pytest.mark.parametrize("wrong, error, match", [
    (lambda p: nn.Parameter([1, 2]), TypeError, "'parameter': expected float32 or float64, got int64"),
    (lambda p: setattr(p, "data", np.ones(3, np.float32)), ValueError, r"'bias': .*\(2,\), got \(3,\)"),
    (lambda p: setattr(p, "data", np.ones(2)), TypeError, "'bias': .* dtype float32, got float64"),
    (lambda p: setattr(p, "grad", np.ones((2, 1), np.float32)), ValueError, "'bias': expected a gradient"),
])
def test_bad_parameter(wrong, error, match):
    with pytest.raises(error, match=match):
        wrong(nn.Parameter(np.zeros(2, np.float32), "bias"))


def test_parameter_copies_have_a_place_of_their_own():
    p = nn.Parameter(np.ones((2, 3), np.float32), "weight", order="F")
    p.grad = np.full((2, 3), 2, np.float32)
    for twin in (copy.deepcopy(p), copy.copy(p), pickle.loads(pickle.dumps(p))):
        assert not np.shares_memory(twin.data, p.data) and not np.shares_memory(twin.grad, p.grad)
        assert twin.name == "weight" and twin.data.flags.f_contiguous
        assert (twin.data == 1).all() and (twin.grad == 2).all()


# Modules on the tape

def test_a_module_called_twice_in_one_graph():
    model = nn.Sequential(nn.Linear(3, 3, dtype=np.float64), nn.Tanh())
    theirs = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Tanh()).double()
    theirs.load_state_dict({name: torch.from_numpy(value) for name, value in model.state_dict().items()})
    start = np.linspace(-1, 1, 6).reshape(2, 3)
    x, tx = minidl.tensor(start, requires_grad=True), torch.tensor(start, requires_grad=True)
    (model(model(x)) * model(x)).sum().backward()
    (theirs(theirs(tx)) * theirs(tx)).sum().backward()
    np.testing.assert_allclose(x.grad, tx.grad, rtol=1e-12)
    for mine, other in zip(model.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(mine.grad, other.grad, rtol=1e-12)


class Sum(nn.Module):
    """a + b, whose backward says what the test wants."""

    def __init__(self, gradients):
        self.gradients = gradients

    def forward(self, a, b):
        return a + b

    def backward(self, gradient):
        return self.gradients(gradient)


def test_a_module_may_have_no_gradient_for_an_input(x):
    other = x * 2
    Sum(lambda g: g)(x * 3, other).sum().backward()
    assert (x.grad == 3).all()


@pytest.mark.parametrize("gradients, error, match", [
    (lambda g: (g, g[0]), ValueError, r"Sum: its backward gave shape \(3,\) for .* shape \(2, 3\)"),
    (lambda g: (g.astype(np.float32), g), TypeError, "Sum: .* gave float32 for .* float64"),
])
def test_a_module_whose_backward_is_wrong(x, gradients, error, match):
    with pytest.raises(error, match=match):
        Sum(gradients)(x, x).sum().backward()


class Residual(nn.Module):
    """x + W tanh(x), written with Tensors alone: the tape differentiates it."""

    def __init__(self, width):
        super().__init__()
        self.inner = nn.ModuleDict({"out": nn.Linear(width, width, generator=1)})
        self.scale = nn.Parameter(np.ones(width, np.float32))

    def forward(self, x):
        return x * self.scale + self.inner["out"](minidl.tanh(x))


def test_a_module_with_a_forward_alone_trains():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 4)).astype(np.float32)
    y = (2 * x - np.tanh(x) @ rng.standard_normal((4, 4))).astype(np.float32)

    def build():
        model = nn.Sequential(Residual(4), Residual(4))
        return model, minidl.optim.SGD(model.parameters(), lr=0.05)

    model, optimizer = build()
    names = ["0.inner.out.weight", "0.inner.out.bias", "0.scale"]
    assert sorted(model.state_dict())[:3] == sorted(names)
    history = minidl.fit(model, nn.MSELoss(), optimizer, (x, y), epochs=30, batch_size=200, progress=False)
    assert history.iteration_loss[-1] < 0.1 * history.iteration_loss[0]

    model, optimizer = build()
    for expected in history.iteration_loss:
        optimizer.zero_grad()
        loss = minidl.functional.mse_loss(model(minidl.tensor(x)), y)
        loss.backward()
        optimizer.step()
        assert loss.item() == pytest.approx(expected, rel=1e-3)
