"""Training: fit and evaluate, the History that they record, callbacks, and the learning-rate range test."""
from importlib import import_module
from typing import Any

from . import callbacks
from .callbacks import Callback, EarlyStopping, Progress
from .criterion import Criterion
from .epoch_mean import Evaluation
from .evaluate import evaluate
from .fit import fit
from .history import History

_ELSEWHERE = {"Ensemble": "ensemble", "LRFind": "range_test", "SuccessiveHalving": "halving",
              "cross_val_score": "cross_validation", "fit_many": "many", "lr_find": "range_test"}

__all__ = ["Callback", "Criterion", "EarlyStopping", "Evaluation", "History", "Progress", "evaluate", "fit",
           *_ELSEWHERE, *callbacks.ELSEWHERE]


def __getattr__(name: str) -> Any:
    # What few trainings need is read when it is asked for.
    if name in _ELSEWHERE:
        return getattr(import_module(f".{_ELSEWHERE[name]}", __name__), name)
    if name in callbacks.ELSEWHERE:
        return getattr(callbacks, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
