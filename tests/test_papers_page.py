"""docs/reports.md: the reports' numbers are those of the experiments' rows, and minidl's come out again.

Of the longest trainings, those of 400 epochs, the numbers are not tried here: `minidl reproduce all` prints them."""
from __future__ import annotations

from pathlib import Path

import pytest

from minidl.papers import EXPERIMENTS, measured, mnist_grid

PAGE = (Path(__file__).parents[1] / "docs" / "reports.md").read_text(encoding="utf-8")
SHORT = [(name, trial) for name, experiment in EXPERIMENTS.items() for trial in experiment.trials
         if trial not in experiment.needs and experiment.trials[trial].recipe.epochs < 400]


def number(mean: float, sd: float | None) -> str:
    return f"{mean:.2f}" if sd is None else f"{mean:.2f} ± {sd:.2f}"


def told(name: str) -> dict[tuple[str, str], list[str]]:
    """(table, row) -> the cells behind, of the section of an experiment."""
    section = PAGE.split(f"\n## {name}\n")[1].split("\n## ")[0]
    found, table = {}, ""
    for line in section.splitlines():
        if line.startswith(("Table ", "Section ")):
            table = line.rstrip(":").removeprefix("Table ").replace("Section", "section")
        elif line.startswith("| ") and not line.startswith("| |"):
            row, *cells = [cell.strip() for cell in line.strip("|").split("|")]
            found[table, row] = cells
    return found


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_reports_numbers(name):
    experiment, found = EXPERIMENTS[name], told(name)
    assert f"From {experiment.source}." in PAGE.split(f"\n## {name}\n")[1].split("\n## ")[0]
    assert {(row.table, row.row): number(row.paper_mean, row.paper_sd) for row in experiment.rows} == {
        place: cells[0] for place, cells in found.items()}
    assert {cells[2] for cells in found.values()} == {str(experiment.rounds)}


@pytest.mark.parametrize("name, trial", SHORT)
def test_minidls_numbers(name, trial):
    experiment, found = EXPERIMENTS[name], told(name)
    outcomes = experiment.trials[trial].many([(0, round_) for round_ in range(experiment.rounds)])
    for result in measured(experiment, {trial: outcomes}):
        assert found[result.table, result.row][1] == number(result.mean, result.sd)


def test_the_accuracies_of_the_grid():
    """Report 003 gives the accuracies of 24 networks within a few tenths of a percent, the best first reached late."""
    assert len(mnist_grid.FIGURE_2) == len(mnist_grid.configurations()) == 24
    assert all(0.97 < accuracy < 0.98 and 5 <= epoch <= 9 for accuracy, epoch in mnist_grid.FIGURE_2)
    assert max(accuracy for accuracy, _ in mnist_grid.FIGURE_2) < mnist_grid.FINAL_TEST < mnist_grid.FINAL_DEVELOPMENT
