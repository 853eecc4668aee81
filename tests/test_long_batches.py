"""A compiled step on a long batch passes blocks of rows through the layers: the bits are those of the plain step."""
from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import kernels, nn, optim

ROWS = 11_000
NETWORKS = {
    "regression": lambda: [nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 16), nn.Tanh(), nn.Linear(16, 4)],
    "frozen": lambda: [nn.Linear(4, 20).requires_grad_(False), nn.ReLU(), nn.Linear(20, 9), nn.Linear(9, 4)],
    "without biases": lambda: [nn.Linear(4, 24, bias=False), nn.ELU(), nn.Linear(24, 4, bias=False), nn.Softmax()],
    "dropping": lambda: [nn.Linear(4, 12), nn.Dropout(0.3), nn.Sigmoid(), nn.Linear(12, 12), nn.Tanh(),
                         nn.Dropout(0.5), nn.Linear(12, 4)],
    "one layer": lambda: [nn.Linear(4, 4), nn.ReLU()],
}
LOSSES = {"squared error": nn.MSELoss, "labels": nn.CrossEntropyLoss, "summed": lambda: nn.MSELoss(reduction="sum")}


class OwnLoss(nn.Module):
    """A loss with a backward on arrays, which is called in its place, in the middle of a step."""

    def forward(self, z, t):
        self.difference = z - t
        return float((self.difference ** 2).sum())

    def backward(self):
        return 2 * self.difference


def training(network: str, loss: str, dtype):
    minidl.manual_seed(3)
    model = nn.Sequential(*NETWORKS[network]()).to(dtype)
    criterion = OwnLoss() if loss == "own" else LOSSES[loss]()
    return model, criterion, optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-3)


def batches(loss: str, dtype):
    rng = np.random.default_rng(0)
    for rows in (ROWS, 1, ROWS - 7):
        x = rng.standard_normal((rows, 4)).astype(dtype)
        yield x, rng.integers(0, 4, rows) if loss == "labels" else np.tanh(x[:, ::-1]).astype(dtype)


def left_by(model, optimizer, losses):
    """All that the steps leave."""
    state = optimizer.state_dict()["state"][0]
    return [np.array(losses), *[p.data for p in model.parameters()], *[p.grad for p in model.parameters()
            if p.requires_grad], *[np.asarray(value) for value in state.values()]]


def plain(network: str, loss: str, dtype):
    model, criterion, optimizer = training(network, loss, dtype)
    losses = []
    for x, t in batches(loss, dtype):
        losses.append(criterion(model(x), t))
        optimizer.zero_grad()
        model.accumulate(criterion.backward())
        optimizer.step()
    return left_by(model, optimizer, losses)


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["f32", "f64"])
@pytest.mark.parametrize("loss", [*LOSSES, "own"])
@pytest.mark.parametrize("network", NETWORKS)
def test_blocks_give_the_bits_of_the_whole_batch(network, loss, dtype):
    right = plain(network, loss, dtype)
    for threads in (1, 2, 3):
        minidl.set_num_threads(threads)
        try:
            model, criterion, optimizer = training(network, loss, dtype)
            step = minidl.capture(model, criterion, optimizer)
            losses = [step(x, t) for x, t in batches(loss, dtype)]
        finally:
            minidl.set_num_threads(1)
        assert 0 < step.program.block < ROWS
        for found, expected in zip(left_by(model, optimizer, losses), right, strict=True):
            np.testing.assert_array_equal(found, expected)


def test_blocks_are_for_arrays_between_layers_that_leave_the_cache():
    few = kernels.of(np.float32).Program(10_000, 4, 0, 4)
    assert few.block == 0
    narrow, wide = (minidl.capture(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1))
                    for model in (nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 4)),
                                  nn.Sequential(nn.Linear(4, 256), nn.Linear(256, 4))))
    x = np.zeros((4000, 4), np.float32)
    narrow(x, x)
    wide(x, x)
    assert narrow.program.block >= 2 * 512
    assert wide.program.block == 0


def test_a_loss_that_is_not_finite_leaves_the_gradients_of_the_step_before():
    model, criterion, optimizer = training("regression", "squared error", np.float32)
    step = minidl.capture(model, criterion, optimizer)
    (x, t), *_ = batches("squared error", np.float32)
    step(x, t)
    before = [p.grad.copy() for p in model.parameters()]
    x[ROWS - 1] = np.inf
    with pytest.raises(FloatingPointError):
        step(x, t)
    for parameter, gradient in zip(model.parameters(), before, strict=True):
        np.testing.assert_array_equal(parameter.grad, gradient)
