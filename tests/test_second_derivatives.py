"""Derivatives of derivatives: of every operation against finite differences, of random graphs against PyTorch."""
from __future__ import annotations

import math

import enumerated
import numpy as np
import pytest
import pytorch_twins
from operation_cases import OPERATIONS, cases, differentiable, key, output_gradient
from theirs import torch

import minidl
from minidl import functional as F
from minidl import nn
from minidl.autograd import grad
from minidl.functional import arrangement, further, padding, parts, rounding, sampling, selection, statistics
from minidl.functional.applied import unbroadcast

# Every operation, against finite differences in float64

STEP = 1e-6
MOST = 12  # elements of an array along each of which a sum is differentiated


def doubles(inputs) -> list[np.ndarray]:
    """In float64, off the points where a power has no second derivative."""
    return [np.where(x == 0, 0.7, x).astype(np.float64) if x.dtype.kind == "f" else x for x in inputs]


def first(operation, g, inputs, settings, at):
    """The gradients for g, computed with arrays."""
    y, kept = operation.run(*inputs, **settings)
    g = g.astype(np.result_type(y))
    return [np.asarray(unbroadcast(operation.derivative(i)(g, kept, *inputs, **settings), inputs[i])) for i in at]


@pytest.mark.parametrize("operation", OPERATIONS, ids=key)
def test_the_derivative_of_every_derivative(operation):
    for inputs, settings in cases(operation):
        check_operation(operation, doubles(inputs), settings)


LABELLED = {"cross_entropy": [False, True], "nll_loss": [False]}  # whether the targets are rows of numbers
LOSSES = [(loss, reduction, probabilities)
          for kind in enumerated.LOSSES.values() for loss in [enumerated.function_of(kind)]
          for reduction in kind.reductions for probabilities in LABELLED.get(loss, [True])]


@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 4, 3)])
@pytest.mark.parametrize("loss, reduction, probabilities", LOSSES)
def test_the_second_derivative_of_every_loss(loss, reduction, probabilities, shape):
    rng = np.random.default_rng(1)
    z, rows = rng.standard_normal(shape), rng.random(shape)
    labels = rng.integers(0, 4, shape[:1] + shape[2:] if len(shape) > 1 else ())
    target = rows if probabilities else np.asarray(labels)
    if loss == "binary_cross_entropy":
        z = rng.uniform(0.1, 0.9, shape)
    check_operation(getattr(F, loss), [z, target], {"reduction": reduction})


def check_operation(operation, inputs, settings):
    """grad of Σ <v, first derivatives>, for the inputs and for g, against differences of that sum."""
    y, _ = operation.run(*inputs, **settings)
    g = np.asarray(output_gradient(y), np.float64)
    at = differentiable(operation, inputs)
    gradients = first(operation, g, inputs, settings, at)
    weights = [np.cos(np.arange(dx.size, dtype=np.float64)).reshape(dx.shape) for dx in gradients]

    def total(g, *changed):
        dxs = first(operation, g, changed, settings, at)
        return sum(float((v * dx).sum()) for v, dx in zip(weights, dxs, strict=True))

    tensors = [minidl.Tensor(x, requires_grad=i in at) for i, x in enumerate(inputs)]
    start = minidl.Tensor(g, requires_grad=True)
    output = operation(*tensors, **settings)
    dxs = grad(output, [tensors[i] for i in at], start, create_graph=True)
    for mine, plain in zip(dxs, gradients, strict=True):
        np.testing.assert_array_equal(mine.data, plain)
    loss = sum([(dx * v).sum() for dx, v in zip(dxs, weights, strict=True)], start=minidl.Tensor(0.0, True))
    second = grad(loss, [start, *[tensors[i] for i in at]], allow_unused=True)
    for place, got in zip([-1, *at], second, strict=True):
        values = [g, *inputs]
        ways = directions(values[place + 1].shape)
        expected = np.zeros(len(ways))
        for i, way in enumerate(ways):
            ends = []
            for sign in (1, -1):
                changed = [np.array(x) for x in values]
                changed[place + 1] += sign * STEP * way
                ends.append(total(*changed))
            expected[i] = (ends[0] - ends[1]) / (2 * STEP)
        found = [0.0 if got is None else (got.data * way).sum() for way in ways]
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7, err_msg=f"{operation.name}, {place}")


def directions(shape):
    """Along which a sum is differentiated: each element of a small array, a few random ones of a large one."""
    size = math.prod(shape)
    if size <= MOST:
        return np.eye(size).reshape(size, *shape)
    return np.random.default_rng(size).standard_normal((4, *shape))


def test_third_derivatives():
    x = minidl.Tensor(np.linspace(0.5, 1.5, 5), requires_grad=True)
    for function, third in ((lambda x: x ** 5, lambda x: 60 * x ** 2), (F.exp, np.exp), (F.log, lambda x: 2 / x ** 3),
                            (lambda x: 1 / x, lambda x: -6 / x ** 4), (F.sqrt, lambda x: 0.375 * x ** -2.5),
                            (F.tanh, lambda x: (6 * np.tanh(x) ** 2 - 2) * (1 - np.tanh(x) ** 2))):
        dx = function(x)
        for _ in range(3):
            dx, = grad(dx.sum(), x, create_graph=True)
        np.testing.assert_allclose(dx.data, third(x.data), rtol=1e-10)


def test_powers_at_zero():
    x = minidl.Tensor(np.zeros(4), requires_grad=True)
    for exponent, first, second in ((0, 0, 0), (1, 1, 0), (2, 0, 2), (3, 0, 0)):
        dx, = grad((x ** exponent).sum(), x, create_graph=True)
        ddx, = grad(dx.sum(), x, allow_unused=True)
        assert (dx.data == first).all() and (ddx is None or (ddx.data == second).all())
    b = minidl.Tensor(np.array([0.0, 2.0]), requires_grad=True)
    a = minidl.Tensor(np.array([3.0, 5.0]), requires_grad=True)
    da, = grad((a ** b).sum(), a, create_graph=True)
    mixed, = grad(da.sum(), b)
    np.testing.assert_allclose(mixed.data, [1 / 3, 5 + 2 * 5 * np.log(5)])


# Random graphs against PyTorch: an expression for every differentiable function

pytest.importorskip("hypothesis")

from hypothesis import given  # noqa: E402
from hypothesis import settings as hypothesis_settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

SHAPES = [(), (1,), (4,), (3, 1), (1, 4), (3, 4), (2, 1, 4), (2, 3, 4)]  # each broadcasts with each
LABELS = np.array([2, 0, 1])


def rows_of(L, x):
    """x as three rows of three or more."""
    return L.cat([x.reshape(-1), L.tanh(x.reshape(-1)), x.reshape(-1) * 0.5]).reshape(3, -1)


def line(x):
    """x as a sequence of one channel."""
    return x.reshape(1, 1, -1)


def plane(x):
    """x as an image of one channel and one line."""
    return x.reshape(1, 1, 1, -1)


def padded(L, N, x):
    return N.pad(x, (1, 2, 0, 1)) if L is torch else N.zero_pad2d(x, (1, 2, 0, 1))


# Of Tensors a and b, in either library L (N: its neural functions). Domains are kept by shifts, sizes by tanh.
EXPRESSIONS = {
    "abs": lambda L, N, a, b: L.abs(a), "add": lambda L, N, a, b: L.add(a, b), "sub": lambda L, N, a, b: L.sub(a, b),
    "mul": lambda L, N, a, b: L.mul(a, b), "div": lambda L, N, a, b: L.div(a, b * b + 0.5),
    "pow": lambda L, N, a, b: L.pow(L.tanh(a) + 1.5, L.tanh(b)), "neg": lambda L, N, a, b: L.neg(a) ** 2,
    "sqrt": lambda L, N, a, b: L.sqrt(a * a + 0.1), "exp": lambda L, N, a, b: L.exp(L.tanh(a)),
    "log": lambda L, N, a, b: L.log(a * a + 0.1), "tanh": lambda L, N, a, b: L.tanh(a * b),
    "sigmoid": lambda L, N, a, b: L.sigmoid(a), "relu": lambda L, N, a, b: L.relu(a) * b,
    "leaky_relu": lambda L, N, a, b: N.leaky_relu(a, 0.2) * b, "elu": lambda L, N, a, b: N.elu(a, 0.7),
    "selu": lambda L, N, a, b: N.selu(a) * b, "softmax": lambda L, N, a, b: L.softmax(rows_of(L, a), -1).mean(0).sum(),
    "log_softmax": lambda L, N, a, b: L.log_softmax(rows_of(L, a * b), 0)[1].mean(),
    "where": lambda L, N, a, b: L.where(a > b, a * a, b), "sum": lambda L, N, a, b: (a * b).sum(-1) if a.ndim else a,
    "mean": lambda L, N, a, b: (a * a).mean(dim=0, keepdim=True) if a.ndim else a,
    "max": lambda L, N, a, b: (a * a).max() + (a.max(-1, keepdim=True)[0] * b if a.ndim else b),
    "min": lambda L, N, a, b: L.tanh(a).min() * (b * b).min(),
    "reshape": lambda L, N, a, b: (a.reshape(-1).reshape(a.shape)) * b,
    "flatten": lambda L, N, a, b: (L.flatten(a) ** 2).mean(), "permute":
        lambda L, N, a, b: (a.permute(*range(a.ndim)[::-1]) ** 2).mean() if a.ndim else a,
    "transpose": lambda L, N, a, b: L.tanh(a.transpose(0, -1)).transpose(-1, 0) if a.ndim else a,
    "squeeze": lambda L, N, a, b: (L.squeeze(a) ** 2).sum() * 0.1,
    "unsqueeze": lambda L, N, a, b: (L.unsqueeze(a, 0) * b).mean(),
    "cat": lambda L, N, a, b: (L.cat([a.reshape(-1), b.reshape(-1), a.reshape(-1)]) ** 2).mean(),
    "concat": lambda L, N, a, b: L.concat([L.tanh(a).reshape(-1), b.reshape(-1) ** 2]).mean(),
    "concatenate": lambda L, N, a, b: (L.concatenate([rows_of(L, a), rows_of(L, a)], 1) ** 2).mean(),
    "stack": lambda L, N, a, b: (L.stack([a * b, a - b], -1) ** 2).sum(-1),
    "matmul": lambda L, N, a, b: L.matmul(L.tanh(a), L.tanh(a).transpose(-1, -2)).mean() if a.ndim > 1 else a * a,
    "linear": lambda L, N, a, b: N.linear(
        rows_of(L, a), L.tanh(rows_of(L, a)), rows_of(L, b * b).mean(1)).mean() if a.ndim else a,
    "layer_norm": lambda L, N, a, b: N.layer_norm(two_columns(L, a), (2,), eps=0.1).mean(0).sum() * b,
    "rms_norm": lambda L, N, a, b: N.rms_norm(two_columns(L, a), (2,), eps=0.1).mean() * b,
    "group_norm": lambda L, N, a, b: (N.group_norm(two_columns(L, a), 1, eps=0.1)[:, 1] ** 2).mean() + b,
    "batch_norm": lambda L, N, a, b: (
        N.batch_norm(two_columns(L, a).transpose(0, 1), None, None, training=True, eps=0.1)[0] ** 3).mean() * b,
    "embedding": lambda L, N, a, b: (N.embedding(labels(L), L.cat([two_columns(L, a)] * 4)) ** 2).mean() + b,
    "bmm": lambda L, N, a, b: L.bmm(
        L.stack([two_columns(L, a)] * 2), L.stack([two_columns(L, a).transpose(0, 1)] * 2)).mean() * L.tanh(b),
    "mse_loss": lambda L, N, a, b: N.mse_loss(a + b, a * 0.5 * b, reduction="mean"),
    "mse_loss, each": lambda L, N, a, b: N.mse_loss(a * b, a + b, reduction="none"),
    "nll_loss": lambda L, N, a, b: N.nll_loss(
        rows_of(L, L.cat([x.reshape(-1) for x in (a, b, a * b)]) ** 2), labels(L)),
    "cross_entropy": lambda L, N, a, b: N.cross_entropy(
        rows_of(L, L.cat([x.reshape(-1) for x in (a, b, a * b)])), labels(L)),
    "cross_entropy, each": lambda L, N, a, b: (N.cross_entropy(
        rows_of(L, L.cat([x.reshape(-1) for x in (a, a, b)])), labels(L), reduction="none") ** 2).sum(),
    "cross_entropy of rows": lambda L, N, a, b: N.cross_entropy(
        rows_of(L, a), constant(L, 0.5 + np.cos(np.arange(3 * rows_of(L, a).shape[1])), a).reshape(3, -1)),
    "erf": lambda L, N, a, b: L.erf(a) * b,
    "sin": lambda L, N, a, b: L.sin(a * b), "cos": lambda L, N, a, b: L.cos(a) * b,
    "square": lambda L, N, a, b: L.square(a) * b, "expm1": lambda L, N, a, b: L.expm1(L.tanh(a)) * b,
    "reciprocal": lambda L, N, a, b: L.reciprocal(a * a + 1) * b, "rsqrt": lambda L, N, a, b: L.rsqrt(a * a + 1) * b,
    "log1p": lambda L, N, a, b: L.log1p(a * a) * b, "log2": lambda L, N, a, b: L.log2(a * a + 1) * b,
    "log10": lambda L, N, a, b: L.log10(a * a + 1) * b,
    "logsumexp": lambda L, N, a, b: L.logsumexp(rows_of(L, a), 0).mean() * b,
    "threshold": lambda L, N, a, b: N.threshold(a * b, 0.1, 0.5),
    "binary_cross_entropy": lambda L, N, a, b: N.binary_cross_entropy(L.sigmoid(a + b), L.sigmoid(b - a)),
    "kl_div": lambda L, N, a, b: N.kl_div(a + b, L.sigmoid(a * b), reduction="sum"),
    "pairwise_distance": lambda L, N, a, b: N.pairwise_distance(rows_of(L, a), rows_of(L, a * a)).mean(),
    # away from lengths below eps, where PyTorch's derivative is not that of its value
    "cosine_similarity": lambda L, N, a, b: N.cosine_similarity(
        rows_of(L, a * a) + 1, L.tanh(rows_of(L, a)) + 2, 0).mean(),
    "cosine_embedding_loss": lambda L, N, a, b: N.cosine_embedding_loss(
        rows_of(L, a), rows_of(L, a * a), constant(L, np.ones(len(rows_of(L, a))), a)),
    "triplet_margin_loss": lambda L, N, a, b: N.triplet_margin_loss(
        rows_of(L, a), rows_of(L, a * a), rows_of(L, L.tanh(a)), margin=4.0),
    "prelu": lambda L, N, a, b: N.prelu(a, 0.3 * b.reshape(-1)[:1]),
    "conv1d": lambda L, N, a, b: N.conv1d(line(a), L.tanh(line(b))[:, :, :1], stride=2, padding=1).mean(),
    "conv2d": lambda L, N, a, b: (N.conv2d(plane(a), L.tanh(plane(b))[:, :, :1, :1], padding=(0, 1)) ** 2).mean(),
    "max_pool1d": lambda L, N, a, b: (N.max_pool1d(line(a), 2, 1, 1) ** 2).mean(),
    "max_pool2d": lambda L, N, a, b: (N.max_pool2d(plane(a), 1, 1) ** 2).mean() * b,
    "avg_pool1d": lambda L, N, a, b: (N.avg_pool1d(line(a), 2, 1, 1) ** 2).mean(),
    "avg_pool2d": lambda L, N, a, b: (N.avg_pool2d(plane(a), 2, 1, 1, True, False) ** 2).mean() + b,
    "adaptive_avg_pool1d": lambda L, N, a, b: (N.adaptive_avg_pool1d(line(a * b), 3) ** 2).sum(),
    "adaptive_avg_pool2d": lambda L, N, a, b: (N.adaptive_avg_pool2d(plane(a), 2) ** 2).sum() * b,
    "zero_pad2d": lambda L, N, a, b: (padded(L, N, plane(a)) ** 3).mean() * b,
    "index": lambda L, N, a, b: (a[..., ::2] ** 2).sum() + (a[[0, -1, 0]] ** 3).mean() if a.ndim else a,
}
for _name, _kind in {**enumerated.ACTIVATIONS, **enumerated.LOSSES}.items():  # those that have none yet
    _function = enumerated.function_of(_kind)
    if not any(name.split(",")[0].split(" of ")[0] == _function for name in EXPRESSIONS):
        _how = enumerated.away_from_defaults(_kind) if _name in enumerated.ACTIVATIONS else {}
        EXPRESSIONS[_function] = (
            (lambda L, N, a, b, name=_function: getattr(N, name)(a + b, a * 0.5 * b)) if _name in enumerated.LOSSES else
            (lambda L, N, a, b, name=_function, how=_how: of(N, name)(a, **how) * b))
WITHOUT = {"all", "any", "argmax", "argmin", "Operation", "dropout", "detach", "eq", "ge", "gt", "le", "lt",
           "ne",  # no derivative, no operation, draws of its own,
           "embedding_bag", "scaled_dot_product_attention"}  # or PyTorch has no second derivative
WITHOUT |= {*rounding.__all__, *sampling.__all__, "instance_norm"}  # none, or in test_functional.py
WITHOUT |= set(further.__all__ + padding.__all__ + parts.__all__)
WITHOUT |= set(arrangement.__all__ + selection.__all__ + statistics.__all__)  # of their own second derivatives in
#                                                            test_functional.py: shapes as these graphs have do not fit


def of(N, name):
    """A function of minidl, or PyTorch's, of which one that has second derivatives."""
    return getattr(F, name) if N is F else pytorch_twins.function(name)


def constant(L, array, like):
    return torch.from_numpy(array) if L is torch else minidl.Tensor(array.astype(like.dtype))


def two_columns(L, a):
    """The elements of a beside their squares."""
    return L.stack([a.reshape(-1), (a * a).reshape(-1)], 1)


def labels(L):
    return torch.from_numpy(LABELS) if L is torch else minidl.Tensor(LABELS)


def test_every_function_has_an_expression():
    assert {name.split(",")[0].split(" of ")[0] for name in EXPRESSIONS} - {"index"} == set(F.__all__) - WITHOUT


@st.composite
def graphs(draw):
    """(shapes of the leaves, seed of their values, steps): a step is (expression, where its inputs stand)."""
    shapes = draw(st.lists(st.sampled_from(SHAPES), min_size=1, max_size=3))
    step = st.tuples(st.sampled_from(list(EXPRESSIONS)), st.integers(0, 99), st.integers(0, 99))
    return shapes, draw(st.integers(0, 2**32 - 1)), draw(st.lists(step, min_size=1, max_size=8))


def evaluate(L, N, leaves, steps):
    """The sum of the means of all nodes, each computed from earlier ones."""
    nodes = list(leaves)
    for name, first, second in steps:
        a, b = nodes[first % len(nodes)], nodes[second % len(nodes)]
        y = EXPRESSIONS[name](L, N, a, b)
        nodes.append(L.tanh(y) if y.shape in SHAPES else L.tanh(y).mean())
    return sum(node.mean() for node in nodes)


def derivatives(gradient, y, leaves, weights):
    """First derivatives, and those of a function of them."""
    first = gradient(y, leaves, create_graph=True, allow_unused=True)
    loss = sum((dx * v).sum() + (dx * dx).sum() for dx, v in zip(first, weights, strict=True) if dx is not None)
    second = gradient(loss, leaves, allow_unused=True) if loss.requires_grad else [None] * len(leaves)
    return first, second


@hypothesis_settings(max_examples=400, derandomize=True, deadline=None, database=None)
@given(graphs())
def test_a_random_graph_agrees_with_pytorch(graph):
    shapes, seed, steps = graph
    rng = np.random.default_rng(seed)
    values = [np.asarray(rng.standard_normal(shape)) for shape in shapes]
    weights = [np.asarray(rng.standard_normal(shape)) for shape in shapes]
    mine = [minidl.Tensor(value, requires_grad=True) for value in values]
    theirs = [torch.tensor(value, requires_grad=True) for value in values]
    y, expected = evaluate(F, F, mine, steps), evaluate(torch, torch.nn.functional, theirs, steps)
    np.testing.assert_allclose(y.item(), expected.item(), rtol=1e-10, atol=1e-12)
    got = derivatives(grad, y, mine, weights)
    reference = derivatives(torch.autograd.grad, expected, theirs, [torch.from_numpy(v) for v in weights])
    for ours, others in zip(got, reference, strict=True):
        scale = max([1.0, *[float(dx.detach().abs().max()) for dx in others if dx is not None]])
        for dx, other, value in zip(ours, others, values, strict=True):
            other = np.zeros(value.shape) if other is None else other.detach().numpy()
            np.testing.assert_allclose(0 * value if dx is None else dx.data, other, rtol=1e-8, atol=1e-9 * scale)


# What they are for

def networks():
    """One network in both libraries, in float64."""
    mine = nn.Sequential(nn.Linear(3, 8, dtype=np.float64, generator=0), nn.Tanh(),
                         nn.Linear(8, 8, dtype=np.float64, generator=1), nn.Sigmoid(),
                         nn.Linear(8, 1, dtype=np.float64, generator=2))
    theirs = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Tanh(), torch.nn.Linear(8, 8), torch.nn.Sigmoid(),
                                 torch.nn.Linear(8, 1)).double()
    theirs.load_state_dict({name: torch.from_numpy(np.ascontiguousarray(x)) for name, x in mine.state_dict().items()})
    return mine, theirs


X = np.random.default_rng(7).standard_normal((10, 3))


def compare_gradients(mine, theirs):
    for a, b in zip(mine.parameters(), theirs.parameters(), strict=True):
        expected = np.zeros(a.shape) if b.grad is None else b.grad.numpy()
        np.testing.assert_allclose(a.gradient, expected, rtol=1e-9, atol=1e-12)


def test_a_gradient_penalty():
    models = networks()
    for model, make, gradient in zip(models, (minidl.Tensor, torch.from_numpy), (grad, torch.autograd.grad),
                                     strict=True):
        x = make(X.copy()).requires_grad_()
        y = model(x)
        dx, = gradient(y.sum(), x, create_graph=True)
        ((((dx * dx).sum(1) + 1e-9) ** 0.5 - 1) ** 2).mean().backward()
    compare_gradients(*models)


def test_a_hessian_vector_product():
    mine, theirs = networks()
    target = np.random.default_rng(8).standard_normal((10, 1))
    vectors = [np.random.default_rng(9).standard_normal(p.shape) for p in mine.parameters()]
    products = []
    for model, make, gradient in ((mine, minidl.Tensor, grad), (theirs, torch.from_numpy, torch.autograd.grad)):
        parameters = list(model.parameters())
        loss = ((model(make(X)) - make(target)) ** 2).mean()
        first = gradient(loss, parameters, create_graph=True)
        products.append(gradient(first, parameters, [make(v) for v in vectors]))
    for a, b in zip(*products, strict=True):
        np.testing.assert_allclose(a.data, b.numpy(), rtol=1e-9, atol=1e-12)
    assert all(p.grad is None for p in mine.parameters())


@pytest.mark.parametrize("activation", ["Tanh", "Sigmoid", "ELU", "SELU"])
def test_a_pinn(activation):
    """u'' + u = 0 with u(0) = 1: the derivative of a second derivative for the weights."""
    mine, theirs = networks()
    mine[3], theirs[3] = getattr(nn, activation)(), getattr(torch.nn, activation)()
    for model, make, gradient, cat in ((mine, minidl.Tensor, grad, minidl.cat),
                                       (theirs, torch.from_numpy, torch.autograd.grad, torch.cat)):
        t = make(np.linspace(0, 1, 12)[:, None]).requires_grad_()
        u = model(cat([t, t * t, 0 * t + 1], 1))
        ut, = gradient(u.sum(), t, create_graph=True)
        utt, = gradient(ut.sum(), t, create_graph=True)
        (((utt + u) ** 2).mean() + (u[0] - 1) ** 2).sum().backward()
    compare_gradients(mine, theirs)


def test_a_meta_step():
    """MAML: the loss after a step of gradient descent, differentiated through the step."""
    found = []
    for make, gradient in ((minidl.Tensor, grad), (torch.from_numpy, torch.autograd.grad)):
        w = make(np.full(3, 0.5)).requires_grad_()
        x, t = make(X), make(X[:, 0] ** 2)
        step, = gradient(((x * w).sum(1) - t).tanh().sum(), w, create_graph=True)
        after = w - 0.1 * step
        (((x * after).sum(1) - t) ** 2).mean().backward()
        found.append(w.grad)
    np.testing.assert_allclose(found[0], found[1].numpy(), rtol=1e-10)
