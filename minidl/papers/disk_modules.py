"""Report 001 (Anselmet, Monnet, Nguyen Duc): activations, losses, optimizers and schedulers compared.

What it says: 2 - three times 25 - 2 units, Xavier weights, biases N(0, 1), 1000 normalized points each to
train, validate and test, batches of 100, 400 epochs (table II: 100), 5 rounds.

How we read it, where it says nothing or two things:
- The validation points choose the epoch whose weights are tested, the use that such points have.
- Tanh takes turns with Sigmoid and with ReLU, which it says to have combined.
- Tables I and II divide the loss by the batch, as its equation of MSE does: undivided, a rate of 1e-1
  diverges.
- Table III takes cross-entropy undivided; its section gives no N. Divided, step decay at its default,
  half every 10 epochs, would end a third of the points wrong: its rates sum to 20 epochs' worth of 1e-2.
- Figure 1 divides MSE by samples and outputs; divided by samples alone, 1e-1 diverges.
- ADADELTA has no rate to choose (its section F, and Zeiler's algorithm: 1). With table II's 1e-2 it is
  still at 15 % after 400 epochs of cross-entropy.
- CLR's upper bound is the rate 1e-2, its lower a quarter of that, and it climbs for 5 epochs: within
  what Smith advises.
"""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ..recipe import Recipe
from .experiment import Experiment, Outcomes, Row
from .trial import DiskTrial

TANH = Recipe(activation="tanh", init="xavier_random_bias", loss="cross_entropy", lr=1e-2, epochs=400,
              batch_size=100)
SHORT = replace(TANH, loss="mse", epochs=100)
UNDIVIDED = replace(TANH, loss="cross_entropy_sum")

RECIPES = {
    # table I
    "Sigmoid": replace(TANH, activation=("tanh", "sigmoid"), lr=1e-1),
    "Tanh": TANH,
    "ReLU": replace(TANH, activation=("tanh", "relu"), lr=1e-1),
    "LeakyReLU": replace(TANH, activation="leaky_relu", lr=1e-1),
    "ELU": replace(TANH, activation="elu"),
    "SELU": replace(TANH, activation="selu", lr=1e-1),
    # table II
    "momentum 0": SHORT,
    "momentum 0.5": replace(SHORT, momentum=0.5),
    "momentum 0.9": replace(SHORT, momentum=0.9),
    "ADADELTA, MSE": replace(SHORT, optimizer="adadelta", lr=1.0),
    # table III
    "no scheduler": UNDIVIDED,
    "step decay": replace(UNDIVIDED, scheduler="step"),
    "CLR": replace(UNDIVIDED, scheduler="cyclic"),
    "ADADELTA": replace(UNDIVIDED, optimizer="adadelta", lr=1.0),
    # figure 1
    "cross-entropy, lr 0.1": replace(TANH, lr=1e-1),
    "MSE, lr 0.1": replace(TANH, lr=1e-1, loss="mse_mean"),
}

ROWS = [
    Row("I", "Sigmoid", "Sigmoid", "test_error", 1.60, 1.57),
    Row("I", "Tanh", "Tanh", "test_error", 1.06, 0.41),
    Row("I", "ReLU", "ReLU", "test_error", 2.64, 1.90),
    Row("I", "LeakyReLU(0.01)", "LeakyReLU", "test_error", 2.58, 1.88),
    Row("I", "ELU", "ELU", "test_error", 1.80, 0.53),
    Row("I", "SELU", "SELU", "test_error", 1.32, 0.47),
    Row("II", "SGD, momentum 0", "momentum 0", "test_error", 5.20, 1.60),
    Row("II", "SGD, momentum 0.5", "momentum 0.5", "test_error", 5.00, 1.82),
    Row("II", "SGD, momentum 0.9", "momentum 0.9", "test_error", 4.42, 2.11),
    Row("II", "ADADELTA", "ADADELTA, MSE", "test_error", 4.96, 2.54),
    Row("III", "SGD", "no scheduler", "test_error", 1.66, 0.81),
    Row("III", "SGD, step decay", "step decay", "test_error", 1.58, 0.71),
    Row("III", "SGD, CLR", "CLR", "test_error", 1.38, 0.16),
    Row("III", "ADADELTA", "ADADELTA", "test_error", 1.86, 0.93),
]


def figures(outcomes: Outcomes, folder: Path) -> None:
    """The report's three figures: error by loss, classified points, learning rate by scheduler."""
    from .. import plot
    errors = {name: np.mean([outcome.history.validation_error for outcome in outcomes[name]], axis=0)
              for name in ("cross-entropy, lr 0.1", "MSE, lr 0.1")}
    plot.save(plot.error_curves(errors, title="Validation error, mean of the rounds (report 001, figure 1)"),
              folder / "figure_1_loss_criteria.png")
    tanh = outcomes["Tanh"][0]
    plot.save(plot.classified(tanh.points, tanh.labels, tanh.predicted,
                              title=f"Test set, Tanh: {tanh.test_error:.1f} % wrong (report 001, figure 2)"),
              folder / "figure_2_classified.png")
    histories = {name: outcomes[name][0].history for name in ("step decay", "CLR")}
    rates = {name: history.iteration_lr for name, history in histories.items()}
    plot.save(plot.learning_rates(rates, title="Learning rate by scheduler (report 001, figure 3)",
                                  steps_per_epoch=len(rates["CLR"]) // len(histories["CLR"])),
              folder / "figure_3_learning_rates.png")


EXPERIMENT = Experiment(
    name="disk-modules",
    source="report 001, section IV",
    rounds=5,
    trials={name: DiskTrial(recipe, select=True) for name, recipe in RECIPES.items()},
    rows=ROWS,
    figures=figures,
    notes=("the loss is divided by the batch in tables I and II, not in III: minidl/papers/disk_modules.py",),
)
