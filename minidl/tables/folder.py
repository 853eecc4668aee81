"""The run folder of a table: what ``minidl train`` writes there, and the network that it gives back."""
from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from .. import checkpoint, nn, runs
from ..recipe import Recipe
from ..table import as_csv
from ..training.history import History
from . import scores
from . import values as read
from .preprocessing import Preprocessing
from .scores import MAIN
from .table import Table, TableError, refuse
from .target import Amount, Target
from .training import Outcome, told

RESULT, HISTORY, WEIGHTS, PREPROCESSING = "result.json", "history.json", "weights.npz", "preprocessing.json"
HELD_OUT = "held_out.csv"
SHOWN: dict[str, Any] = {"table": str, "task": str, "rows": dict, "wrong": list, "epochs": int, "seconds": (int, float),
                         "stopped": str, "scores": list, "importance": list}  # of result.json, by ``report``


def save(outcome: Outcome, seed: int, folder: Path) -> dict[str, Any]:
    """Write everything but the pictures; what result.json holds."""
    result = told(outcome) | {"seed": seed, "recipe": asdict(outcome.recipe)}
    runs.write_json(folder / RESULT, result)
    outcome.history.save(folder / HISTORY)
    checkpoint.save(folder / WEIGHTS, outcome.model)
    outcome.preprocessing.save(folder / PREPROCESSING)
    held_out = outcome.table.take(outcome.split.held_out)
    target = outcome.preprocessing.target
    rows = with_truth(target, held_out, rows_of(target, held_out, outcome.predicted))
    (folder / HELD_OUT).write_text(as_csv(rows), newline="", encoding="utf-8")
    return result


def rows_of(target: Target, table: Table, predicted: np.ndarray) -> list[dict]:
    """A row for each of the table's: where it stands in the file, the prediction and, of classes, probabilities.

    Numbers have the seven digits that float32 holds.
    """
    if isinstance(target, Amount):
        return [{"row": int(row), "prediction": float(f"{number:.7g}")}
                for row, number in zip(table.rows, predicted, strict=True)]
    return [{"row": int(row), "prediction": target.labels[int(p.argmax())], "probability": round(float(p.max()), 6)}
            | {f"p({label})": round(float(one), 6) for label, one in zip(target.labels, p, strict=True)}
            for row, p in zip(table.rows, predicted, strict=True)]


def with_truth(target: Target, table: Table, rows: list[dict]) -> list[dict]:
    """The rows with the target's value before the prediction."""
    values = table.column(target.name)
    true = read.numbers(values)[0].tolist() if isinstance(target, Amount) else target.words(values).tolist()
    return [{"row": row.pop("row"), "true": one} | row for row, one in zip(rows, true, strict=True)]


@dataclass
class Run:
    """A trained network with its preprocessing: ``Run.load("runs/train").predict(minidl.tables.read("new.csv"))``."""

    preprocessing: Preprocessing
    model: nn.Sequential

    @classmethod
    def load(cls, folder: str | Path) -> Run:
        """Read a run folder. FileNotFoundError or ValueError for what is none of a table, or damaged."""
        folder = Path(folder)
        if not (folder / PREPROCESSING).is_file():
            raise FileNotFoundError(f"{folder}: expected the run folder of a table, with {PREPROCESSING}")
        preprocessing = Preprocessing.load(folder / PREPROCESSING)
        recipe = recipe_in(folder / RESULT)
        widths = len(preprocessing.inputs), preprocessing.target.outputs
        if (recipe.inputs, recipe.outputs) != widths:
            raise ValueError(f"{folder}: expected a network of {widths[0]} inputs and {widths[1]} outputs, "
                             f"got {recipe.inputs} and {recipe.outputs}")
        weights = checkpoint.load(folder / WEIGHTS)
        count = sum((width + 1) * units for width, units in pairwise((recipe.inputs, *recipe.hidden, recipe.outputs)))
        if sum(array.size for array in weights.values()) != count:  # before memory is taken for so many
            raise ValueError(f"{folder / WEIGHTS}: expected the {count} weights of the network in {RESULT}")
        try:
            model = recipe.network(np.random.default_rng(0))
        except (TypeError, ValueError) as error:
            raise ValueError(f"{folder / RESULT}: {error}") from error
        try:
            model.load_state_dict(weights)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ValueError(f"{folder / WEIGHTS}: {error}") from error
        return cls(preprocessing, model)

    def predict(self, table: Table) -> np.ndarray:
        """Numbers (N,), or the probabilities (N, classes) of ``preprocessing.target.labels``, in float64.

        Raises TableError for a column that is missing, and for a value that cannot be read, with its row.
        """
        missing = self.preprocessing.missing_columns(table)
        if missing:
            raise TableError(f"{table.name}: expected the columns that the network was trained on; "
                             f"missing: {', '.join(map(repr, missing))}")
        if not len(table):
            raise TableError(f"{table.name}: expected at least one row, got none")
        wrong = self.preprocessing.wrong(table)
        if wrong:
            raise refuse(table.name, wrong)
        return scores.predictions(self.preprocessing.target, self.model.predict(self.preprocessing.encode(table)))

    def scores(self, table: Table, predicted: np.ndarray) -> dict[str, float] | None:
        """The scores of these predictions on the rows that tell the target; None where none does."""
        target = self.preprocessing.target
        if target.name not in table.columns:
            return None
        values = table.column(target.name)
        known = ~read.missing(values) & ~target.wrong(values)
        if not known.any():
            return None
        truth = read.numbers(values[known])[0] if isinstance(target, Amount) else target.encode(values[known])
        return scores.scores(target, predicted[known], truth)


def fill_missing(table: Table, names: Sequence[str]) -> Table:
    """The table with these columns, all of their values missing."""
    empty = {name: np.full(len(table), None, object) for name in names}
    return Table(table.name, table.columns | empty, table.rows, table.lines, table.wrong)


def recipe_in(path: Path) -> Recipe:
    """The recipe that a result.json holds. ValueError for anything else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        given = content["recipe"]
        if set(given) != {field.name for field in fields(Recipe)}:
            raise ValueError("the recipe has other settings")
        chosen = Recipe(**given | {"hidden": tuple(given["hidden"])})
        sizes = (chosen.inputs, chosen.outputs, *chosen.hidden)
        if not all(type(size) is int and 0 < size < 2 ** 20 for size in sizes):
            raise ValueError(f"expected layers of some units, got {sizes}")
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"{path}: expected the result of a run: {error}") from error
    return chosen


def result_in(folder: Path) -> dict[str, Any]:
    """What result.json of a table's run holds. ValueError where something that is shown of it is not there."""
    path = folder / RESULT
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        for name, kind in SHOWN.items():
            if not isinstance(content, dict) or not isinstance(content.get(name), kind):
                raise ValueError(f"expected {name!r}")
        if not all(isinstance(content["rows"].get(name), int)
                   for name in ("training", "validation", "held_out", "without_target", "wrong")):
            raise ValueError("expected counts of rows")
        tables: list[tuple[list, set]] = [(content["scores"], {"model", MAIN.get(content["task"])}),
                  (content["importance"], {"column", "importance", "sd"})]
        if not all(rows and all(isinstance(row, dict) and names <= row.keys() for row in rows)
                   for rows, names in tables):
            raise ValueError("expected scores and importance")
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: expected the result of a run on a table: {error}") from error
    return content


def draw(folder: Path, out: Path) -> list[Path]:
    """Draw the pictures of a run folder into the folder ``out``; needs matplotlib. ValueError for damaged files."""
    import csv

    from . import figures
    target, result = Preprocessing.load(folder / PREPROCESSING).target, result_in(folder)
    try:
        with (folder / HELD_OUT).open(newline="", encoding="utf-8") as file:
            held_out = list(csv.DictReader(file))
        return figures.draw(target, result, History.load(folder / HISTORY), held_out, out)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{folder}: expected {HISTORY} and {HELD_OUT} of the same run: {error}") from error
