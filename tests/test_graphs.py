"""Random expression graphs in float64 against PyTorch: the value, and the gradient of every leaf."""
from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import functional as F

pytest.importorskip("hypothesis")

from hypothesis import given, settings
from hypothesis import strategies as st
from theirs import torch

SHAPES = [(), (1,), (4,), (3, 1), (1, 4), (3, 4), (2, 1, 4), (2, 3, 4)]  # each broadcasts with each

# Of a tensor x, on either library L; domains are kept by shifts and squares, sizes by tanh.
UNARY = [
    lambda L, x: -x,
    lambda L, x: abs(x),
    lambda L, x: 2 * x - 1,
    lambda L, x: 1 / (x * x + 1),
    lambda L, x: L.tanh(x) ** 3,
    lambda L, x: (x * x + 0.5) ** -0.5,
    lambda L, x: 2 ** L.tanh(x),
    lambda L, x: L.exp(L.tanh(x)),
    lambda L, x: L.log(x * x + 0.1),
    lambda L, x: L.sqrt(abs(x) + 0.1),
    lambda L, x: L.tanh(x),
    lambda L, x: L.sigmoid(x),
    lambda L, x: L.relu(x),
    lambda L, x: L.nn.leaky_relu(x, 0.2),
    lambda L, x: L.nn.elu(x, 0.7),
    lambda L, x: L.nn.selu(x),
    lambda L, x: L.softmax(x, -1) if x.ndim else x,
    lambda L, x: L.log_softmax(x, 0) if x.ndim else x,
    lambda L, x: L.where(x > 0.3, x * x, -1.0),
    lambda L, x: x.mean(),
    lambda L, x: x.max() * x.min(),
    lambda L, x: x.sum(dim=0, keepdim=True) if x.ndim else x,
    lambda L, x: x.mean(dim=-1, keepdim=True) if x.ndim else x,
    lambda L, x: x.max(-1, keepdim=True)[0] if x.ndim else x,
    lambda L, x: x.min(0, keepdim=True)[0] if x.ndim else x,
    lambda L, x: x.reshape(-1).reshape(x.shape),
    lambda L, x: x.transpose(0, -1).transpose(-1, 0) if x.ndim else x,
    lambda L, x: x[..., ::2].sum() if x.ndim else x,
    lambda L, x: x[[0, -1, 0]].mean() if x.ndim else x,
    lambda L, x: L.matmul(L.tanh(x), L.tanh(x).transpose(-1, -2)).mean() if x.ndim > 1 else x,
    lambda L, x: L.nn.linear(x, L.tanh(x).reshape(-1, x.shape[-1])).mean() if x.ndim else x,
]
BINARY = [
    lambda L, a, b: a + b,
    lambda L, a, b: a - b,
    lambda L, a, b: a * b,
    lambda L, a, b: a / (b * b + 0.5),
    lambda L, a, b: (L.tanh(a) + 1.5) ** L.tanh(b),
    lambda L, a, b: L.where(a > b, a, b),
    lambda L, a, b: L.cat([a.reshape(-1), b.reshape(-1)]).mean(),
    lambda L, a, b: L.stack([a + b, a - b], -1).sum(-1),
    lambda L, a, b: L.nn.mse_loss(a + b, a * 0.5 + b),
]


class Mine:
    nn = F

    def __getattr__(self, name):
        return getattr(F, name)


class Theirs:
    nn = torch.nn.functional

    def __getattr__(self, name):
        return getattr(torch, name)


@st.composite
def graphs(draw):
    """(shapes of the leaves, seed of their values, steps): a step is (operation, where its inputs stand)."""
    shapes = draw(st.lists(st.sampled_from(SHAPES), min_size=1, max_size=3))
    step = st.tuples(st.integers(0, len(UNARY) + 2 * len(BINARY) - 1), st.integers(0, 99), st.integers(0, 99))
    return shapes, draw(st.integers(0, 2**32 - 1)), draw(st.lists(step, min_size=1, max_size=12))


def evaluate(library, leaves, steps):
    """The sum of the means of all nodes, each computed from earlier ones."""
    nodes = list(leaves)
    for operation, first, second in steps:
        a, b = nodes[first % len(nodes)], nodes[second % len(nodes)]
        if operation < len(UNARY):
            nodes.append(UNARY[operation](library, a))
        else:
            nodes.append(BINARY[(operation - len(UNARY)) // 2](library, a, b))
    total = nodes[0].mean()
    for node in nodes[1:]:
        total = total + node.mean()
    return total


@settings(max_examples=800, derandomize=True, deadline=None, database=None)
@given(graphs())
def test_a_random_graph_agrees_with_pytorch(graph):
    shapes, seed, steps = graph
    rng = np.random.default_rng(seed)
    values = [rng.standard_normal(shape) for shape in shapes]
    mine = [minidl.tensor(np.asarray(value), requires_grad=True) for value in values]
    theirs = [torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in values]
    y, expected = evaluate(Mine(), mine, steps), evaluate(Theirs(), theirs, steps)
    np.testing.assert_allclose(y.item(), expected.item(), rtol=1e-10, atol=1e-12)
    y.backward()
    expected.backward()
    for leaf, reference in zip(mine, theirs, strict=True):
        scale = float(reference.grad.abs().max())
        np.testing.assert_allclose(leaf.grad, reference.grad.numpy(), rtol=1e-8, atol=1e-10 * max(1, scale))
        assert leaf.grad.dtype == np.float64
