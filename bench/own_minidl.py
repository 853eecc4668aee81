"""minidl's steps of one's own: plain on the tape, and compiled."""
from __future__ import annotations

import own_networks
from own_eager import Eager, optimizers

import minidl


class Plain(Eager):
    """On the tape, operation by operation."""

    def __init__(self, name: str, units: int):
        pairs = own_networks.layers(name, own_networks.weights(name, units))
        linears = [minidl.nn.Linear(*w.shape, bias=b is not None) for w, b in pairs]
        for linear, (w, b) in zip(linears, pairs, strict=True):
            linear.weight.data = w.T
            if b is not None:
                linear.bias.data = b
        super().__init__(minidl, name, self.arguments(name), linears)

    def arguments(self, name: str) -> list:
        return [minidl.tensor(x) for x in own_networks.batch(name)]

    def weights(self) -> list:
        return [p.data.T for p in self.parameters()]


class Compiled(Plain):
    """The same function, captured; it takes arrays."""

    def __init__(self, name: str, units: int):
        super().__init__(name, units)
        self.function = minidl.capture(self.function)

    def arguments(self, name: str) -> list:
        return own_networks.batch(name)


class CapturedSequential(Plain):
    """The Sequential as ``minidl.capture`` takes it: a model, a criterion and an optimizer."""

    def __init__(self, name: str, units: int):
        super().__init__(name, units)
        first, *blocks, last = self.linears
        model = minidl.nn.Sequential(first, *(part for block in blocks for part in (block, minidl.nn.Tanh())), last)
        self.function = minidl.capture(model, minidl.nn.MSELoss(), *optimizers(minidl, name, self.linears))

    def arguments(self, name: str) -> list:
        return own_networks.batch(name)
