"""minidl.arrays: functions of elements, sums and labels, on arrays of every rank and layout, against NumPy."""
from __future__ import annotations

import inspect
import itertools
import math
import re
import sys

import numpy as np
import pytest

from minidl import arrays, kernels, reference

SHAPES = [(), (1,), (5,), (3, 4), (1, 7), (2, 3, 4), (2, 1, 3, 5), (0, 3), (2, 0, 4)]
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
DOMAINS = {"log": np.abs, "tanh_backward": np.tanh, "sigmoid_backward": lambda x: 1 / (1 + np.exp(-x))}
SETTINGS = {"leaky_relu": 0.2, "elu": 0.7, "softplus": 20.0}
CLOSE = {np.float32: {"rtol": 2e-6, "atol": 1e-6}, np.float64: {"rtol": 1e-13, "atol": 1e-14}}


def elementwise() -> dict[str, str]:
    """The kernels that minidl calls through unary() and binary()."""
    found = {}
    for module in [module for name, module in sys.modules.items() if name.startswith("minidl")]:
        for value in vars(module).values():
            for call in (value, getattr(value, "value", None)):
                maker, _, inner = getattr(call, "__qualname__", "").partition(".")
                if maker in ("unary", "binary") and inner == "<locals>.call":
                    found[inspect.getclosurevars(call).nonlocals["name"]] = maker
    return found


FOUND = elementwise()
UNARY = sorted(name for name in FOUND if FOUND[name] == "unary")
BINARY = sorted(name for name in FOUND if FOUND[name] == "binary")


def layouts(shape, dtype, seed=0, domain=np.array):
    """Arrays of one shape and the same values that lie differently: in order, turned, apart, backward, read-only."""
    x = np.asarray(domain(np.random.default_rng(seed).standard_normal(shape))).astype(dtype)
    yield x
    yield x.copy(order="F")
    if len(shape) > 2:
        yield np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)  # as images lie
    if shape:
        apart = np.zeros([2 * n for n in shape], dtype)[tuple(slice(None, None, 2) for _ in shape)]
        apart[...] = x
        yield apart
        yield np.ascontiguousarray(x[..., ::-1])[..., ::-1]
    fixed = x.copy()
    fixed.flags.writeable = False
    yield fixed


def setting_of(name: str) -> tuple:
    return tuple(value for key, value in SETTINGS.items() if name in (key, f"{key}_backward"))


def twin(name: str, *inputs) -> np.ndarray:
    """What the kernel's twin makes of matrices."""
    inputs = [x.copy(order="C") for x in inputs]
    matrices = [x.reshape(-1, max(1, x.shape[-1] if x.ndim else 1)) for x in inputs]
    y = np.empty_like(matrices[0])
    getattr(reference, name)(*matrices, y, *setting_of(name))
    return y.reshape(inputs[0].shape)


def lies_alike(y: np.ndarray, x: np.ndarray) -> bool:
    """Whether y lies as x does; a matrix lies in order, and so does the output for one with gaps."""
    order = arrays.as_it_lies(x) if x.ndim > 2 else None
    return y.flags.c_contiguous if order is None else y.transpose(order).flags.c_contiguous


@DTYPES
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", UNARY)
def test_functions_of_one_array(name, shape, dtype):
    for x in layouts(shape, dtype, domain=DOMAINS.get(name, np.array)):
        before = x.copy()
        y = arrays.unary(name)(x, *setting_of(name))
        np.testing.assert_allclose(y, twin(name, x), **CLOSE[dtype])
        np.testing.assert_array_equal(x, before)
        assert y.shape == shape and y.dtype == dtype and lies_alike(y, x) and not np.shares_memory(x, y)


@DTYPES
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", BINARY)
def test_derivatives_of_one_array(name, shape, dtype):
    domain = DOMAINS.get(name, np.array)
    for dy, x in itertools.product(layouts(shape, dtype, 1), layouts(shape, dtype, domain=domain)):
        dx = arrays.binary(name)(dy, x, *setting_of(name))
        np.testing.assert_allclose(dx, twin(name, dy, x), **CLOSE[dtype])
        assert dx.shape == shape and dx.dtype == dtype and lies_alike(dx, x)


@DTYPES
@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape], ids=str)
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_functions_of_rows(name, shape, dtype):
    for x in layouts(shape, dtype):
        y = arrays.unary(name, of_rows=True)(x)
        np.testing.assert_allclose(y, twin(name, x), **CLOSE[dtype])
        assert y.flags.c_contiguous
        dy = arrays.binary(f"{name}_backward", of_rows=True)(x, y)
        np.testing.assert_allclose(dy, twin(f"{name}_backward", x, y), **CLOSE[dtype])
        assert dy.flags.c_contiguous


def misaligned(shape) -> np.ndarray:
    return np.zeros(4 * math.prod(shape) + 1, np.uint8)[1:].view(np.float32).reshape(shape)


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if math.prod(shape)], ids=str)
@pytest.mark.parametrize("name", UNARY + BINARY)
def test_arrays_that_a_kernel_refuses(name, shape):
    call = getattr(arrays, FOUND[name])(name)
    good = np.ones(shape, np.float32)

    def called(x):
        return call(x, *setting_of(name)) if name in UNARY else call(good, x, *setting_of(name))

    with pytest.raises(ValueError, match="expected strides of whole elements, and these aligned"):
        called(misaligned(shape))
    for wrong, told in ((good.astype(int), "int64"), (good.astype(np.float16), "float16"), (good.tolist(), ""),
                        (good.astype(">f4"), ">f4"), (good.astype(complex), "complex128"), ("text", "str")):
        with pytest.raises(TypeError, match=f"{name}: expected a float32 or float64 array, got {told}"):
            called(wrong)
    if name in BINARY:
        with pytest.raises(ValueError, match="aligned"):
            call(misaligned(shape), good, *setting_of(name))
        for other in (np.ones((*shape, 2), np.float32), np.ones((3, *shape), np.float32), np.ones((2, 9), np.float32)):
            told = re.escape(f"{name}: expected a gradient of shape {shape}, got {other.shape}")
            with pytest.raises(ValueError, match=told):
                call(other, good, *setting_of(name))


# Sums

@DTYPES
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_sums(shape, dtype):
    for x in layouts(shape, dtype):
        assert arrays.total(x) == pytest.approx(x.sum(dtype=np.float64), rel=1e-12, abs=1e-12)
        for count in range(len(shape) + 1):
            for dims in itertools.combinations(range(len(shape)), count):
                for dim in [dims, tuple(axis - len(shape) for axis in dims), *([dims[0]] if count == 1 else []),
                            *([None] if count == len(shape) else [])]:
                    for keepdim in (False, True):
                        y = arrays.summed(x, dim, keepdim)
                        expected = np.sum(x, axis=dim, keepdims=keepdim)
                        assert y.shape == expected.shape and y.dtype == dtype
                        np.testing.assert_allclose(y, expected, **CLOSE[dtype])


def test_sums_of_integers_are_numpys():
    for x in (np.arange(6).reshape(2, 3), np.arange(6, dtype=np.uint8).reshape(2, 3), np.eye(2, dtype=bool)):
        for dim in (None, 0, (0, 1)):
            got, expected = arrays.summed(x, dim), np.sum(x, axis=dim)
            assert got.dtype == expected.dtype and np.array_equal(got, expected)
    x = np.ones((2, 3), np.float32)
    same = arrays.summed(x, ())
    assert same.tolist() == x.tolist() and not np.shares_memory(same, x)


# Labels

@DTYPES
@pytest.mark.parametrize("kind", [np.int64, np.int32, np.int8, np.uint8, np.uint64])
def test_labels_of_every_integer(kind, dtype):
    for z in layouts((6, 5), dtype):
        labels = np.array([0, 4, 2, 2, 1, 3], kind)
        here = np.arange(6), labels.astype(int)
        assert arrays.gather_labels_total(z, labels) == pytest.approx(z[here].sum(dtype=np.float64))
        log_p = z - np.log(np.exp(z.astype(np.float64)).sum(1, keepdims=True))
        loss, got = arrays.cross_entropy(z, labels)
        assert loss == pytest.approx(-log_p[here].sum(), rel=1e-6)
        np.testing.assert_allclose(got, log_p, rtol=1e-5, atol=1e-6)
        slope = np.exp(log_p)
        slope[here] -= 1
        np.testing.assert_allclose(arrays.cross_entropy_gradient(got, labels, 0.5), 0.5 * slope, rtol=1e-5, atol=1e-6)
        added = z.copy()
        arrays.add_at_labels(added, labels, 2.0)
        expected = z.copy()
        expected[here] += dtype(2)
        np.testing.assert_array_equal(added, expected)
        table = np.ascontiguousarray(z)
        for index in (labels, labels.reshape(2, 3), labels[:1], labels[0]):
            np.testing.assert_array_equal(arrays.take_rows(table, index), table[index])
            g, into = np.ones((*np.shape(index), 5), dtype), np.zeros((6, 5), dtype)
            arrays.add_rows(g, index, into)
            counts = np.bincount(np.ravel(index).astype(int), minlength=6)
            np.testing.assert_array_equal(into, np.broadcast_to(counts[:, None], (6, 5)))
            arrays.add_rows(g, index, into, skip=4)
            np.testing.assert_array_equal(into[:, 0], counts * np.where(np.arange(6) == 4, 1, 2))


@pytest.mark.parametrize("kind", [np.float32, np.bool_, complex])
def test_labels_are_integers(kind):
    z, labels = np.ones((2, 3), np.float32), np.zeros(2, kind)
    for call in (lambda: arrays.as_int64(labels), lambda: arrays.gather_labels_total(z, labels),
                 lambda: arrays.add_at_labels(z, labels, 1), lambda: arrays.cross_entropy(z, labels),
                 lambda: arrays.cross_entropy_gradient(z, labels, 1), lambda: arrays.take_rows(z, labels),
                 lambda: arrays.add_rows(z, labels, z)):
        with pytest.raises(TypeError, match=f"expected labels of an integer dtype, got {np.dtype(kind)}"):
            call()
    assert (z == 1).all()


# What the others are made of

@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_arrays_as_matrices(shape):
    for x in layouts(shape, np.float64):
        matrix = arrays.as_matrix(x)
        assert matrix.shape == ((math.prod(shape[:-1]), shape[-1]) if shape else (1, 1))
        np.testing.assert_array_equal(matrix.reshape(shape), x)


def test_the_order_in_which_axes_lie():
    x = np.zeros((2, 3, 4))
    for axes in itertools.permutations(range(3)):
        turned = x.transpose(axes)
        order = arrays.as_it_lies(turned)
        assert (order is None) == (axes == (0, 1, 2))
        if order is not None:
            assert turned.transpose(order).flags.c_contiguous
    assert arrays.as_it_lies(x[:, ::2]) is None and arrays.as_it_lies(x.T[::2]) is None


def test_a_kernel_for_each_dtype():
    for name in ("exp", "matmul", "Layer"):
        assert arrays.compiled(name) == {np.dtype(kind): getattr(kernels.of(np.dtype(kind)), name)
                                         for kind in (np.float32, np.float64)}
