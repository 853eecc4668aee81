"""The calls of a captured Sequential's program as a text, one line a call."""
from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd.parameter import Parameter
from ..optim.optimizer import Optimizer


class Listed:
    """A program that notes the calls that are written into it in ``lines``, and passes all on to the program."""

    def __init__(self, program, width: int, parameters: list[Parameter]):
        self._program, self._width = program, width
        self.lines: list[str] = []
        self._names: dict[int, str] = {}
        for parameter in parameters:
            self._names[_address(parameter._data)] = parameter.name
            self._names[_address(parameter._grad)] = f"{parameter.name}.grad"
        self._numbers: dict[int, int] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._program, name)

    def _of(self, array: np.ndarray | None, batch: str = "x") -> str:
        """An array by its name; None is the batch itself."""
        if array is None:
            return f"{batch}[N, {self._width}]" if batch == "x" else batch
        address = _address(array)
        if address in self._names:
            return f"{self._names[address]}[{', '.join(map(str, array.shape))}]"
        number = self._numbers.setdefault(address, len(self._numbers) + 1)
        return f"%{number}[N, {array.shape[1]}]"

    def linear(self, x, weight, bias, y) -> None:
        self._program.linear(x, weight, bias, y)
        operands = [self._of(x), self._of(weight), *([] if bias is None else [self._of(bias)])]
        self.lines.append(f"{self._of(y)} = linear({', '.join(operands)})")

    def apply(self, name: str, a, out, b=None, *, against_target: bool = False, **settings) -> None:
        given = {"b": b, "against_target": against_target, **settings}
        self._program.apply(name, a, out, **{key: value for key, value in given.items() if value is not None})
        if name == "wrong":
            self.lines.append(f"count the labels that are not the largest of {self._of(a)}")
            return
        others = [] if b is None and not against_target else [self._of(None if against_target else b, "y")]
        told = [f"{key}={value:g}" if isinstance(value, float) else f"{key}={value}"
                for key, value in settings.items() if key != "overwrite" and value != 0]
        self.lines.append(f"{self._of(out)} = {name}({', '.join([self._of(a), *others, *told])})")

    def parameter_gradients(self, x, dy, dw, db, overwrite) -> None:
        self._program.parameter_gradients(x, dy, dw, db, overwrite)
        made = ", ".join(self._of(array) for array in (dw, db) if array is not None)
        self.lines.append(f"{made} {'=' if overwrite else '+='} parameter_gradients({self._of(x)}, {self._of(dy)})")

    def input_gradient(self, dy, weight, dx) -> None:
        self._program.input_gradient(dy, weight, dx)
        self.lines.append(f"{self._of(dx)} = input_gradient({self._of(dy)}, {self._of(weight)})")

    def zero(self, array) -> None:
        self._program.zero(array)
        self.lines.append(f"{self._names.get(_address(array), 'gradient')} <- 0")

    def python(self, function) -> None:
        self._program.python(function)
        self.lines.append(f"{function.__qualname__.replace('<locals>.', '').lstrip('_')}()  in place")

    def loss_ends(self) -> None:
        self._program.loss_ends()
        self.lines.append("stop unless the loss is finite")

    def update(self, optimizer: Optimizer) -> None:
        self._program.update(optimizer)
        count = sum(parameter.numel() for group in optimizer.param_groups for parameter in group["params"])
        self.lines.append(f"{type(optimizer).__name__}.step() of {count} numbers")


def _address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]
