"""autograd.grad and backward by formulas: what is given, summed, kept, freed and left alone."""
from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.autograd import grad
from minidl.autograd.tensor import Tensor

A, B = np.array([[1.0, -2.0, 3.0], [0.5, 4.0, -1.0]]), np.array([[2.0, 1.0, 0.5], [-1.0, 0.2, 3.0]])
ONES, ZEROS = np.ones_like(A), np.zeros_like(A)


def after(first, then):
    """What then(first) gives."""
    return then(first)


def left(a, b, *calls):
    """The gradients of a and b after these calls of backward."""
    for call in calls:
        call()
    return a.grad, b.grad


CASES = {  # of leaves a and b -> gradients and other values; what these are
    "one": (lambda a, b: grad((a * b).sum(), a), [B]),
    "several": (lambda a, b: grad((a * b).sum(), (a, b)), [B, A]),
    "a list": (lambda a, b: grad([(a * b).sum()], [b]), [A]),
    "the same twice": (lambda a, b: grad((a * a * b).sum(), [a, a]), [2 * A * B, 2 * A * B]),
    "several outputs": (lambda a, b: grad([(a * b).sum(), (a * a).sum()], [a, b]), [B + 2 * A, A]),
    "an output twice": (lambda a, b: after((a * b).sum(), lambda y: grad([y, y], [a])), [2 * B]),
    "an output thrice": (lambda a, b: after(a * b, lambda y: grad([y, y, y], [a], [ONES, B, A])), [(1 + B + A) * B]),
    "given gradients": (lambda a, b: grad([a * b, b * b], [a, b], [B, A]), [B * B, A * B + 2 * A * B]),
    "one given gradient": (lambda a, b: grad(a * b, a, Tensor(B)), [B * B]),
    "given numbers": (lambda a, b: grad((a * b).sum(), a, 3), [3 * B]),
    "some given": (lambda a, b: grad([a * b, b.sum()], [a, b], [Tensor(B), None]), [B * B, A * B + 1]),
    "None for a single output": (lambda a, b: grad((a * b).sum(), a, [None]), [B]),
    "unused": (lambda a, b: grad((a * 2).sum(), [a, b], allow_unused=True), [2 * ONES, None]),
    "unused first": (lambda a, b: grad((b * 2).sum(), [a, b], allow_unused=True), [None, 2 * ONES]),
    "of a value on the way": (lambda a, b: after(a * b, lambda h: grad((h * h).sum(), [h, a, b])),
                              [2 * A * B, 2 * A * B * B, 2 * A * A * B]),
    "of the way alone": (lambda a, b: after(a * b, lambda h: grad((h * h).sum() + a.sum(), [h])), [2 * A * B]),
    "of itself": (lambda a, b: after((a * b).sum(), lambda y: grad(y, [y, a])), [1.0, B]),
    "of a leaf": (lambda a, b: grad(a, [a], [B]), [B]),
    "of a leaf, and its square": (lambda a, b: grad([a, a * a], [a], [B, ONES]), [B + 2 * A]),
    "outputs that follow each other": (lambda a, b: after(a * b, lambda h: grad([h.sum(), (h * h).sum()], [h, a])),
                                       [1 + 2 * A * B, (1 + 2 * A * B) * B]),
    "twice": (lambda a, b: grad(grad((a ** 3 * b).sum(), a, create_graph=True)[0].sum(), [a, b]),
              [6 * A * B, 3 * A ** 2]),
    "thrice": (lambda a, b: grad(grad(grad((a ** 3 * b).sum(), a, create_graph=True)[0].sum(), a,
                                      create_graph=True)[0].sum(), b), [6 * A]),
    "a graph of what is given": (lambda a, b: grad(grad(a * a, a, b, create_graph=True)[0].sum(), [a, b]),
                                 [2 * B, 2 * A]),
    "kept": (lambda a, b: after((a * b).sum(), lambda y: [*grad(y, a, retain_graph=True), *grad(y, b)]), [B, A]),
    "kept by create_graph": (lambda a, b: after((a * b).sum(), lambda y: [*grad(y, a, create_graph=True), *grad(y, b)]),
                             [B, A]),
    "what is not needed stays": (lambda a, b: after(a * 2, lambda h: [*grad((h * b).sum(), b), *grad(h.sum(), a)]),
                                 [2 * A, 2 * ONES]),
    "requires_grad": (lambda a, b: [x.requires_grad for x in (
        *grad((a * b).sum(), a), *grad((a * b).sum(), a, create_graph=True))], [False, True]),
    "leaves are not touched": (lambda a, b: [*grad((a * b).sum(), [a, b]), a.grad, b.grad], [B, A, None, None]),
    "backward": (lambda a, b: left(a, b, (a * b).sum().backward), [B, A]),
    "backward, given": (lambda a, b: left(a, b, lambda: (a * b).backward(B)), [B * B, A * B]),
    "backward adds up": (lambda a, b: left(a, b, (a * b).sum().backward, (a * a).sum().backward), [B + 2 * A, A]),
    "backward with a graph adds up": (
        lambda a, b: left(a, b, lambda: (a * b).sum().backward(create_graph=True),
                          lambda: (a * a).sum().backward(create_graph=True)), [B + 2 * A, A]),
    "a graph is added to an array": (
        lambda a, b: left(a, b, (a * b).sum().backward, lambda: (a * a).sum().backward(create_graph=True)),
        [B + 2 * A, A]),
    "an array is added to a graph": (
        lambda a, b: left(a, b, lambda: (a * b).sum().backward(create_graph=True), (a * a).sum().backward),
        [B + 2 * A, A]),
    "backward of a leaf with a graph": (lambda a, b: left(a, b, lambda: a.backward(B, create_graph=True)), [B, None]),
    "backward of a gradient": (
        lambda a, b: left(a, b, lambda: after(grad((a * a * b).sum(), a, create_graph=True)[0],
                                              lambda dx: (dx * dx).sum().backward())), [8 * A * B * B, 8 * A * A * B]),
    "the gradient of a gradient that backward left": (
        lambda a, b: after((a ** 3 * b).sum().backward(create_graph=True), lambda _: grad(a.grad.sum(), [a, b])),
        [6 * A * B, 3 * A ** 2]),
    "a branch that is used often": (lambda a, b: after(a * b, lambda h: grad((h + h + h * h).sum(), a)),
                                    [(2 + 2 * A * B) * B]),
    "a branch with a graph": (lambda a, b: after(a * b, lambda h: grad((h + h + h * h).sum(), a, create_graph=True)),
                              [(2 + 2 * A * B) * B]),
}


@pytest.mark.parametrize("name", CASES)
def test_what_it_gives(name):
    call, expected = CASES[name]
    found = call(Tensor(A.copy(), True), Tensor(B.copy(), True))
    assert len(found) == len(expected) and isinstance(found, (tuple, list))
    for got, wanted in zip(found, expected, strict=True):
        if wanted is None or isinstance(wanted, bool):
            assert got is wanted
            continue
        np.testing.assert_allclose(np.asarray(getattr(got, "_data", got)), wanted, rtol=1e-12)
        assert got.shape == np.shape(wanted) and got.dtype == np.float64


REFUSED = {
    "an output without gradient": (lambda a, b: grad([a.sum(), Tensor(A).sum()], a),
                                   "grad: element 1 of outputs does not require grad and was not recorded"),
    "an input without gradient": (lambda a, b: grad((a * b).sum(), [a, Tensor(A)]),
                                  "grad: one of the differentiated Tensors does not require grad"),
    "an unused input": (lambda a, b: grad(a.sum(), [a, b]), "appears to not have been used in the graph"),
    "several elements": (lambda a, b: grad([a.sum(), a * b], a),
                         r"grad: expected a gradient for output 1 of shape \(2, 3\)"),
    "too few gradients": (lambda a, b: grad([a.sum(), b.sum()], [a], [np.array(1.0)]),
                          "grad: got 2 outputs and 1 grad_outputs"),
    "too many gradients": (lambda a, b: grad(a.sum(), [a], [None, None]), "grad: got 1 outputs and 2 grad_outputs"),
    "a freed graph": (lambda a, b: after((a * b).sum(), lambda y: (grad(y, a), grad(y, a))),
                      r"the graph was freed by an earlier backward \(at sum\)"),
    "not kept by will": (lambda a, b: after((a * b).sum(), lambda y: (
        grad(y, a, retain_graph=False, create_graph=True), grad(y, a))), "the graph was freed"),
    "a graph freed by backward": (lambda a, b: after((a * b).sum(), lambda y: (y.backward(), grad(y, a))),
                                  "the graph was freed"),
    "freed by backward, not kept": (lambda a, b: after((a * b).sum(), lambda y: (
        y.backward(retain_graph=False, create_graph=True), y.backward())), "the graph was freed"),
    "no graph": (lambda a, b: grad(grad((a * b).sum(), a)[0].sum(), b), "element 0 of outputs does not require grad"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_it_refuses(name):
    call, message = REFUSED[name]
    with pytest.raises(RuntimeError, match=message):
        call(Tensor(A.copy(), True), Tensor(B.copy(), True))


def test_backward_with_a_graph_keeps_it():
    a = Tensor(A.copy(), True)
    y = (a * a).sum()
    y.backward(create_graph=True)
    y.backward(retain_graph=True)
    y.backward()
    np.testing.assert_allclose(np.asarray(a.grad), 6 * A)
    with pytest.raises(RuntimeError, match="the graph was freed"):
        y.backward()


def test_what_a_gradient_is():
    """A Tensor with a graph alone where one was asked for; an array otherwise, in memory of its own."""
    for create_graph in (False, True):
        a = Tensor(A.copy(), True)
        given = np.ones_like(A)
        (a * 1).backward(given, create_graph=create_graph)
        assert isinstance(a.grad, Tensor if create_graph else np.ndarray)
        a.backward(given, create_graph=create_graph)
        assert isinstance(a.grad, Tensor if create_graph else np.ndarray)
        np.testing.assert_array_equal(np.asarray(getattr(a.grad, "_data", a.grad)), 2 * given)
        assert not np.shares_memory(getattr(a.grad, "_data", a.grad), given) and (given == 1).all()


def test_a_changed_value_that_no_wanted_derivative_reads():
    a, b, c = Tensor(A.copy(), True), Tensor(B.copy(), True), Tensor(B.copy())
    y = (a * c).sum() + (b * 2).sum()
    c.zero_()
    np.testing.assert_array_equal(grad(y, b, retain_graph=True)[0].data, 2 * ONES)
    with pytest.raises(RuntimeError,
     match=r"modified by an inplace operation: a Tensor of shape \(2, 3\) \(in mul\) is "
                                           r"at version 1; expected version 0"):
        grad(y, a)


def test_a_changed_output_that_is_read():
    a = Tensor(A.copy(), True)
    y = a.exp()
    with minidl.no_grad():
        y.zero_()
    with pytest.raises(RuntimeError, match=r"modified by an inplace operation: its output \(in exp\) is at version 1"):
        y.sum().backward()


class Scaled(nn.Module):
    """Of arrays: x gain, and the gradient added to the gain's."""

    def __init__(self):
        self.gain = nn.Parameter(np.full(3, 2.0), "gain")

    def forward(self, x):
        self.saved = x
        return x * self.gain.data

    def backward(self, gradient):
        self.gain.accumulate((gradient * self.saved).sum(axis=0))
        return gradient * self.gain.data


@pytest.mark.parametrize("there", [None, 7.0])
def test_parameters_of_modules_of_arrays(there):
    """Their gradients are given, summed over all uses, and what they had stays."""
    module, a = Scaled(), Tensor(A.copy(), True)
    module.gain.grad = None if there is None else np.full(3, there)
    y = module(a).sum() + (module.gain * 5).sum()
    da, dgain = grad(y, [a, module.gain], retain_graph=True)
    np.testing.assert_allclose(da.data, 2 * ONES)
    np.testing.assert_allclose(dgain.data, A.sum(0) + 5)
    np.testing.assert_allclose(grad(y, module.gain, retain_graph=True)[0].data, A.sum(0) + 5)
    two = Scaled()
    gains = grad((module(a) * two(a)).sum(), [module.gain, two.gain])
    np.testing.assert_allclose([dx.data for dx in gains], [(2 * A * A).sum(0)] * 2)
    assert (module.gain.grad is None) if there is None else (module.gain.grad == there).all()
    assert two.gain.grad is None


def test_what_had_a_gradient_keeps_it_after_an_error():
    class Failing(Scaled):
        def backward(self, gradient):
            self.gain.accumulate(np.ones(3))
            raise KeyError("within")

    module, a = Failing(), Tensor(A.copy(), True)
    module.gain.grad = np.full(3, 7.0)
    with pytest.raises(KeyError, match="within"):
        grad(module(a).sum(), a)
    assert (module.gain.grad == 7).all()
