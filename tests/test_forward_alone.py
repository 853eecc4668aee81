"""Modules that define only forward, or a forward over that of a class above: on arrays, Tensors and in containers."""
from __future__ import annotations

import itertools

import enumerated
import numpy as np
import pytest
from module_cases import every_module, name_of, numbers

import minidl
from minidl import functional as F
from minidl import nn

X, OTHER, G = numbers((5, 4)), numbers((5, 4), seed=1), numbers((5, 4), seed=2)


class Squared(nn.Module):
    """(w x)², with a weight."""

    def __init__(self):
        self.w = nn.Parameter(np.array([1, 2, 3, 4], np.float32), "w")

    def forward(self, x):
        return (self.w * x) ** 2


def gradients_of_squared(x, g):
    w = np.array([1, 2, 3, 4], np.float32)
    return g * 2 * w * w * x, (g * 2 * w * x * x).sum(axis=0)


@pytest.mark.parametrize("call", [lambda net, x: net(x), lambda net, x: net.forward(x)], ids=["call", "forward"])
def test_the_explicit_protocol(call):
    net = Squared()
    for x in (X, OTHER):
        net.zero_grad()
        y = call(net, x)
        assert type(y) is np.ndarray
        dx = net.backward(G)
        expected = gradients_of_squared(x, G)
        np.testing.assert_allclose(y, (net.w.data * x) ** 2, rtol=1e-6)
        np.testing.assert_allclose(dx, expected[0], rtol=1e-5)
        np.testing.assert_allclose(net.w.grad, expected[1], rtol=1e-5)
        np.testing.assert_array_equal(net.backward(G), dx)


def without_gradient(net):
    with minidl.no_grad():
        net.forward(OTHER)


def failing(net):
    with pytest.raises(TypeError):
        net.forward("no numbers")


@pytest.mark.parametrize("newer", [lambda net: net(minidl.tensor(OTHER)), without_gradient, failing,
                                   lambda net: net.forward(minidl.tensor(OTHER, requires_grad=True))])
def test_never_the_gradient_of_an_earlier_input(newer):
    net = Squared()
    net.forward(X)
    newer(net)
    with pytest.raises(RuntimeError, match="backward called before forward, or after one that was not recorded"):
        net.backward(G)


def test_several_inputs():
    class Product(nn.Module):
        def forward(self, a, b, c):
            return a * b

    net = Product()
    net.forward(X, OTHER, X)
    da, db, dc = net.backward(G)
    np.testing.assert_array_equal(da, G * OTHER)
    np.testing.assert_array_equal(db, G * X)
    assert dc is None


# super().forward(x) * 2

def doubled(kind):
    class Doubled(kind):
        def forward(self, x):
            return super().forward(x) * 2

    return Doubled


def halves(module):
    """Twice the module's output is twice the gradients of its own backward."""
    y = module.forward(X)
    g = numbers(y.shape, seed=2)
    module.zero_grad()
    dx = module.backward(2 * g)
    return 2 * y, g, dx, [parameter.grad.copy() for parameter in module.parameters()]


def built(module, kind):
    """The module as one of a class that is derived from its own."""
    made = kind.__new__(kind)
    vars(made).update({name: value for name, value in vars(module).items() if name not in ("saved", "_kernels")})
    return made


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("i", range(len(every_module())), ids=lambda i: name_of(every_module()[i]))
def test_a_forward_over_that_of_every_module(i, depth):
    def fresh():
        module = every_module()[i]
        for dropout in (m for m in module.modules() if isinstance(m, nn.Dropout)):
            dropout.generator = np.random.default_rng(3)
        kind = type(module)
        for _ in range(depth - 1):
            kind = doubled(kind)
        return module, kind

    plain, kind = fresh()
    weights = plain.state_dict()
    y, g, dx, grads = halves(plain)
    factor = np.float32(2 ** (depth - 1))

    def check(module, output, mine):
        np.testing.assert_array_equal(output, y * factor)
        np.testing.assert_allclose(mine, dx * factor, rtol=1e-6)
        for parameter, expected in zip(module.parameters(), grads, strict=True):
            np.testing.assert_allclose(parameter.grad, expected * factor, rtol=1e-6)

    for path in ("arrays", "call", "tape", "in a Sequential", "Sequential on the tape"):
        module, kind = fresh()
        module.load_state_dict(weights)
        module = built(module, doubled(kind))
        if "Sequential" in path:
            module = nn.Sequential(nn.Identity(), module)
        module.zero_grad()
        if "tape" in path:
            x = minidl.tensor(X, requires_grad=True)
            output = module(x)
            output.backward(g)
            check(module, output.data, x.grad)
            continue
        output = module(X) if path == "call" else module.forward(X)
        mine = module.backward(g)
        check(module, output, mine)


def test_a_forward_over_that_of_the_users_own():
    class Cubed(nn.Module):
        def forward(self, x):
            self.saved = x
            return x * x * x

        def backward(self, gradient):
            return 3 * gradient * self.saved ** 2

    module = doubled(Cubed)()
    np.testing.assert_allclose(module.forward(X), 2 * X ** 3, rtol=1e-6)
    np.testing.assert_allclose(module.backward(G), 6 * G * X ** 2, rtol=1e-6)
    x = minidl.tensor(X, requires_grad=True)
    (module(x) + module(2 * x)).backward(G)
    np.testing.assert_allclose(x.grad, 6 * G * X ** 2 + 48 * G * X ** 2, rtol=1e-5)


def test_a_mixed_in_forward():
    class Twice:
        def forward(self, x):
            return super().forward(x) * 2

    class Mixed(Twice, nn.Tanh):
        pass

    module = Mixed()
    y = module.forward(X)
    np.testing.assert_allclose(module.backward(G), 2 * G * (1 - (y / 2) ** 2), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("module", every_module(), ids=name_of)
def test_every_forward_takes_tensors(module):
    for dropout in (m for m in module.modules() if isinstance(m, nn.Dropout)):
        dropout.generator, dropout.p = None, 0.0
    x = minidl.tensor(X, requires_grad=True)
    y = module.forward(x)
    g = numbers(y.shape, seed=2)
    y.backward(g)
    module.forward(X)
    np.testing.assert_allclose(x.grad, module.backward(g), rtol=1e-6)


# What cuts the gradient

class Detached(nn.Module):
    def forward(self, x):
        return x.detach() * 2


class Unrecorded(nn.Module):
    @minidl.no_grad()
    def forward(self, x):
        return x * 2


class DetachedSum(nn.Module):
    """Its own weight gets a gradient, its input none."""

    def __init__(self):
        self.w = nn.Parameter(np.ones(4, np.float32), "w")

    def forward(self, x):
        return x.detach() * self.w


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("kind", [Detached, Unrecorded, DetachedSum])
@pytest.mark.parametrize("path", ["backward", "accumulate", "tape", "tape of an input"])
def test_a_sequential_stops_where_the_gradient_is_cut(path, kind, place):
    linears = [nn.Linear(4, 4, generator=0), nn.Linear(4, 4, generator=1)]
    model, cut = nn.Sequential(*linears), kind()
    model.insert(place, cut)
    x = minidl.tensor(X, requires_grad=path == "tape of an input")
    if path.startswith("tape") and place == 2 and kind is not DetachedSum:  # as in PyTorch
        with pytest.raises(RuntimeError, match="does not require grad and was not recorded"):
            model(x).backward(G)
    elif path.startswith("tape"):
        model(x).backward(G)
        assert x.grad is None
    else:
        model.forward(X)
        assert getattr(model, path)(G) is None
    reached = [linear.weight.grad is not None for linear in linears]
    assert reached == [i >= place for i in range(2)]
    if kind is DetachedSum:
        assert cut.w.grad is not None


# no_grad() on a generator function

def test_a_generator_is_unrecorded_within_and_recorded_without():
    w = minidl.tensor([1.0], requires_grad=True)
    log = []

    @minidl.no_grad()
    def generate(n):
        """What it says."""
        try:
            for i in range(n):
                log.append((w * 2).requires_grad)
                got = yield i
                log.append(got)
        except KeyError as error:
            log.append((w * 2).requires_grad)
            yield str(error)
        finally:
            log.append((w * 2).requires_grad)
        return "end"

    assert generate.__name__ == "generate" and generate.__doc__ == "What it says."
    for i, value in enumerate(generate(2)):
        assert value == i and (w * 2).requires_grad
    assert log == [False, None, False, None, False] and (w * 2).requires_grad
    log.clear()
    generator = generate(3)
    next(generator)
    assert generator.send("sent") == 1 and log[1] == "sent"
    assert generator.throw(KeyError("k")) == "'k'" and log[-1] is False
    ended = len(log)
    generator.close()
    assert log[ended:] == [False] and (w * 2).requires_grad  # its "finally" has run, without recording
    with pytest.raises(ZeroDivisionError):
        generator = generate(1)
        next(generator)
        generator.throw(ZeroDivisionError)
    assert (w * 2).requires_grad

    def ends():
        return (yield from generate(1))

    generator = ends()
    next(generator)
    with pytest.raises(StopIteration) as end:
        next(generator)
    assert end.value.value == "end"


# Numbers without a gradient, and gradients without axes

@pytest.mark.parametrize("data", [np.array([1, 2]), np.array([True]), np.array([1], np.uint8), 3, [1, 2]])
def test_only_floats_require_gradients(data):
    x = minidl.tensor(data)
    for ask in (lambda: setattr(x, "requires_grad", True), x.requires_grad_,
                lambda: minidl.tensor(data, requires_grad=True)):
        with pytest.raises(TypeError, match="only float32 and float64 have gradients"):
            ask()
    assert x.requires_grad is False
    x.requires_grad = False
    floats = minidl.tensor([1.0], requires_grad=True)
    with pytest.raises(TypeError, match="only float32 and float64 have gradients"):
        floats.data = np.array([1])


def test_requires_grad_is_a_flag_of_leaves():
    w = minidl.tensor([1.0], requires_grad=True)
    y = w * 2
    for value in (True, False):
        with pytest.raises(RuntimeError, match="you can only change requires_grad flags of leaf variables"):
            y.requires_grad = value
    assert y.requires_grad_() is y
    with pytest.raises(RuntimeError, match="leaf"):
        y.requires_grad_(False)
    for leaf in (w, nn.Parameter([1.0])):
        with pytest.raises(TypeError, match="requires_grad must be a bool, got int"):
            leaf.requires_grad = 1


ONE = np.array(0.7, np.float32)
SCALAR_FUNCTIONS = {
    **{name: getattr(F, name) for name in ("abs", "erf", "exp", "log", "neg", "sqrt", "sum", "mean", "max", "min")},
    **{enumerated.function_of(kind): kind.operation for kind in enumerated.ACTIVATIONS.values()
       if "dim" not in kind().settings},
    **{f"{name} of two": lambda x, name=name: getattr(F, name)(x, x) for name in ("add", "sub", "mul", "div", "pow")},
    "where": lambda x: F.where(np.array(True), x, 2 * x), "reshape": lambda x: x.reshape(1),
    "clone": lambda x: x.clone(), "double": lambda x: x.double(), "stack": lambda x: F.stack([x, x]),
    "of a number": lambda x: 2 - x,
    "of arrays": lambda x: x * np.ones(3, np.float32), "index": lambda x: x[None], "itself": lambda x: x,
}


@pytest.mark.parametrize("kind", [lambda: minidl.tensor(ONE.copy(), requires_grad=True), lambda: nn.Parameter(ONE)],
                         ids=["Tensor", "Parameter"])
@pytest.mark.parametrize("name", SCALAR_FUNCTIONS)
def test_a_gradient_without_axes_is_an_array(name, kind):
    x, seen = kind(), []
    function = SCALAR_FUNCTIONS[name]
    for _ in range(2):
        y = function(x) + function(x) * function(1 * x)
        y.backward(np.ones(y.shape, y.dtype))
        seen.append(x.grad.copy())
        assert isinstance(x.grad, np.ndarray) and x.grad.shape == () and x.grad.dtype == np.float32
    np.testing.assert_allclose(seen[1], 2 * seen[0], rtol=1e-6)  # added up in another order


def test_what_a_derivative_is_given_is_an_array():
    from minidl.autograd.tensor import record

    x, given = minidl.tensor(ONE, requires_grad=True), []
    y = record("noted", x.data * 1, [x], lambda g: [given.append(g) or g])
    (y + y * y).backward()
    assert all(type(g) is np.ndarray for g in given)


# NaN through the activations

@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name, settings, factor", [
    ("relu", {}, 1), ("leaky_relu", {"negative_slope": 0.1}, 0.1), ("leaky_relu", {"negative_slope": -0.1}, -0.1),
    ("elu", {"alpha": 0.7}, np.nan), ("selu", {}, np.nan), ("tanh", {}, np.nan), ("sigmoid", {}, np.nan)])
def test_not_a_number_goes_through(name, settings, factor, dtype):
    """As in PyTorch, whose elu and selu give NaN in their vectors and g in what is left over."""
    for n, at in itertools.product([1, 3, 16, 17, 40], [0, -1]):
        x = np.linspace(-2, 2, n).astype(dtype)
        x[at] = np.nan
        w = minidl.tensor(x, requires_grad=True)
        y = getattr(F, name)(w, **settings)
        assert np.isnan(y.data[at]) and np.isnan(y.data).sum() == 1
        y.backward(np.full(n, 2, dtype))
        np.testing.assert_allclose(w.grad[at], 2 * dtype(factor))
        assert np.isnan(w.grad).sum() == np.isnan(factor)
