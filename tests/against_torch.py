"""Modules against PyTorch's in float64: outputs, first and second derivatives, and the names of the weights."""
from __future__ import annotations

import numpy as np
from theirs import torch

import minidl
from minidl import nn


def tensors_of(output) -> list:
    """The Tensors in nested tuples, in their order."""
    if isinstance(output, tuple):
        return [x for item in output for x in tensors_of(item)]
    return [] if output is None else [output]


def array(x) -> np.ndarray:
    return x.detach().numpy()


def same_weights(ours: nn.Module, theirs) -> None:
    """Give ours the values of theirs; the names, their order and the shapes are the same."""
    state = {name: value.numpy() for name, value in theirs.state_dict().items()}
    assert list(ours.state_dict()) == list(state)
    ours.load_state_dict(state)


def close(mine, wanted, rtol: float = 1e-9, what: str = "") -> None:
    wanted = array(wanted)
    assert mine.shape == wanted.shape, what
    np.testing.assert_allclose(mine, wanted, rtol=rtol, atol=rtol * max(1, abs(wanted).max(initial=0)), err_msg=what)


def compare(ours: nn.Module, theirs, inputs: list, named: dict | None = None, their_named: dict | None = None,
            twice: bool = True) -> int:
    """Outputs and derivatives of a curved sum of them; how many arrays were compared.

    inputs : arrays, of which those of floats have derivatives; named : further arguments of ours, and of theirs.
    """
    named = named or {}
    their_named = named if their_named is None else their_named
    mine = [minidl.tensor(x.copy(), requires_grad=x.dtype.kind == "f") for x in inputs]
    other = [torch.from_numpy(x.copy()).requires_grad_(x.dtype.kind == "f") for x in inputs]
    got, wanted = tensors_of(ours(*mine, **named)), tensors_of(theirs(*other, **their_named))
    assert len(got) == len(wanted)
    for a, b in zip(got, wanted, strict=True):
        close(a.data, b, what="output")

    def curved(outputs):
        return sum((k + 1) * (y ** 3).sum() + (y * y).sum() for k, y in enumerate(outputs))

    mine += ours.parameters()
    other += theirs.parameters()
    at = [i for i, x in enumerate(other) if x.requires_grad]
    first = minidl.autograd.grad(curved(got), [mine[i] for i in at], create_graph=twice, allow_unused=True)
    their_first = torch.autograd.grad(
        curved(wanted), [other[i] for i in at], create_graph=twice, allow_unused=True)
    count = len(got)

    def compared(found, expected, rtol, what):
        nonlocal count
        for i, a, b in zip(at, found, expected, strict=True):
            if b is None or a is None:  # what does not depend on it: none, or zeros
                assert all(x is None or not np.any(array(x)) for x in (a, b)), f"{what}, {i}"
                continue
            close(a.detach().data, b, rtol, f"{what}, input {i}")
            count += 1

    compared(first, their_first, 1e-8, "first")
    if twice:
        total = sum((dx * dx).sum() for dx in first if dx is not None)
        their_total = sum((dx * dx).sum() for dx in their_first if dx is not None)
        compared(minidl.autograd.grad(total, [mine[i] for i in at], allow_unused=True),
                 torch.autograd.grad(their_total, [other[i] for i in at], allow_unused=True), 1e-7, "second")
    return count
