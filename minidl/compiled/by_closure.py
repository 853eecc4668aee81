"""A step of an optimizer that calls a closure, as often as it likes: what the closure does is compiled."""
from __future__ import annotations

from collections.abc import Callable

from ..autograd.tensor import Tensor
from ..optim.optimizer import Optimizer
from .step import RecordedStep


class ByClosure:
    """``loss, output = step(*batch)``: those before the step.

    evaluate : (*batch) -> loss and output, as a captured step that leaves the gradients.
    check : (loss, output) of the first evaluation; where it raises, nothing has changed.
    """

    def __init__(self, evaluate: Callable, optimizer: Optimizer, check: Callable[[Tensor, Tensor], None]):
        self.evaluation, self.optimizer, self.check = RecordedStep(evaluate), optimizer, check

    def __call__(self, *batch):
        first: list[tuple[Tensor, Tensor]] = []

        def closure() -> float:
            loss, output = self.evaluation(*batch)
            if not first:
                self.check(loss, output)
                first.append((loss, output))
            return float(loss._data)

        self.optimizer.step(closure)
        return first[0]

    @property
    def path(self) -> str:
        """How the evaluation runs; the optimizer's step is Python."""
        path, name = self.evaluation.path, f"{type(self.optimizer).__name__}.step"
        if path == "compiled":
            return f"compiled; in place: {name}"
        return f"{path}, {name}" if path.startswith("compiled") else path
