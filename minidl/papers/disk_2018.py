"""Report 000 (Faraut, Bernard-Michel, Bressieux, 2018): a first framework, Tanh and ReLU, squared error.

What it says: 1000 normalized points, 2 - three times 25 - 2 units, Tanh and ReLU by turns, weights and
biases N(0, 0.1²), SGD on the sum of squares, means over 10 trainings.

What it leaves open: learning rate, batch size and epochs. It gives a loss that begins at 648.19 and ends
at 88.62. Outputs begin near 0, so a sample's loss begins near 1, and it is 0.5 when both outputs answer
1/2; 648 is thus the loss summed over the 1000 samples of the first epoch, and the figure's "iteration"
an epoch. A rate of 1e-3 on the sum over 50 samples for 200 epochs begins near 600 and ends near 90.
Section 4 speaks of three linear layers, section 2.2 of three hidden ones; we take the latter.
"""
from __future__ import annotations

from pathlib import Path

import numpy as np

from ..recipe import Recipe
from .experiment import Experiment, Outcomes, both_errors
from .trial import DiskTrial

RECIPE = Recipe(activation=("tanh", "relu"), init="normal", loss="mse_sum", lr=1e-3, epochs=200,
                batch_size=50)
NETWORK = "network"


def figures(outcomes: Outcomes, folder: Path) -> None:
    """The report's figure 1, of the first training and as the mean of all."""
    from .. import plot
    sums = [np.reshape(outcome.history.iteration_loss, (len(outcome.history), -1)).sum(axis=1)
            for outcome in outcomes[NETWORK]]
    losses = {"first training": sums[0], f"mean of {len(sums)}": np.mean(sums, axis=0)}
    plot.save(plot.loss_curves(losses, title="Squared error at each epoch (report 000, figure 1)",
                               ylabel="loss, summed over the epoch"), folder / "figure_1_loss.png")


EXPERIMENT = Experiment(
    name="disk-2018",
    source="report 000, section 5",
    rounds=10,
    trials={NETWORK: DiskTrial(RECIPE)},
    rows=both_errors("section 5", "", NETWORK, train=2.5, test=3.0),
    figures=figures,
)
