"""Every module of minidl.nn against PyTorch's of its name, in float64: value, gradients, second gradient.

A module without a case here fails the test, unless another file that is named below compares it.
"""
from __future__ import annotations

import enumerated
import numpy as np
import pytest
import pytorch_twins
from theirs import torch

import minidl
from minidl import nn

ELSEWHERE = {
    "test_weighted_labels.py": {"CrossEntropyLoss", "NLLLoss"},
    "test_batchnorm.py": {"BatchNorm1d"}, "test_torch_parity.py": {"Dropout"},
    "test_images.py": {"AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AvgPool1d", "AvgPool2d", "Conv1d", "Conv2d",
                       "MaxPool1d", "MaxPool2d", "Unflatten", "ZeroPad2d"},
    "test_normalization.py": {"BatchNorm2d", "GroupNorm", "LayerNorm", "RMSNorm"},
    "test_embedding.py": {"Embedding", "EmbeddingBag"},
    "test_recurrent.py": {"GRU", "GRUCell", "LSTM", "LSTMCell", "RNN", "RNNCell"},
    "test_attention.py": {"MultiheadAttention", "TransformerEncoder", "TransformerEncoderLayer"},
    "containers, and the base": {"Module", "ModuleDict", "ModuleList", "Sequential", "Loss", "LabelLoss",
                                 "ParameterDict", "ParameterList"},
}
SHAPES = [(5,), (3, 4), (2, 4, 3)]
REDUCTIONS = ("mean", "sum", "none")
CASES: list[tuple[str, dict, list]] = []  # name, settings, shapes of the inputs
for _name, _kind in enumerated.ACTIVATIONS.items():
    for _settings in ({}, enumerated.away_from_defaults(_kind)):
        CASES += [(_name, {"dim": -1} if "dim" in _kind().settings else _settings, [shape]) for shape in SHAPES]
for _name, _kind in enumerated.LOSSES.items():
    if _name not in ELSEWHERE["test_weighted_labels.py"]:
        CASES += [(_name, {"reduction": how}, [shape, shape]) for how in REDUCTIONS for shape in SHAPES]
CASES += [("GELU", {"approximate": "tanh"}, [shape]) for shape in SHAPES]
CASES += [("SmoothL1Loss", {"beta": beta}, [shape, shape]) for beta in (0.0, 0.3) for shape in SHAPES]
CASES += [("KLDivLoss", {"log_target": True, "reduction": how}, [(3, 4), (3, 4)]) for how in (*REDUCTIONS, "batchmean")]
CASES += [("PReLU", {"init": 0.1}, [shape]) for shape in SHAPES]
CASES += [("PReLU", {"num_parameters": 4}, [shape]) for shape in SHAPES[1:]]
CASES += [("Threshold", {"threshold": 0.2, "value": -3.0}, [shape]) for shape in SHAPES]
CASES += [("Linear", {"in_features": shape[-1], "out_features": 3, "bias": bias}, [shape])
          for shape in SHAPES for bias in (True, False)]
CASES += [("Flatten", {"start_dim": start}, [(2, 4, 3)]) for start in (0, 1)] + [("Identity", {}, [(3, 4)])]
CASES += [("CosineSimilarity", {"dim": dim}, [(3, 4), (3, 4)]) for dim in (0, 1)]
CASES += [("PairwiseDistance", {"p": p, "keepdim": keep}, [(3, 4), (3, 4)]) for p in (1.0, 2.0, 3.0)
          for keep in (True, False)]
CASES += [("CosineEmbeddingLoss", {"margin": margin, "reduction": how}, [(4, 3), (4, 3)])
          for margin in (0.0, 0.4) for how in REDUCTIONS]
CASES += [("TripletMarginLoss", {"swap": swap, "p": p, "reduction": how}, [(4, 3)] * 3)
          for swap in (True, False) for p in (1.0, 2.0) for how in REDUCTIONS]
for _affine in (True, False):
    for _tracked in (True, False):
        for _name, _shapes in (("InstanceNorm1d", [(2, 4, 3), (4, 3)]), ("InstanceNorm2d", [(2, 4, 3, 2), (4, 3, 2)])):
            CASES += [(_name, {"num_features": 4, "affine": _affine, "track_running_stats": _tracked, "momentum": 0.3},
                       [shape]) for shape in _shapes]


def test_every_module_has_a_case():
    modules = {name for name in nn.__all__ if isinstance(getattr(nn, name), type)
               and issubclass(getattr(nn, name), nn.Module)}
    assert modules - {name for name, *_ in CASES} - set().union(*ELSEWHERE.values()) == set()


def inputs_of(name: str, shapes) -> list[np.ndarray]:
    rng = np.random.default_rng(5)
    found = [rng.standard_normal(shape) for shape in shapes]
    if name in ("BCELoss", "KLDivLoss"):
        found = [1 / (1 + np.exp(-x)) for x in found]
    return found


@pytest.mark.parametrize("name, settings, shapes", CASES, ids=str)
def test_module(name, settings, shapes):
    arrays = inputs_of(name, shapes)
    ours, theirs = getattr(nn, name)(**settings), pytorch_twins.module(name, **settings).double()
    if ours.parameters() or "num_features" in settings:
        ours = getattr(nn, name)(**settings, dtype=np.float64)
        ours.load_state_dict({key: value.numpy() for key, value in theirs.state_dict().items()})
    more = [np.array([1.0, -1.0, 1.0, -1.0])] if name == "CosineEmbeddingLoss" else []
    mine = [minidl.tensor(x.copy(), requires_grad=True) for x in arrays]
    other = [torch.tensor(x, requires_grad=True) for x in arrays]
    y, expected = ours(*mine, *map(minidl.tensor, more)), theirs(*other, *map(torch.from_numpy, more))
    np.testing.assert_allclose(y.data, expected.detach().numpy(), rtol=1e-12, atol=1e-13)
    w = np.asarray(np.random.default_rng(6).standard_normal(y.shape))
    mine, other = [*mine, *ours.parameters()], [*other, *theirs.parameters()]
    first = minidl.autograd.grad(y, mine, minidl.tensor(w), create_graph=True, allow_unused=True)
    reference = torch.autograd.grad(expected, other, torch.from_numpy(w), create_graph=True, allow_unused=True)
    compare(first, reference, mine)
    sums = [sum([(dx * dx).sum() for dx in found if dx is not None and dx.requires_grad])
            for found in (first, reference)]
    nothing = [None] * len(mine)
    second = minidl.autograd.grad(sums[0], mine, allow_unused=True) if isinstance(sums[0], minidl.Tensor) else nothing
    reference = torch.autograd.grad(sums[1], other, allow_unused=True) if torch.is_tensor(sums[1]) else nothing
    compare(second, reference, mine)


def compare(found, expected, inputs) -> None:
    """Equal, to a few units in the last place of the largest element."""
    for a, b, x in zip(found, expected, inputs, strict=True):
        wanted = 0 * x.data if b is None else b.numpy(force=True)
        scale = max(1, abs(wanted).max(initial=0))
        np.testing.assert_allclose(0 * x.data if a is None else a.data, wanted, rtol=1e-10, atol=1e-12 * scale)


if __name__ == "__main__":  # how many comparisons there are: a value, and two gradients for each input or parameter
    import function_cases  # noqa: F401
    import test_functional

    rows = sum(1 + 2 * len(row[2:]) for row in test_functional.ROWS)
    print(f"{rows} of functions, {sum(1 + 2 * len(shapes) for _, _, shapes in CASES)} of modules")
