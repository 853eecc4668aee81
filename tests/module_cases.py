"""The modules and losses that several test files go through, and their PyTorch names."""
from __future__ import annotations

import enumerated
import numpy as np

from minidl import nn

FLOATS = [np.float32, np.float64]

# constructor, arguments: of every activation, with its settings away from the defaults too; those that nobody
# lists are found
ACTIVATIONS = [
    ("ReLU", {}), ("LeakyReLU", {}), ("LeakyReLU", {"negative_slope": 0.3}), ("ELU", {}),
    ("ELU", {"alpha": 1.7}),
    ("SELU", {}), ("Sigmoid", {}), ("Tanh", {}), ("Softmax", {"dim": -1}), ("LogSoftmax", {"dim": -1}),
    ("GELU", {}), ("GELU", {"approximate": "tanh"}),
]
ROWWISE = ["Softmax", "LogSoftmax"]
for _name, _kind in enumerated.ACTIVATIONS.items():
    if _name not in dict(ACTIVATIONS):
        ACTIVATIONS += [(_name, settings) for settings in ({}, enumerated.away_from_defaults(_kind))]

# loss, target kind, reductions
LOSSES = [
    (name, kind, reduction)
    for name, kind, reductions in [
        ("MSELoss", "values", ("mean", "sum", "batchmean", "none")),
        ("CrossEntropyLoss", "labels", ("mean", "sum", "none")),
        ("CrossEntropyLoss", "rows", ("mean", "sum", "none")),
        ("NLLLoss", "labels", ("mean", "sum", "none")),
    ]
    for reduction in reductions
]
LOSSES += [(name, "values", reduction) for name, kind in enumerated.LOSSES.items()
           if name not in {case[0] for case in LOSSES} for reduction in kind.reductions]


def every_module() -> list[nn.Module]:
    """One of each module; all take rows of four numbers."""
    return [
        nn.Linear(4, 3), nn.Linear(4, 3, bias=False),
        *(getattr(nn, name)(**settings) for name, settings in ACTIVATIONS),
        nn.Dropout(0.3, generator=0), nn.Dropout(0.0), nn.Flatten(), nn.Identity(),
        nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)),
    ]


def name_of(value) -> str | None:
    """A test's name for a module or a dtype."""
    if isinstance(value, nn.Module):
        return value.title()
    return np.dtype(value).name if isinstance(value, type) and issubclass(value, np.generic) else None


def numbers(shape, dtype=np.float32, seed=0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def loss_case(kind: str, shape=(6, 5), dtype=np.float32) -> tuple[np.ndarray, np.ndarray]:
    """(output, target) for a loss."""
    output = numbers(shape, dtype)
    if kind == "values":
        return output, numbers(shape, dtype, seed=1)
    if kind == "labels":
        return output, np.random.default_rng(1).integers(0, shape[1], shape[0])
    rows = np.random.default_rng(1).random(shape)
    return output, (rows / rows.sum(axis=1, keepdims=True)).astype(dtype)
