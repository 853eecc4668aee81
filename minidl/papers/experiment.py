"""Experiment: the trainings of a report, the rows of its tables, and its figures."""
from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

Trial = Callable[[Sequence[int]], Any]
Outcomes = Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class Row:
    """A number of a report, and the source of ours: ``quantity`` of the outcomes of ``trial``."""

    table: str
    row: str
    trial: str
    quantity: str
    paper_mean: float
    paper_sd: float | None = None


def both_errors(table: str, row: str, trial: str, train: float, test: float,
                train_sd: float | None = None, test_sd: float | None = None) -> list[Row]:
    """The two rows of a trial whose training and test errors a report gives, in percent."""
    return [Row(table, f"{row}train error", trial, "train_error", train, train_sd),
            Row(table, f"{row}test error", trial, "test_error", test, test_sd)]


@dataclass(frozen=True)
class Experiment:
    """The trials of a report, by name, each run ``rounds`` times; see ``minidl.papers.reproduce``.

    trials : each a function, of module level or a frozen dataclass, from the seed of a round, a sequence
        of ints, to an outcome with the quantities of the rows as attributes. All trials of one round get
        the same seed. One whose ``side_by_side`` is True has a method ``many``, from the seeds of all
        rounds to their outcomes.
    figures : writes PNGs for {trial: outcomes} to a folder; needs matplotlib.
    needs : {trial: the library that it cannot run without}; without it, its rows are left out.
    notes : what a reader of the tables should know.
    """

    name: str
    source: str
    rounds: int
    trials: Mapping[str, Trial]
    rows: Sequence[Row]
    figures: Callable[[Outcomes, Path], None]
    needs: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Result:
    """A Row measured: mean and sample standard deviation (None after one round) over the rounds."""

    experiment: str
    table: str
    row: str
    paper_mean: float
    paper_sd: float | None
    mean: float
    sd: float | None
    rounds: int

    as_dict = asdict


def measured(experiment: Experiment, outcomes: Outcomes) -> list[Result]:
    """The rows whose trials were run."""
    results = []
    for row in experiment.rows:
        if row.trial in outcomes:
            values = [getattr(outcome, row.quantity) for outcome in outcomes[row.trial]]
            sd = statistics.stdev(values) if len(values) > 1 else None
            results.append(Result(experiment.name, row.table, row.row, row.paper_mean, row.paper_sd,
                                  statistics.fmean(values), sd, len(values)))
    return results
