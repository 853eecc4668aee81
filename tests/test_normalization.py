"""BatchNorm2d, LayerNorm, GroupNorm and RMSNorm against PyTorch, and fold."""
from __future__ import annotations

import itertools

import numpy as np
import pytest
from against_torch import close, compare, same_weights
from module_cases import FLOATS, name_of, numbers
from theirs import torch
from twins import check_compiled_as_plain

import minidl
from minidl import nn, optim

CASES = [
    *[("LayerNorm", (shape,), {"eps": eps, "elementwise_affine": affine, "bias": bias}, [(3, 4, *shape), shape])
      for shape, eps, affine, bias in itertools.product(
          [(5,), (1,), (17,), (4, 5)], [1e-5, 0.1], [True, False], [True, False])],
    *[("RMSNorm", (shape,), {"eps": eps, "elementwise_affine": affine}, [(3, 4, *shape), shape])
      for shape, eps, affine in itertools.product([(5,), (1,), (4, 5)], [None, 0.1], [True, False])],
    *[("GroupNorm", (groups, 6), {"eps": eps, "affine": affine}, [(3, 6), (2, 6, 5), (2, 6, 4, 3)])
      for groups, eps, affine in itertools.product([1, 2, 3, 6], [1e-5, 0.1], [True, False])],
    *[("BatchNorm2d", (5,), {"momentum": momentum, "affine": affine, "track_running_stats": tracked}, [(3, 5, 4, 2)])
      for momentum, affine, tracked in itertools.product([0.1, None, 0.7], [True, False], [True, False])],
]


def varied(module: nn.Module, theirs) -> None:
    """Weights away from one and zero, the same for both."""
    with torch.no_grad():
        for k, parameter in enumerate(theirs.parameters()):
            parameter.copy_(torch.from_numpy(numbers(tuple(parameter.shape), np.float64, seed=k)))
    same_weights(module, theirs)


@pytest.mark.parametrize("name, args, settings, shapes", CASES, ids=str)
def test_as_in_pytorch(name, args, settings, shapes):
    ours = getattr(nn, name)(*args, **settings, dtype=np.float64)
    theirs = getattr(torch.nn, name)(*args, **settings).double()
    varied(ours, theirs)
    for seed, shape in enumerate(shapes):
        compare(ours, theirs, [2 * numbers(shape, np.float64, seed=seed) + 1])
    for mode in (True, False, True, False):
        ours.train(mode)
        theirs.train(mode)
        x = numbers(shapes[0], np.float64, seed=9) + 1
        close(ours(x), theirs(torch.from_numpy(x)))
    for key, value in ours.state_dict().items():
        np.testing.assert_allclose(value, theirs.state_dict()[key].numpy(), rtol=1e-12)


@pytest.mark.parametrize("dtype", FLOATS, ids=name_of)
@pytest.mark.parametrize("make", [
    lambda d: nn.LayerNorm(8, dtype=d), lambda d: nn.RMSNorm(8, dtype=d), lambda d: nn.GroupNorm(4, 8, dtype=d),
    lambda d: nn.BatchNorm1d(8, dtype=d)], ids=["layer", "rms", "group", "batch"])
def test_compiled_steps_have_the_bits_of_plain_ones(make, dtype):
    def made():
        model = nn.Sequential(nn.Linear(4, 8, dtype=dtype), make(dtype), nn.ReLU(), nn.Linear(8, 3, dtype=dtype))
        return model, optim.Adam(model.parameters())

    def batches():
        rng = np.random.default_rng(0)
        return [(rng.standard_normal((6, 4)).astype(dtype), rng.integers(0, 3, 6)) for _ in range(6)]

    check_compiled_as_plain(made, batches)


def test_fold():
    minidl.manual_seed(0)
    twice = nn.Linear(6, 6)
    model = nn.Sequential(
        nn.Linear(4, 6, bias=False), nn.BatchNorm1d(6), nn.ReLU(),
        nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6, affine=False)), twice, nn.BatchNorm1d(6), twice,
        nn.Linear(6, 3), nn.BatchNorm1d(3, track_running_stats=False))
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    minidl.fit(model, nn.MSELoss(), optimizer, (3 * numbers((64, 4)) + 1, numbers((64, 3))), epochs=4, seed=0,
               progress=False)
    before, x = {name: value.tobytes() for name, value in model.state_dict().items()}, numbers((9, 4), seed=1)
    folded = minidl.fold(model)
    assert not folded.training and model.training
    assert [type(m).__name__ for m in folded] == [
        "Linear", "Identity", "ReLU", "Sequential", "Linear", "BatchNorm1d", "Linear", "Linear", "BatchNorm1d"]
    assert folded[4] is folded[6] and isinstance(folded[3][1], nn.Identity)
    np.testing.assert_allclose(folded.predict(x), model.predict(x), rtol=2e-5, atol=2e-5)
    assert {name: value.tobytes() for name, value in model.state_dict().items()} == before


def test_what_is_refused():
    x = np.ones((3, 5), np.float32)
    assert repr(nn.LayerNorm(5)) == "LayerNorm((5,), eps=1e-05, elementwise_affine=True)"
    assert repr(nn.GroupNorm(2, 6)) == "GroupNorm(2, 6, eps=1e-05, affine=True)"
    for layer in (nn.LayerNorm(4), nn.RMSNorm(4)):
        with pytest.raises(ValueError, match=r"Norm\(\(4,\), .*\): expected input of shape \(..., 4\), got \(3, 5\)"):
            layer(x)
        with pytest.raises(TypeError, match="expected input of dtype float32, got float64"):
            layer(np.ones((3, 4)))
    with pytest.raises(ValueError, match=r"GroupNorm\(2, 6.*expected input of shape \(N, 6, ...\)"):
        nn.GroupNorm(2, 6)(x)
    with pytest.raises(ValueError, match="GroupNorm: expected num_channels to be divisible"):
        nn.GroupNorm(4, 6)
    with pytest.raises(ValueError, match="LayerNorm: expected normalized_shape of positive integers"):
        nn.LayerNorm((4, 0))
    with pytest.raises(ValueError, match=r"BatchNorm2d\(5.*: expected input of shape \(N, 5, H, W\), got \(3, 5\)"):
        nn.BatchNorm2d(5)(x)
    with pytest.raises(ValueError, match="expected more than one value a channel in training"):
        nn.BatchNorm2d(5)(np.ones((1, 5, 1, 1), np.float32))
