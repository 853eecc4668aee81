"""The results of report 003's grid: its table beside the report's, its conclusions, its figures."""
from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from ..sweep.log import Run
from ..training.history import decoded
from .experiment import Result
from .mnist_grid import FIGURE_2, FINAL_DEVELOPMENT, FINAL_TEST, NAME, Reproduction, result_of, title


def measured(reproduction: Reproduction) -> list[Result]:
    """The report's numbers and ours as errors in percent, 100 (1 - accuracy), as for the other reports."""
    def row(table: str, name: str, paper: float, accuracy: float) -> Result:
        return Result(NAME, table, name, _error(paper), None, _error(accuracy), None, 1)

    final = result_of(reproduction.final)
    return [*(row("2, development error", title(run.settings), accuracy, result_of(run)["best_dev_accuracy"])
              for run, (accuracy, _) in zip(reproduction.runs, FIGURE_2, strict=True)),
            row("1, 20 epochs", "development error", FINAL_DEVELOPMENT, final["last_dev_accuracy"]),
            row("1, 20 epochs", "test error", FINAL_TEST, final["test_accuracy"])]


def _error(accuracy: float) -> float:
    return round(100 * (1 - accuracy), 6)  # 2.1, not 2.0999999999999908


def table(reproduction: Reproduction) -> list[dict[str, Any]]:
    """The report's figure 2, its accuracies and epochs beside ours."""
    return [{"layers": run.settings["layers"], "decay": _yes(run.settings["decay"]),
             "momentum": _yes(run.settings["momentum"]), "activation": run.settings["activation"],
             "report": f"{accuracy:.4f}", "report's epoch": epoch,
             "minidl": f"{result_of(run)['best_dev_accuracy']:.4f}", "epoch": result_of(run)["best_epoch"]}
            for run, (accuracy, epoch) in zip(reproduction.runs, FIGURE_2, strict=True)]


def conclusions(reproduction: Reproduction) -> list[str]:
    """What the report says of the table, with our numbers."""
    runs, chosen, final = reproduction.runs, reproduction.final.settings, result_of(reproduction.final)
    report = _by_momentum(runs, [epoch for _, epoch in FIGURE_2])
    minidl = _by_momentum(runs, [result_of(run)["best_epoch"] for run in runs])
    return [f"mean epoch of the highest accuracy: {minidl}; report: {report}",
            f"best: {title(chosen)}; after {chosen['epochs']} epochs "
            f"development accuracy {final['last_dev_accuracy']:.4f} (report: {FINAL_DEVELOPMENT}), "
            f"test accuracy {final['test_accuracy']:.4f} (report: {FINAL_TEST})"]


def _by_momentum(runs: Sequence[Run], epochs: Sequence[int]) -> str:
    """Means of the epochs of the runs with momentum and of those without."""
    parts = [[epoch for run, epoch in zip(runs, epochs, strict=True) if bool(run.settings["momentum"]) == on]
             for on in (True, False)]
    return "{:.2f} with momentum, {:.2f} without".format(*map(statistics.fmean, parts))


def figures(reproduction: Reproduction) -> dict[str, Any]:
    """{file name: figure}: the report's figure 1, loss and accuracy by epoch, and figure 2 as a picture.

    Training loss and accuracy are means over an epoch while the weights change, the others of its end.
    """
    from .. import plot
    history: dict[str, Any] = {
        name: decoded(column) for name, column in result_of(reproduction.final)["history"].items()}
    losses = {"training": history["loss"], "development": history["validation_loss"]}
    accuracies = {"training": _accuracies(history["error"]),
                  "development": _accuracies(history["validation_error"])}
    what = title(reproduction.final.settings)
    return {
        "figure_1_loss.png": plot.loss_curves(losses, title=f"Loss: {what} (report 003, figure 1)"),
        "figure_1_accuracy.png": plot.accuracy_curves(
            accuracies, title=f"Accuracy: {what} (report 003, figure 1)"),
        "figure_2_grid.png": plot.sweep(reproduction.runs),
    }


def _accuracies(errors: Sequence[float]) -> list[float]:
    return [100 - error for error in errors]


def _yes(value: object) -> str:
    return "yes" if value else "no"
