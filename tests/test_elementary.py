"""exp, log, tanh, sigmoid and erf: how far from the correctly rounded result, over the whole range.

An error counts in ulps: in units of the spacing of floating-point numbers at the correctly rounded
result. The reference is the NumPy twin in a wider type; that of erf computes in double, within one ulp of it.
"""
from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice

import numpy as np
import pytest

from minidl import kernels, reference

FUNCTIONS = ("exp", "log", "tanh", "sigmoid", "erf")
ULPS = {np.float32: 2, np.float64: 3}
WIDER = {np.float32: np.float64, np.float64: np.longdouble}
CHUNK = 2**20

every_function = pytest.mark.parametrize("name", FUNCTIONS)
every_target = pytest.mark.parametrize("target", kernels.targets())
every_dtype = pytest.mark.parametrize("dtype", ULPS, ids=lambda dtype: dtype.__name__)


def apply(module, name, x):
    y = np.full((1, x.size), np.nan, x.dtype)
    getattr(module, name)(x[None, :], y)
    return y[0]


def check(target, name, x):
    """Within the ulps of x's dtype everywhere; infinities and NaN in the same places."""
    dtype = x.dtype.type
    got = apply(kernels.load(target, dtype), name, x)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):  # invalid: a signalling NaN is cast
        want = apply(reference, name, x.astype(WIDER[dtype])).astype(dtype)
    ordinary = np.isfinite(want)
    np.testing.assert_array_equal(got[~ordinary], want[~ordinary])
    got, want, x = got[ordinary], want[ordinary], x[ordinary]
    ulps = abs(got.astype(WIDER[dtype]) - want) / np.spacing(abs(want))
    worst = np.argmax(ulps) if ulps.size else None
    assert worst is None or ulps[worst] <= ULPS[dtype], f"{name}({x[worst]!r}) is {ulps[worst]} ulp off"


def float32_patterns(step):
    """Every ``step``-th of the 2^32 patterns, in chunks: both signs, denormals, infinities and NaN."""
    for first in range(0, 2**32, CHUNK * step):
        patterns = np.arange(first, min(first + CHUNK * step, 2**32), step, dtype=np.uint64)
        yield patterns.astype(np.uint32).view(np.float32)


@every_target
@every_function
def test_float32_in_steps(name, target):
    for x in float32_patterns(997):
        check(target, name, x)


@pytest.mark.slow
@every_function
def test_float32_exhaustively(name):
    # The best target stands for all that have its bits; see the test below. Every seventh number, all of them with
    # MINIDL_LONG.
    with ThreadPoolExecutor() as pool:
        for some in batched(float32_patterns(1 if os.environ.get("MINIDL_LONG") else 7), 16):
            list(pool.map(partial(check, kernels.targets()[0], name), some))


def batched(items, size):
    items = iter(items)
    while batch := list(islice(items, size)):
        yield batch


@pytest.mark.skipif(not {"avx2", "avx512"} <= set(kernels.targets()), reason="needs AVX2 and AVX-512")
@every_function
def test_avx2_and_avx512_give_the_same_bits_over_the_range(name):
    for x in float32_patterns(997):
        avx2, avx512 = (apply(kernels.load(t, np.float32), name, x) for t in ("avx2", "avx512"))
        np.testing.assert_array_equal(avx2, avx512)
        np.testing.assert_array_equal(np.signbit(avx2), np.signbit(avx512))


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 63, reason="needs a long double of 64 bits or more")
@every_target
@every_function
def test_float64_at_random_points(name, target):
    rng = np.random.default_rng(0)
    check(target, name, np.concatenate([
        rng.integers(2**64, size=20_000, dtype=np.uint64).view(np.float64),  # every exponent alike
        rng.uniform(-750, 750, 20_000),  # from where e^x is zero to where it is infinite
        rng.normal(0, 1, 20_000),
        1 + rng.normal(0, 1, 20_000) * 10.0 ** rng.uniform(-16, -1, 20_000),  # where log is near zero
    ]))


@every_target
@every_dtype
@every_function
def test_special_values_to_the_sign_of_zero(name, dtype, target):
    limits = np.finfo(dtype)
    x = np.array([0, 1, np.inf, limits.max, limits.tiny, limits.smallest_subnormal], dtype)
    x = np.concatenate([x, -x, [dtype(np.nan)]])
    got, want = apply(kernels.load(target, dtype), name, x), apply(reference, name, x)
    np.testing.assert_allclose(got, want, rtol=4 * limits.eps)
    real = ~np.isnan(want)
    np.testing.assert_array_equal(np.signbit(got[real]), np.signbit(want[real]))
