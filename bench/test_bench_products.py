"""The three products of a layer, for every target that this processor runs, beside ``np.matmul``."""
from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from minidl import kernels

SHAPES = [(128, 784, 128), (128, 256, 256), (128, 784, 512), (100, 25, 25)]  # N, I, O
TARGETS = kernels.targets()


def operands(form: str, n: int, i: int, o: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """a, b, c of c = a b, where W lies in memory as (I, O):

    y = x Wᵀ        dx = dy W        dWᵀ = xᵀ dy
    """
    rng = np.random.default_rng(0)
    x, dy, w = (rng.standard_normal(shape, np.float32) for shape in ((n, i), (n, o), (i, o)))
    a, b = {"y": (x, w), "dx": (dy, w.T), "dW": (x.T, dy)}[form]
    return a, b, np.zeros((a.shape[0], b.shape[1]), np.float32)


def product(rival: str, form: str, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> partial:
    """The call that writes a b to c: NumPy's, or that of the kernel which has this form."""
    if rival == "NumPy":
        return partial(np.matmul, a, b, out=c)
    kernel = kernels.load(rival, np.float32)
    return {"y": partial(kernel.linear, a, b.T, None, c),
            "dx": partial(kernel.linear_input_gradient, a, b, c),
            "dW": partial(kernel.linear_weight_gradient, a.T, b, c.T)}[form]


@pytest.mark.parametrize("rival", [*TARGETS, "NumPy"])
@pytest.mark.parametrize("form", ["y", "dx", "dW"])
@pytest.mark.parametrize("shape", SHAPES, ids="{0[0]}x{0[1]}x{0[2]}".format)
def test_product(timed, shape, form, rival):
    n, i, o = shape
    a, b, c = operands(form, n, i, o)
    call = product(rival, form, a, b, c)
    call()
    np.testing.assert_allclose(c, a.astype(np.float64) @ b, rtol=1e-4, atol=1e-4)
    timed(call, group=f"product {form}, {n}x{i}x{o}", samples=n, flops=2 * n * i * o)
