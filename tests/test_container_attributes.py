"""What a subclass of a container holds as an attribute is found, by PyTorch's names, in order of registration."""
from __future__ import annotations

import numpy as np
import pytest
from theirs import torch

from minidl import nn


def subclass(library, kind, before_members):
    """A container of two modules with a module and a parameter as attributes."""
    members = {"ModuleList": lambda: [library.Linear(2, 3), library.Linear(3, 2)],
               "Sequential": lambda: [library.Linear(2, 3), library.Linear(3, 2)],
               "ModuleDict": lambda: {"a": library.Linear(2, 3), "b": library.Linear(3, 2)}}[kind]

    class Holder(getattr(library, kind)):
        def __init__(self):
            if before_members:
                super().__init__()
                self.hold()
            made = members()
            if kind == "ModuleDict":
                self.update_or_init(made)
            elif before_members:
                for module in made:
                    self.append(module)
            else:
                super().__init__(*made) if kind == "Sequential" else super().__init__(made)
            if not before_members:
                self.hold()

        def update_or_init(self, made):
            if before_members:
                for name, module in made.items():
                    self[name] = module
            else:
                super().__init__(made)

        def hold(self):
            self.head = library.Sequential(library.Dropout(0.5), library.Linear(2, 1))
            self.gain = library.Parameter(self.head[1].weight.data * 0 + 1)

    return Holder()


@pytest.mark.parametrize("kind", ["ModuleList", "Sequential", "ModuleDict"])
@pytest.mark.parametrize("before_members", [True, False])
def test_all_is_found(kind, before_members):
    holder = subclass(nn, kind, before_members)
    members = ["a", "b"] if kind == "ModuleDict" else ["0", "1"]
    names = [f"{m}.{p}" for m in members for p in ("weight", "bias")]
    assert sorted(holder.state_dict()) == sorted(["gain", "head.1.weight", "head.1.bias", *names])
    assert len(holder.parameters()) == 7 and len(holder.modules()) == 6
    holder.eval()
    assert not any(module.training for module in holder.modules()) and not holder.head[0].training
    holder.requires_grad_(False)
    assert not holder.head[1].weight.requires_grad and not holder.gain.requires_grad
    assert "(head): Sequential(" in repr(holder) and len(holder) == 2
    state = {name: value + 1 for name, value in holder.state_dict().items()}
    holder.load_state_dict(state)
    np.testing.assert_array_equal(holder.head[1].bias.data, state["head.1.bias"])


@pytest.mark.parametrize("kind", ["ModuleList", "Sequential", "ModuleDict"])
def test_the_names_are_those_of_pytorch(kind):

    class Library:
        Linear, Dropout, Sequential, Parameter = (
            torch.nn.Linear, torch.nn.Dropout, torch.nn.Sequential, torch.nn.Parameter)
        ModuleList, ModuleDict = torch.nn.ModuleList, torch.nn.ModuleDict

    mine, theirs = subclass(nn, kind, False), subclass(Library, kind, False)
    assert list(mine.state_dict()) == list(theirs.state_dict())
    assert [name for name, _ in mine.named_modules()] == [name for name, _ in theirs.named_modules()]


def test_an_attribute_is_no_member_of_a_sequential():
    holder = subclass(nn, "Sequential", False)
    x = np.ones((4, 2), np.float32)
    y = holder.forward(x)
    np.testing.assert_array_equal(y, holder[1].forward(holder[0].forward(x)))
    holder.forward(x)
    holder.backward(np.ones_like(y))
    assert holder.head[1].weight.grad is None and holder[0].weight.grad is not None
