"""The calls that a Sequential's step is written as: which arrays are written over, what is trained, what is added."""
from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import nn, optim

X, LABELS = np.ones((4, 3), np.float32), np.zeros(4, np.int64)
UPDATE = "SGD.step() of"
STOP = "stop unless the loss is finite"


def frozen(module):
    module.requires_grad_(False)
    return module


def plain():
    """A ReLU is written over its input, the loss's gradient over the loss's array."""
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)), nn.CrossEntropyLoss(), LABELS, [
        "%1[N, 4] = linear(x[N, 3], 0.weight[4, 3], 0.bias[4])", "%1[N, 4] = relu(%1[N, 4])",
        "%2[N, 2] = linear(%1[N, 4], 2.weight[2, 4], 2.bias[2])",
        "count the labels that are not the largest of %2[N, 2]", "%3[N, 2] = log_softmax(%2[N, 2])",
        "%3[N, 2] = negative_log_likelihood(%3[N, 2], reduction=rows)", STOP,
        "%3[N, 2] = cross_entropy_gradient(%3[N, 2], setting=1, reduction=rows)",
        "%4[N, 4] = input_gradient(%3[N, 2], 2.weight[2, 4])", "%4[N, 4] = relu_backward(%4[N, 4], %1[N, 4])",
        "2.weight.grad[2, 4], 2.bias.grad[2] = parameter_gradients(%1[N, 4], %3[N, 2])",
        "0.weight.grad[4, 3], 0.bias.grad[4] = parameter_gradients(x[N, 3], %4[N, 4])", f"{UPDATE} 26 numbers"]


def all_kinds():
    """ELU's derivative reads its input, tanh's its output; a Dropout that drops nothing and an Identity have none."""
    model = nn.Sequential(
        nn.Linear(3, 4), nn.ELU(), nn.Dropout(0.25), nn.Dropout(0.0), nn.Identity(), nn.Linear(4, 5, bias=False),
        nn.Tanh(), nn.Softplus(), nn.Linear(5, 2), nn.LogSoftmax(dim=1))
    return model, nn.NLLLoss(reduction="sum"), LABELS, [
        "%1[N, 4] = linear(x[N, 3], 0.weight[4, 3], 0.bias[4])", "%2[N, 4] = elu(%1[N, 4], setting=1)",
        "dropout.draw()  in place", "%3[N, 4] = dropout_mask(%3[N, 4], setting=0.25)",
        "%4[N, 4] = multiply(%2[N, 4], %3[N, 4])", "%5[N, 5] = linear(%4[N, 4], 5.weight[5, 4])",
        "%5[N, 5] = tanh(%5[N, 5])", "%6[N, 5] = softplus(%5[N, 5], setting=20)",
        "%7[N, 2] = linear(%6[N, 5], 8.weight[2, 5], 8.bias[2])", "%7[N, 2] = log_softmax(%7[N, 2])",
        "count the labels that are not the largest of %7[N, 2]",
        "%8[N, 2] = negative_log_likelihood(%7[N, 2], reduction=sum)", STOP,
        "%8[N, 2] = add_at_labels(%8[N, 2], setting=-1, reduction=sum)",
        "%8[N, 2] = log_softmax_backward(%8[N, 2], %7[N, 2])", "%9[N, 5] = input_gradient(%8[N, 2], 8.weight[2, 5])",
        "%9[N, 5] = softplus_backward(%9[N, 5], %5[N, 5], setting=20)",
        "%9[N, 5] = tanh_backward(%9[N, 5], %5[N, 5])", "%10[N, 4] = input_gradient(%9[N, 5], 5.weight[5, 4])",
        "%10[N, 4] = multiply(%10[N, 4], %3[N, 4])", "%10[N, 4] = elu_backward(%10[N, 4], %1[N, 4], setting=1)",
        "8.weight.grad[2, 5], 8.bias.grad[2] = parameter_gradients(%6[N, 5], %8[N, 2])",
        "5.weight.grad[5, 4] = parameter_gradients(%4[N, 4], %9[N, 5])",
        "0.weight.grad[4, 3], 0.bias.grad[4] = parameter_gradients(x[N, 3], %10[N, 4])", f"{UPDATE} 48 numbers"]


def a_weight_that_is_not_trained():
    """What comes before the first Linear has no backward; the gradient of what is frozen is zero."""
    model = nn.Sequential(nn.Sigmoid(), nn.Linear(3, 4), nn.LeakyReLU(0.1), nn.Tanh(), nn.Linear(4, 2))
    model[1].weight.requires_grad_(False)
    return model, nn.MSELoss(), np.ones((4, 2), np.float32), [
        "%1[N, 3] = sigmoid(x[N, 3])", "%2[N, 4] = linear(%1[N, 3], 1.weight[4, 3], 1.bias[4])",
        "%2[N, 4] = leaky_relu(%2[N, 4], setting=0.1)", "%3[N, 4] = tanh(%2[N, 4])",
        "%4[N, 2] = linear(%3[N, 4], 4.weight[2, 4], 4.bias[2])",
        "%5[N, 2] = squared_error(%4[N, 2], y, reduction=elements)", STOP,
        "%5[N, 2] = scale(%5[N, 2], setting=2, reduction=elements)",
        "%6[N, 4] = input_gradient(%5[N, 2], 4.weight[2, 4])", "%6[N, 4] = tanh_backward(%6[N, 4], %3[N, 4])",
        "%6[N, 4] = leaky_relu_backward(%6[N, 4], %2[N, 4], setting=0.1)",
        "4.weight.grad[2, 4], 4.bias.grad[2] = parameter_gradients(%3[N, 4], %5[N, 2])",
        "1.bias.grad[4] = parameter_gradients(%1[N, 3], %6[N, 4])", "1.weight.grad <- 0", f"{UPDATE} 26 numbers"]


def a_layer_that_is_not_trained():
    """The backward pass ends at the first layer that is trained."""
    model = nn.Sequential(frozen(nn.Linear(3, 4)), nn.SELU(), nn.Linear(4, 2))
    return model, nn.CrossEntropyLoss(), np.full((4, 2), 0.5, np.float32), [
        "%1[N, 4] = linear(x[N, 3], 0.weight[4, 3], 0.bias[4])", "%2[N, 4] = selu(%1[N, 4])",
        "%3[N, 2] = linear(%2[N, 4], 2.weight[2, 4], 2.bias[2])", "%4[N, 2] = log_softmax(%3[N, 2])",
        "%4[N, 2] = soft_cross_entropy(%4[N, 2], y, reduction=rows)", STOP,
        "%4[N, 2] = soft_cross_entropy_gradient(%4[N, 2], y, setting=1, reduction=rows)",
        "2.weight.grad[2, 4], 2.bias.grad[2] = parameter_gradients(%2[N, 4], %4[N, 2])", "0.weight.grad <- 0",
        "0.bias.grad <- 0", f"{UPDATE} 26 numbers"]


def a_layer_that_is_used_twice():
    """The second product that is done adds to the gradient."""
    layer = nn.Linear(3, 3)
    return nn.Sequential(layer, nn.ELU(0.5), layer), nn.MSELoss(), np.ones((4, 3), np.float32), [
        "%1[N, 3] = linear(x[N, 3], 0.weight[3, 3], 0.bias[3])", "%2[N, 3] = elu(%1[N, 3], setting=0.5)",
        "%3[N, 3] = linear(%2[N, 3], 0.weight[3, 3], 0.bias[3])",
        "%4[N, 3] = squared_error(%3[N, 3], y, reduction=elements)", STOP,
        "%4[N, 3] = scale(%4[N, 3], setting=2, reduction=elements)",
        "%5[N, 3] = input_gradient(%4[N, 3], 0.weight[3, 3])",
        "%5[N, 3] = elu_backward(%5[N, 3], %1[N, 3], setting=0.5)",
        "0.weight.grad[3, 3], 0.bias.grad[3] = parameter_gradients(%2[N, 3], %4[N, 3])",
        "0.weight.grad[3, 3], 0.bias.grad[3] += parameter_gradients(x[N, 3], %5[N, 3])", f"{UPDATE} 12 numbers"]


def a_weight_of_two_layers():
    """Where only one of a layer's two gradients is added to, the other begins at zero."""
    layer, other = nn.Linear(3, 3), nn.Linear(3, 3)
    other.weight = layer.weight
    return nn.Sequential(layer, nn.Flatten(), other), nn.MSELoss(), np.ones((4, 3), np.float32), [
        "%1[N, 3] = linear(x[N, 3], 0.weight[3, 3], 0.bias[3])",
        "%2[N, 3] = linear(%1[N, 3], 0.weight[3, 3], 2.bias[3])",
        "%3[N, 3] = squared_error(%2[N, 3], y, reduction=elements)", STOP,
        "%3[N, 3] = scale(%3[N, 3], setting=2, reduction=elements)",
        "%4[N, 3] = input_gradient(%3[N, 3], 0.weight[3, 3])",
        "0.weight.grad[3, 3], 2.bias.grad[3] = parameter_gradients(%1[N, 3], %3[N, 3])", "0.bias.grad <- 0",
        "0.weight.grad[3, 3], 0.bias.grad[3] += parameter_gradients(x[N, 3], %4[N, 3])", f"{UPDATE} 15 numbers"]


@pytest.mark.parametrize("make", [plain, all_kinds, a_weight_that_is_not_trained, a_layer_that_is_not_trained,
                                  a_layer_that_is_used_twice, a_weight_of_two_layers])
def test_a_step_is_written_so(make):
    minidl.manual_seed(0)
    model, criterion, y, lines = make()
    step = minidl.capture(model, criterion, optim.SGD(model.parameters(), lr=0.1))
    step(X, y)
    assert str(step).splitlines() == ["<step of Sequential: compiled>", "", *lines]


@pytest.mark.parametrize("reduction, labels, soft", [("mean", "rows", "rows"), ("sum", "sum", "sum")])
def test_what_a_loss_is_divided_by(reduction, labels, soft):
    for y, count in ((LABELS, labels), (np.full((4, 2), 0.5, np.float32), soft)):
        model = nn.Sequential(nn.Linear(3, 2, generator=0))
        step = minidl.capture(model, nn.CrossEntropyLoss(reduction=reduction), optim.SGD(model.parameters(), lr=0.1))
        step(X, y)
        assert str(step).count(f"reduction={count}") == 2


def test_gradients_of_parameters_that_are_not_the_optimizers_are_added_to():
    model = nn.Sequential(nn.Linear(3, 2, generator=0), nn.Linear(2, 2, generator=1))
    step = minidl.capture(model, nn.MSELoss(), optim.SGD(model[0].parameters(), lr=0.1))
    step(X, np.ones((4, 2), np.float32))
    lines = str(step).splitlines()
    assert [line.split(" parameter_gradients")[0] for line in lines if "parameter_gradients" in line] == [
        "1.weight.grad[2, 2], 1.bias.grad[2] +=", "0.weight.grad[2, 3], 0.bias.grad[2] ="]
