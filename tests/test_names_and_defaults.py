"""What functions call their arguments and the operations that they run, and what they take by default."""
from __future__ import annotations

import inspect

import numpy as np
import pytest
from enumerated import operations_of

import minidl
from minidl import functional as F
from minidl.autograd import grad
from minidl.functional.operation import Operation

X = np.arange(12.0).reshape(3, 4) + 0.5

SIGNATURES = {
    "batch_norm": "(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-05)",
    "instance_norm":
        "(x, running_mean=None, running_var=None, weight=None, bias=None, use_input_stats=True, "
        "momentum=0.1, eps=1e-05)",
    "layer_norm": "(x, normalized_shape, weight=None, bias=None, eps=1e-05)",
    "rms_norm": "(x, normalized_shape, weight=None, eps=None)",
    "group_norm": "(x, num_groups, weight=None, bias=None, eps=1e-05)",
    "pad": "(input, pad, mode='constant', value=None)",
    "t trace square reciprocal rsqrt log2 log10": "(x)",
    "movedim": "(x, source, destination)",
    "mm mv dot matmul maximum minimum": "(a, b)",
    "addmm": "(x, a, b, *, beta=1, alpha=1)",
    "narrow": "(x, dim, start, length)",
    "select": "(x, dim, index_)",
    "unbind": "(x, dim=0)",
    "roll": "(x, shifts, dims=None)",
    "diag": "(x, diagonal=0)",
    "masked_select": "(x, mask)",
    "nonzero": "(x, *, as_tuple=False)",
    "count_nonzero squeeze": "(x, dim=None)",
    "bincount": "(x, weights=None, minlength=0)",
    "unique": "(x, sorted=True, return_inverse=False, return_counts=False)",
    "threshold": "(x, threshold, value, inplace=False)",
    "prelu": "(x, weight)",
    "max_pool1d max_pool2d":
        "(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False)",
    "avg_pool1d": "(input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True)",
    "avg_pool2d":
        "(input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None)",
    "adaptive_avg_pool1d adaptive_avg_pool2d": "(input, output_size)",
    "zero_pad2d": "(input, padding)",
    "logsumexp": "(x, dim, keepdim=False)",
    "linear": "(x, weight, bias=None)",
    "sum mean argmax argmin all any max min amax amin": "(x, dim=None, keepdim=False, *, axis=None, keepdims=False)",
    "bernoulli": "(input, *, generator=None)",
    "multinomial": "(input, num_samples, replacement=False, *, generator=None)",
    "one_hot": "(tensor, num_classes=-1)",
    "clamp": "(x, min=None, max=None)",
    "masked_fill": "(x, mask, value)",
    "gather index_select": "(x, dim, index)",
    "scatter_add": "(x, dim, index, src)",
    "argsort sort": "(x, dim=-1, descending=False)",
    "topk": "(x, k, dim=-1, largest=True, sorted=True)",
    "reshape": "(x, *shape)",
    "permute": "(x, *dims)",
    "transpose": "(x, dim0, dim1)",
    "flatten": "(x, start_dim=0, end_dim=-1)",
    "unsqueeze cumsum": "(x, dim)",
    "cat stack": "(tensors, dim=0, *, axis=None)",
    "var std": "(x, dim=None, unbiased=True, keepdim=False, *, correction=None)",
    "norm": "(x, p='fro', dim=None, keepdim=False)",
    "prod": "(x, dim=None, keepdim=False)",
}


@pytest.mark.parametrize("names", SIGNATURES)
def test_arguments_and_defaults(names):
    for name in names.split():
        parameters = inspect.signature(getattr(F, name)).parameters.values()
        plain = inspect.Signature([p.replace(annotation=inspect.Parameter.empty) for p in parameters])
        assert str(plain) == SIGNATURES[names], name


METHODS = {
    "add add_ sub sub_": "(other, *, alpha=1)",
    "all any argmax argmin max mean min sum": "(dim=None, keepdim=False, *, axis=None, keepdims=False)",
    "allclose": "(other, rtol=1e-05, atol=1e-08, equal_nan=False)",
    "amax amin prod": "(dim=None, keepdim=False)",
    "argsort sort": "(dim=-1, descending=False)",
    "backward": "(gradient=None, retain_graph=None, create_graph=False)",
    "bernoulli_": "(p=0.5, *, generator=None)",
    "chunk": "(chunks, dim=0)",
    "clamp clamp_ clip": "(min=None, max=None)",
    "cuda": "(device=None)",
    "flatten": "(start_dim=0, end_dim=-1)",
    "log_softmax softmax": "(dim=-1)",
    "new_tensor": "(data, dtype=None)",
    "norm": "(p='fro', dim=None, keepdim=False)",
    "normal_": "(mean=0.0, std=1.0, *, generator=None)",
    "requires_grad_": "(requires_grad=True)",
    "size squeeze squeeze_": "(dim=None)",
    "split": "(split_size, dim=0)",
    "std var": "(dim=None, unbiased=True, keepdim=False, *, correction=None)",
    "to": "(*args, dtype=None, device=None, non_blocking=False, copy=False)",
    "topk": "(k, dim=-1, largest=True, sorted=True)",
    "tril triu": "(diagonal=0)",
    "type": "(dtype=None)",
    "uniform_": "(a=0.0, b=1.0, *, generator=None)",
}


@pytest.mark.parametrize("names", METHODS)
def test_arguments_and_defaults_of_methods(names):
    for name in names.split():
        parameters = list(inspect.signature(getattr(minidl.Tensor, name)).parameters.values())[1:]
        plain = inspect.Signature([p.replace(annotation=inspect.Parameter.empty) for p in parameters])
        assert str(plain) == METHODS[names], name


INPUTS = {1: "abs detach exp log neg sqrt sigmoid tanh absolute clone expm1 log1p bitwise_not ceil floor isfinite "
             "isinf isnan logical_not round sign trunc erf logsigmoid softsign cos sin",
          2: "add div eq ge gt le lt mul ne pow sub bitwise_and bitwise_or bitwise_xor floor_divide "
             "logical_and logical_or logical_xor remainder gelu silu mish hardsigmoid hardswish "
             "relu6 selu relu",  # an input, and a setting
          3: "where elu leaky_relu", 4: "hardtanh"}


@pytest.mark.parametrize("number", INPUTS)
def test_the_most_that_an_operation_takes(number):
    for name in INPUTS[number].split():
        operation = getattr(F, name)
        assert isinstance(operation, Operation)
        said = {"absolute": "abs"}.get(name, name)
        with pytest.raises(TypeError, match=f"^{said}: expected at most {number} arguments, got {number + 1}$"):
            operation(*[minidl.tensor(X)] * (number + 1))


def dx(y, x):
    return grad(y.sum(), x)[0]


RUN = {  # the operations by their names, as a step's listing has them
    "argsort first": lambda x: F.topk(x, 2).indices,
    "argsort gather gather_gradient": lambda x: dx(F.sort(x).values, x),
    "argmax scatter_add": lambda x: F.scatter_add(x, 1, F.argmax(x, 1, True), x[:, :1]),
    "argmin one_hot": lambda x: F.one_hot(F.argmin(x, 1), 4), "count_nonzero": lambda x: F.count_nonzero(x, 0),
    "max is_extreme count_ones": lambda x: dx(F.max(x), x), "min is_extreme": lambda x: dx(F.min(x), x),
    "argmax clone max put": lambda x: dx(F.max(x, 1).values, x), "min": lambda x: F.min(x, 0).values,
    "amax is_extreme": lambda x: dx(F.amax(x, 1), x), "amin": lambda x: F.amin(x, 0), "all": lambda x: F.all(x > 1),
    "any": lambda x: F.any(x > 1, 0), "mean over_count": lambda x: dx(F.mean(x, 1), x), "sum": lambda x: x.sum(1),
    "cumsum": lambda x: dx(F.cumsum(x, 1), x), "diagonal diagonal_in": lambda x: dx(F.diag(x), x),
    "diag diagonal": lambda x: dx(F.diag(x[0]), x), "scatter": lambda x: dx(x[0], x),
    "linear linear_bias_gradient linear_input_gradient linear_weight_gradient":
        lambda x: dx(F.linear(x, x, x[:, 0]) ** 2, x),
    "matmul": lambda x: dx(x @ x.T, x), "stack": lambda x: F.stack([x, x]), "cat": lambda x: F.cat([x, x]),
    "layer_norm layer_norm_backward": lambda x: dx(F.layer_norm(x, 4) ** 2, x),
    "batch_norm_forward batch_norm_backward": lambda x: dx(F.batch_norm(x, None, None, training=True) ** 2, x),
    "max_pool max_pool_backward": lambda x: dx(F.max_pool1d(x[None], 2), x),
    "average_pool average_pool_backward": lambda x: dx(F.avg_pool1d(x[None], 2), x),
    "max_pool_indices": lambda x: F.max_pool1d(x[None], 2, return_indices=True)[1],
    "bitwise_and bitwise_or bitwise_not bitwise_xor": lambda x: (x > 1) & (x > 2) | ~(x > 3) ^ (x > 4),
    "remainder": lambda x: x % 2, "floor_divide": lambda x: x // 2, "erf": lambda x: x.erf(), "sin": lambda x: x.sin(),
    "cos": lambda x: x.cos(), "floor ceil round trunc": lambda x: x.floor() + x.ceil() + x.round() + x.trunc(),
    "log1p expm1": lambda x: x.log1p() + x.expm1(),
    "isnan isinf isfinite": lambda x: x.isnan() ^ x.isinf() ^ x.isfinite(),
    "logical_and logical_or logical_xor logical_not": lambda x: (x.logical_and(x).logical_or(x)).logical_xor(
        x.logical_not()),
    "label_rows label_weights over_weight": lambda x: F.cross_entropy(x, F.argmax(x, 1), ignore_index=1),
    "index_put": lambda x: x.detach().clone().__setitem__(0, 1.0),
    "reshape_as": lambda x: dx(x.reshape(4, 3).cumsum(0) * 2, x),
    "index": lambda x: x[F.argmax(x, 0)] * 2,
}


@pytest.mark.parametrize("names", RUN)
def test_the_names_of_what_runs(names):
    def step(x):
        x.requires_grad_()
        return RUN[names](x)

    captured = minidl.capture(step)
    for _ in range(3):
        captured(X.copy())
    assert set(names.split()) <= operations_of(captured) | operations_of(captured, compiled=False)


VIEWS = {"reshape": lambda x: x.reshape(4, 3), "flatten": lambda x: x.flatten(),
         "squeeze": lambda x: x.unsqueeze(0).squeeze(),
         "unsqueeze": lambda x: x.unsqueeze(1), "permute": lambda x: x.T,
         "view_as": lambda x: x.view_as(x.reshape(2, 6)),
         "transpose": lambda x: x.transpose(0, 1)}


@pytest.mark.parametrize("name", VIEWS)
def test_a_gradient_that_is_a_view_counts_changes_of_what_it_shows(name):
    x = minidl.tensor(X.copy(), requires_grad=True)
    y = VIEWS[name](x)
    start = minidl.tensor(np.ones(y.shape), requires_grad=True)
    found, = grad(y, x, start, create_graph=True)
    assert np.shares_memory(found.data, start.data)
    again, = grad(found, start, found, create_graph=True)
    assert np.shares_memory(again.data, found.data)
    version, of_found = start._version, found._version
    with minidl.no_grad():
        again.fill_(2.0)
    assert start._version > version and found._version > of_found and (start.data == 2).all()
