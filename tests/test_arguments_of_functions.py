"""Arguments and defaults of functions, as in PyTorch; how operations are named, and the kernels that they name."""
from __future__ import annotations

import importlib
import inspect

import numpy as np
import pytest

import minidl
from minidl import functional as F
from minidl.functional import activations, elementwise, operation
from minidl.functional.operation import Operation

SIGNATURES = {
    "bmm": "(a, b)", "chunk": "(x, chunks, dim=0)", "diff": "(x, n=1, dim=-1)", "einsum": "(equation, *operands)",
    "cosine_embedding_loss": "(input1, input2, target, margin=0.0, reduction='mean')",
    "cosine_similarity": "(x1, x2, dim=1, eps=1e-08)", "clip": "(x, min=None, max=None)",
    "conv1d": "(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1)",
    "conv2d": "(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1)",
    "dropout": "(x, p=0.5, training=True, inplace=False, *, generator=None)",
    "embedding": "(input, weight, padding_idx=None)",
    "embedding_bag": "(input, weight, offsets=None, mode='mean', per_sample_weights=None, include_last_offset=False, "
                     "padding_idx=None)",
    "isclose": "(x, other, rtol=1e-05, atol=1e-08)", "lerp": "(start, end, weight)",
    "median": "(x, dim=None, keepdim=False)", "normalize": "(x, p=2.0, dim=1, eps=1e-12)",
    "pairwise_distance": "(x1, x2, p=2.0, eps=1e-06, keepdim=False)", "repeat_interleave": "(x, repeats, dim=None)",
    "scaled_dot_product_attention": "(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, "
                                    "*, generator=None)",
    "softmin": "(x, dim=-1)", "split": "(x, split_size_or_sections, dim=0)", "tril": "(x, diagonal=0)",
    "triplet_margin_loss": "(anchor, positive, negative, margin=1.0, p=2, eps=1e-06, swap=False, reduction='mean')",
    "triu": "(x, diagonal=0)"}


@pytest.mark.parametrize("name", SIGNATURES)
def test_signatures(name):
    found = inspect.signature(getattr(F, name))
    plain = [part.replace(annotation=inspect.Parameter.empty) for part in found.parameters.values()]
    assert str(found.replace(parameters=plain, return_annotation=inspect.Signature.empty)) == SIGNATURES[name]


# Operations

MODULES = [importlib.import_module(f"minidl.functional.{name}") for name in (
    "elementwise", "activations", "arrangement", "attention", "casts", "convolution", "dropout", "element_losses",
    "embeddings", "further", "images", "loss_sums", "losses")]
NAMES = {"_cast": "to", "_scaled": "dropout", "_kept_rows": "embedding_rows", "_counted": "count_entries",
         "_is_close": "isclose", "label_gradient": "cross_entropy_gradient", "absolute": "abs"}
OPERATIONS = {name: made for module in MODULES for name, made in vars(module).items() if isinstance(made, Operation)}


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_goes_by_its_name(name):
    assert OPERATIONS[name].name == NAMES.get(name, name.strip("_"))


ARITY = {"zeros_like": 1, "ones_like": 1, "_zeros_of": 1, "lt": 2, "le": 2, "gt": 2, "ge": 2, "eq": 2, "ne": 2,
         "detach": 1, "_lower_triangle": 2, "hiding": 2, "_bag_of": 2, "_counted": 4, "_is_not": 3, "_empty_bags": 2,
         "_is_close": 2, "minus_one_hot": 1, "where": 3, "pow": 2, "mse_loss": 2, "huber_loss": 2, "nll_loss": 3,
         "cross_entropy": 3, "binary_cross_entropy": 3, "binary_cross_entropy_with_logits": 4, "kl_div": 2}


@pytest.mark.parametrize("name", ARITY)
def test_no_more_inputs_than_it_has_are_taken(name):
    made, x = OPERATIONS[name], minidl.tensor(np.ones((2, 2)))
    assert made.arity == ARITY[name]
    most = ARITY[name] + len(made.settings)
    with pytest.raises(TypeError, match=rf"^{made.name}: expected at most {most} arguments, got {most + 1}$"):
        made(*[x] * (most + 1))


@pytest.mark.parametrize("name", ["lt", "le", "gt", "ge", "eq", "ne"])
def test_arrays_are_compared_in_twos(name):
    x = np.ones(2)
    with pytest.raises(TypeError, match=f"^{name}: expected at most 2 arguments, got 3$"):
        getattr(F, name)(x, x, np.zeros(2, bool))


SETTINGS = {"leaky_relu": {"negative_slope": 0.3}, "elu": {"alpha": 0.3}, "softplus": {"threshold": 0.3},
            "unit_softplus": {"threshold": 0.3}, "softmax": {"dim": -1}, "log_softmax": {"dim": -1}}
DEFAULTS = {"leaky_relu": 0.01, "elu": 1.0, "softplus": 20.0, "unit_softplus": 20.0}
KERNELS = {"sub": "subtract", "mul": "multiply", "div": "divide", "neg": "negative", "abs": "absolute",
           "unit_softplus": "softplus", "unit_softplus_backward": "softplus_backward"}
WITH_KERNELS = [name for name in OPERATIONS if name in operation.WITH_KERNELS]


def test_the_operations_that_name_kernels():
    single = [f"{name}{end}" for name in ("relu", "leaky_relu", "elu", "selu", "tanh", "sigmoid", "unit_softplus",
                                          "softmax", "log_softmax") for end in ("", "_backward")]
    assert set(WITH_KERNELS) == {"add", "sub", "mul", "div", "neg", "sign", "abs", "sqrt", "exp", "log", "softplus",
                                 *single}


@pytest.mark.parametrize("name", WITH_KERNELS)
def test_kernels_of_that_name_exist_and_take_the_setting(name):
    made, kernels = OPERATIONS[name], minidl.kernels.of(np.float32)
    root = name.removesuffix("_backward")
    settings = SETTINGS.get(root, {})
    number = 0.0 if "dim" in settings else sum(settings.values())
    kernel = KERNELS.get(name, name)
    assert made.kernel_call(settings) == (kernel, number) and hasattr(kernels, kernel)
    if name in DEFAULTS:
        assert made.kernel_call({}) == (kernel, DEFAULTS[name])


def test_softplus_of_another_beta_has_no_kernel_of_its_own():
    assert F.softplus.kernel_call({"beta": 2.0}) is None and F.softplus.kernel_call({"beta": 1}) == ("softplus", 20.0)
    assert F.softplus.kernel_call({"beta": 1.0, "threshold": 3.0}) == ("softplus", 3.0)


@pytest.mark.parametrize("slope, serves", [(0.5, True), (0.0, True), (1.0, True), (-1e-9, False), (-0.5, False)])
def test_the_output_has_the_sign_of_the_input_unless_the_slope_is_negative(slope, serves):
    assert F.leaky_relu.output_serves(slope) is serves
    assert F.relu.output_serves is True and F.elu.output_serves is False


X, G = np.array([-1.5, 0.0, 0.5, 2.0]), np.array([1.0, 2.0, 3.0, 5.0])


@pytest.mark.parametrize("name, settings, value, slope", [
    ("relu", (), np.maximum(X, 0), X > 0), ("leaky_relu", (0.3,), np.where(X > 0, X, 0.3 * X), np.where(X > 0, 1, 0.3)),
    ("elu", (0.3,), np.where(X > 0, X, 0.3 * np.expm1(X)), np.where(X > 0, 1, 0.3 * np.exp(X))),
    ("unit_softplus", (0.4,), np.where(X > 0.4, X, np.log1p(np.exp(X))), np.where(X > 0.4, 1, 1 / (1 + np.exp(-X)))),
    ("unit_softplus", (), np.log1p(np.exp(X)), 1 / (1 + np.exp(-X))),
    ("selu", (), 1.0507009873554805 * np.where(X > 0, X, 1.6732632423543772 * np.expm1(X)),
     1.0507009873554805 * np.where(X > 0, 1, 1.6732632423543772 * np.exp(X)))])
def test_settings_are_taken_by_position(name, settings, value, slope):
    forward, backward = getattr(activations, name), getattr(activations, f"{name}_backward")
    inplace = (True,) if "inplace" in forward.settings else ()
    for make in (np.array, minidl.tensor):
        for more in ((), inplace):
            if settings or not inplace or not more:
                y = forward(make(X), *settings, *more)
                np.testing.assert_allclose(getattr(y, "data", y) if make is minidl.tensor else y, value, rtol=1e-12)
        dx = backward(make(G), make(X), *settings)
        np.testing.assert_allclose(dx.data if make is minidl.tensor else dx, G * slope, rtol=1e-12)


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "elu", "selu"])
def test_inplace_is_taken_by_name(name):
    function = getattr(F, name)
    for x in (X, minidl.tensor(X)):
        np.testing.assert_array_equal(np.asarray(function(x, inplace=True)), np.asarray(function(x)))
    np.testing.assert_array_equal(X, [-1.5, 0.0, 0.5, 2.0])


def test_constants_of_a_shape():
    x = np.ones((2, 3), np.float32)
    for make in (lambda x: x, minidl.tensor):
        zeros = elementwise.zeros_of(make(x), (4, 1))
        assert zeros.shape == (4, 1) and zeros.dtype == np.float32 and not np.asarray(zeros).any()
