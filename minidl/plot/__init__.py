"""Pictures: of trainings, classifiers, weights, learning rates and sweeps; and those of the reports.

Every function takes ``ax``, the matplotlib Axes to draw into, and returns it; without one it makes a figure,
``ax.figure``, which ``save(ax, path)`` writes as PNG. Nothing touches pyplot or a display. The colours are those of
Okabe and Ito, which colour-blind readers tell apart; what is wrong is also marked by shape.
Importing this module raises ImportError without matplotlib, the extra ``minidl[plot]``.
"""
from .classification import calibration_curve, confusion_matrix, decision_regions
from .first_layer import weights
from .history import accuracy, loss
from .rates import lr_find
from .reports import (
    accuracy_curves,
    by_seconds,
    classified,
    error_curves,
    errors_by_setting,
    learning_rates,
    loss_curves,
    misclassified,
)
from .style import COLOURS, INSIDE, MARKERS, OUTSIDE, STYLES, WRONG, save
from .sweeps import sweep

__all__ = [
    "accuracy", "accuracy_curves", "by_seconds", "calibration_curve", "classified", "confusion_matrix",
    "decision_regions",
    "error_curves", "errors_by_setting", "learning_rates", "loss", "loss_curves", "lr_find", "misclassified", "save",
    "sweep", "weights",
]
