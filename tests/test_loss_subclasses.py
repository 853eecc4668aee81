"""A loss of one's own, derived from one of minidl's: its gradient is that of what it computes, on every path."""
from __future__ import annotations

import numpy as np
import pytest
from module_cases import numbers

import minidl
from minidl import functional as F
from minidl import nn, optim
from minidl.nn.losses import Loss


def losses(kind=Loss) -> list[type]:
    """The losses of minidl."""
    return [each for derived in kind.__subclasses__() if derived.__module__.startswith("minidl")
            for each in (*([derived] if hasattr(derived, "operation") else []), *losses(derived))]


def doubled_forward(base):
    class Own(base):
        def forward(self, output, target):
            return 2 * super().forward(output, target)
    return Own


def doubled_call(base):
    class Own(base):
        def __call__(self, output, target):
            return 2 * super().__call__(output, target)
    return Own


def with_a_term(base):
    class Own(base):
        def forward(self, output, target):
            return super().forward(output, target) + 0.1 * (output * output).mean()
    return Own


def with_another_operation(base):
    class Own(base):
        def forward(self, output, target):
            return F.tanh(output).sum() / len(output) + F.exp(-output).mean()
    return Own


def mixed_in(base):
    class Doubled:
        def forward(self, output, target):
            return 2 * super().forward(output, target)

    class Own(Doubled, base):
        pass
    return Own


def twice_derived(base):
    class Own(doubled_forward(base)):
        def forward(self, output, target):
            return super().forward(output, target) * 3 - 1
    return Own


def call_and_forward(base):
    class Own(doubled_forward(base)):
        def __call__(self, output, target):
            return 0.5 * super().__call__(output, target) + output.mean()
    return Own


def with_a_backward(base):
    class Own(base):
        def forward(self, output, target):
            return 2 * super().forward(output, target)

        def backward(self, gradient=1.0):
            return 2 * super().backward(gradient)
    return Own


def call_with_a_backward(base):
    class Own(base):
        def __call__(self, output, target):
            return 2 * super().__call__(output, target)

        def backward(self, gradient=1.0):
            return 2 * super().backward(gradient)
    return Own


def on_arrays(base):
    class Own(base):
        def forward(self, output, target):
            self.saved = np.sign(output)
            return float(np.abs(output).sum())

        def backward(self, gradient=1.0):
            return self.saved * output_type(gradient, self.saved)
    return Own


def output_type(number, like):
    return like.dtype.type(number)


def forward_over_a_backward(base):
    class Own(on_arrays(base)):
        def forward(self, output, target):
            return 3 * super().forward(output, target) + output.sum()
    return Own


def forward_below_a_call_with_a_backward(base):
    class Own(call_with_a_backward(base)):
        def forward(self, output, target):
            return super().forward(output, target) + output.mean()
    return Own


def own_reduction(base):
    class Own(base):
        def __init__(self, reduction="mean"):
            super().__init__(reduction=reduction)
            self.reduction = "sum" if reduction != "none" else reduction
    return Own


def nothing_of_its_own(base):
    class Own(doubled_forward(base)):
        pass
    return Own


MAKERS = [doubled_forward, doubled_call, with_a_term, with_another_operation, mixed_in, twice_derived,
          call_and_forward, with_a_backward, call_with_a_backward, on_arrays, forward_over_a_backward,
          forward_below_a_call_with_a_backward, own_reduction, nothing_of_its_own]
CASES = [(base, make, reduction) for base in losses() for make in MAKERS for reduction in base.reductions
         if reduction != "none"]


def data(base, dtype=np.float64):
    z = numbers((6, 4), dtype)
    labelled = issubclass(base, (nn.CrossEntropyLoss, nn.NLLLoss))
    if issubclass(base, (nn.BCELoss, nn.KLDivLoss)):
        return F.sigmoid(z), F.sigmoid(numbers((6, 4), dtype, seed=1))
    return z, np.arange(6) % 4 if labelled else numbers((6, 4), dtype, seed=1)


def differences(function, z, step=1e-6):
    dz = np.zeros(z.shape)
    for index in np.ndindex(z.shape):
        ahead, behind = z.copy(), z.copy()
        ahead[index] += step
        behind[index] -= step
        dz[index] = (function(ahead) - function(behind)) / (2 * step)
    return dz


def case_name(value):
    return getattr(value, "__name__", None)


def test_all_losses_are_found():
    assert {nn.MSELoss, nn.CrossEntropyLoss, nn.NLLLoss} <= set(losses())


@pytest.mark.parametrize("base, make, reduction", CASES, ids=case_name)
def test_the_gradient_is_that_of_the_value(base, make, reduction):
    criterion = make(base)(reduction=reduction)
    z, t = data(base)
    expected = differences(lambda x: criterion(x, t), z)
    loss = criterion(z, t)
    assert isinstance(loss, float)
    for g in (1.0, 1.0, -2.5):
        np.testing.assert_allclose(criterion.backward(g), g * expected, atol=1e-7)
    tensor = minidl.tensor(z, requires_grad=True)
    recorded = criterion(tensor, t)
    assert recorded.item() == pytest.approx(loss, rel=1e-14)
    (recorded * 3).backward()
    np.testing.assert_allclose(tensor.grad, 3 * expected, atol=1e-7)
    with minidl.no_grad():
        assert criterion(z, t) == loss


@pytest.mark.parametrize("base", losses())
@pytest.mark.parametrize("make", [doubled_forward, twice_derived, with_a_backward, on_arrays, own_reduction])
def test_forward_called_by_its_name(base, make):
    """The reports' protocol."""
    criterion = make(base)()
    z, t = data(base)
    expected = differences(lambda x: criterion.forward(x, t), z)
    criterion.forward(z, t)
    np.testing.assert_allclose(criterion.backward(), expected, atol=1e-7)


@pytest.mark.parametrize("base", losses())
def test_a_loss_for_each_element(base):
    criterion, built_in = doubled_forward(base)(reduction="none"), base(reduction="none")
    z, t = data(base)
    loss = criterion(z, t)
    np.testing.assert_array_equal(loss, 2 * built_in(z, t))
    g = numbers(loss.shape, np.float64)
    np.testing.assert_array_equal(criterion.backward(g), 2 * built_in.backward(g))
    with pytest.raises(ValueError, match=r"Own\(reduction='none'.*\): expected gradient of shape \(6.*, got \(5,\)"):
        criterion.backward(np.ones(5))


def model_for(base):
    model = nn.Linear(4, 4, generator=0)
    return nn.Sequential(model, nn.Sigmoid()) if issubclass(base, nn.BCELoss) else model


@pytest.mark.parametrize("base", losses())
@pytest.mark.parametrize("make", MAKERS)
def test_a_step_on_every_path(base, make):
    """Plain, captured, on the tape and in fit: one gradient."""
    x, y = data(base, np.float32)
    weights = []
    for path in ("plain", "tape", "captured", "fit", "fit plain"):
        model, criterion = model_for(base), make(base)()
        optimizer = optim.SGD(model.parameters(), lr=0.01)
        if path.startswith("fit"):
            minidl.fit(model, criterion, optimizer, (x, y), batch_size=6, seed=0, progress=False,
                       captured=path == "fit")
        elif path == "captured":
            minidl.capture(model, criterion, optimizer)(x, y)
        else:
            optimizer.zero_grad()
            if path == "tape":
                criterion(model(minidl.tensor(x)), y).backward()
            else:
                criterion(model(x), y)
                model.backward(criterion.backward())
            optimizer.step()
        weights.append(model.flat_parameters.copy())
    for path in weights[1:]:
        np.testing.assert_allclose(path, weights[0], rtol=1e-5, atol=1e-7)
    assert (weights[0] != model_for(base).flat_parameters).any()


def test_the_reduction_of_the_forward_is_that_of_the_backward():
    criterion = nn.MSELoss("sum")
    z, t = data(nn.MSELoss)
    criterion(z, t)
    criterion.reduction = "mean"
    np.testing.assert_array_equal(criterion.backward(), 2 * (z - t))


def test_what_the_tape_cannot_differentiate():
    class Cut(nn.MSELoss):
        def forward(self, output, target):
            return super().forward(output.detach().numpy(), target)

    z, t = data(nn.MSELoss)
    criterion = Cut()
    assert criterion(z, t) == nn.MSELoss()(z, t)
    with pytest.raises(RuntimeError, match=r"Cut\(\): backward called before forward, or after one that the tape"):
        criterion.backward()
    criterion = doubled_forward(nn.MSELoss)()
    with minidl.no_grad():
        criterion(z, t)
    with pytest.raises(RuntimeError, match=r"Own\(\): .* outside no_grad\(\)"):
        criterion.backward()


@pytest.mark.parametrize("make", MAKERS)
def test_bad_input_to_a_loss_of_ones_own(make):
    criterion = make(nn.MSELoss)()
    with pytest.raises(RuntimeError, match=r"Own\(.*\): backward called before forward"):
        if make is on_arrays:
            criterion.require_saved()
        criterion.backward()
