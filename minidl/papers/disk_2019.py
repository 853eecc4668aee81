"""Report 002 (Carparelli, Pollina, Vinzant, 2019): sigmoid outputs, squared error, Xavier, dropout.

What it says: the disk is centred at (0, 0), points are not normalized, 2 - three times 25 - 2 units, a
Sigmoid on the outputs, 50 epochs, Xavier weights, and a gradient 2 (x - t) that is not divided by N
(equation 15, though 14 divides the loss).

What it leaves open: the hidden activation (ReLU, "the most commonly used"), the learning rate (1e-2), the
batch (10), the probability of dropout (0.2), the biases (0). It gives one pair of errors and does not say
for which variant; it stands beside all. In place of Xavier it names a normal distribution of deviation
near 1e-6, from which four layers do not begin to learn, their gradients being products of such weights;
"uniform" is what a Linear begins with by default.
"""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ..recipe import Recipe
from .experiment import Experiment, Outcomes, both_errors
from .trial import DiskTrial

CENTRE = (0.0, 0.0)
XAVIER = Recipe(activation="relu", output_activation="sigmoid", init="xavier_normal", loss="mse_sum",
                lr=1e-2, epochs=50, batch_size=10)
RECIPES = {
    "Xavier": XAVIER,
    "Xavier, dropout": replace(XAVIER, dropout=0.2),
    "uniform": replace(XAVIER, init="default"),
    "uniform, dropout": replace(XAVIER, init="default", dropout=0.2),
}


def figures(outcomes: Outcomes, folder: Path) -> None:
    """The report's figures 2 and 3: loss by epoch, classified test points."""
    from .. import plot
    losses = {name: np.mean([outcome.history.loss for outcome in outcomes[name]], axis=0) / recipe.batch_size
              for name, recipe in RECIPES.items()}
    plot.save(plot.loss_curves(losses, title="Training loss, mean of the rounds (report 002, figure 2)",
                               ylabel="squared error of a sample"), folder / "figure_2_loss.png")
    xavier = outcomes["Xavier"][0]
    plot.save(plot.classified(xavier.points, xavier.labels, xavier.predicted, centre=CENTRE,
                              title=f"Test set: {xavier.test_error:.1f} % wrong (report 002, figure 3)"),
              folder / "figure_3_classified.png")


EXPERIMENT = Experiment(
    name="disk-2019",
    source="report 002, section 3",
    rounds=10,
    trials={name: DiskTrial(recipe, centre=CENTRE, normalize=False) for name, recipe in RECIPES.items()},
    rows=[row for name in RECIPES
          for row in both_errors("section 3", f"{name}, ", name, train=2.5, test=1.9)],
    figures=figures,
    notes=("the report gives one pair of errors, of one training; it stands beside every variant",),
)
