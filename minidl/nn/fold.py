"""fold: BatchNorm, once it is trained, is a part of the layer before it."""
from __future__ import annotations

import copy

import numpy as np

from ..autograd.parameter import Parameter
from .batchnorm import BatchNorm
from .containers import Sequential
from .module import Module
from .shape import Identity


def fold(model: Module) -> Module:
    """A copy of the model for evaluation, with each BatchNorm folded into the layer before it.

        W' = W s,    b' = (b - running_mean) s + bias,    s = weight / √(running_var + eps)

    A BatchNorm that keeps running statistics and directly follows, in a Sequential at any depth, a layer with as many
    outputs whose class says ``foldable`` (its output is linear in ``weight``, whose first axis is the outputs, and
    ``bias``) becomes an Identity. Linear says so; its BatchNorm must be one of rows (N, C). The copy computes the same
    but for rounding: its outputs have other bits than the model's. A layer that is used in several places is left.
    """
    folded = copy.deepcopy(model).eval()
    places: dict[int, int] = {}
    for _, module in folded.named_modules(remove_duplicate=False):
        places[id(module)] = places.get(id(module), 0) + 1
    for module in folded.modules():
        if isinstance(module, Sequential):
            _fold_neighbours(module, places)
    return folded


def _fold_neighbours(sequence: Sequential, places: dict[int, int]) -> None:
    for i in range(1, len(sequence)):
        layer, norm = sequence[i - 1], sequence[i]
        if (isinstance(norm, BatchNorm) and norm.track_running_stats and getattr(layer, "foldable", False)
                and layer.weight.shape[0] == norm.num_features and places[id(layer)] == 1):
            _scale_outputs(layer, norm)
            sequence[i] = Identity()


def _scale_outputs(layer, norm: BatchNorm) -> None:
    """Let the layer's outputs be those that the BatchNorm makes of them, in double, rounded once."""
    scale = 1 / np.sqrt(norm.running_var.data.astype(np.float64) + norm.eps)
    shift = -norm.running_mean.data * scale
    if norm.weight is not None and norm.bias is not None:
        scale, shift = scale * norm.weight.data, shift * norm.weight.data + norm.bias.data
    weight = layer.weight.data
    if layer.bias is not None:
        shift = shift + layer.bias.data * scale
        layer.bias.data = shift.astype(weight.dtype)
    else:
        layer.bias = Parameter(shift.astype(weight.dtype), "bias")
    layer.weight.data = (weight * scale.reshape(-1, *[1] * (weight.ndim - 1))).astype(weight.dtype)
