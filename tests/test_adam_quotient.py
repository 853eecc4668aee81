"""Adam's quotient by the root of its correction: multiply-adds that round as a division does, on every target."""
from __future__ import annotations

import numpy as np
import pytest

from minidl import kernels, reference

STEPS = (1, 2, 3, 7, 100, 5000)


def spread(dtype, rng) -> np.ndarray:
    """Second moments of all magnitudes, zero, denormal, infinite and NaN among them."""
    exponents = rng.uniform(np.log2(np.finfo(dtype).smallest_subnormal), np.log2(np.finfo(dtype).max) - 1, 100_000)
    special = [0.0, np.finfo(dtype).smallest_subnormal, np.finfo(dtype).tiny, 1.0, np.finfo(dtype).max, np.inf, np.nan]
    return np.concatenate([np.exp2(exponents), special]).astype(dtype)


@pytest.mark.parametrize("target", kernels.targets())
@pytest.mark.parametrize("dtype", (np.float32, np.float64), ids=lambda dtype: dtype.__name__)
def test_the_update_has_the_bits_of_a_division(dtype, target):
    rng = np.random.default_rng(0)
    square = spread(dtype, rng)
    n = len(square)
    for root in (*(np.sqrt(1 - 0.999 ** step) for step in STEPS), 0.0, 1e-20, 1e9, np.inf, np.nan):
        settings = (1e-3, root, 1e-8, 0.9, 0.1, 1.0, 0.0, 0.0, 1.0)
        g = rng.standard_normal(n).astype(dtype)
        arrays = [np.zeros(n, dtype), g * np.sqrt(square), square.copy()]  # w, and a mean of the root's magnitude
        wanted = [a.copy() for a in arrays]
        kernels.load(target, dtype).adam(g, *arrays, *settings)
        with np.errstate(all="ignore"):
            reference.adam(g, *wanted, *settings)
        for mine, theirs in zip(arrays, wanted, strict=True):
            np.testing.assert_array_equal(mine, theirs)
