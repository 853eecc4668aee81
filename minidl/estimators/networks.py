"""The networks of the estimators: a perceptron from scikit-learn's parameters, or a module of the user's."""
from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from .. import nn

# scikit-learn's four names, then minidl's activations by theirs.
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "identity": nn.Identity, "logistic": nn.Sigmoid, "tanh": nn.Tanh, "relu": nn.ReLU,
    "elu": nn.ELU, "gelu": nn.GELU, "hardsigmoid": nn.Hardsigmoid, "hardswish": nn.Hardswish, "hardtanh": nn.Hardtanh,
    "leaky_relu": nn.LeakyReLU, "log_sigmoid": nn.LogSigmoid, "log_softmax": nn.LogSoftmax, "mish": nn.Mish,
    "prelu": nn.PReLU, "relu6": nn.ReLU6, "selu": nn.SELU, "sigmoid": nn.Sigmoid, "silu": nn.SiLU,
    "softmax": nn.Softmax, "softplus": nn.Softplus, "softsign": nn.Softsign,
}
NORMALIZATIONS: dict[str, Callable[..., nn.Module]] = {"batch": nn.BatchNorm1d, "layer": nn.LayerNorm}


def layer_sizes(given: Any) -> list[int]:
    """hidden_layer_sizes as a list. ValueError unless these are integers above 0."""
    sizes = list(given) if hasattr(given, "__iter__") else [given]
    for size in sizes:
        if isinstance(size, (bool, np.bool_)) or not isinstance(size, (int, np.integer)) or size <= 0:
            raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
    return [int(size) for size in sizes]


def for_each_layer(name: str, given: Any, count: int) -> list:
    """One value for each hidden layer: of a list its own, else the same for all."""
    if not isinstance(given, (list, tuple)):
        return [given] * count
    if len(given) != count:
        raise ValueError(f"{name}: expected one for each of the {count} hidden layers, got {len(given)}")
    return list(given)


def activation(given: Any) -> nn.Module:
    """A new module: from a name, a class, or a module, which is copied."""
    if isinstance(given, nn.Module):
        return copy.deepcopy(given)
    if isinstance(given, str):
        if given not in ACTIVATIONS:
            raise ValueError(f"activation: expected one of {', '.join(ACTIVATIONS)}, got {given!r}")
        return ACTIVATIONS[given]()
    made = given() if callable(given) else None
    if not isinstance(made, nn.Module):
        raise ValueError(f"activation: expected a name, a module or its class, got {given!r}")
    return made


def perceptron(sizes: Sequence[int], activations: Sequence, dropout: Sequence, normalization: Sequence, dtype,
               random_state: np.random.RandomState) -> nn.Sequential:
    """Linear, normalisation, activation, dropout for each hidden layer, and a last Linear, whose outputs are raw.

    Weights and biases are uniform in ±√(6 / (in + out)), before a logistic function ±√(2 / (in + out)) (Glorot and
    Bengio 2010), drawn in scikit-learn's order.
    """
    layers: list[nn.Module] = []
    for i, (width, out) in enumerate(pairwise(sizes)):
        follows = activations[min(i, len(activations) - 1)] if activations else None
        layers.append(_drawn(width, out, 2.0 if follows in ("logistic", "sigmoid") else 6.0, dtype, random_state))
        if i < len(activations):
            layers += _after(out, activations[i], dropout[i], normalization[i], dtype)
    return nn.Sequential(*layers)


def _drawn(width: int, out: int, factor: float, dtype, random_state) -> nn.Linear:
    linear = nn.Linear(width, out, dtype=dtype, generator=0)
    bound = math.sqrt(factor / (width + out))
    linear.weight.data[...] = random_state.uniform(-bound, bound, (width, out)).T
    linear.bias.data[...] = random_state.uniform(-bound, bound, out)
    return linear


def _after(width: int, function, dropout, normalization, dtype) -> list[nn.Module]:
    """What follows a hidden Linear."""
    layers = []
    if normalization is not None:
        if normalization not in NORMALIZATIONS:
            raise ValueError(f"normalization: expected None, {' or '.join(map(repr, NORMALIZATIONS))}, "
                             f"got {normalization!r}")
        layers.append(NORMALIZATIONS[normalization](width, dtype=dtype))
    made = activation(function)
    if dtype == np.float64:
        made = made.double()
    if not isinstance(made, nn.Identity):
        layers.append(made)
    if dropout:
        layers.append(nn.Dropout(dropout))
    return layers


def module_of(given: Any, features: int, outputs: int) -> nn.Module:
    """A copy of the user's module, or what his function of the numbers of features and outputs makes."""
    if isinstance(given, nn.Module):
        return copy.deepcopy(given)
    made = given(features, outputs) if callable(given) else None
    if not isinstance(made, nn.Module):
        raise ValueError(f"module: expected a Module, or a function of the numbers of features and outputs that makes "
                         f"one, got {given!r}")
    return made


def linears(module: nn.Module) -> list[nn.Linear]:
    """The Linears of a network, whose weights are ``coefs_``."""
    return [each for each in module.modules() if isinstance(each, nn.Linear)]


def lend_generator(module: nn.Module, random_state: np.random.RandomState) -> None:
    """A generator for the Dropouts that have none; it is drawn only where there are such."""
    without = [each for each in module.modules() if isinstance(each, nn.Dropout) and each.generator is None]
    if without:
        generator = np.random.default_rng(random_state.randint(2**31 - 1))
        for each in without:
            each.generator = generator
