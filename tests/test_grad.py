"""autograd.grad and backward(create_graph=True): what they give, leave alone and refuse, as PyTorch does."""
from __future__ import annotations

import numpy as np
import pytest
from module_cases import numbers
from theirs import torch

import minidl
from minidl import nn
from minidl.autograd import grad
from minidl.autograd.tensor import Tensor

A, B = np.array([[1.0, -2.0, 3.0], [0.5, 4.0, -1.0]]), np.array([[2.0, 1.0, 0.5], [-1.0, 0.2, 3.0]])


def leaves() -> tuple[Tensor, Tensor]:
    return Tensor(A.copy(), True), Tensor(B.copy(), True)


# Each is run in both libraries: (T, a, b) -> a list of Tensors, None and numbers
SEMANTICS = {
    "one": lambda T, g, a, b: g((a * b).sum(), a),
    "a tuple": lambda T, g, a, b: g((a * b).sum(), (a, b)),
    "a list": lambda T, g, a, b: g([(a * b).sum()], [b]),
    "the same twice": lambda T, g, a, b: g((a * a * b).sum(), [a, a]),
    "several outputs": lambda T, g, a, b: g([(a * b).sum(), (a * a).sum()], [a, b]),
    "an output twice": lambda T, g, a, b: (lambda y: g([y, y], [a]))((a * b).sum()),
    "given gradients": lambda T, g, a, b: g([a * b, b.exp()], [a, b], [T(B), T(A)]),
    "one given gradient": lambda T, g, a, b: g(a * b, a, T(B)),
    "some given": lambda T, g, a, b: g([a * b, b.sum()], [a, b], [T(B), None]),
    "unused": lambda T, g, a, b: g((a * 2).sum(), [a, b], allow_unused=True),
    "of an output on the way": lambda T, g, a, b: (lambda h: g((h * h).sum(), [h, a, b]))(a * b),
    "of what comes late": lambda T, g, a, b: (lambda h: g((h * h).sum() + a.sum(), [h]))(a * b),
    "of itself": lambda T, g, a, b: (lambda y: g(y, [y, a]))((a * b).sum()),
    "of a leaf as output": lambda T, g, a, b: g(a, [a], [T(B)]),
    "outputs that follow each other": lambda T, g, a, b: (lambda h: g([h.sum(), (h * h).sum()], [h, a]))(a * b),
    "twice": lambda T, g, a, b: g(g((a ** 3 * b).sum(), a, create_graph=True)[0].sum(), [a, b]),
    "thrice": lambda T, g, a, b: g(
        g(g((a ** 3 * b).sum(), a, create_graph=True)[0].sum(), a, create_graph=True)[0].sum(), b),
    "a graph of the given gradient": lambda T, g, a, b: g(
        g(a * a, a, b, create_graph=True)[0].sum(), [a, b]),
    "retained": lambda T, g, a, b: (lambda y: [*g(y, a, retain_graph=True), *g(y, b)])((a * b).sum()),
    "retained by create_graph": lambda T, g, a, b: (lambda y: [*g(y, a, create_graph=True), *g(y, b)])((a * b).sum()),
    "an edge that is not needed stays": lambda T, g, a, b: (lambda h: [*g((h * b).sum(), b), *g(h.sum(), a)])(a * 2),
    "requires": lambda T, g, a, b: [x.requires_grad for x in (
        *g((a * b).sum(), a), *g((a * b).sum(), a, create_graph=True), *g(a.sum(), a, create_graph=True))],
    "leaves are not touched": lambda T, g, a, b: [*g((a * b).sum(), [a, b]), a.grad, b.grad],
    "backward after grad": lambda T, g, a, b: (lambda dx: [(dx * dx).sum().backward(), a.grad, b.grad])(
        g((a * a * b).sum(), a, create_graph=True)[0]),
    "backward twice": lambda T, g, a, b: [
        (a ** 3 * b).sum().backward(create_graph=True), a.grad, b.grad, *g(a.grad.sum(), [a, b])],
    "backward that adds up": lambda T, g, a, b: [
        (a ** 3).sum().backward(create_graph=True), (a ** 2 * b).sum().backward(create_graph=True),
        *g(a.grad.sum(), [a, b])],
}


def plain(value):
    return (value.detach().numpy() if hasattr(value, "detach") else value)


@pytest.mark.filterwarnings("ignore:Using backward:UserWarning")
@pytest.mark.parametrize("name", SEMANTICS)
def test_it_gives_what_pytorch_gives(name):
    mine = SEMANTICS[name](Tensor, grad, *leaves())
    theirs = SEMANTICS[name](torch.from_numpy, torch.autograd.grad,
                             *(torch.tensor(x, requires_grad=True) for x in (A, B)))
    assert len(mine) == len(theirs)
    for a, b in zip(mine, theirs, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_allclose(plain(a), plain(b), rtol=1e-12)


ERRORS = {
    "an output without gradient": (lambda T, g, a, b: g(T(A).sum(), a), "does not require grad"),
    "an input without gradient": (lambda T, g, a, b: g((a * b).sum(), T(A)), "does not require grad"),
    "an unused input": (lambda T, g, a, b: g(a.sum(), [a, b]), "appears to not have been used in the graph"),
    "several elements": (lambda T, g, a, b: g(a * b, a), "grad"),
    "too few gradients": (lambda T, g, a, b: g([a.sum(), b.sum()], [a], [T(np.array(1.0))]), "got 2"),
    "a freed graph": (lambda T, g, a, b: (lambda y: (g(y, a), g(y, a)))((a * b).sum()), "graph"),
    "a freed graph, then backward": (lambda T, g, a, b: (lambda y: (g(y, a), y.backward()))((a * b).sum()), "graph"),
    "no graph": (lambda T, g, a, b: g(g((a * b).sum(), a)[0].sum(), b), "does not require grad"),
    "modified": (lambda T, g, a, b: (lambda y, c: (c.zero_(), g(y, a)))(*(lambda c: ((a * c).sum(), c))(T(B.copy()))),
                 "modified by an inplace operation"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_it_refuses_what_pytorch_refuses(name):
    wrong, match = ERRORS[name]
    with pytest.raises(RuntimeError, match=match):
        wrong(Tensor, grad, *leaves())
    with pytest.raises(RuntimeError, match=match):
        wrong(torch.from_numpy, torch.autograd.grad, *(torch.tensor(x, requires_grad=True) for x in (A, B)))


@pytest.mark.parametrize("wrong, error, match", [
    (lambda a, b: grad((a * b).data, a), TypeError, "expected outputs to be Tensors, got ndarray"),
    (lambda a, b: grad((a * b).sum(), [a, B]), TypeError, "expected inputs to be Tensors, got ndarray"),
    (lambda a, b: grad(a * b, a, np.ones(3)), ValueError, r"gradient of shape \(2, 3\), got \(3,\)"),
    (lambda a, b: grad(a * b, a, np.ones((2, 3), np.float32)), TypeError, "gradient of dtype float64, got float32"),
])
def test_other_errors(wrong, error, match):
    with pytest.raises(error, match=match):
        wrong(*leaves())


@pytest.mark.parametrize("create_graph", [True, False])
def test_within_no_grad(create_graph):
    a, b = leaves()
    y = (a * b * a).sum()
    with minidl.no_grad():
        dx, = grad(y, a, create_graph=create_graph)
        assert dx.requires_grad is create_graph and not (a * 2).requires_grad
    assert (a * 2).requires_grad


def test_an_error_leaves_recording_as_it_was():
    a, _ = leaves()
    for create_graph in (True, False):
        with pytest.raises(RuntimeError, match="gradient"):
            grad(a * 2, a, create_graph=create_graph)
        with pytest.raises(ValueError, match="shape"):
            (a * 2).backward(np.ones(7), create_graph=create_graph)
        assert (a * 2).requires_grad


# Parameters

def test_a_parameter_stays_in_its_flat_buffer():
    layer, x = nn.Linear(4, 3, generator=0), minidl.tensor(numbers((5, 4)))
    loss = (layer(x) ** 2).sum()
    first = grad(loss, layer.parameters(), create_graph=True)
    assert all(p.grad is None for p in layer.parameters()) and all(dx.requires_grad for dx in first)
    loss.backward(create_graph=True)
    for parameter, dx in zip(layer.parameters(), first, strict=True):
        assert isinstance(parameter.grad, np.ndarray) and np.shares_memory(parameter.grad, parameter.store.gradients)
        np.testing.assert_array_equal(parameter.grad, dx.data)


def network():
    return nn.Sequential(nn.Linear(4, 6, generator=0), nn.Tanh(), nn.Linear(6, 3, generator=1))


def test_the_bits_of_backward():
    """grad's values, without and with a graph, are those that backward leaves in cleared gradients."""
    model, criterion, x = network(), nn.CrossEntropyLoss(), minidl.tensor(numbers((5, 4)))
    labels = np.array([0, 2, 1, 1, 0])
    criterion(model(x), labels).backward()
    for create_graph in (False, True):
        for dx, parameter in zip(grad(criterion(model(x), labels), model.parameters(), create_graph=create_graph),
                                 model.parameters(), strict=True):
            np.testing.assert_array_equal(dx.data, parameter.grad)


@pytest.mark.parametrize("clear", [True, False])
def test_sums_begin_at_the_gradient_that_is_there(clear):
    """On the tape as in the explicit protocol: the same bits, cleared or not."""
    models = [network() for _ in range(2)]
    for seed in range(3):
        x, g = numbers((5, 4), seed=seed), numbers((5, 3), seed=seed + 10)
        for model in models:
            if clear:
                model.zero_grad()
        models[0](minidl.tensor(x)).backward(g)
        models[1].forward(x)
        models[1].backward(g)
        for a, b in zip(models[0].parameters(), models[1].parameters(), strict=True):
            np.testing.assert_array_equal(a.grad, b.grad)


def test_what_was_frozen_since_gets_nothing():
    model, x = network(), minidl.tensor(numbers((5, 4)))
    for create_graph in (False, True):
        loss = model(x).sum()
        model[0].weight.requires_grad = False
        loss.backward(create_graph=create_graph)
        assert model[0].weight.grad is None and model[0].bias.grad is not None
        model.requires_grad_()


# Modules that are written with arrays

class Halved(nn.Module):
    def __init__(self):
        self.gain = nn.Parameter(np.full(4, 0.5, np.float32), "gain")

    def forward(self, x):
        self.saved = x
        return x * self.gain.data

    def backward(self, gradient):
        self.gain.accumulate((gradient * self.saved).sum(axis=0))
        return gradient * self.gain.data


def test_a_module_written_with_arrays():
    module, x = Halved(), minidl.tensor(numbers((5, 4)), requires_grad=True)
    module.gain.grad = np.full(4, 7, np.float32)
    dx, dgain = grad((module(x) * 2).sum(), [x, module.gain])
    np.testing.assert_array_equal(dx.data, np.ones((5, 4)))
    np.testing.assert_allclose(dgain.data, 2 * x.data.sum(axis=0), rtol=1e-6)
    assert (module.gain.grad == 7).all()
    dgain, = grad((module(x.detach()) * 2).sum(), module.gain)
    np.testing.assert_allclose(dgain.data, 2 * x.data.sum(axis=0), rtol=1e-6)
    frozen = grad((module(x) * x).sum(), x)[0]
    np.testing.assert_allclose(frozen.data, x.data, rtol=1e-6)
    assert (module.gain.grad == 7).all()


@pytest.mark.parametrize("differentiate", [lambda y, x: grad(y, x, create_graph=True),
                                           lambda y, x: y.backward(create_graph=True)])
def test_a_module_written_with_arrays_has_no_second_derivative(differentiate):
    x = minidl.tensor(numbers((5, 4)), requires_grad=True)
    with pytest.raises(RuntimeError, match="Halved: its backward is written with arrays and cannot be differentiated"):
        differentiate(nn.Sequential(nn.Tanh(), Halved())(x).sum(), x)


class Doubled(nn.Tanh):
    """Keeps Tanh's two methods, but for backward."""

    def backward(self, gradient):
        return 2 * super().backward(gradient)


def test_a_subclass_with_a_backward_of_its_own_is_a_node():
    x = minidl.tensor(numbers((5, 4)), requires_grad=True)
    y = Doubled()(x)
    assert y.node.name == "Doubled"
    y.sum().backward()
    np.testing.assert_allclose(x.grad, 2 * (1 - np.tanh(x.data) ** 2), rtol=1e-5)
    assert nn.Tanh()(x).node.name == "tanh"


def test_a_module_of_the_user_written_with_tensors_is_differentiated_twice():
    class Cubed(nn.Module):
        def forward(self, x):
            return x * x * x

    x = Tensor(A.copy(), True)
    dx, = grad(nn.Sequential(Cubed(), nn.Identity())(x).sum(), x, create_graph=True)
    np.testing.assert_allclose(grad(dx.sum(), x)[0].data, 6 * A)


@pytest.mark.parametrize("module", [
    nn.Dropout(0.5, generator=1), nn.Flatten(), nn.ReLU(), nn.Softmax(), nn.LogSoftmax(), nn.LeakyReLU(0.3)], ids=repr)
def test_the_other_modules(module):
    x = Tensor(numbers((5, 4)), True)
    y = module(x) ** 3
    dx, = grad(y.sum(), x, create_graph=True)
    assert grad(dx.sum(), x)[0].shape == x.shape
    x = Tensor(numbers((5, 4)), True)
    module(x).sum().backward(create_graph=True)
    assert isinstance(x.grad, Tensor)
