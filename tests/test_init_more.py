"""Orthogonal, truncated, sparse and unit weights: their distributions, as PyTorch has them."""
from __future__ import annotations

import math

import numpy as np
import pytest
from theirs import torch

from minidl.autograd.parameter import Parameter
from minidl.nn import init


def parameter(*shape, dtype=np.float64):
    return Parameter(np.full(shape, 7, dtype), order="F" if len(shape) == 2 else "C")


@pytest.mark.parametrize("shape", [(5, 5), (3, 8), (8, 3), (4, 2, 3), (1, 1), (0, 3)])
def test_orthogonal(shape):
    p = parameter(*shape)
    assert init.orthogonal_(p, gain=2.0, generator=0) is p
    flat = p.data.reshape(shape[0], math.prod(shape[1:]))
    product = flat @ flat.T if flat.shape[0] <= flat.shape[1] else flat.T @ flat
    np.testing.assert_allclose(product, 4 * np.eye(len(product)), atol=1e-12)


def test_orthogonal_matrices_are_uniform():
    """Of a rotation by a uniform angle the mean of the matrix is zero, and half have a determinant of 1."""
    made = np.array([init.orthogonal_(parameter(2, 2), generator=i).data.copy() for i in range(4000)])
    assert np.abs(made.mean(0)).max() < 0.05 and abs(np.linalg.det(made).mean()) < 0.06
    angles = np.sort(np.arctan2(made[:, 1, 0], made[:, 0, 0]))
    assert np.abs(angles - np.linspace(-np.pi, np.pi, 4000)).max() < 0.2


@pytest.mark.parametrize(("mean", "std", "a", "b"), [
    (0, 1, -2, 2), (0.5, 0.2, 0, 1), (0, 1, 3, 9), (0, 1, -9, -3), (0, 1, 0.1, 0.2), (5, 1, -1, 1), (0, 3, -2, 20)])
def test_truncated_normal(mean, std, a, b):
    p = init.trunc_normal_(parameter(200, 200), mean, std, a, b, generator=1)
    reference = torch.empty(200, 200, dtype=torch.float64)
    torch.manual_seed(0)
    with pytest.warns(UserWarning) if mean < a - 2 * std or mean > b + 2 * std else pytest.MonkeyPatch.context():
        torch.nn.init.trunc_normal_(reference, mean, std, a, b)
    assert p.data.min() >= a and p.data.max() <= b
    mine, theirs = np.sort(p.data.ravel()), np.sort(reference.numpy().ravel())
    grid = np.linspace(max(a, theirs[0]), min(b, theirs[-1]), 101)[1:-1]
    shares = [np.searchsorted(x, grid) / x.size for x in (mine, theirs)]
    assert np.abs(shares[0] - shares[1]).max() < 0.02  # Kolmogorov and Smirnov's distance; 1 in 10^6 by chance: 0.019


def test_unit_weights():
    for shape in ((3, 5), (5, 3), (4, 4)):
        np.testing.assert_array_equal(init.eye_(parameter(*shape)).data, np.eye(*shape))
    for shape, groups in (((4, 4, 3), 1), ((3, 5, 3, 3), 1), ((6, 2, 5, 4), 3), ((4, 8, 1, 2, 3), 2)):
        reference = torch.empty(shape, dtype=torch.float64)
        torch.nn.init.dirac_(reference, groups)
        np.testing.assert_array_equal(init.dirac_(parameter(*shape), groups).data, reference.numpy())


@pytest.mark.parametrize("sparsity", [0.0, 0.1, 0.55, 1.0])
def test_sparse(sparsity):
    p = init.sparse_(parameter(30, 400), sparsity, std=0.5, generator=2)
    np.testing.assert_array_equal((p.data == 0).sum(0), math.ceil(30 * sparsity))
    if sparsity < 1:
        assert p.data[p.data != 0].std() == pytest.approx(0.5, rel=0.03)
        assert np.ptp((p.data == 0).mean(1)) < 0.2  # no row more than another


@pytest.mark.parametrize(("call", "message"), [
    (lambda: init.orthogonal_(parameter(3)), "orthogonal_: expected at least two axes"),
    (lambda: init.eye_(parameter(3)), "eye_: expected two axes"),
    (lambda: init.dirac_(parameter(3, 3)), "dirac_: expected three to five axes"),
    (lambda: init.dirac_(parameter(3, 3, 1), groups=2), "the first a multiple of groups 2"),
    (lambda: init.sparse_(parameter(3, 3), 1.5), "sparse_: expected two axes and a sparsity"),
    (lambda: init.trunc_normal_(parameter(3), a=1, b=1), "trunc_normal_: expected a < b"),
])
def test_what_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_generators_and_dtypes():
    def half_sparse(p, generator):
        return init.sparse_(p, 0.5, generator=generator)

    for function in (init.orthogonal_, init.trunc_normal_, half_sparse):
        first, second, third = (parameter(4, 6, dtype=np.float32) for _ in range(3))
        function(first, generator=3)
        function(second, generator=np.random.default_rng(3))
        function(third, generator=4)
        assert first.data.tobytes() == second.data.tobytes() != third.data.tobytes()
    p = init.trunc_normal_(parameter(3), mean=5, std=0, a=-1, b=2)
    assert (p.data == 2).all()
