"""What has no kernels: a model or a loss of one's own is recorded, and called in its place where it is on arrays."""
from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest
from module_cases import numbers
from twins import SIZES, Huber, Mine, Twins, bits, digest, mixed, refused, small, tensor_step

import minidl
from minidl import nn, optim
from minidl.autograd.parameter import Parameter
from minidl.compiled.capture import CapturedStep

X, LABELS, ROWS = numbers((6, 4)), np.array([0, 1, 2, 0, 1, 2]), numbers((6, 3), seed=2)


# Models and losses that cannot be written from their layers


class MyLinear(nn.Linear):
    pass


class MySequential(nn.Sequential):
    def forward(self, x):
        return super().forward(x) * 2


class Rows(nn.Module):
    def forward(self, x):
        return x.reshape(6, 3)


@pytest.mark.parametrize("make", [
    lambda: nn.Sequential(nn.Linear(4, 3), Mine()),
    lambda: nn.Sequential(nn.Sequential(MyLinear(4, 3))),
    lambda: MySequential(nn.Linear(4, 3)),
    lambda: nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=0)),
    lambda: nn.Sequential(nn.Flatten(0), nn.Linear(24, 18), Rows()),
])
def test_models_without_kernels_are_recorded(make):
    twins = Twins(lambda: (model := make(), nn.MSELoss(), optim.Adam(model.parameters())))
    for number in range(6):
        twins.train(X, ROWS, None if number % 2 else np.array([3, 0, 1, 2, 5, 4]))
    twins.check()
    assert twins.step.path == "compiled"


def test_a_model_without_a_forward():
    model = nn.ModuleList([nn.Linear(4, 3)])
    step = minidl.capture(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1))
    with pytest.raises(NotImplementedError, match=r"ModuleList.*forward"):
        step(X, ROWS)


@pytest.mark.parametrize("model", [nn.Sequential(nn.Tanh()), nn.Sequential()])
def test_models_without_parameters(model):
    optimizer = optim.SGD(nn.Linear(2, 2).parameters(), lr=0.1)
    with pytest.raises(ValueError, match=r"^capture: expected an optimizer of this model's parameters"):
        minidl.capture(model, nn.MSELoss(), optimizer)


def test_a_module_without_kernels_comes_and_goes():
    twins = Twins(lambda: (model := small(), nn.CrossEntropyLoss(), optim.Adam(model.parameters())))
    picked = np.array([1, 5, 0])
    for change in (lambda model, optimizer: model.append(Mine()), lambda model, optimizer: model.pop()) * 3:
        for _ in range(5):
            twins.train(X, LABELS)
            twins.train(X, LABELS, picked)
            wrong = np.count_nonzero(twins.step.output[:len(picked)].argmax(axis=1) != LABELS[picked])
            assert twins.step.wrong in (wrong, None)
        twins.each(change)
    twins.train(X, LABELS)
    assert twins.step.wrong is not None  # written from its layers again
    twins.check()


class TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, x, gate):
        return self.linear(x) * gate


@pytest.mark.parametrize("index", [None, np.array([2, 0, 2], np.int32)])
def test_a_model_of_two_inputs(index):
    def made():
        minidl.manual_seed(1)
        model = TwoInputs()
        return model, nn.MSELoss(), optim.Adam(model.parameters())

    captured, (model, criterion, optimizer) = made(), made()
    step, rows = minidl.capture(*captured), slice(None) if index is None else index
    for number in range(6):
        loss = criterion(model(minidl.tensor(X[rows]), minidl.tensor(ROWS[rows])), minidl.tensor(ROWS[rows]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found = step(X, ROWS, ROWS, index) if number % 2 else step(X, ROWS, ROWS, index=index)
        assert found == loss.item()
    assert bits(captured[0], captured[2]) == bits(model, optimizer)


@pytest.mark.parametrize("index, error", [(np.array([0.5]), TypeError), (np.array([[1]]), TypeError),
                                          (np.array([-1]), IndexError), (np.array([6]), IndexError)])
def test_an_index_of_a_recorded_step(index, error):
    model = nn.Sequential(nn.Linear(4, 3), Mine())
    step = minidl.capture(model, nn.MSELoss(), optim.Adam(model.parameters()))
    refused(step, error, "expected", X, ROWS, index)


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
    ("weight", Parameter(numbers((4, 5))), ValueError, r"expected weight of shape \(5, 4\), got \(4, 5\)"),
    ("bias", Parameter(numbers(4)), ValueError, r"expected bias of shape \(5,\), got \(4,\)"),
    ("bias", Parameter(numbers(5, np.float64)), TypeError, "expected bias of dtype float32, got float64"),
])
def test_parameters_that_do_not_fit(name, parameter, error, message):
    model = small()
    step = minidl.capture(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters()))
    setattr(model[0], name, parameter)
    refused(step, error, rf"Linear\(4, 5\): {message}", X, LABELS)


def test_a_weight_that_lies_as_out_in_is_recorded():
    twins = Twins(lambda: (model := small(), nn.CrossEntropyLoss(), optim.Adam(model.parameters())))
    twins.train(X, LABELS)
    twins.each(lambda model, optimizer: setattr(model[0], "weight", Parameter(numbers((5, 4)))))
    for _ in range(6):
        twins.train(X, LABELS)
    twins.check()


def test_parameters_of_another_dtype_in_the_optimizer():
    model, other = small(), nn.Linear(2, 2, dtype=np.float64)
    optimizer = optim.SGD([{"params": model.parameters()}, {"params": other.parameters()}])
    with pytest.raises(TypeError, match=r"^capture: expected parameters of the model's dtype float32 in the optimizer"):
        minidl.capture(model, nn.MSELoss(), optimizer)


class WithoutBackward(nn.Module):
    def forward(self, z, t):
        return ((z - t) ** 2).sum()


class Learned(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Linear(3, 1)

    def forward(self, z, t):
        return self.scale((z - t) ** 2).mean()


@pytest.mark.parametrize("kind", [WithoutBackward, Learned])
def test_a_loss_without_a_backward_is_recorded(kind):
    def made():
        minidl.manual_seed(2)
        model, criterion = small(), kind()
        return model, criterion, optim.Adam([*model.parameters(), *criterion.parameters()], lr=1e-3)

    captured, plain = made(), made()
    step = minidl.capture(*captured)
    for size in (6, 4, 6, 6, 6, 4, 6):
        assert step(X[:size], ROWS[:size]) == tensor_step(*plain, X[:size], ROWS[:size])
    assert bits(captured[0], captured[2]) == bits(plain[0], plain[2])
    for mine, theirs in zip(captured[1].parameters(), plain[1].parameters(), strict=True):
        assert digest(mine.data) == digest(theirs.data)
    assert step.path == "compiled"


MODEL = small()
SGD = optim.SGD(MODEL.parameters())


@pytest.mark.parametrize("parts, error, message", [
    (("net", nn.MSELoss(), SGD), TypeError, "expected a Module as the model, got str"),
    ((MODEL, "mse", SGD), TypeError, "expected a loss module or a function .* as criterion, got str"),
    ((MODEL, nn.MSELoss, SGD), TypeError, "expected a loss module or a function .* got the class MSELoss"),
    ((MODEL, nn.MSELoss(), 0.1), TypeError, "expected an Optimizer, got float"),
    ((MODEL, nn.MSELoss("none"), SGD), ValueError, "expected a criterion that reduces to one number"),
])
def test_parts_that_cannot_be_captured(parts, error, message):
    with pytest.raises(error, match=f"^capture: {message}"):
        CapturedStep(*parts)
    if "without parameters" not in message:  # such a criterion can be recorded
        with pytest.raises(error, match=f"^capture: {message}"):
            minidl.capture(*parts)


def test_a_function_of_two_tensors_is_a_criterion():
    def squared(output, target):
        return ((output - target) ** 2).mean()

    for criterion in (squared, minidl.functional.mse_loss):
        model = small()
        twin = copy.deepcopy(model)
        optimizer, twins = (optim.Adam(m.parameters(), lr=0.01) for m in (model, twin))
        step = minidl.capture(model, criterion, optimizer)
        for size in (6, 4, 6, 6, 6, 4, 6):
            assert step(X[:size], ROWS[:size]) == tensor_step(twin, criterion, twins, X[:size], ROWS[:size])
        assert bits(model, optimizer) == bits(twin, twins)
        assert step.path == "compiled"
    with pytest.raises(TypeError, match=r"^capture: expected an Optimizer, got float"):
        minidl.capture(MODEL, squared, 0.1)
    with pytest.raises(ValueError, match=r"^capture: expected an optimizer of this model's parameters"):
        minidl.capture(small(), squared, SGD)


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


class FailingLoss(Huber):
    fails = ""

    def forward(self, z, t):
        if self.fails == "loss":
            raise KeyError("mine")
        return super().forward(z, t)

    def backward(self):
        if self.fails == "derivative":
            raise KeyError("mine")
        return super().backward()


class FailingDescent(SignDescent):
    fails = ""

    def step(self):
        if self.fails == "step":
            raise KeyError("mine")
        super().step()


@pytest.mark.parametrize("place", ["loss", "derivative", "step"])
@pytest.mark.parametrize("trained", [slice(None), slice(1, 3)], ids=["all", "some"])
def test_an_error_of_the_user_leaves_gradients_as_they_were(place, trained):
    """Whichever parameters had one, in the optimizer or not."""
    model = small()
    criterion, optimizer = FailingLoss(), FailingDescent(model.parameters()[trained])
    step = minidl.capture(model, criterion, optimizer)
    step(X, ROWS)
    for had in itertools.product([False, True], repeat=4):
        for number, (parameter, has) in enumerate(zip(model.parameters(), had, strict=True)):
            parameter.grad = numbers(parameter.shape, seed=number) if has else None
        before = [(p.data.tobytes(), p.gradient.tobytes(), p.has_grad()) for p in model.parameters()]
        criterion.fails = optimizer.fails = place
        with pytest.raises(KeyError, match="mine"):
            step(X, ROWS)
        assert [(p.data.tobytes(), p.gradient.tobytes(), p.has_grad()) for p in model.parameters()] == before
        criterion.fails = optimizer.fails = ""
        step(X, ROWS)
    assert step.path.startswith("compiled; in place: FailingLoss.forward")


@pytest.mark.parametrize("criterion", [nn.MSELoss(), FailingLoss()], ids=["compiled", "in place"])
def test_the_gradient_of_a_parameter_that_the_model_has_not_is_cleared(criterion):
    model, other = small(), Parameter(np.ones(2, np.float32))
    step = minidl.capture(model, criterion, optim.SGD([*model.parameters(), other], lr=0.1, momentum=0.5))
    for given in (np.full(2, 3, np.float32), None, np.zeros(2, np.float32)):
        other.grad = given
        step(X, ROWS)
        assert other.grad is None and not other.has_grad() and not other.gradient.any()
        assert other.data.tolist() == [1, 1] and all(p.has_grad() for p in model.parameters())


class Acting(FailingLoss):
    """Its derivative does something else, too."""

    def backward(self):
        self.act()
        return super().backward()


@pytest.mark.parametrize("what", ["nothing", "a gradient", "a gradient of zeros", "one that is cleared", "a weight"])
def test_what_the_derivative_of_a_users_loss_changes(what):
    """A parameter that the model does not have gets a gradient, or a weight changes that the backward pass reads."""
    ways = []
    for captured in (True, False):
        minidl.manual_seed(0)
        model, other, criterion, told = small(), Parameter(np.ones(2, np.float32)), Acting(), []
        optimizer, turn = optim.SGD([*model.parameters(), other], lr=0.1), itertools.count(1)
        weight = [p for p in model.parameters() if p.data.ndim == 2][-1]

        def act(model=model, other=other, turn=turn, weight=weight):
            number = next(turn)
            if what == "a weight" and number == 3:
                weight.data[0, 0] += 1
            elif "gradient" in what and number % 3:
                other.grad = np.full(2, "zeros" not in what, np.float32)
            elif what == "one that is cleared":
                other.gradient[...] = 5.0

        criterion.act = act
        step = minidl.capture(model, criterion, optimizer)
        for call in range(6):
            try:
                if captured:
                    told.append(step(X, ROWS))
                else:
                    optimizer.zero_grad()
                    told.append(float(criterion.forward(model.forward(X), ROWS)))
                    model.backward(criterion.backward())
                    optimizer.step()
            except RuntimeError as error:
                told[2 * call:] = [str(error)[:80]]
                break
            told.append([(p.data.tobytes(), p.gradient.tobytes(), p.has_grad()) for p in (*model.parameters(), other)])
        assert not captured or step.path.startswith("compiled")
        ways.append(told)
    assert ways[0] == ways[1]
    assert ("has been modified" in str(ways[0][-1])) == (what == "a weight")


class Meddling(np.random.Generator):
    """Numbers for dropout; it changes a weight at some of its draws."""

    changes: tuple = ()

    def random(self, *arguments, **settings):
        self.draws += 1
        if self.changes and self.draws == self.changes[0]:
            weight = self.changes[1]
            weight.data = weight.data * np.float32(1.5)
        return super().random(*arguments, **settings)


@pytest.mark.parametrize("draw", [1, 2])
@pytest.mark.parametrize("layer", [0, 2, 4])
def test_a_generator_that_changes_a_weight(draw, layer):
    """It may as long as the step has not read it, or does not read it again; all as without capture."""
    def outcome(captured: bool):
        generator = Meddling(np.random.PCG64(0))
        model = nn.Sequential(nn.Linear(4, 5, generator=0), nn.Dropout(0.3, generator=generator),
                              nn.Linear(5, 5, generator=1), nn.Dropout(0.3, generator=generator),
                              nn.Linear(5, 3, generator=2))
        criterion, optimizer = nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.1)
        step = minidl.capture(model, criterion, optimizer)
        losses = []
        for number in range(5):  # the last one as usual: after an error a captured step leaves other gradients
            generator.draws, generator.changes = 0, (draw, model[layer].weight) if number % 2 else ()
            try:
                losses.append(step(X, LABELS) if captured else
                              tensor_step(model, criterion, optimizer, X, LABELS))
            except RuntimeError as error:
                assert "modified by an inplace operation" in str(error)
                losses.append(None)
        assert not captured or step.path == "compiled"
        return losses, bits(model, optimizer)

    found = outcome(True)
    assert found == outcome(False)
    assert (None in found[0]) == (layer == 2 and draw == 2)


def test_an_optimizer_of_another_model_is_refused():
    model, other = nn.Sequential(nn.Linear(2, 3)), nn.Sequential(nn.Linear(2, 3))
    with pytest.raises(ValueError, match="optimizer of this model's parameters"):
        minidl.capture(model, nn.CrossEntropyLoss(), optim.SGD(other.parameters(), lr=0.1))
