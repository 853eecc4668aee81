"""A loss with a forward of its own, on arrays and on the tape: arguments, names, gradients, refusals."""
from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import nn

Z, T, W = np.array([[1.0, 2.0], [3.0, 5.0]]), np.array([[1.0, 0.0], [2.0, 2.0]]), np.array([[1.0, 2.0], [3.0, 4.0]])


class Weighted(nn.MSELoss):
    def forward(self, output, target, weight=1.0):
        """Of its own."""
        assert isinstance(output, minidl.Tensor)
        return (weight * (output - target) ** 2).sum()


class Each(nn.Loss):
    def forward(self, output, target):
        return (output - target) ** 2


class Called(nn.MSELoss):
    def __call__(self, output, target):
        """Calls."""
        return 3 * super().__call__(output, target)


def test_more_arguments_than_two():
    criterion, expected = Weighted(), (W * (Z - T) ** 2).sum()
    assert criterion(Z, T) == ((Z - T) ** 2).sum()
    for loss in (criterion.forward(Z, T, W), criterion.forward(Z, T, weight=W)):
        assert loss == expected and type(loss) is float
        np.testing.assert_allclose(criterion.backward(), 2 * W * (Z - T))
        np.testing.assert_allclose(criterion.backward(3.0), 6 * W * (Z - T))  # as often as one likes
    z = minidl.tensor(Z.copy(), requires_grad=True)
    criterion.forward(z, minidl.tensor(T), W).backward()
    np.testing.assert_allclose(z.grad, 2 * W * (Z - T))


def test_what_the_user_wrote_is_seen_through():
    assert Weighted.forward.__doc__ == "Of its own." and Weighted.forward.__name__ == "forward"
    assert Called.__call__.__doc__ == "Calls." and Called.__call__.__name__ == "__call__"
    assert Weighted.backward.__doc__ == nn.Loss.backward.__doc__ and Weighted.backward.__name__ == "backward"


def test_a_loss_for_each_element():
    criterion = Each()
    loss = criterion(Z, T)
    assert isinstance(loss, np.ndarray) and loss.tolist() == ((Z - T) ** 2).tolist()
    np.testing.assert_allclose(criterion.backward(W), 2 * W * (Z - T))
    with pytest.raises(ValueError, match=r"^Each\(\): expected gradient of shape \(2, 2\), got \(\)$"):
        criterion.backward()
    with pytest.raises(ValueError, match=r"^Weighted\(\): expected gradient of shape \(\), got \(2, 2\)$"):
        weighted = Weighted()
        weighted(Z, T)
        weighted.backward(W)


@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_a_call_of_ones_own(scale):
    criterion = Called()
    assert criterion(Z, T) == pytest.approx(3 * ((Z - T) ** 2).mean())
    np.testing.assert_allclose(criterion.backward(scale), scale * 3 * 2 * (Z - T) / 4)
    z = minidl.tensor(Z.copy(), requires_grad=True)
    criterion(z, T).backward(scale)
    np.testing.assert_allclose(z.grad, scale * 3 * 2 * (Z - T) / 4)


def test_what_is_not_recorded_has_no_backward():
    criterion = Weighted()
    with pytest.raises(RuntimeError, match=r"^Weighted\(\): backward called before forward"):
        criterion.backward()
    with minidl.no_grad():
        assert criterion(Z, T) == ((Z - T) ** 2).sum()
    with pytest.raises(RuntimeError, match=r"^Weighted\(\): backward called before forward"):
        criterion.backward()

    class Plain(nn.Loss):
        def forward(self, output, target):
            return 7.0

    constant = Plain()
    assert constant(Z, T) == 7.0
    with pytest.raises(RuntimeError, match="define backward, too"):
        constant.backward()

    class Elsewhere(nn.Loss):
        """Its loss depends on something else, and not on the output."""

        def forward(self, output, target):
            self.other = minidl.tensor(1.0, requires_grad=True)
            return self.other * 2.0

    elsewhere = Elsewhere()
    assert elsewhere(Z, T) == 2.0
    assert elsewhere.backward().tolist() == np.zeros((2, 2)).tolist() and elsewhere.backward().dtype == np.float64


@pytest.mark.parametrize("output, target, message", [
    (Z.tolist(), T, "expected output and target as arrays, got list and ndarray"),
    (Z, T.tolist(), "expected output and target as arrays, got ndarray and list"),
    (Z.astype(int), T, "expected an output of float32 or float64, got int64")])
@pytest.mark.parametrize("kind", [Weighted, Called, nn.MSELoss])
def test_arrays_that_are_refused(kind, output, target, message):
    with pytest.raises(TypeError, match=f"{kind.__name__}\\(\\): {message}$"):
        kind()(output, target)


def test_a_subclass_of_a_subclass_keeps_what_was_decided():
    class Named(Weighted):
        label = "x"

    class Halved(Weighted):
        def backward(self, gradient=1.0):
            return "its own"

    criterion = Named()
    assert criterion.forward(Z, T, W) == (W * (Z - T) ** 2).sum()
    np.testing.assert_allclose(criterion.backward(), 2 * W * (Z - T))
    assert Halved().backward() == "its own"


def test_a_loss_is_called_by_its_name_in_messages():
    """Its class, or the function that it wraps."""
    from minidl.compiled.capture import loss_name
    from minidl.training.criterion import Criterion

    def quartic(output, target):
        return ((output - target) ** 4).sum()

    assert [loss_name(one) for one in (Criterion(quartic), Each(), nn.MSELoss())] == ["quartic", "Each", "MSELoss"]
