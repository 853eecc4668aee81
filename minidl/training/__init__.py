"""Training: fit and evaluate, the History that they record, callbacks, and the learning-rate range test."""
from typing import Any

from . import callbacks
from .callbacks import Callback, EarlyStopping, Progress
from .criterion import Criterion
from .epoch_mean import Evaluation
from .evaluate import evaluate
from .fit import fit
from .history import History

__all__ = ["Callback", "Criterion", "EarlyStopping", "Evaluation", "History", "LRFind", "Progress", "evaluate", "fit",
           "fit_many", "lr_find", *callbacks.ELSEWHERE]


def __getattr__(name: str) -> Any:
    # What few trainings need is read when it is asked for.
    if name in ("LRFind", "lr_find"):
        from . import range_test

        return getattr(range_test, name)
    if name == "fit_many":
        from .many import fit_many

        return fit_many
    if name in callbacks.ELSEWHERE:
        return getattr(callbacks, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
