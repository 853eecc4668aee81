"""from_torch and to_torch: every module that both libraries have, there and back."""
from __future__ import annotations

import inspect

import export_cases
import module_cases
import numpy as np
import pytest
from theirs import torch

import minidl
from minidl import nn
from minidl.export.pytorch import common
from minidl.export.recording import ExportError

CASES = [(name, args, settings, shape) for name, args, settings, shape in export_cases.SHAPED]
CASES += [("TransformerEncoderLayer", (4, 2, 6), {"bias": False}, export_cases.TIMES)]
CASES = [case for case in CASES if case[2].get("dim", 1) is not None]
LOSSES = {name: {} for name, kind, _ in module_cases.LOSSES} | {
    "BCEWithLogitsLoss": {"pos_weight": [2.0]}, "HuberLoss": {"delta": 0.7}, "SmoothL1Loss": {"beta": 0.3},
    "CrossEntropyLoss": {"label_smoothing": 0.1, "ignore_index": -7}, "KLDivLoss": {"log_target": True}}
ELSEWHERE = {"Sequential", "ModuleList", "ModuleDict", "ParameterList", "ParameterDict", "MultiheadAttention",
             "TransformerEncoder", "CosineSimilarity", "PairwiseDistance", "CosineEmbeddingLoss", "TripletMarginLoss"}


def test_every_common_module_has_a_case():
    assert common().keys() - {case[0] for case in CASES} - LOSSES.keys() - ELSEWHERE == set()


def theirs_of(name: str, args, settings):
    """PyTorch's module of our case, with other weights and statistics than it begins with."""
    torch.manual_seed(1)
    made = getattr(torch.nn, name)(*args, **settings)
    with torch.no_grad():
        for value in [*made.parameters(), *made.buffers()]:
            if value.is_floating_point():
                value.add_(0.3 * torch.rand_like(value))
    return made.eval()


def results(model, x) -> list[np.ndarray]:
    """All outputs of a PyTorch module."""
    found: list[np.ndarray] = []

    def collect(y):
        if isinstance(y, (tuple, list)):
            for part in y:
                collect(part)
        elif y is not None:
            found.append(y.numpy())

    with torch.no_grad():
        collect(model(torch.from_numpy(x)))
    return found


def close(found, wanted) -> None:
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6 * max(1, abs(b).max(initial=0)))


def same_state(ours: nn.Module, theirs) -> None:
    mine, others = ours.state_dict(), theirs.state_dict()
    assert list(mine) == list(others)
    assert all(np.array_equal(mine[name], others[name].numpy()) for name in mine)


@pytest.mark.parametrize("name, args, settings, shape", CASES, ids=str)
@pytest.mark.filterwarnings("ignore")  # of PyTorch: nested tensors, and what it does not recommend
def test_there_and_back(name, args, settings, shape):
    theirs = theirs_of(name, args, settings)
    x = export_cases.given(shape, name in export_cases.TOKENS)
    ours = minidl.from_torch(theirs)
    assert type(ours) is getattr(nn, name) and not ours.training
    same_state(ours, theirs)
    wanted = results(theirs, x)
    close(export_cases.outputs(ours, x), wanted)
    back = minidl.to_torch(ours)
    assert type(back) is type(theirs)
    same_state(ours, back)
    for a, b in zip(results(back, x), wanted, strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize("name", LOSSES)
def test_losses(name):
    settings = {key: torch.tensor(value) if isinstance(value, list) else value for key, value in LOSSES[name].items()}
    theirs = getattr(torch.nn, name)(reduction="sum", **settings)
    kind = next(kind for other, kind, _ in module_cases.LOSSES if other == name)
    output, target = module_cases.loss_case(kind)
    wanted = theirs(torch.from_numpy(output), torch.from_numpy(target)).item()
    ours = minidl.from_torch(theirs)
    assert ours.reduction == "sum"
    found = ours(minidl.tensor(output), minidl.tensor(target)).item()
    again = minidl.to_torch(ours)(torch.from_numpy(output), torch.from_numpy(target)).item()
    assert found == pytest.approx(wanted, rel=1e-5) and again == wanted


@pytest.mark.parametrize("theirs", [
    torch.nn.CosineSimilarity(dim=0), torch.nn.PairwiseDistance(p=1.0), torch.nn.CosineEmbeddingLoss(margin=0.3),
    torch.nn.TripletMarginLoss(margin=0.5, swap=True), torch.nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0]))],
    ids=lambda module: type(module).__name__)
def test_settings_of_modules_of_several_inputs(theirs):
    ours = minidl.from_torch(theirs)
    back = minidl.to_torch(ours)
    for name in ("dim", "norm", "margin", "swap", "p", "eps", "reduction"):
        assert getattr(back, name, None) == getattr(theirs, name, None)
    if getattr(theirs, "weight", None) is not None:
        assert np.array_equal(back.weight, theirs.weight) and np.array_equal(ours.weight.numpy(), theirs.weight)


@pytest.mark.filterwarnings("ignore")
def test_containers_attention_and_float64():
    torch.manual_seed(0)
    layer = torch.nn.TransformerEncoderLayer(4, 2, 6, batch_first=True, activation="gelu")
    shared = torch.nn.Linear(4, 4)
    theirs = torch.nn.Sequential(shared, torch.nn.Tanh(), shared,
                                 torch.nn.TransformerEncoder(layer, 2, torch.nn.LayerNorm(4))).double().eval()
    theirs[1].train()
    theirs[0].bias.requires_grad_(False)
    ours = minidl.from_torch(theirs)
    assert ours[0] is ours[2] and ours[1].training and not ours.training and not ours[0].bias.requires_grad
    assert {parameter.dtype for parameter in ours.parameters()} == {np.dtype(np.float64)}
    x = export_cases.given(export_cases.TIMES).astype(np.float64)
    close(export_cases.outputs(ours, x), results(theirs, x))
    back = minidl.to_torch(ours)
    assert back[0] is back[2] and back[1].training and not back[0].bias.requires_grad
    close(results(back, x), results(theirs, x))
    lists = torch.nn.ModuleDict({"a": torch.nn.ModuleList([torch.nn.Linear(2, 3)]),
                                 "b": torch.nn.ParameterList([torch.ones(3)]),
                                 "c": torch.nn.ParameterDict({"w": torch.zeros(2)})})
    ours = minidl.from_torch(lists)
    same_state(ours, lists)
    same_state(ours, minidl.to_torch(ours))


@pytest.mark.parametrize("settings", [{}, {"add_bias_kv": True, "bias": False}, {"kdim": 3, "vdim": 5}])
def test_attention(settings):
    theirs = theirs_of("MultiheadAttention", (4, 2), {"batch_first": True, **settings})
    ours = minidl.from_torch(theirs)
    arrays = [export_cases.given((2, 5, n), seed=n) for n in (4, settings.get("kdim", 4), settings.get("vdim", 4))]
    with torch.no_grad(), minidl.no_grad():
        wanted = [y.numpy() for y in theirs(*map(torch.from_numpy, arrays))]
        close([y.numpy() for y in ours(*map(minidl.tensor, arrays))], wanted)
        for a, b in zip(minidl.to_torch(ours)(*map(torch.from_numpy, arrays)), wanted, strict=True):
            assert np.array_equal(a.numpy(), b)


def test_a_random_models_way_to_pytorch():
    for seed in (0, 1, 2, 3, 4, 6):
        model, x = export_cases.random_model(seed)
        if all(type(module).__name__ in common() for module in model.modules()):
            close(results(minidl.to_torch(model), x), export_cases.outputs(model, x))


class Own(torch.nn.Module):
    pass


def hooked():
    module = torch.nn.Linear(2, 2)
    module.register_forward_hook(lambda *given: None)
    return module


def tied():
    first, second = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    second.weight = first.weight
    return torch.nn.Sequential(first, second)


UNKNOWN = [(module, f"{name}={getattr(module, name)} is no setting") for module, name in (
    (torch.nn.LSTM(3, 4, proj_size=2), "proj_size"), (torch.nn.Embedding(3, 4, sparse=True), "sparse"))
    if name not in inspect.signature(getattr(nn, type(module).__name__)).parameters]


@pytest.mark.parametrize("theirs, message", [
    *UNKNOWN, (torch.nn.Sequential(torch.nn.Tanh(), Own()), "from_torch: Own at '1': a Own is no module that both"),
    (torch.nn.ConvTranspose2d(1, 1, 2), "ConvTranspose2d"),
    (torch.nn.GroupNorm(2, 4, bias=False), "expected a state of"),
    (torch.nn.Linear(2, 2).half(), "expected float32 or float64, got float16"),
    (torch.nn.Softmax(), "expected a dim"), (hooked(), "it has hooks"), (tied(), "shares a parameter"),
    (torch.nn.TransformerEncoderLayer(4, 2, activation=torch.tanh), "activation relu or gelu"),
], ids=str)
def test_what_has_no_twin_is_told(theirs, message):
    with pytest.raises(ExportError, match=message):
        minidl.from_torch(theirs)


def test_what_is_no_module():
    with pytest.raises(TypeError, match=r"expected a torch\.nn\.Module, got Linear"):
        minidl.from_torch(nn.Linear(2, 2))
    with pytest.raises(TypeError, match="expected a minidl module, got Linear"):
        minidl.to_torch(torch.nn.Linear(2, 2))
    with pytest.raises(ExportError, match="to_torch: Residual"):
        minidl.to_torch(nn.Sequential(export_cases.Residual(2, 3)))
