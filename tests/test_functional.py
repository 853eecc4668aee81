"""Every operation: its derivative against finite differences, value and derivative against PyTorch."""
from __future__ import annotations

import inspect

import enumerated
import function_cases
import numpy as np
import pytest
import pytorch_twins
from theirs import torch

import minidl
from minidl import functional as F
from minidl.autograd.tensor import Tensor

STEP = 1e-6

# (name, function of (library, tensors), shapes of the inputs). ``library`` is minidl.functional or PyTorch
# with torch.nn.functional; the inputs are positive where the function asks for it, and away from kinks.
S = (2, 3, 4)
MASK = np.array([[True, False, True], [False, False, True]])
ROWS = [
    ("add", lambda L, a, b: L.add(a, b), S, S),
    ("add broadcast", lambda L, a, b: a + b, (2, 1, 4), (3, 1)),
    ("add number", lambda L, a: 2.5 + a, S),
    ("sub", lambda L, a, b: L.sub(a, b), S, (4,)),
    ("sub from number", lambda L, a: 1 - a, S),
    ("mul", lambda L, a, b: L.mul(a, b), (3, 1), S),
    ("mul itself", lambda L, a: a * a, S),
    ("div", lambda L, a, b: L.div(a, b + 3), S, (3, 4)),
    ("div of number", lambda L, a: 2 / (a + 3), S),
    ("pow", lambda L, a, b: L.pow(a * a + 0.5, b), (3, 4), (2, 1, 4)),
    ("pow number", lambda L, a: a ** 3, S),
    ("pow of number", lambda L, a: 2.5 ** a, S),
    ("matmul", lambda L, a, b: L.matmul(a, b), (2, 3), (3, 4)),
    ("matmul stacks", lambda L, a, b: L.matmul(a, b), (5, 1, 2, 3), (4, 3, 2)),
    ("matmul vectors", lambda L, a, b: L.matmul(a, b), (3,), (3,)),
    ("matmul row", lambda L, a, b: L.matmul(a, b), (3,), (2, 3, 4)),
    ("matmul column", lambda L, a, b: L.matmul(a, b), (2, 4, 3), (3,)),
    ("matmul transposed", lambda L, a, b: L.matmul(a.T, b.T), (3, 2), (4, 3)),
    ("conv1d", lambda L, a, b: L.conv1d(a, b, padding=1, stride=2), (2, 3, 7), (4, 3, 3)),
    ("conv2d", lambda L, a, b, c: L.conv2d(a, b, c, (1, 2), 1, 2, 2), (2, 4, 5, 6), (6, 2, 3, 2), (6,)),
    ("max_pool1d", lambda L, a: L.max_pool1d(a, 2), (2, 3, 7)),
    ("max_pool2d", lambda L, a: L.max_pool2d(a, 3, 2, 1), (2, 3, 5, 6)),
    ("avg_pool1d", lambda L, a: L.avg_pool1d(a, 2), (2, 3, 7)),
    ("avg_pool2d", lambda L, a: L.avg_pool2d(a, 3, 2, 1), (2, 3, 5, 6)),
    ("adaptive_avg_pool1d", lambda L, a: L.adaptive_avg_pool1d(a, 3), (2, 3, 7)),
    ("adaptive_avg_pool2d", lambda L, a: L.adaptive_avg_pool2d(a, (2, 3)), (2, 3, 5, 7)),
    ("bmm", lambda L, a, b: L.bmm(a, b), (3, 2, 4), (3, 4, 5)),
    ("scaled_dot_product_attention", lambda L, a, b: L.scaled_dot_product_attention(a, b, b), (2, 3, 4), (2, 5, 4)),
    ("embedding", lambda L, a: L.embedding(index_of(L, a), a), (4, 3)),
    ("embedding_bag", lambda L, a: L.embedding_bag(index_of(L, a), a), (4, 3)),
    ("layer_norm", lambda L, a, b: L.layer_norm(a, (4,), b, b, 0.1), (2, 3, 4), (4,)),
    ("rms_norm", lambda L, a, b: L.rms_norm(a, (4,), b, 0.1), (2, 3, 4), (4,)),
    ("group_norm", lambda L, a, b: L.group_norm(a, 2, b, b, 0.1), (3, 4, 5), (4,)),
    ("batch_norm", lambda L, a, b: L.batch_norm(a, None, None, b, b, training=True, eps=0.1), (5, 4), (4,)),
    ("neg", lambda L, a: -L.neg(-a), S),
    ("abs", lambda L, a: abs(a) + L.abs(a), S),
    ("sqrt", lambda L, a: L.sqrt(a * a + 1), S),
    ("exp", lambda L, a: L.exp(a), S),
    ("log", lambda L, a: L.log(a * a + 0.5), S),
    ("erf", lambda L, a: L.erf(a), S),
    ("threshold", lambda L, a: L.threshold(a, 0.3, -2.0), S),
    ("prelu", lambda L, a, b: L.prelu(a, b), S, (1,)),
    ("prelu channels", lambda L, a, b: L.prelu(a, b), S, (3,)),
    ("where", lambda L, a, b: L.where(a > b, a, b), S, (3, 1)),
    ("where number", lambda L, a: L.where(a > 0, a * a, 0.5), S),
    ("relu", lambda L, a: L.relu(a), S),
    ("leaky_relu", lambda L, a: L.leaky_relu(a), S),
    ("leaky_relu slope", lambda L, a: L.leaky_relu(a, 0.3, False), S),
    ("elu", lambda L, a: L.elu(a), S),
    ("elu alpha", lambda L, a: L.elu(a, 1.5), S),
    ("selu", lambda L, a: L.selu(a, inplace=False), S),
    ("tanh", lambda L, a: L.tanh(a), S),
    ("sigmoid", lambda L, a: L.sigmoid(a), S),
    ("softmax", lambda L, a: L.softmax(a, -1), S),
    ("softmax dim", lambda L, a: L.softmax(a, dim=1), S),
    ("log_softmax", lambda L, a: L.log_softmax(a, 2), S),
    ("log_softmax dim", lambda L, a: L.log_softmax(a, dim=0), S),
    ("sum", lambda L, a: L.sum(a), S),
    ("sum dim", lambda L, a: L.sum(a, 1), S),
    ("sum dims keepdim", lambda L, a: a.sum(dim=(0, -1), keepdim=True), S),
    ("sum axis", lambda L, a: a.sum(axis=[0, 2], keepdims=True), S),
    ("mean", lambda L, a: L.mean(a), S),
    ("mean dim", lambda L, a: L.mean(a, -1, True), S),
    ("mean dims", lambda L, a: a.mean(dim=(0, 1)), S),
    ("max", lambda L, a: L.max(a), S),
    ("max dim", lambda L, a: L.max(a, 1).values, S),
    ("max keepdim", lambda L, a: a.max(-1, keepdim=True)[0], S),
    ("min", lambda L, a: L.min(a), S),
    ("min dim", lambda L, a: a.min(dim=0)[0], S),
    ("reshape", lambda L, a: L.reshape(a, (4, -1)) * 2, S),
    ("view", lambda L, a: a.view(4, 6), S),
    ("transpose", lambda L, a: L.transpose(a, 0, -1), S),
    ("permute", lambda L, a: L.permute(a, (2, 0, 1)), S),
    ("permute numbers", lambda L, a: a.permute(-1, 0, 1), S),
    ("flatten", lambda L, a: L.flatten(a), S),
    ("flatten dims", lambda L, a: L.flatten(a, 1, 2), S),
    ("squeeze", lambda L, a: L.squeeze(a), (1, 3, 1)),
    ("squeeze dim", lambda L, a: L.squeeze(a, -1), (1, 3, 1)),
    ("squeeze a longer axis", lambda L, a: L.squeeze(a, 1), (1, 3, 1)),
    ("unsqueeze", lambda L, a: L.unsqueeze(a, -1), S),
    ("index", lambda L, a: a[1], S),
    ("slice", lambda L, a: a[:, 1:, ::2], S),
    ("ellipsis", lambda L, a: a[..., None, -1], S),
    ("index by a list", lambda L, a: a[[1, 0, 1, 1]], S),
    ("index by a mask", lambda L, a: a[MASK], S),
    ("index by comparison", lambda L, a: a[a > 0], S),
    ("index pairs", lambda L, a: a[[0, 0, 1], [2, 2, 0]], S),
    ("cat", lambda L, a, b: L.cat((a, b, a)), (2, 3), (1, 3)),
    ("cat dim", lambda L, a, b: L.cat([a, b], -1), (2, 3), (2, 1)),
    ("concatenate", lambda L, a, b: L.concatenate([a, b], axis=1), (2, 3), (2, 2)),
    ("stack", lambda L, a, b: L.stack((a, b, a)), (2, 3), (2, 3)),
    ("stack dim", lambda L, a, b: L.stack([a, b], dim=-1), (2, 3), (2, 3)),
    ("linear", lambda L, a, b, c: L.linear(a, b, c), (5, 3), (4, 3), (4,)),
    ("linear no bias", lambda L, a, b: L.linear(a, b), (2, 5, 3), (4, 3)),
    ("linear vector", lambda L, a, b, c: L.linear(a, b, bias=c), (3,), (4, 3), (4,)),
    ("mse_loss", lambda L, a, b: L.mse_loss(a, b), S, S),
    ("mse_loss sum", lambda L, a, b: L.mse_loss(a, b, reduction="sum"), S, S),
    ("mse_loss none", lambda L, a, b: L.mse_loss(a, b, reduction="none"), S, S),
    *[(f"binary_cross_entropy {how}", lambda L, a, b, how=how: L.binary_cross_entropy(
        L.sigmoid(a), L.sigmoid(b), reduction=how), S, S) for how in ("mean", "sum", "none")],
    *[(f"kl_div {how}", lambda L, a, b, how=how: L.kl_div(a, L.sigmoid(b), reduction=how), S, S)
      for how in ("mean", "sum", "batchmean", "none")],
    ("kl_div log_target", lambda L, a, b: L.kl_div(a, b, log_target=True), S, S),
    ("pairwise_distance", lambda L, a, b: L.pairwise_distance(a, b), S, S),
    ("cosine_similarity", lambda L, a, b: L.cosine_similarity(a, b), S, S),
    ("triplet_margin_loss", lambda L, a, b, c: L.triplet_margin_loss(a, b, c), (5, 3), (5, 3), (5, 3)),
    ("cosine_embedding_loss", lambda L, a, b: L.cosine_embedding_loss(a, b, a[:, 0].detach() * 0 + 1), (5, 3), (5, 3)),
    ("to", lambda L, a: a.to(a.dtype) + a.double(), S),
    ("clone", lambda L, a: a.clone().T.contiguous(), (2, 3)),
    ("0-d", lambda L, a, b: L.tanh(a) * b + L.exp(b).sum() - a.reshape(1).max(), (), ()),
    ("0-d softmax", lambda L, a: L.softmax(a, -1) * a, ()),
    ("one element", lambda L, a: L.sigmoid(a).mean() * a, (1, 1)),
    ("empty", lambda L, a: L.relu(a) + L.exp(a).sum(), (0, 3)),
    ("empty product", lambda L, a, b: L.matmul(a, b), (2, 0), (0, 3)),
    ("empty stack", lambda L, a, b: L.linear(a, b), (2, 0, 3), (4, 3)),
    ("empty features", lambda L, a, b: L.linear(a, b), (2, 2, 0), (4, 0)),
    ("broadcast with empty", lambda L, a, b: a * b, (0, 3), (1, 3)),
]
ROWS += function_cases.ROWS
# Activations and losses that have no row yet
LISTED = {row[0].split()[0] for row in ROWS} | {"cross_entropy", "nll_loss"}
FOUND = {enumerated.function_of(kind): kind
         for kind in (*enumerated.ACTIVATIONS.values(), *enumerated.LOSSES.values())
         if enumerated.function_of(kind) not in LISTED}
for _name, _kind in FOUND.items():
    if _kind in enumerated.LOSSES.values():
        ROWS += [(f"{_name} {_how}", lambda L, a, b, name=_name, how=_how: getattr(L, name)(a, b, reduction=how), S, S)
                 for _how in _kind.reductions]
    else:
        ROWS += [(f"{_name} {_settings}", lambda L, a, name=_name, how=_settings: getattr(L, name)(a, **how), S)
                 for _settings in ({}, enumerated.away_from_defaults(_kind))]


def index_of(L, a):
    """Bags of two numbers, as L takes them."""
    index = np.array([[0, 2], [2, 2], [3, 1]])
    return pytest.importorskip("torch").from_numpy(index) if isinstance(L, Theirs) else index


NAMES = [row[0] for row in ROWS]
LABELS = np.array([1, 0, 3, 3, 2])
LABELLED = [("nll_loss", reduction) for reduction in ("mean", "sum", "none")] + [
    ("cross_entropy", reduction) for reduction in ("mean", "sum", "none")]


def samples(shapes, seed=0) -> list[np.ndarray]:
    """Normal numbers, the nearest to zero 0.05 away from it, no two of them near each other."""
    rng = np.random.default_rng(seed)
    numbers = rng.standard_normal(sum(int(np.prod(shape)) for shape in shapes))
    numbers += 0.05 * np.sign(numbers)
    parts, start = [], 0
    for shape in shapes:
        parts.append(numbers[start:start + int(np.prod(shape))].reshape(shape))
        start += int(np.prod(shape))
    return parts


def leaves(arrays) -> list[Tensor]:
    return [minidl.tensor(array, requires_grad=True) for array in arrays]


def check_slopes(function, arrays) -> None:
    """Of Σ w y with fixed random w: the gradients against central differences."""
    tensors = leaves(arrays)
    y = function(*tensors)
    w = np.random.default_rng(9).standard_normal(y.shape)
    y.backward(w)
    for tensor in tensors:
        expected = np.zeros(tensor.shape)
        for i in np.ndindex(tensor.shape):
            ends = []
            for step in (STEP, -STEP):
                before = tensor.data[i]
                tensor.data[i] = before + step
                ends.append(float((function(*(t.detach() for t in tensors)).data * w).sum()))
                tensor.data[i] = before
            expected[i] = (ends[0] - ends[1]) / (2 * STEP)
        assert tensor.grad.dtype == np.float64 and tensor.grad.shape == tensor.shape
        np.testing.assert_allclose(tensor.grad, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_finite_differences(row):
    check_slopes(lambda *inputs: row[1](F, *inputs), samples(row[2:]))


@pytest.mark.parametrize("name, reduction", LABELLED)
def test_finite_differences_of_labelled_losses(name, reduction):
    check_slopes(lambda z: getattr(F, name)(z, LABELS, reduction=reduction), samples([(5, 4)]))


def test_finite_differences_of_cross_entropy_with_probabilities():
    p = np.random.default_rng(3).dirichlet(np.ones(4), 5)
    check_slopes(lambda z: F.cross_entropy(z, p), samples([(5, 4)]))


def test_finite_differences_of_dropout():
    check_slopes(lambda x: F.dropout(x, 0.4, generator=5) * x, samples([S]))


def test_finite_differences_of_zero_padding():
    check_slopes(lambda x: F.zero_pad2d(x, (1, -1, 0, 2)) * 2, samples([(2, 3, 4, 5)]))


def test_every_operation_has_a_row():
    source = inspect.getsource(inspect.getmodule(test_every_operation_has_a_row))
    without_derivative = {
        "Operation", "argmax", "argmin", "all", "any", "concat", "detach", "eq", "ge", "gt", "le", "lt", "ne",
        # in test_script_idioms.py and test_distributions.py
        "isclose", "numel", "bincount", "count_nonzero", "nonzero", "unique", "bernoulli", "multinomial", "one_hot",
        "floor_divide", *[name for name in F.__all__ if name.startswith(("bitwise_", "is", "logical_"))]}
    assert [name for name in F.__all__ if f'("{name}' not in source and f"F.{name}(" not in source
            and name not in without_derivative and name not in FOUND and name not in LISTED] == []


# PyTorch

class Theirs:
    """torch and torch.nn.functional as one library, as minidl.functional is."""

    is_torch = True

    def __getattr__(self, name):
        return pytorch_twins.function(name)


def agree(function, reference, arrays, dtype, tolerance) -> None:
    arrays = [array.astype(dtype) for array in arrays]
    mine, other = leaves(arrays), [torch.tensor(array, requires_grad=True) for array in arrays]
    y, ty = function(*mine), reference(*other)
    assert str(ty.dtype) == f"torch.{y.dtype}" and y.shape == tuple(ty.shape)
    np.testing.assert_allclose(y.data, ty.detach().numpy(), rtol=tolerance, atol=tolerance)
    w = np.random.default_rng(9).standard_normal(y.shape).astype(y.dtype)
    y.backward(w)
    ty.backward(torch.from_numpy(np.asarray(w)))
    for a, b in zip(mine, other, strict=True):
        assert a.grad.dtype == dtype
        np.testing.assert_allclose(a.grad, b.grad.numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_the_second_derivative_as_in_pytorch(row):
    """The gradient of the squares of the gradients, in float64."""
    arrays, reference = samples(row[2:]), Theirs()
    mine, other = leaves(arrays), [torch.tensor(array, requires_grad=True) for array in arrays]
    y, ty = row[1](F, *mine), row[1](reference, *other)
    w = np.random.default_rng(9).standard_normal(y.shape)
    theirs = torch.autograd.grad(ty, other, torch.from_numpy(np.asarray(w)), create_graph=True, allow_unused=True)
    ours = minidl.autograd.grad(y, mine, minidl.tensor(np.asarray(w)), create_graph=True, allow_unused=True)
    squares = sum([(dx * dx).sum() for dx in theirs if dx is not None and dx.requires_grad])
    total = sum([(dx * dx).sum() for dx in ours if dx is not None and dx.requires_grad])
    none = [None] * len(arrays)
    expected = torch.autograd.grad(squares, other, allow_unused=True) if isinstance(squares, torch.Tensor) else none
    found = minidl.autograd.grad(total, mine, allow_unused=True) if isinstance(total, Tensor) else none
    for a, b, array in zip(found, expected, arrays, strict=True):
        np.testing.assert_allclose(0 * array if a is None else a.data, 0 * array if b is None else b.numpy(force=True),
                                   rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-12), (np.float32, 2e-5)])
def test_as_in_pytorch(row, dtype, tolerance):
    if row[0].startswith("selu"):
        theirs = lambda a: pytest.importorskip("torch").nn.functional.selu(a, False)  # noqa: E731
    else:
        def theirs(*inputs):
            return row[1](Theirs(), *inputs)
    agree(lambda *inputs: row[1](F, *inputs), theirs, samples(row[2:]), dtype, tolerance)


@pytest.mark.parametrize("name, reduction", LABELLED)
def test_labelled_losses_as_in_pytorch(name, reduction):
    labels = torch.from_numpy(LABELS)
    agree(lambda z: getattr(F, name)(z, minidl.from_numpy(LABELS), reduction=reduction),
          lambda z: getattr(torch.nn.functional, name)(z, labels, reduction=reduction),
          samples([(5, 4)]), np.float64, 1e-12)


@pytest.mark.parametrize("name", ["nll_loss", "cross_entropy"])
def test_labelled_losses_of_a_transposed_output(name):
    check_slopes(lambda z: getattr(F, name)(z.T, LABELS), samples([(4, 5)]))


@pytest.mark.parametrize("base, exponent", [
    (0.0, 0.0), (0.0, 1.0), (0.0, 2.0), (0.0, 0.5), (0.0, -1.0), (-2.0, 3.0), (-2.0, 0.0), (1e-300, 2.0)])
@pytest.mark.parametrize("of", ["base", "exponent"])
@pytest.mark.filterwarnings("ignore:(divide by zero|invalid value):RuntimeWarning")
def test_pow_at_zero(base, exponent, of):
    if of == "base":
        agree(lambda a: a ** exponent, lambda a: a ** exponent, [np.array([base])], np.float64, 1e-12)
    else:
        agree(lambda b: F.pow(np.array([base]), b),
              lambda b: pytest.importorskip("torch").tensor([base], dtype=b.dtype) ** b,
              [np.array([exponent])], np.float64, 1e-12)


@pytest.mark.parametrize("name", ["max", "min"])
@pytest.mark.parametrize("values", [[1.0, 3.0, 3.0, 1.0], [2.0] * 4, [1.0, np.nan, 3.0, np.nan]])
def test_ties_and_nan_in_extremes(name, values):
    array = np.array(values)
    agree(lambda x: getattr(F, name)(x), lambda x: getattr(x, name)(), [array], np.float64, 0)
    x = minidl.tensor(array, requires_grad=True)
    best, indices = getattr(F, name)(x, 0)
    best.backward()
    assert x.grad.tolist() == [float(i == indices.item()) for i in range(4)]
    assert indices.item() == (np.argmax if name == "max" else np.argmin)(array)


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "elu", "selu", "abs", "sqrt", "erf", "hardswish", "hardsigmoid",
                                  "relu6", "hardtanh", "logsigmoid"])
@pytest.mark.parametrize("value", [0.0, -0.0, np.inf, -np.inf])
@pytest.mark.filterwarnings("ignore:(divide by zero|invalid value):RuntimeWarning")
def test_kinks_and_infinities_as_in_pytorch(name, value):
    agree(getattr(F, name), getattr(Theirs(), name), [np.array([value, 1.0])], np.float64, 1e-12)


@pytest.mark.parametrize(
    "name", ["abs", "sqrt", "exp", "log", "erf", *map(enumerated.function_of, enumerated.ACTIVATIONS.values())])
def test_nan_stays_nan(name):
    assert np.isnan(getattr(F, name)(minidl.tensor([np.nan])).item())


@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize("dim", [None, 0, -1])
@pytest.mark.parametrize("name", ["argmax", "argmin"])
def test_indices_as_in_pytorch(name, dim, keepdim):
    [array] = samples([(3, 4)])
    mine, theirs = minidl.tensor(array, requires_grad=True), torch.from_numpy(array)
    found, expected = (getattr(t, name)(dim=dim, keepdim=keepdim) for t in (mine, theirs))
    assert found.dtype == np.int64 and not found.requires_grad
    np.testing.assert_array_equal(found.data, expected.numpy())
    if dim is not None:
        pair, reference = (getattr(t, name[3:])(dim, keepdim) for t in (mine, theirs))
        np.testing.assert_array_equal(pair.indices.data, reference.indices.numpy())


# Tensors and arrays alike, and what the kernels are given

@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_arrays_and_tensors_have_the_same_bits(row):
    arrays = [array.astype(np.float32) for array in samples(row[2:])]
    try:
        plain = row[1](F, *arrays)
    except (AttributeError, TypeError, ValueError):
        pytest.skip("written with methods that arrays have not")
    assert not isinstance(plain, Tensor)
    tensors = row[1](F, *map(minidl.tensor, arrays))
    assert isinstance(tensors, Tensor) and tensors.dtype == plain.dtype
    np.testing.assert_array_equal(tensors.data, plain)


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_strided_and_read_only_inputs_and_gradients(row):
    arrays = [array.astype(np.float32) for array in samples(row[2:])]
    strided = []
    for array in arrays:
        wide = np.full([3 * n for n in array.shape], np.nan, np.float32)
        part = wide[(..., *(slice(1, None, 3) for _ in array.shape))]
        part[...] = array
        part.flags.writeable = False
        strided.append(part)
    results = []
    for inputs in (arrays, strided):
        tensors = leaves(inputs)
        y = row[1](F, *tensors)
        w = np.random.default_rng(1).standard_normal(y.shape[::-1]).astype(y.dtype).T
        y.backward(w if inputs is strided else w.copy("C"))
        results.append([y.data, *(t.grad for t in tensors)])
    for mine, other in zip(*results, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-6, atol=1e-6)
    for array, part in zip(arrays, strided, strict=True):
        np.testing.assert_array_equal(array, part)


@pytest.mark.parametrize("name", [
    "exp", "log", "relu", "leaky_relu", "elu", "selu", "tanh", "sigmoid", "softmax", "log_softmax",
    "dropout"])
@pytest.mark.parametrize("x", [minidl.tensor([1, 2]), np.arange(3), np.ones(2, np.float16), 1.0, [1.0]],
                         ids=["Tensor", "int64", "float16", "number", "list"])
def test_kernels_take_float32_and_float64(name, x):
    with pytest.raises(TypeError, match=f"{name}: expected a float32 or float64 array, got"):
        getattr(F, name)(x)


def array(*shape, dtype=np.float32) -> Tensor:
    return minidl.tensor(np.ones(shape, dtype), requires_grad=np.dtype(dtype).kind == "f")


@pytest.mark.parametrize("wrong, error, match", [
    (lambda: F.add(array(2), [1, 2]), TypeError, "add: expected Tensors, arrays or numbers, got list"),
    (lambda: F.add(array(2), array(2), np.ones(2)), TypeError, "add: expected at most 2 arguments, got 3"),
    (lambda: F.elu(array(2), 1.0, False, 3), TypeError, "elu: expected at most 3 arguments, got 4"),
    (lambda: F.relu(array(2), dim=1), TypeError, "dim"),
    (lambda: F.tanh(array(2), inplace=True), TypeError, "inplace"),
    (lambda: F.matmul(array(2, 3), array(2, 3)), ValueError, r"matmul: .*got \(2, 3\) and \(2, 3\)"),
    (lambda: F.matmul(array(2), array(3)), ValueError, "matmul: "),
    (lambda: array(2, 2) @ 2, ValueError, "matmul: expected arrays of at least one axis, got int"),
    (lambda: array(2) @ array(), ValueError, "matmul: .* got a single number"),
    (lambda: array(2, 2) @ np.ones((2, 2)), TypeError, "matmul: .*got float32 and float64"),
    (lambda: F.linear(array(2, 3), array(4, 2)), ValueError, r"linear: .*\(2, 3\), \(4, 2\), None"),
    (lambda: F.linear(array(2, 3), array(4, 3), array(3)), ValueError, r"linear: .*\(3,\)"),
    (lambda: F.linear(array(), array(4)), ValueError, "linear: "),
    (lambda: F.linear(array(2, 3), np.ones((4, 3))), TypeError, "linear: .*float64 beside float32"),
    (lambda: F.linear(array(2, 3), array(4, 3), np.ones(4)), TypeError, "linear: .*float64 beside float32"),
    (lambda: F.linear(array(2, 3, dtype=int), array(4, 3, dtype=int)), TypeError, "linear: .*int64"),
    (lambda: F.where(array(2), 1.0, 0.0), TypeError, "where: expected a condition of bool, got float32"),
    (lambda: F.mean(array(2, dtype=int)), TypeError, "mean: expected floats, got int64"),
    (lambda: F.sum(array(2), 0, axis=0), TypeError, "dim or axis, not both"),
    (lambda: F.sum(array(2), 1), ValueError, "axis 1 is out of bounds"),
    (lambda: F.max(array(2), (0, 1)), TypeError, "max: expected one axis as dim, got tuple"),
    (lambda: F.max(array(0)), ValueError, "zero-size"),
    (lambda: F.min(array(2, 0), 1), ValueError, "empty"),
    (lambda: F.softmax(array(2), 1), ValueError, "axis 1 is out of bounds"),
    (lambda: F.reshape(array(2, 3), 4), ValueError, "cannot reshape"),
    (lambda: F.permute(array(2, 3), 0), ValueError, "permute: expected 2 axes"),
    (lambda: F.permute(array(2, 3), 0, 2), ValueError, "permute: axis 2 is out of bounds"),
    (lambda: F.permute(array(2, 3), 0, 0), ValueError, "repeated axis in `permute`"),
    (lambda: F.transpose(array(2, 3), 0, 2), ValueError, "transpose: axis 2 is out of bounds"),
    (lambda: F.flatten(array(2, 3), 2), ValueError, "flatten: axis 2 is out of bounds"),
    (lambda: F.flatten(array(2, 3), 1, 0), ValueError, "flatten: expected start_dim <= end_dim, got 1 and 0"),
    (lambda: F.squeeze(array(2, 3), 2), ValueError, "squeeze: axis 2 is out of bounds"),
    (lambda: F.unsqueeze(array(2, 3), 4), ValueError, "unsqueeze: axis 4 is out of bounds"),
    (lambda: F.cat([]), ValueError, "at least one"),
    (lambda: F.cat([array(2, 3), array(2, 2)]), ValueError, "dimension"),
    (lambda: F.stack([array(2), array(3)]), ValueError, "same shape"),
    (lambda: F.dropout(array(2), 1.5), ValueError, "dropout: expected a probability"),
    (lambda: F.dropout(array(2), float("nan")), ValueError, "dropout: expected a probability"),
    (lambda: F.dropout(array(2), generator="seed"), TypeError, "expected a seed"),
    (lambda: F.mse_loss(array(2), np.ones(2)), TypeError, "MSELoss: .*float32, got float64"),
    (lambda: F.mse_loss(array(2), array(3)), ValueError, r"MSELoss: .*\(2,\), got \(3,\)"),
    (lambda: F.nll_loss(array(2, 3), array(2)), TypeError, "NLLLoss: .*integer"),
    (lambda: F.cross_entropy(array(2, 3), np.array([0, 3])), ValueError, "CrossEntropyLoss: "),
    (lambda: F.cross_entropy(array(2, 3), np.array([0, 1]), reduction="total"), ValueError, "'total'"),
])
def test_bad_input(wrong, error, match):
    with pytest.raises(error, match=match):
        wrong()


def test_flatten_of_a_number_and_squeeze_without_dim():
    assert F.flatten(minidl.tensor(2.0)).shape == (1,)
    assert F.flatten(np.zeros((0, 3, 2)), 1).shape == (0, 6)
    assert F.squeeze(np.zeros((1, 2, 1))).shape == (2,)


def test_dropout():
    x = minidl.tensor(np.ones(100_000, np.float32), requires_grad=True)
    y = F.dropout(x, 0.2, generator=1)
    assert set(np.unique(y.data)) == {np.float32(0), np.float32(1.25)} and abs(y.mean().item() - 1) < 0.01
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, y.data)
    np.testing.assert_array_equal(F.dropout(x, 0.2, generator=1).data, y.data)
    assert F.dropout(x, 0.2, False) is x and F.dropout(x, p=0, training=True, inplace=True) is x
    minidl.manual_seed(3)
    first = F.dropout(x.data)
    assert (first != F.dropout(x.data)).any()
    minidl.manual_seed(3)
    np.testing.assert_array_equal(F.dropout(x.data), first)


def test_integers_and_booleans_index_count_and_choose():
    scores = minidl.tensor([[1.0, 5.0, 2.0], [7.0, 0.0, 3.0]], requires_grad=True)
    rows, picked = minidl.tensor([0, 1]), scores.argmax(1)
    assert picked.tolist() == [1, 0] and scores[rows, picked].tolist() == [5, 7]
    assert picked.eq(minidl.tensor([1, 1])).sum().item() == 1 and (picked + 1).dtype == np.int64
    chosen = F.where(scores > 2, scores, np.float64(0))
    assert chosen.dtype == np.float32
    chosen.sum().backward()
    assert scores.grad.tolist() == [[0, 1, 0], [1, 0, 1]]


def test_where_keeps_a_nan_that_was_not_chosen_out_of_the_gradient():
    x = minidl.tensor([4.0, 1.0], requires_grad=True)
    nan = minidl.tensor([np.nan, 1.0], requires_grad=True)
    F.where(np.array([True, False]), x, nan * nan).sum().backward()
    assert x.grad.tolist() == [1, 0] and nan.grad[1] == 2


def test_many_inputs_join():
    parts = [minidl.tensor([float(i)], requires_grad=True) for i in range(3000)]
    (F.cat(parts) * np.arange(3000, dtype=np.float32)).sum().backward()
    assert all(part.grad == i for i, part in enumerate(parts))
