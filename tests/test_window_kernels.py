"""The kernels over windows: every one of every target against its twin, over geometries drawn at random."""
from __future__ import annotations

import contextlib
import random

import numpy as np
import pytest

from minidl import kernels, reference

PARTS = {  # the arrays of each: x of the input's size, y of the output's, w a weight, b a bias or None
    "convolution": "xwby", "convolution_input_gradient": "ywx", "convolution_weight_gradient": "xyw",
    "max_pool": "xy", "max_pool_backward": "yxx", "max_pool_pick": "xxy", "average_pool": "xy",
    "average_pool_backward": "yx",
}
CONVOLUTIONS = [name for name in PARTS if name.startswith("convolution")]
NAMES = [name for name in kernels.of(np.float32).OPERATIONS
         if "tuple geometry" in getattr(kernels.of(np.float32), name).__doc__]
FIELDS = 16
GUARD = 33
AROUND = -12345.5  # the numbers there: none that a ReLU, a magnitude or a rounding would leave as it is
# Of what a convolution copies something is several times as large as the memory for it, so that it must take another
# way or go by parts: the weight; those of all groups; the gradients, and the padded image, of a sample; a patch.
BEYOND = {
    "weight": (5, 19, 512, 3, 17, 128, 3, 3, 1, 1, 1, 1, 1, 0, 0, 1),
    "groups": (4, 18, 2048, 3, 17, 8192, 2, 2, 1, 1, 1, 1, 256, 0, 0, 1),
    "sample": (120, 120, 4, 119, 119, 20, 2, 2, 1, 1, 1, 1, 1, 0, 0, 1),
    "padded": (100, 100, 8, 100, 100, 3, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1),
    "patch": (6, 7, 1600, 4, 5, 33, 3, 3, 1, 1, 1, 1, 1, 0, 0, 1),
    "patch in parts": (6, 7, 1600, 2, 2, 9, 3, 3, 2, 3, 2, 2, 1, 1, 1, 1),
}

every_target = pytest.mark.parametrize("target", kernels.targets())
every_dtype = pytest.mark.parametrize("dtype", (np.float32, np.float64), ids=lambda dtype: dtype.__name__)


def test_every_kernel_over_windows_is_here():
    assert set(NAMES) == set(PARTS)


def drawn(rng: random.Random, name: str) -> tuple[int, ...]:
    """A geometry: sizes around the edges of vectors, any padding, strides and dilations."""
    convolves, sizes = name in CONVOLUTIONS, [1, 1, 2, 3, 5]
    while True:
        kernel, stride, dilation = ([rng.choice(sizes[:n]) for _ in "yx"] for n in (5, 4, 4))
        size, before = [rng.choice([1, 2, 4, 7, 9]) for _ in "yx"], [rng.choice([0, 0, 1, 2]) for _ in "yx"]
        groups = rng.choice([1, 1, 1, 2, 3]) if convolves else 1
        channels = groups * rng.choice([1, 1, 2, 3, 8, 17])
        outputs = groups * rng.choice([1, 2, 6, 16, 17, 33]) if convolves else channels
        divisor = rng.choice([0, -1, 1, 3, -2]) if "average" in name else 1
        behind = [rng.choice([0, 1, 2]) for _ in "yx"]
        reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
        room = [n + b + a - r for n, b, a, r in zip(size, before, behind, reach, strict=True)]
        if min(room) < 0:
            continue
        out = [n // s + 1 for n, s in zip(room, stride, strict=True)]
        if divisor == -1:  # no window may be empty, or 0 is divided by 0
            before = [0, 0]
            out = [max((n - r) // s + 1, 1) for n, r, s in zip(size, reach, stride, strict=True)]
        if divisor in (0, -2):
            dilation = [1, 1]
        return (*size, channels, *out, outputs, *kernel, *stride, *dilation, groups, *before, divisor)


def shapes(geometry, rows: int) -> dict[str, tuple[int, ...]]:
    height, width, channels, out_height, out_width, outputs, kh, kw = geometry[:8]
    return {"x": (rows, height * width * channels), "y": (rows, out_height * out_width * outputs),
            "w": (kh * kw * (channels // geometry[12]), outputs), "b": (outputs,)}


def arrays(name, geometry, rows, dtype, rng, integers: bool) -> list:
    """Inputs, and an output that lies between guards, with numbers that products of which are exact, or with ties."""
    made = []
    for part in PARTS[name]:
        shape = shapes(geometry, rows)[part]
        values = rng.integers(-3, 4, shape) if integers else rng.standard_normal(shape)
        made.append(np.ascontiguousarray(values.astype(dtype)))
    memory = np.full(made[-1].size + 2 * GUARD, AROUND, dtype)
    made[-1], start = memory[GUARD:-GUARD].reshape(made[-1].shape), made[-1]
    made[-1][...] = start
    return made


@every_target
@every_dtype
@pytest.mark.parametrize("name", PARTS)
def test_a_kernel_computes_what_its_twin_says(name, dtype, target):
    """Exactly for small integers; for others to the rounding of the sums."""
    draw, rng = random.Random(name), np.random.default_rng(1)
    for number in range(150):
        geometry, rows = drawn(draw, name), draw.choice([1, 1, 2, 5, 13, 50])
        check(kernels.load(target, dtype), name, geometry, rows, dtype, rng, number)


def check(module, name, geometry, rows, dtype, rng, number: int):
    """A call beside its twin's; ``number`` says of which numbers, and with what left out."""
    integers = number % 3 > 0
    parts = arrays(name, geometry, rows, dtype, rng, integers)
    if name == "convolution" and number % 2:
        parts[2] = None
    if name.startswith("max") and number % 5 == 0:
        x = parts[PARTS[name].index("x")]
        x[rng.random(x.shape) < 0.1] = np.nan
        x[rng.random(x.shape) < 0.1] = -np.inf
    wanted = [None if a is None else a.copy() for a in parts]
    getattr(reference, name)(*wanted, geometry)
    before = [None if a is None else a.tobytes() for a in parts[:-1]]
    getattr(module, name)(*parts, geometry)
    assert [None if a is None else a.tobytes() for a in parts[:-1]] == before
    memory = parts[-1].base
    assert (memory[:GUARD] == AROUND).all() and (memory[-GUARD:] == AROUND).all(), "wrote outside its output"
    if name in CONVOLUTIONS and not integers:
        scale = abs(wanted[-1]).max() * np.finfo(dtype).eps * 400
        np.testing.assert_allclose(parts[-1], wanted[-1], rtol=0, atol=scale, err_msg=str(geometry))
    else:
        np.testing.assert_allclose(parts[-1], wanted[-1], rtol=4 * np.finfo(dtype).eps,
                                   atol=20 * np.finfo(dtype).eps, err_msg=str(geometry))


@every_target
@every_dtype
@pytest.mark.parametrize("name", PARTS)
def test_lines_may_be_longer_than_vectors_and_tiles(name, dtype, target):
    """Windows beside each other, as in most networks, and others; lines of all lengths around those of vectors."""
    module, rng = kernels.load(target, dtype), np.random.default_rng(1)
    windows = {(2, 2): (1, 2, 3, 4, 5, 8, 16), (3, 1): (1, 2, 6), (3, 2): (1, 3, 17)}  # (kernel, stride): channels
    number = 0
    for (kernel, stride), many in windows.items():
        for channels in many:
            for out in (7, 8, 9, 16, 17, 33):
                number += 1
                left_over = number % 2  # columns and lines that no window reaches
                height, width = (stride * (n - 1) + kernel + left_over for n in (2, out))
                outputs = (1, 6, 17)[number % 3] if name in CONVOLUTIONS else channels
                geometry = (height, width, channels, 2, out, outputs, kernel, kernel, stride, stride, 1, 1, 1, 0, 0,
                            0 if "average" in name else 1)
                check(module, name, geometry, 1 + number % 3, dtype, rng, number)


@every_dtype
@pytest.mark.parametrize("name", CONVOLUTIONS)
@pytest.mark.parametrize("geometry", BEYOND.values(), ids=BEYOND)
def test_what_is_copied_need_not_fit_into_the_memory_for_it(geometry, name, dtype):
    *inputs, output = arrays(name, geometry, 2, dtype, np.random.default_rng(1), True)
    wanted, start = output.copy(), output.copy()
    getattr(reference, name)(*inputs, wanted, geometry)
    for target in kernels.targets():
        output[...] = start
        getattr(kernels.load(target, dtype), name)(*inputs, output, geometry)
        np.testing.assert_array_equal(output, wanted, target)
        memory = output.base
        assert (memory[:GUARD] == AROUND).all() and (memory[-GUARD:] == AROUND).all(), "wrote outside its output"


@every_dtype
@pytest.mark.parametrize("name", ["convolution", "convolution_input_gradient"])
def test_a_sample_does_not_depend_on_its_batch(name, dtype):
    """Nor on the target's vectors: one chain of multiply-adds for each element."""
    draw, rng = random.Random(3), np.random.default_rng(2)
    for _ in range(20):
        geometry = drawn(draw, name)
        parts = arrays(name, geometry, 29, dtype, rng, False)
        found = []
        for target in kernels.targets():
            if target == "generic":  # which rounds twice
                continue
            module = kernels.load(target, dtype)
            for begin, end in ((0, 29), (0, 1), (7, 20)):
                mine = [None if p == "b" else a if p == "w" else a[begin:end].copy()
                        for p, a in zip(PARTS[name], parts, strict=True)]
                getattr(module, name)(*mine, geometry)
                found.append((begin, end, mine[-1]))
        whole = found[0][2]
        for begin, end, got in found:
            assert got.tobytes() == whole[begin:end].tobytes(), geometry


@every_dtype
def test_the_weight_gradient_adds_sample_by_sample(dtype):
    draw, rng = random.Random(4), np.random.default_rng(2)
    for _ in range(20):
        geometry = drawn(draw, "convolution_weight_gradient")
        x, dy, start = arrays("convolution_weight_gradient", geometry, 9, dtype, rng, False)
        found = []
        for target in [target for target in kernels.targets() if target != "generic"]:
            for step in (9, 1, 4):
                total = start.copy()
                for begin in range(0, 9, step):
                    kernels.load(target, dtype).convolution_weight_gradient(
                        x[begin:begin + step], dy[begin:begin + step], total, geometry)
                found.append(total.tobytes())
        assert len(set(found)) == 1, geometry


@every_target
@every_dtype
def test_turned(dtype, target):
    rng = np.random.default_rng(0)
    for rows, width in ((1, 1), (3, 5), (16, 16), (17, 33), (6, 784), (49, 2)):
        x = rng.standard_normal((4, rows * width)).astype(dtype)
        got, wanted = np.empty_like(x), np.empty_like(x)
        kernels.load(target, dtype).turned(x, got, rows)
        reference.turned(x, wanted, rows)
        assert got.tobytes() == wanted.tobytes()
    with pytest.raises(ValueError, match="whole matrices"):
        kernels.load(target, dtype).turned(x, got, 3)


@every_dtype
@pytest.mark.parametrize("name", PARTS)
def test_what_does_not_fit_is_refused(name, dtype):
    """Any number of a geometry changed: an error, or arrays that fit all the same; never a crash."""
    function, draw, rng = getattr(kernels.of(dtype), name), random.Random(5), np.random.default_rng(5)
    for _ in range(300):
        geometry = list(drawn(draw, name))
        parts = arrays(name, geometry, 3, dtype, rng, True)
        geometry[draw.randrange(FIELDS)] = draw.choice([-2**62, -7, -3, -1, 0, 1, 2, 4, 2**20, 2**40])
        with contextlib.suppress(ValueError):
            function(*parts, tuple(geometry))
        assert (parts[-1].base[:GUARD] == AROUND).all() and (parts[-1].base[-GUARD:] == AROUND).all()
    for wrong in ((), (1,) * 15, (1,) * 17):
        with pytest.raises(ValueError, match="geometry"):
            function(*parts, wrong)
