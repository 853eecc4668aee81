"""PyTorch's modules and functions by their names, but for those whose constants are of float32 in every dtype."""
from __future__ import annotations

from theirs import torch


def module(name: str, *args, **settings):
    if name != "Hardsigmoid":
        return getattr(torch.nn, name)(*args, **settings)

    class Hardsigmoid(torch.nn.Module):
        def forward(self, x):
            return function("hardsigmoid")(x)

    return Hardsigmoid()


def function(name: str):
    """Of torch.nn.functional, or else of torch."""
    if name == "hardsigmoid":  # whose derivative has 1/6 in float32
        return lambda x, inplace=False: torch.nn.functional.relu6(x + 3) / 6
    found = getattr(torch.nn.functional, name, None)
    return getattr(torch, name) if found is None else found
