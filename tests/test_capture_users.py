"""What has no kernels: named where it cannot be captured, and called in its place where it can."""
from __future__ import annotations

import numpy as np
import pytest
from module_cases import numbers
from twins import SIZES, Huber, Mine, Twins, digest, mixed, refused, small

import minidl
from minidl import nn, optim
from minidl.autograd.parameter import Parameter
from minidl.capture import CapturedStep
from minidl.capture_layers import NotCapturable
from minidl.compiled.model_step import ModelStep

X, LABELS, ROWS = numbers((6, 4)), np.array([0, 1, 2, 0, 1, 2]), numbers((6, 3), seed=2)


# What cannot be captured


class MyLinear(nn.Linear):
    pass


class MySequential(nn.Sequential):
    def forward(self, x):
        return super().forward(x) * 2


@pytest.mark.parametrize("model, message", [
    (lambda: nn.Sequential(nn.Linear(4, 3), Mine()), "Mine has no kernels of its own"),
    (lambda: nn.Sequential(nn.Sequential(MyLinear(4, 3))), "MyLinear has no kernels of its own"),
    (lambda: MySequential(nn.Linear(4, 3)), "MySequential has no kernels of its own"),
    (lambda: nn.ModuleList([nn.Linear(4, 3)]), "ModuleList has no kernels of its own"),
    (lambda: nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=0)), r"Softmax\(dim=0\): expected dim -1 or 1"),
    (lambda: nn.Sequential(nn.Flatten(0), nn.Linear(4, 3)), r"Flatten\(start_dim=0, end_dim=-1\): expected start_dim"),
    (lambda: nn.Sequential(nn.Tanh()), "expected a model with a Linear, got Sequential"),
    (nn.Sequential, "expected a model with a Linear, got Sequential"),
])
def test_models_that_have_no_program_of_their_layers(model, message):
    optimizer = optim.SGD(nn.Linear(2, 2).parameters())
    with pytest.raises(NotCapturable, match=f"^capture: {message}"):
        CapturedStep(model(), nn.MSELoss(), optimizer)
    assert isinstance(minidl.capture(model(), nn.MSELoss(), optimizer), ModelStep)  # which records them


def test_a_module_that_cannot_be_captured_comes_later():
    model = small()
    step = minidl.capture(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters()))
    step(X, LABELS)
    model.append(Mine())
    for _ in range(2):
        refused(step, TypeError, "Mine has no kernels of its own", X, LABELS)
    model.pop()
    step(X, LABELS)


@pytest.mark.parametrize("layers, error, message", [
    ([nn.Linear(4, 5), nn.Linear(4, 3)], ValueError,
     r"Linear\(4, 3\): expected input of shape \(N, 4\), got \(N, 5\)"),
    ([nn.Linear(4, 5), nn.Linear(5, 3, dtype=np.float64)], TypeError,
     r"Linear\(5, 3\): expected weight of dtype float32, got float64"),
])
def test_layers_that_do_not_fit_each_other(layers, error, message):
    model = nn.Sequential(layers)
    with pytest.raises(error, match=f"^capture: {message}"):
        minidl.capture(model, nn.MSELoss(), optim.SGD(layers[0].parameters()))


@pytest.mark.parametrize("name, parameter, error, message", [
    ("weight", Parameter(numbers((5, 4))), TypeError, r"expected a weight that lies as \(in, out\)"),
    ("weight", Parameter(numbers((4, 5))), ValueError, r"expected weight of shape \(5, 4\), got \(4, 5\)"),
    ("bias", Parameter(numbers(4)), ValueError, r"expected bias of shape \(5,\), got \(4,\)"),
    ("bias", Parameter(numbers(5, np.float64)), TypeError, "expected bias of dtype float32, got float64"),
])
def test_parameters_that_do_not_fit(name, parameter, error, message):
    model = small()
    step = minidl.capture(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters()))
    setattr(model[0], name, parameter)
    refused(step, error, rf"Linear\(4, 5\): {message}", X, LABELS)


def test_parameters_of_another_dtype_in_the_optimizer():
    model, other = small(), nn.Linear(2, 2, dtype=np.float64)
    optimizer = optim.SGD([{"params": model.parameters()}, {"params": other.parameters()}])
    with pytest.raises(TypeError, match=r"^capture: expected parameters of the model's dtype float32 in the optimizer"):
        minidl.capture(model, nn.MSELoss(), optimizer)


class WithoutBackward(nn.Module):
    def forward(self, z, t):
        return ((z - t) ** 2).sum()


class Learned(nn.MSELoss):
    def __init__(self):
        super().__init__()
        self.scale = nn.Linear(1, 1)


MODEL = small()
SGD = optim.SGD(MODEL.parameters())


@pytest.mark.parametrize("parts, error, message", [
    (("net", nn.MSELoss(), SGD), TypeError, "expected a Module as the model, got str"),
    ((MODEL, minidl.functional.mse_loss, SGD), TypeError, "expected a loss module as the criterion, got Operation"),
    ((MODEL, nn.MSELoss(), 0.1), TypeError, "expected an Optimizer, got float"),
    ((MODEL, nn.MSELoss("none"), SGD), ValueError, "expected a criterion that reduces to one number"),
    ((MODEL, WithoutBackward(), SGD), TypeError, "expected a criterion with a backward and without parameters"),
    ((MODEL, Learned(), SGD), TypeError, "expected a criterion with a backward and without parameters"),
])
def test_parts_that_cannot_be_captured(parts, error, message):
    with pytest.raises(error, match=f"^capture: {message}"):
        CapturedStep(*parts)
    if "without parameters" not in message:  # such a criterion can be recorded
        with pytest.raises(error, match=f"^capture: {message}"):
            minidl.capture(*parts)


# A user's own loss and optimizer are called in their place


class SignDescent(optim.Optimizer):
    rules = {"lr": optim.SGD.rules["lr"]}  # noqa: RUF012

    def __init__(self, params, lr=0.01):
        super().__init__(params, lr=lr)

    def update(self, group, flat):
        for w, g, *_ in flat.blocks():
            w -= np.float32(group["lr"]) * np.sign(g)


@pytest.mark.parametrize("criterion", [Huber(), nn.CrossEntropyLoss()])
@pytest.mark.parametrize("optimizer", [SignDescent, optim.Adam])
@pytest.mark.parametrize("index", [None, np.array([2, 0, 2], np.int32)])
def test_a_loss_and_an_optimizer_of_the_user(criterion, optimizer, index):
    twins = Twins(lambda: (model := mixed(), criterion, optimizer(model.parameters())))
    for size in SIZES:
        x, y = numbers((size + 3, 7), seed=size), numbers((size + 3, 3), seed=size + 1)
        twins.train(x, y if isinstance(criterion, Huber) else y.argmax(axis=1), index)
        twins.each(lambda model, optimizer: setattr(optimizer, "lr", optimizer.lr * 0.9))
    twins.check()


@pytest.mark.parametrize("gradient, error, message", [
    (lambda d: d[:, :1], ValueError, r"Broken\(\): expected gradient of shape \(6, 3\), got \(6, 1\)"),
    (lambda d: d.astype(np.float64), TypeError, r"Broken\(\): expected gradient of dtype float32, got float64"),
    (lambda d: 1.0, TypeError, r"Broken\(\): expected gradient of dtype float32, got float"),
])
def test_a_loss_of_the_user_that_gives_another_gradient(gradient, error, message):
    class Broken(Huber):
        def forward(self, z, t):
            return super().forward(z, t)

        def backward(self):
            return gradient(self.require_saved())

    model = small()
    step = minidl.capture(model, Broken(), optim.Adam(model.parameters()))
    before = digest(model.flat_parameters)
    with pytest.raises(error, match=message):
        step(X, ROWS)
    assert digest(model.flat_parameters) == before


@pytest.mark.parametrize("error", [IndexError, TypeError, ValueError, RuntimeError])
def test_an_error_of_the_user_comes_through_once(error):
    calls = []

    class Failing(SignDescent):
        def step(self):
            calls.append("step")
            raise error("mine")

    model = small()
    step = minidl.capture(model, nn.CrossEntropyLoss(), Failing(model.parameters()))
    with pytest.raises(error, match=r"^mine$"):
        step(X, LABELS)
    assert calls == ["step"]


def test_an_optimizer_of_another_model_is_refused():
    model, other = nn.Sequential(nn.Linear(2, 3)), nn.Sequential(nn.Linear(2, 3))
    with pytest.raises(ValueError, match="optimizer of this model's parameters"):
        minidl.capture(model, nn.CrossEntropyLoss(), optim.SGD(other.parameters(), lr=0.1))
