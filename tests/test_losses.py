"""The losses: values against NumPy's, the protocol, and bad input."""
from __future__ import annotations

import numpy as np
import pytest
from module_cases import FLOATS, LOSSES, loss_case, name_of, numbers

import minidl
from minidl import functional, nn

REDUCE = {"mean": np.mean, "sum": np.sum, "none": np.asarray}


@pytest.mark.parametrize("dtype", FLOATS, ids=name_of)
@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (100, 10), (2, 3, 4), (5,)])
def test_mse(shape, dtype):
    output, target = loss_case("values", shape, dtype)
    squares = (output.astype(np.float64) - target) ** 2
    expected = {"mean": squares.mean(), "sum": squares.sum(), "batchmean": squares.sum() / shape[0],
                "none": squares}
    for reduction, value in expected.items():
        np.testing.assert_allclose(nn.MSELoss(reduction)(output, target), value, rtol=1e-5)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_cross_entropy_and_nll(reduction):
    output, labels = loss_case("labels", (9, 4), np.float64)
    log_p = output - np.log(np.exp(output).sum(axis=1, keepdims=True))
    expected = REDUCE[reduction](-log_p[np.arange(9), labels])
    np.testing.assert_allclose(nn.CrossEntropyLoss(reduction=reduction)(output, labels), expected, rtol=1e-12)
    np.testing.assert_allclose(nn.NLLLoss(reduction=reduction)(log_p, labels), expected, rtol=1e-12)
    rows = np.random.default_rng(0).random((9, 4))
    expected = REDUCE[reduction](-(rows * log_p).sum(axis=1))
    np.testing.assert_allclose(nn.CrossEntropyLoss(reduction=reduction)(output, rows), expected, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.int32, np.uint32, np.int64, np.uint64])
def test_labels_of_any_integer_dtype(dtype):
    output, labels = loss_case("labels")
    for criterion in (nn.CrossEntropyLoss(), nn.NLLLoss()):
        expected, gradient = criterion(output, labels), criterion.backward()
        assert criterion(output, labels.astype(dtype)) == expected
        np.testing.assert_array_equal(criterion.backward(), gradient)


def test_strided_labels_and_outputs():
    output, labels = numbers((6, 10))[:, ::2], np.repeat(np.arange(5), 2)[:6][::-1]
    criterion = nn.CrossEntropyLoss()
    loss = criterion(output, labels)
    dz = criterion.backward()
    assert loss == criterion(output.copy(), labels.copy())
    np.testing.assert_array_equal(dz, criterion.backward())


def test_one_hot_rows_are_labels():
    output, labels = loss_case("labels", (6, 5), np.float64)
    rows = np.eye(5)[labels]
    by_label, by_row = nn.CrossEntropyLoss(), nn.CrossEntropyLoss()
    assert by_label(output, labels) == pytest.approx(by_row(output, rows), rel=1e-14)
    np.testing.assert_allclose(by_label.backward(), by_row.backward(), atol=1e-16)


@pytest.mark.parametrize("name, kind, reduction", LOSSES)
def test_protocol(name, kind, reduction):
    """forward, __call__ and the tape agree; nothing given is changed."""
    output, target = loss_case(kind)
    before = output.tobytes(), target.tobytes()
    criterion = getattr(nn, name)(reduction=reduction)
    loss = criterion.forward(output, target)
    assert isinstance(loss, np.ndarray if reduction == "none" else float)
    np.testing.assert_array_equal(criterion(output, target), loss)
    g = np.ones(np.shape(loss), np.float32)
    dz = criterion.backward(g) if reduction == "none" else criterion.backward()
    assert dz.shape == output.shape and dz.dtype == output.dtype
    tensor = minidl.tensor(output, requires_grad=True)
    recorded = criterion(tensor, target)
    np.testing.assert_array_equal(np.float32(loss), recorded.data)
    recorded.backward(g)
    np.testing.assert_array_equal(tensor.grad, dz)
    assert criterion.param() == [] and (output.tobytes(), target.tobytes()) == before


def test_the_gradient_of_a_loss_scales():
    output, target = loss_case("values")
    criterion = nn.MSELoss()
    criterion(output, target)
    np.testing.assert_allclose(criterion.backward(3.0), 3 * criterion.backward(), rtol=1e-6)


# Bad input

@pytest.mark.parametrize("criterion", [nn.MSELoss(), nn.CrossEntropyLoss(), nn.NLLLoss()], ids=name_of)
class TestEveryLoss:
    def test_backward_before_forward(self, criterion):
        with pytest.raises(RuntimeError, match=r"Loss\(\): backward called before forward"):
            type(criterion)().backward()

    @pytest.mark.parametrize("output, target",
                             [([[1.0]], np.zeros(1, int)), (np.ones((1, 1), np.float32), [0])])
    def test_lists(self, criterion, output, target):
        with pytest.raises(TypeError, match=r"Loss\(\): expected.*array.*list"):
            criterion(output, target)

    @pytest.mark.parametrize("dtype", [np.int64, np.float16])
    def test_outputs_that_are_no_float(self, criterion, dtype):
        with pytest.raises(TypeError,
                           match=f"Loss.*: expected an output of float32 or float64, got {np.dtype(dtype)}"):
            criterion(np.ones((2, 2), dtype), np.zeros(2, np.int64))

    @pytest.mark.parametrize("shape", [(0, 3), (0,), (3, 0)])
    def test_an_empty_batch(self, criterion, shape):
        with pytest.raises(ValueError, match=r"Loss.*: expected at least one sample"):
            criterion(np.empty(shape, np.float32), np.empty(shape[:1], np.int64))
        with pytest.raises(ValueError, match=r"Loss: expected at least one sample"):
            criterion(minidl.tensor(np.empty(shape, np.float32)), np.empty(shape[:1], np.int64))

    def test_a_number_as_target(self, criterion):
        with pytest.raises(ValueError, match=r"Loss: expected .* shape \(2.*, got \(\)"):
            criterion(minidl.tensor(np.ones((2, 2), np.float32)), 1)

    def test_unknown_reduction(self, criterion):
        with pytest.raises(ValueError, match=r"Loss: expected reduction 'mean', 'sum'.*, got 'average'"):
            type(criterion)(reduction="average")


@pytest.mark.parametrize("target, error, message", [
    (numbers((6, 4)), ValueError, r"MSELoss: expected a target of the output's shape \(6, 5\), got \(6, 4\)"),
    (numbers((6,)), ValueError, r"MSELoss: expected a target of the output's shape \(6, 5\), got \(6,\)"),
    (numbers((6, 5), np.float64), TypeError,
     "MSELoss: expected a target of the output's dtype float32, got float64"),
    (np.ones((6, 5), np.int64), TypeError,
     "MSELoss: expected a target of the output's dtype float32, got int64"),
])
def test_mse_of_bad_targets(target, error, message):
    with pytest.raises(error, match=message):
        nn.MSELoss()(numbers((6, 5)), target)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("name", ["CrossEntropyLoss", "NLLLoss"])
@pytest.mark.parametrize("labels", [[0, 1, 5], [0, -1, 2], [2**31, 0, 0], [-(2**40), 0, 0], [2**32, 0, 0]])
def test_labels_outside_the_classes(name, labels, reduction):
    output = numbers((3, 5))
    with pytest.raises(ValueError, match=rf"{name}: .*0.*4.*got"):
        getattr(nn, name)(reduction=reduction)(output, np.array(labels))


@pytest.mark.parametrize("name", ["CrossEntropyLoss", "NLLLoss"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.bool_])
def test_labels_that_are_no_integers(name, dtype):
    with pytest.raises(TypeError,
                       match=f"{name}: expected labels of an integer dtype, got {np.dtype(dtype)}"):
        getattr(nn, name)()(numbers((3, 5)), np.zeros(3, dtype))


@pytest.mark.parametrize("name", ["CrossEntropyLoss", "NLLLoss"])
@pytest.mark.parametrize("output, target, message", [
    (numbers((3, 5)), np.zeros(4, int), r"expected labels of shape \(3,\), got \(4,\)"),
    (numbers((3, 5)), np.zeros((), int), r"expected labels of shape \(3,\), got \(\)"),
    (numbers((3,)), np.zeros(3, int), r"expected an output of shape \(N, C\), got \(3,\)"),
    (numbers((3, 4, 5)), np.zeros(3, int), r"expected labels of shape \(3, 5\), got \(3,\)"),
    (np.array(1.0), np.zeros((), int), r"expected an output of shape \(N, C\), \(C,\) or .*, got \(\)"),
])
def test_labels_of_bad_shapes(name, output, target, message):
    with pytest.raises(ValueError, match=f"{name}: {message}"):
        getattr(nn, name)()(output, target)


def test_probability_rows_of_bad_shape_or_dtype():
    criterion = nn.CrossEntropyLoss()
    with pytest.raises(ValueError,
                       match=r"CrossEntropyLoss: expected rows of probabilities \(3, 5\), got \(3, 4\)"):
        criterion(numbers((3, 5)), numbers((3, 4)))
    with pytest.raises(TypeError, match="CrossEntropyLoss: expected probabilities of float32, got float64"):
        criterion(numbers((3, 5)), numbers((3, 5), np.float64))


@pytest.mark.parametrize("name, kind, reduction", [case for case in LOSSES if case[2] == "none"])
def test_a_gradient_that_does_not_fit_an_unreduced_loss(name, kind, reduction):
    output, target = loss_case(kind)
    criterion = getattr(nn, name)(reduction=reduction)
    criterion(output, target)
    with pytest.raises(ValueError, match=r"expected gradient of shape \(6"):
        criterion.backward(np.ones(4, np.float32))


def test_cross_entropy_says_of_an_output_what_its_kernel_says():
    record = np.zeros(3, [("tag", "u1"), ("z", np.float32, 4)])
    with pytest.raises(ValueError, match=r"^expected strides of whole elements"):
        nn.CrossEntropyLoss().forward(record["z"], np.array([0, 1, 9]))
    with pytest.raises(TypeError, match=r"^log_softmax: expected a float32 or float64 array, got int64"):
        functional.cross_entropy(np.ones((3, 4), np.int64), np.zeros(3, np.int64))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_cross_entropy_rounds_its_share_once(dtype, reduction):
    z, labels, rng = np.zeros((3, 4), dtype), np.array([0, 3, 1]), np.random.default_rng(0)
    z += rng.standard_normal(z.shape)
    for g in (1.0, 0.1, np.float32(0.1), np.array(0.3, np.float32), 1e30):
        criterion = nn.CrossEntropyLoss(reduction=reduction)
        criterion.forward(z, labels)
        expected = functional.exp(functional.log_softmax(z))
        expected[range(3), labels] -= 1
        expected *= dtype(g / 3 if reduction == "mean" else g)
        np.testing.assert_array_equal(criterion.backward(g), expected)
