"""Every kernel of every target against its NumPy twin, and the promises that all kernels share.

The first tests run down the registry of the operations. A table says more of most of them, and the others run down
that. A call goes through ``run``, which also checks that nothing but the output was written.
"""
from __future__ import annotations

import inspect
import itertools
import os
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import fuzz_arrays
import fuzz_kernels
import numpy as np
import pytest

from minidl import kernels, reference

EDGES_OF_PAGES = Path(__file__).parent / "scripts" / "page_edges.py"
EDGES = (0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 100, 1000)  # sizes around the edges of vectors and tiles
SHAPES = sorted(
    {(m, 5, 3) for m in EDGES} | {(3, n, 5) for n in EDGES} | {(5, 3, k) for k in EDGES}
    | {(m, n, k) for m in (0, 1, 17) for n in (0, 1, 33) for k in (0, 1, 9)}
    | {(33, 31, 33), (100, 100, 100)})
A_FEW = ((1, 1, 1), (5, 17, 9), (9, 33, 8), (33, 16, 100))  # (M, N, K)
DEEP = (17, 33, 5000)  # K in many blocks
DTYPES = (np.float32, np.float64)
WIDER = {np.float32: np.float64, np.float64: np.longdouble}
GUARD = 17  # elements on either side of an output: more than the widest vector, and no multiple of one
AROUND = -12345.5  # the numbers there: none that a ReLU, a magnitude or a rounding would leave as it is


# The table

@dataclass(frozen=True)
class Kernel:
    """A kernel: the shapes of its arrays in the letters M, N, K, and how exact it has to be.

    A result may be off by ``slack`` + the size of the axis ``summed`` roundings, relative to
    ``scale(*inputs, result)``.
    """
    name: str
    inputs: tuple[str, ...]
    output: str | None  # None: a number is returned
    settings: tuple[float, ...] = ()
    accumulates: bool = False  # adds to its output
    free: str = ""  # axes of the output along which no element knows of another
    domain: Callable = np.asarray  # takes normal numbers to where the last input lives
    summed: str = ""
    slack: int = 0
    scale: Callable = lambda *arrays: abs(arrays[-1])
    without_bias: bool = False

    def __str__(self):
        return self.name + "_without_bias" * self.without_bias


def twin(name, *inputs, settings=()):
    """The twin's result on arrays of one shape."""
    y = np.empty_like(inputs[0])
    getattr(reference, name)(*inputs, y, *settings)
    return y


def sum_of_magnitudes(name, *arrays):
    """Σ |a| |b|, with |start| or |bias|: what the rounding of a product is relative to."""
    *inputs, result = (None if a is None else abs(a) for a in arrays)
    magnitude = np.zeros_like(result)
    getattr(reference, name)(*inputs, magnitude)
    return magnitude + result  # the result bounds what the start adds


def product(name, *inputs, output="MN", free="MN", **more):
    return Kernel(name, inputs, output, free=free, summed="K", scale=partial(sum_of_magnitudes, name), **more)


def elementwise(name, *inputs, free="MN", slack=4, **more):
    return Kernel(name, inputs or ("MN",), "MN", free=free, slack=slack, **more)


def derivative(name, *settings, **more):
    return elementwise(f"{name}_backward", "MN", "MN", settings=settings, **more)


def over_rows(kernel, *inputs, **more):
    return kernel(*inputs, free="M", summed="N", slack=8, **more)


def row_sum(x):
    return x.sum(axis=1, keepdims=True)


PRODUCTS = (
    product("matmul", "MK", "KN"),
    product("linear", "MK", "NK", "N"),
    product("linear", "MK", "NK", "N", without_bias=True),
    product("linear_input_gradient", "MK", "KN"),
    product("linear_weight_gradient", "KN", "KM", accumulates=True),
    product("column_sum", "KN", output="N", free="N", accumulates=True),
)
ELEMENTWISE = (
    elementwise("exp"),
    elementwise("log", domain=np.exp),
    elementwise("erf"),
    elementwise("relu"),
    derivative("relu"),
    elementwise("leaky_relu", settings=(0.01,)),
    derivative("leaky_relu", 0.01),
    elementwise("elu", settings=(1.3,)),
    derivative("elu", 1.3),
    elementwise("selu"),
    derivative("selu"),
    elementwise("tanh"),
    derivative("tanh", domain=np.tanh, scale=lambda dy, y, dx: abs(dy)),
    elementwise("sigmoid"),
    derivative("sigmoid", domain=partial(twin, "sigmoid"), scale=lambda dy, y, dx: abs(dy * y)),
    elementwise("multiply", "MN", "MN", slack=1),
    elementwise("scale", settings=(1.3,), slack=2),
    elementwise("dropout_mask", settings=(0.3,), slack=2),
)
SEQUENCES = ("rnn", "lstm", "gru", "layer_norm", "batch_norm")  # of which test_sequence_kernels.py has the shapes
# Functions with a derivative that stand nowhere here: the setting, if there is one, is 1.3
LISTED = {kernel.name for kernel in ELEMENTWISE} | {"softmax", "log_softmax", *SEQUENCES}
for _name, _function in vars(kernels.of(np.float32)).items():
    if (f"{_name}_backward" in kernels.of(np.float32).OPERATIONS and _name not in LISTED
            and "geometry" not in _function.__doc__):  # those over windows: test_window_kernels.py
        _settings = (1.3,) if "double setting" in _function.__doc__ else ()
        ELEMENTWISE += elementwise(_name, settings=_settings), derivative(_name, *_settings)
ROWS = (
    over_rows(elementwise, "softmax", scale=lambda x, y: y * (1 - np.log(y))),
    over_rows(derivative, "softmax", domain=partial(twin, "softmax"),
              scale=lambda dy, y, dx: y * (abs(dy) + row_sum(abs(dy * y)))),
    over_rows(elementwise, "log_softmax", scale=lambda x, y: 1 + abs(y)),
    over_rows(derivative, "log_softmax", domain=partial(twin, "log_softmax"),
              scale=lambda dy, y, dx: abs(dy) + np.exp(y) * row_sum(abs(dy))),
)
KERNELS = (*PRODUCTS, *ELEMENTWISE, *ROWS, Kernel("total", ("MN",), None))
BY_NAME = {kernel.name: kernel for kernel in KERNELS}
DERIVATIVES = [kernel for kernel in KERNELS if kernel.name.endswith("_backward")]

of_kernels = partial(pytest.mark.parametrize, "kernel", ids=str)
every_target = pytest.mark.parametrize("target", kernels.targets())
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)


# One problem, one call

def arrays_of(kernel, shape, dtype, draw):
    """(inputs, start) of a kernel for (M, N, K); ``draw(size)`` gives the numbers."""
    sizes = dict(zip("MNK", shape, strict=True))
    inputs = [draw([sizes[axis] for axis in axes]).astype(dtype) for axes in kernel.inputs]
    if kernel.without_bias:
        inputs[-1] = None
    else:
        inputs[-1] = kernel.domain(inputs[-1])
    size = [sizes[axis] for axis in kernel.output or ""]
    return inputs, (draw(size) if kernel.accumulates else np.full(size, np.nan)).astype(dtype)


def problem(kernel, shape, dtype):
    """Normal numbers, the same for everyone who asks."""
    return arrays_of(kernel, shape, dtype, np.random.default_rng(sum(shape)).standard_normal)


def integers(kernel, shape, dtype):
    """Integers so small that every sum of products is exact."""
    return arrays_of(kernel, shape, dtype, partial(np.random.default_rng(0).integers, -9, 10))


def run(module, kernel, inputs, start, order="C"):
    """The kernel's result, begun from ``start``; inputs and what lies around the output stay as they were."""
    function = getattr(module, kernel.name)
    before = [None if a is None else a.tobytes() for a in inputs]
    if kernel.output is None:
        result = np.asarray(function(*inputs, *kernel.settings))
    else:
        memory = np.full(start.size + 2 * GUARD, AROUND, start.dtype)
        output = memory[GUARD:GUARD + start.size].reshape(start.shape, order=order)
        output[...] = start
        assert function(*inputs, output, *kernel.settings) is None
        result = output.copy()
        output[...] = AROUND
        assert np.all(memory == AROUND), f"{kernel.name} wrote outside its output"
    assert [None if a is None else a.tobytes() for a in inputs] == before, f"{kernel.name} changed an input"
    return result


def part(kernel, axis, chosen, inputs, start):
    """The problem cut down to the indices ``chosen`` of one axis."""
    def cut(array, axes):
        return array if array is None else array[tuple(chosen if a == axis else slice(None) for a in axes)]
    inputs = [cut(array, axes) for array, axes in zip(inputs, kernel.inputs, strict=True)]
    return inputs, cut(start, kernel.output or "")


def same_bits(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


# The values

@every_target
@every_dtype
def test_every_operation_has_a_twin_and_every_twin_an_operation(target, dtype):
    twins = {name for name, _ in inspect.getmembers(reference, inspect.isfunction) if name[0] != "_"}
    operations = kernels.load(target, dtype).OPERATIONS
    assert len(operations) == len(set(operations))
    assert set(operations) == twins


def test_every_twin_that_computes_takes_any_number_without_a_warning():
    """As the kernels do. The others compare and copy alone."""
    twins = {name: one for name, one in inspect.getmembers(reference, inspect.isfunction) if name[0] != "_"}
    assert {name for name, one in twins.items() if inspect.unwrap(one) is one} == {
        "add_integer", "max_pool", "max_pool_pick", "take_rows", "turned", "wrong"}


@every_target
@every_dtype
def test_every_operation_computes_what_its_twin_says_for_any_arrays(target, dtype):
    """By enumeration: sizes, layouts and special values as the fuzzer draws them."""
    rng, code = random.Random(0), np.dtype(dtype).str[1:]
    for kernel in fuzz_kernels.functions(kernels.load(target, dtype)):
        for _ in range(40):
            fuzz_kernels.fitting(rng, kernel, {letter: rng.choice(fuzz_arrays.SIZES) for letter in "MNK"}, code)


@every_target
@every_dtype
@pytest.mark.parametrize("name", ["less", "less_equal", "equal", "not_equal"])
def test_comparisons_of_all_layouts_at_once(name, dtype, target):
    rng = np.random.default_rng(0)
    for cols, (step_a, step_b) in itertools.product((5, 64, 70), itertools.product((0, 1, 2), repeat=2)):
        a, b = (np.lib.stride_tricks.as_strided(line := rng.integers(0, 3, 3 * (step * cols + 1)).astype(dtype), (
            3, cols), ((step * cols + 1) * line.itemsize, step * line.itemsize)) for step in (step_a, step_b))
        found, expected = np.full((3, cols), 7, np.uint8), np.zeros((3, cols), np.uint8)
        getattr(kernels.load(target, dtype), name)(a, b, found)
        getattr(reference, name)(a, b, expected)
        assert same_bits(found, expected), (cols, step_a, step_b)


@every_dtype
def test_active_kernels_are_those_of_the_active_target(dtype):
    assert kernels.of(dtype) is kernels.load(kernels.isa(), dtype)


@every_target
@every_dtype
@of_kernels(KERNELS)
def test_kernel_computes_what_its_twin_says(kernel, dtype, target):
    module, wider = kernels.load(target, dtype), WIDER[dtype]
    for shape in (*SHAPES, *([DEEP] if kernel.summed == "K" else [])):
        inputs, start = problem(kernel, shape, dtype)
        got = run(module, kernel, inputs, start)
        inputs = [None if a is None else a.astype(wider) for a in inputs]
        want = run(reference, kernel, inputs, start.astype(wider))
        roundings = kernel.slack + dict(zip("MNK", shape, strict=True)).get(kernel.summed, 0)
        bound = roundings * np.finfo(dtype).eps * kernel.scale(*inputs, want)
        assert np.all(abs(got.astype(wider) - want) <= bound), shape


@every_target
@every_dtype
@of_kernels(PRODUCTS)
def test_products_of_small_integers_are_exact(kernel, dtype, target):
    for shape in (*A_FEW, DEEP):
        inputs, start = integers(kernel, shape, dtype)
        np.testing.assert_array_equal(
            run(kernels.load(target, dtype), kernel, inputs, start), run(reference, kernel, inputs, start))


@every_target
@every_dtype
@of_kernels(ELEMENTWISE)
def test_special_values_are_those_of_numpy(kernel, dtype, target):
    limits = np.finfo(dtype)
    denormal = limits.smallest_subnormal
    positive = [0, denormal, 3 * denormal, limits.tiny, 1, limits.max, np.inf]
    special = np.array([*positive, *(-np.array(positive, dtype)), np.nan], dtype)
    inputs = [special[None, :]]
    if len(kernel.inputs) == 2:  # each gradient with each saved value
        inputs = [np.repeat(special[:, None], special.size, axis=1),
                  np.repeat(kernel.domain(special)[None, :], special.size, axis=0)]
    start = np.full(inputs[0].shape, np.nan, dtype)
    got, want = (run(module, kernel, inputs, start) for module in (kernels.load(target, dtype), reference))
    ordinary = np.isfinite(want)
    np.testing.assert_array_equal(got[~ordinary], want[~ordinary])
    bound = kernel.slack * limits.eps * abs(want[ordinary]) + 2 * denormal
    assert np.all(abs(got[ordinary] - want[ordinary]) <= bound)


@every_target
@every_dtype
@of_kernels([BY_NAME["softmax"], BY_NAME["log_softmax"]])
def test_rows_of_special_values_are_those_of_numpy(kernel, dtype, target):
    huge, inf, nan = np.finfo(dtype).max, np.inf, np.nan
    rows = [[huge, -huge, 0], [huge] * 3, [-inf, 0, 0], [-inf] * 3, [inf, 0, 0], [0, nan, 0], [1000, 0, 1]]
    x = np.tile(np.array(rows, dtype), 6)
    blank = np.full_like(x, nan)
    got, want = (run(module, kernel, [x], blank) for module in (kernels.load(target, dtype), reference))
    np.testing.assert_allclose(got, want, rtol=30 * np.finfo(dtype).eps)


@every_target
@of_kernels(DERIVATIVES)
def test_derivatives_are_those_of_finite_differences(kernel, target):
    module, h = kernels.load(target, np.float64), 1e-6
    forward = BY_NAME[kernel.name.removesuffix("_backward")]
    dy, x = np.random.default_rng(0).standard_normal((2, 4, 9))
    x += np.copysign(0.1, x)  # away from the kink
    blank = np.full_like(x, np.nan)
    got = run(module, kernel, [dy, kernel.domain(x)], blank)
    for j, step in enumerate(h * np.eye(x.shape[1])):
        above, below = (run(module, forward, [x + s], blank) for s in (step, -step))
        want = (dy * (above - below)).sum(axis=1) / (2 * h)
        np.testing.assert_allclose(got[:, j], want, rtol=1e-7, atol=1e-8)


# The bits

def rounded_twice(a, b, c):
    """a b + c in float32, the product rounded first: what the generic target has."""
    return np.multiply(a, b, dtype=np.float32) + c


def fused(a, b, c):
    """a b + c in float32, rounded once: in float64 rounded to odd, which float32 then rounds correctly."""
    exact, c = np.multiply(a, b, dtype=np.float64), c.astype(np.float64)
    s = exact + c
    lost = (exact - (s - (s - exact))) + (c - (s - exact))
    even = s.view(np.int64) & 1 == 0
    return np.where((lost != 0) & even, np.nextafter(s, np.copysign(np.inf, lost)), s).astype(np.float32)


@every_target
@of_kernels(PRODUCTS)
def test_products_are_one_chain_of_multiply_adds_in_index_order(kernel, target):
    multiply_add = rounded_twice if target == "generic" else fused
    for shape in (*A_FEW, DEEP):
        inputs, start = problem(kernel, shape, np.float32)
        terms = {axes.replace("K", ""): np.moveaxis(a, axes.index("K"), 0)
                 for axes, a in zip(kernel.inputs, inputs, strict=True) if "K" in axes}
        if kernel.accumulates:
            want = np.atleast_2d(start)
        else:
            want = np.zeros(start.shape, np.float32)
            if kernel.inputs[-1] == "N" and not kernel.without_bias:
                want += inputs[-1]
        for left, right in zip(terms.get("M", np.ones((shape[2], 1))), terms["N"], strict=True):
            want = multiply_add(left[:, None], right[None, :], want)
        got = run(kernels.load(target, np.float32), kernel, inputs, start)
        assert same_bits(got, want.reshape(got.shape)), shape


@every_target
@every_dtype
@of_kernels([kernel for kernel in KERNELS if kernel.free])
def test_an_element_does_not_depend_on_the_size_of_the_batch(kernel, dtype, target):
    module = kernels.load(target, dtype)
    for shape in ((100, 33, 17), (9, 100, 300)):
        whole = problem(kernel, shape, dtype)
        result = run(module, kernel, *whole)
        for axis in kernel.free:
            size = shape["MNK".index(axis)]
            alone = [slice(i, i + 1) for i in range(size)]
            for chosen in (*alone, *(slice(0, edge) for edge in EDGES if edge < size)):
                got = run(module, kernel, *part(kernel, axis, chosen, *whole))
                where = tuple(chosen if a == axis else slice(None) for a in kernel.output)
                assert same_bits(got, result[where]), (shape, axis, chosen)


@every_target
@every_dtype
@of_kernels([kernel for kernel in KERNELS if kernel.accumulates])
def test_accumulating_sample_by_sample_is_accumulating_the_batch(kernel, dtype, target):
    module = kernels.load(target, dtype)
    for shape in (*A_FEW, DEEP):
        inputs, start = problem(kernel, shape, dtype)
        got = start
        for k in range(shape[2]):
            got = run(module, kernel, part(kernel, "K", slice(k, k + 1), inputs, start)[0], got)
        assert same_bits(got, run(module, kernel, inputs, start)), shape


@pytest.mark.skipif(not {"avx2", "avx512"} <= set(kernels.targets()), reason="needs AVX2 and AVX-512")
@every_dtype
@of_kernels(KERNELS)
def test_avx2_and_avx512_give_the_same_bits(kernel, dtype):
    for shape in (*SHAPES, DEEP):
        inputs, start = problem(kernel, shape, dtype)
        avx2, avx512 = (run(kernels.load(t, dtype), kernel, inputs, start) for t in ("avx2", "avx512"))
        assert same_bits(avx2, avx512), shape


# How arrays lie in memory

def every_second_column(a):
    wide = np.full((*a.shape[:-1], 2 * a.shape[-1]), np.nan, a.dtype)
    wide[..., ::2] = a
    return wide[..., ::2]


def transposed(a):
    return a.T.copy().T


def reversed_strides(a):
    return np.flip(np.flip(a).copy())


def behind_a_line(a):
    """Begins one element after the start of its memory: no vector is aligned."""
    return np.append(a.dtype.type(0), a)[1:].reshape(a.shape)


def read_only(a):
    a = a.copy()
    a.flags.writeable = False
    return a


def repeated(a):
    """The first row again and again: a stride of zero."""
    return np.broadcast_to(a[:1], a.shape)


@every_target
@every_dtype
@of_kernels(KERNELS)
@pytest.mark.parametrize(
    "layout", [every_second_column, transposed, reversed_strides, behind_a_line, read_only, repeated])
def test_inputs_may_lie_in_any_way(layout, kernel, dtype, target):
    module = kernels.load(target, dtype)
    for shape in A_FEW:
        inputs, start = problem(kernel, shape, dtype)
        laid = [None if a is None else layout(a) for a in inputs]
        plain = [None if a is None else np.ascontiguousarray(a) for a in laid]
        assert same_bits(run(module, kernel, laid, start), run(module, kernel, plain, start)), shape


@every_target
@every_dtype
def test_weight_gradient_may_lie_transposed(dtype, target):
    module, kernel = kernels.load(target, dtype), BY_NAME["linear_weight_gradient"]
    for shape in (*SHAPES, DEEP):
        inputs, start = problem(kernel, shape, dtype)
        assert same_bits(run(module, kernel, inputs, start, "F"), run(module, kernel, inputs, start)), shape


# What is refused

@every_target
@every_dtype
@of_kernels(KERNELS)
def test_another_dtype_is_refused(kernel, dtype, target):
    function = getattr(kernels.load(target, dtype), kernel.name)
    inputs, start = problem(kernel, (2, 2, 2), dtype)
    arrays = [*inputs, *([] if kernel.output is None else [start])]
    for i, array in enumerate(arrays):
        if array is not None:
            other = array.astype(np.float32 if dtype is np.float64 else np.float64)
            with pytest.raises(ValueError, match="Buffer dtype mismatch"):
                function(*arrays[:i], other, *arrays[i + 1:], *kernel.settings)


@every_target
@of_kernels([kernel for kernel in KERNELS if kernel.output])
def test_an_output_that_cannot_be_written_is_refused(kernel, target):
    inputs, start = problem(kernel, (2, 2, 2), np.float32)
    with pytest.raises(ValueError, match="read-only"):
        getattr(kernels.load(target, np.float32), kernel.name)(*inputs, read_only(start), *kernel.settings)


@every_target
@every_dtype
@of_kernels([kernel for kernel in KERNELS if kernel.output])
def test_an_output_of_another_shape_is_refused_and_stays_as_it_was(kernel, dtype, target):
    function = getattr(kernels.load(target, dtype), kernel.name)
    inputs, start = problem(kernel, (3, 4, 5), dtype)
    for axis in range(start.ndim):
        for other in (np.delete(start, 0, axis), np.repeat(start, 2, axis)):
            before = other.copy()
            with pytest.raises(ValueError, match="expected an array of shape"):
                function(*inputs, other, *kernel.settings)
            assert same_bits(other, before)


@every_target
@of_kernels([kernel for kernel in KERNELS if len(kernel.inputs) > 1])
def test_inputs_that_do_not_fit_each_other_are_refused(kernel, target):
    inputs, start = problem(kernel, (3, 4, 5), np.float32)
    for i, array in enumerate(inputs):
        if array is not None:
            longer = [*inputs[:i], np.concatenate([array, array]), *inputs[i + 1:]]
            with pytest.raises(ValueError, match="expected an array of shape"):
                getattr(kernels.load(target, np.float32), kernel.name)(*longer, start, *kernel.settings)


@pytest.mark.skipif(sys.platform == "win32", reason="needs mprotect()")
@every_target
def test_a_kernel_touches_nothing_beyond_its_arrays(target):
    """In a process of its own, which would end there."""
    done = subprocess.run([sys.executable, EDGES_OF_PAGES, target], capture_output=True, text=True, timeout=300,
                          env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})
    assert done.returncode == 0, (done.stdout.splitlines()[-1:], done.stderr)
