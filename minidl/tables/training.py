"""From a table to a trained network, its score beside the baselines', and what it learned from."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from .. import nn
from ..recipe import Recipe
from ..training.callbacks import EarlyStopping
from ..training.history import History
from . import baseline, scores
from . import values as read
from .importance import ROWS, permutation_importance
from .kinds import Kind
from .preprocessing import Preprocessing, as_kinds, kinds_of, wrong_values
from .split import Split, split_of
from .table import Table, TableError, refuse
from .target import Amount, Target, target_of

LEAST = 20  # rows
PATIENCE = 30  # epochs without a lower loss of the validation rows
RECIPE = Recipe(hidden=(64, 64), activation="relu", init="kaiming_uniform", optimizer="adamw", lr=2e-3, dropout=0.1,
                epochs=300, batch_size=32)


@dataclass
class Outcome:
    """What came of a training, and is kept in the run folder."""

    preprocessing: Preprocessing
    recipe: Recipe
    model: nn.Sequential
    history: History
    table: Table  # the rows that were used
    split: Split
    no_target: int  # rows that were left out, since they miss it
    scores: list[dict]  # a row each for the baselines and the network
    importance: list[dict]
    predicted: np.ndarray  # of the held-out rows, as ``scores`` takes it


@dataclass(frozen=True)
class Choice:
    """What the user says of a table. kinds : of columns, by name; skip_wrong : leave out rows that cannot be read."""

    target: str
    task: str | None = None
    kinds: Mapping[str, str] = field(default_factory=dict)
    drop: Sequence[str] = ()
    skip_wrong: bool = False


class Prepared(NamedTuple):
    """The rows that can be used, the target, the kinds of the columns, and how many rows miss the target."""

    table: Table
    target: Target
    kinds: dict[str, Kind]
    no_target: int


def train(prepared: Prepared, recipe: Recipe = RECIPE, *, patience: int = PATIENCE, seed: int = 0,
          progress: bool = False) -> Outcome:
    """Train on a table that was prepared.

    The split, the initial weights, the order of the batches and the shuffles of the importance come from four streams
    of the seed. Raises ValueError or TypeError for a recipe that cannot be built, and FloatingPointError when the
    training diverges.
    """
    used, target, kinds, no_target = prepared
    by_split, by_weights, by_batches, by_shuffles = map(np.random.default_rng, np.random.SeedSequence(seed).spawn(4))
    truth = _truth(target, used)
    split = split_of(target, truth, by_split)
    preprocessing = Preprocessing.fit(used.take(split.train), kinds, target)
    target = preprocessing.target
    X, y = preprocessing.encode(used), target.encode(used.column(target.name))
    recipe = replace(recipe, inputs=X.shape[1], outputs=target.outputs, loss=target.loss)
    built = recipe.build(len(split.train), by_weights)
    history = recipe.fit(built, (X[split.train], y[split.train]), validation=(X[split.validation], y[split.validation]),
                         seed=by_batches, callbacks=[EarlyStopping(patience)], progress=progress)

    learned = np.concatenate([split.train, split.validation])
    asked, right = X[split.held_out], truth[split.held_out]
    predicted = scores.predictions(target, built.model.predict(asked))
    name, always = baseline.constant(target, truth[learned], len(asked))
    rows = [{"model": model} | scores.scores(target, one, right) for model, one in (
        (name, always), ("linear model", baseline.linear(target, X[learned], truth[learned], asked)),
        ("network", predicted))]
    some = slice(ROWS)
    importance = permutation_importance(
        preprocessing.columns, asked[some], lambda inputs: scores.main_score(
            target, scores.predictions(target, built.model.predict(inputs)), right[some]), by_shuffles)
    return Outcome(preprocessing, recipe, built.model, history, used, split, no_target, rows, importance, predicted)


def prepare(table: Table, choice: Choice) -> Prepared:
    """What of the table is used, as chosen. TableError for a table that cannot be used, with the row and the column."""
    target = target_of(table, choice.target, choice.task)
    kinds = kinds_of(table, choice.target, choice.kinds, choice.drop)
    table, wrong = as_kinds(table, kinds)
    wrong += wrong_values(table, [target])
    if wrong and not choice.skip_wrong:
        raise refuse(table.name, wrong)
    table = table.without(wrong)
    gone = read.missing(table.column(choice.target))
    table = table.take(~gone)
    if len(table) < LEAST:
        raise TableError(f"{table.name}: expected at least {LEAST} rows with a {choice.target!r}, got {len(table)}")
    target = replace(target_of(table, choice.target, target.task), reason=target.reason)  # of the rows that are left
    return Prepared(table, target, kinds, int(gone.sum()))


def _truth(target: Target, table: Table) -> np.ndarray:
    """The target as ``scores`` takes it."""
    values = table.column(target.name)
    return read.numbers(values)[0] if isinstance(target, Amount) else target.encode(values)


def told(outcome: Outcome) -> dict[str, Any]:
    """What result.json holds of a training, but for the recipe and the seed."""
    target, history, split = outcome.preprocessing.target, outcome.history, outcome.split
    return {
        "table": outcome.table.name, "target": target.name, "task": target.task, "reason": target.reason,
        "rows": {"training": len(split.train), "validation": len(split.validation), "held_out": len(split.held_out),
                 "without_target": outcome.no_target, "wrong": len(outcome.table.wrong)},
        "wrong": [str(one) for one in outcome.table.wrong],
        "epochs": len(history), "seconds": history.seconds[-1] if history.seconds else 0.0, "stopped": history.stopped,
        "scores": outcome.scores, "importance": outcome.importance}
