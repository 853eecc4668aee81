"""Frozen, unfrozen and unused parameters in training: PyTorch's rules, by every path, with the same bits."""
from __future__ import annotations

import numpy as np
import pytest
from module_cases import numbers
from theirs import torch
from twins import OPTIMIZERS, bits, plain_step

import minidl
from minidl import nn, optim

STEPS = 10
X, LABELS = numbers((6, 4), np.float64), np.array([0, 1, 2, 0, 1, 2])
OPTIMIZER_CASES = {
    "momentum and decay": ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.1, "weight_decay": 0.01}),
    "adam": ("Adam", {"lr": 0.01, "weight_decay": 0.1}),
    "adamw": ("AdamW", {"lr": 0.01, "weight_decay": 0.1}),
    "adadelta": ("Adadelta", {"weight_decay": 0.01}),
}
# What is frozen: names of parameters, from and to a step
PLANS = {
    "nothing": [],
    "the first layer": [("0.weight", 0, STEPS), ("0.bias", 0, STEPS)],
    "the last layer": [("4.weight", 0, STEPS), ("4.bias", 0, STEPS)],
    "a weight": [("2.weight", 0, STEPS)],
    "a bias": [("2.bias", 0, STEPS)],
    "thawed in the middle": [("0.weight", 0, 4), ("0.bias", 0, 4), ("2.weight", 0, 6)],
    "frozen in the middle": [("0.weight", 3, STEPS), ("4.bias", 5, STEPS)],
    "on and off": [("2.weight", start, start + 1) for start in range(0, STEPS, 2)],
    "all but one": [(name, 0, STEPS) for name in ("0.weight", "0.bias", "2.weight", "4.weight", "4.bias")],
}


def network(kind=nn, **settings):
    return kind.Sequential(kind.Linear(4, 5, **settings), kind.Tanh(), kind.Linear(5, 6, **settings), kind.ReLU(),
                           kind.Linear(6, 3, **settings))


def freeze(model, plan, step: int) -> None:
    frozen = {name for name, begin, end in plan if begin <= step < end}
    for name, parameter in model.named_parameters():
        parameter.requires_grad = name not in frozen


def on_the_tape(model, criterion, optimizer, x, y):
    loss = criterion(model(minidl.tensor(x)), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def by_fit(model, criterion, optimizer, x, y):
    history = minidl.fit(model, criterion, optimizer, (x, y), batch_size=len(x), seed=0, progress=False)
    return history.iteration_loss[0]


def trained(path, optimizer, plan):
    """The model after all steps, its optimizer, and which gradients there were at each step."""
    kind, settings = OPTIMIZER_CASES[optimizer]
    minidl.manual_seed(7)
    model, criterion = network(dtype=np.float64), nn.CrossEntropyLoss()
    minidl_optimizer = getattr(optim, kind)(model.parameters(), **settings)
    if path == "captured":
        captured = minidl.capture(model, criterion, minidl_optimizer)
    there = []
    for step in range(STEPS):
        freeze(model, plan, step)
        if path == "captured":
            captured(X, LABELS)
        else:
            PATHS[path](model, criterion, minidl_optimizer, X, LABELS)
        there.append([parameter.grad is not None for parameter in model.parameters()])
    return model, minidl_optimizer, there


PATHS = {"explicit": plain_step, "tape": on_the_tape, "fit": by_fit, "captured": None}


@pytest.mark.parametrize("optimizer", OPTIMIZER_CASES)
@pytest.mark.parametrize("plan", PLANS)
def test_every_path_has_the_same_bits(plan, optimizer):
    results = {path: trained(path, optimizer, PLANS[plan]) for path in ("explicit", "tape", "captured")}
    model, minidl_optimizer, there = results["explicit"]
    for path in ("tape", "captured"):
        assert bits(results[path][0], results[path][1]) == bits(model, minidl_optimizer), path
        assert results[path][2] == there, path


@pytest.mark.parametrize("optimizer", OPTIMIZER_CASES)
@pytest.mark.parametrize("plan", PLANS)
def test_fit_captured_and_plain(plan, optimizer):
    def run(captured):
        minidl.manual_seed(7)
        kind, settings = OPTIMIZER_CASES[optimizer]
        model = network(dtype=np.float64)
        minidl_optimizer = getattr(optim, kind)(model.parameters(), **settings)
        for step in range(STEPS):
            freeze(model, PLANS[plan], step)
            minidl.fit(model, nn.CrossEntropyLoss(), minidl_optimizer, (X, LABELS), batch_size=4, seed=step,
                       progress=False, captured=captured)
        return bits(model, minidl_optimizer)

    assert run(True) == run(False)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("optimizer", OPTIMIZER_CASES)
@pytest.mark.parametrize("plan", PLANS)
def test_against_torch(plan, optimizer, path):
    kind, settings = OPTIMIZER_CASES[optimizer]
    minidl.manual_seed(7)
    begin = network(dtype=np.float64).state_dict()
    theirs = network(torch.nn, dtype=torch.float64)
    theirs.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in begin.items()})
    their_optimizer = getattr(torch.optim, kind)(theirs.parameters(), **settings)
    there = []
    for step in range(STEPS):
        freeze(theirs, PLANS[plan], step)
        their_optimizer.zero_grad()
        torch.nn.CrossEntropyLoss()(theirs(torch.from_numpy(X)), torch.from_numpy(LABELS)).backward()
        their_optimizer.step()
        there.append([parameter.grad is not None for parameter in theirs.parameters()])
    model, _, ours_there = trained(path, optimizer, PLANS[plan])
    for (name, ours), their in zip(model.named_parameters(), theirs.parameters(), strict=True):
        # fit shuffles the six rows, so that sums run in another order
        np.testing.assert_allclose(ours.data, their.detach().numpy(), rtol=1e-9, atol=1e-11, err_msg=name)
    assert ours_there == there


@pytest.mark.parametrize("path", ["explicit", "captured"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_what_is_frozen_has_neither_step_nor_state(optimizer, path):
    minidl.manual_seed(7)
    model, criterion = network(), nn.CrossEntropyLoss()
    model[0].weight.requires_grad = model[4].bias.requires_grad = False
    minidl_optimizer = OPTIMIZERS[optimizer](model.parameters())
    step = minidl.capture(model, criterion, minidl_optimizer)
    before = {name: value.copy() for name, value in model.state_dict().items()}
    for _ in range(3):
        if path == "captured":
            step(X.astype(np.float32), LABELS)
        else:
            plain_step(model, criterion, minidl_optimizer, X.astype(np.float32), LABELS)
    frozen = {"0.weight", "4.bias"}
    for name, parameter in model.named_parameters():
        assert (parameter.data == before[name]).all() == (name in frozen), name
        assert (parameter.grad is None) == (name in frozen), name
    state, = minidl_optimizer.state_dict()["state"]
    begins = np.cumsum([0, *(p.numel() for p in model.parameters())])
    for i, (name, _) in enumerate(model.named_parameters()):
        if name in frozen:
            assert state["step"][i] == 0
            for key, array in state.items():
                assert key == "step" or not array[begins[i]:begins[i + 1]].any()


class TwoHeads(nn.Module):
    """One body, two heads, of which a forward uses one."""

    def __init__(self):
        self.body, self.left, self.right = nn.Linear(4, 5), nn.Linear(5, 3), nn.Linear(5, 3)
        self.use_left = True

    def forward(self, x):
        return (self.left if self.use_left else self.right)(self.body(x).tanh())


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_an_unused_head_is_left_alone(optimizer):
    minidl.manual_seed(3)
    model, criterion = TwoHeads(), nn.CrossEntropyLoss()
    minidl_optimizer = OPTIMIZERS[optimizer](model.parameters())
    x = X.astype(np.float32)
    for step in range(6):
        model.use_left = step % 3 != 0
        other = model.right if model.use_left else model.left
        before = [parameter.data.copy() for parameter in other.parameters()]
        on_the_tape(model, criterion, minidl_optimizer, x, LABELS)
        for parameter, value in zip(other.parameters(), before, strict=True):
            assert parameter.grad is None
            np.testing.assert_array_equal(parameter.data, value)
    counts = minidl_optimizer.state_dict()["state"][0]["step"]
    if optimizer != "sgd":
        assert counts == [6, 6, 4, 4, 2, 2]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("captured", [False, True])
def test_the_other_network_of_one_optimizer(optimizer, captured):
    """A GAN's two networks in one optimizer: a step of one does not move the other."""
    minidl.manual_seed(3)
    one, two, criterion = network(), network(), nn.CrossEntropyLoss()
    minidl_optimizer = OPTIMIZERS[optimizer]([*one.parameters(), *two.parameters()])
    before = two.state_dict()
    steps = [minidl.capture(model, criterion, minidl_optimizer) for model in (one, two)]
    x = X.astype(np.float32)
    for _ in range(3):
        steps[0](x, LABELS) if captured else plain_step(one, criterion, minidl_optimizer, x, LABELS)
        for name, value in two.state_dict().items():
            np.testing.assert_array_equal(value, before[name])
        assert all(parameter.grad is None for parameter in two.parameters())
    alone = network()
    alone.load_state_dict(before)
    alone_optimizer = OPTIMIZERS[optimizer](alone.parameters())
    for _ in range(2):
        steps[1](x, LABELS) if captured else plain_step(two, criterion, minidl_optimizer, x, LABELS)
        plain_step(alone, criterion, alone_optimizer, x, LABELS)
    assert alone.flat_parameters.tobytes() == two.flat_parameters.tobytes()


def test_all_is_frozen():
    model, criterion = network(), nn.CrossEntropyLoss()
    optimizer = optim.Adam(model.parameters())
    for parameter in model.parameters():
        parameter.requires_grad = False
    before = bits(model, optimizer)
    loss = minidl.capture(model, criterion, optimizer)(X.astype(np.float32), LABELS)
    assert loss == plain_step(model, criterion, optimizer, X.astype(np.float32), LABELS)
    assert bits(model, optimizer) == before
    with pytest.raises(RuntimeError, match="does not require grad"):
        on_the_tape(model, criterion, optimizer, X.astype(np.float32), LABELS)
