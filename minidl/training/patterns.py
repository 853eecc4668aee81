"""Patterns: which networks are so much alike that one program trains them, one after the other."""
from __future__ import annotations

import operator
from typing import Any

from ..autograd.parameter import Parameter
from ..nn.activations import is_activation
from ..nn.containers import Sequential
from ..nn.linear import Linear
from ..nn.module import Module
from ..optim.lbfgs import LBFGS
from ..optim.optimizer import Optimizer

PLAIN = {int, float, str, bool, type(None)}
OF_A_MODEL = {"_modules", "_coding", "training"}  # its attributes: a training sets the last two
NOT_COMPARED = {"saved", "training", "_buffers"}  # attributes that may differ


class Patterns:
    """What networks that fit one mold have in common: ``of`` gives it for each network."""

    def __init__(self):
        # Of modules of a class, with attributes of these names: those that are compared; None where they do not fit.
        self.compared: dict[tuple, tuple[str, ...] | None] = {}

    def of(self, model: Module, criterion: Any, optimizer: Any) -> tuple | None:
        """Equal for networks that fit one mold; None for one that is trained by itself.

        A Sequential of Linears and activations, a loss of minidl's, an optimizer of minidl's for all of its parameters
        in one group, which has made no step yet. Their settings may differ, their weights, too.
        """
        if type(model) is not Sequential or not isinstance(criterion, Module) or not isinstance(optimizer, Optimizer):
            return None
        layers, groups = vars(model)["_modules"], optimizer.param_groups
        if (not vars(model).keys() <= OF_A_MODEL or len(groups) != 1 or isinstance(optimizer, LBFGS)
                or not type(optimizer).__module__.startswith("minidl.optim.")
                or any([callable(value) for value in vars(optimizer).values()])
                or not optimizer.is_fresh()):
            return None
        own: list[Parameter] = []
        described = [self._described(layer, True, own) for layer in layers]
        described.append(self._described(criterion, False, []))
        held = groups[0]["params"]
        if None in described or len(own) != len(held) or not all(map(operator.is_, own, held)):
            return None
        return (*described, type(optimizer), tuple(groups[0]))

    def _described(self, module: Module, as_layer: bool, own: list[Parameter]) -> tuple | None:
        """The class and all attributes but the values of parameters, which are appended; None where it does not fit."""
        attributes = vars(module)
        key = type(module), as_layer, *attributes
        if key not in self.compared:
            fits = type(module).__module__.startswith("minidl.nn.") and (
                not as_layer or type(module) is Linear or is_activation(module))
            self.compared[key] = tuple([name for name in attributes if name not in NOT_COMPARED]) if fits else None
        names = self.compared[key]
        if names is None:
            return None
        found: list[Any] = [type(module), names]
        for name in names:
            value = attributes[name]
            if type(value) is Parameter:
                if not value.status.requires_grad:
                    return None
                own.append(value)
                found.append((value._data.shape, value._data.dtype, value.order))
            elif type(value) in PLAIN or (
                    type(value) is dict and all([type(item) in PLAIN for item in value.values()])):
                found.append(repr(value))  # for 0.0 == -0.0, and 1 == True
            else:
                return None
        return tuple(found)
