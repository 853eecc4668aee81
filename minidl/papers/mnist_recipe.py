"""ImageRecipe: how convolutional networks are trained on MNIST, and how they answer."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .. import data, nn, optim
from ..data.augment import Augmentation
from ..functional import softmax
from ..optim.lr_scheduler import OneCycleLR
from ..random import generator as generator_of
from ..training import fit
from ..training.history import History
from .mnist_networks import NETWORKS

OPTIMIZERS: dict[str, type[optim.Optimizer]] = {"adam": optim.Adam, "adamw": optim.AdamW}


class BatchShift(Augmentation):
    """Shift all images of a batch by the same whole pixels, uniform over -most, ..., most both ways."""

    def __init__(self, most: int, generator: int | np.random.Generator):
        super().__init__(generator)
        self.most = most

    def changed(self, images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        down, right = generator.integers(-self.most, self.most + 1, 2)
        height, width = images.shape[-2:]
        shifted = np.zeros_like(images)
        shifted[..., max(down, 0):height + min(down, 0), max(right, 0):width + min(right, 0)] = \
            images[..., max(-down, 0):height + min(-down, 0), max(-right, 0):width + min(-right, 0)]
        return shifted


class Trained(NamedTuple):
    """The networks of a recipe and their histories."""

    models: list[nn.Sequential]
    histories: list[History]

    @property
    def seconds(self) -> float:
        """Of training alone, one network after the other: from the first batch, recorded and compiled, to the last."""
        return sum(history.seconds[-1] for history in self.histories if history.seconds)

    @property
    def stopped(self) -> str:
        """Why a training ended before its last epoch, or ""."""
        return next((history.stopped for history in self.histories if history.stopped), "")


@dataclass(frozen=True)
class ImageRecipe:
    """A network of ``NETWORKS`` and its training, to the end of the last epoch.

    lr : with one_cycle the highest, to which the rate rises linearly in the first fifth of the steps and from which it
        falls linearly to nearly 0; else that of all steps.
    label_smoothing : of the cross-entropy.
    cut : pixels cut off each side; the digits lie in the middle 20 x 20, by their boxes, but are centred by mass.
    shift : of all images of a batch alike, uniform over -shift, ..., shift pixels both ways, which costs little.
    degrees, translate, zoom, shear : of a RandomAffine; the zoom is uniform between 1 - zoom and 1 + zoom.
    members : so many networks, from different initial weights, of which the mean of the probabilities counts.
    votes : each network answers for an image shifted by -votes, ..., votes pixels both ways, and the mean counts.
    """

    network: str
    epochs: int = 1
    batch_size: int = 64
    lr: float = 1e-2
    optimizer: str = "adamw"
    weight_decay: float = 0.01
    beta2: float = 0.95
    one_cycle: bool = True
    label_smoothing: float = 0.0
    cut: int = 0
    shift: int = 0
    degrees: float = 0.0
    translate: float = 0.0
    zoom: float = 0.0
    shear: float = 0.0
    members: int = 1
    votes: int = 0

    @property
    def augmented(self) -> bool:
        """Whether images are turned, sheared, shifted or zoomed by a RandomAffine."""
        return any((self.degrees, self.translate, self.zoom, self.shear))

    def train(self, images: np.ndarray, labels: np.ndarray, seed: int | Sequence[int], *,
              progress: bool = False) -> Trained:
        """Train on images (N, 28, 28) of bytes; what is drawn comes from streams of the seed, three a network.

        Raises FloatingPointError when a training diverges, ValueError for settings out of range.
        """
        trained = Trained([], [])
        x, y = self.inputs(images), labels.astype(np.int64)
        for sequence in np.random.SeedSequence(seed).spawn(self.members):
            weights, batches, changes = map(np.random.default_rng, sequence.spawn(3))
            model, optimizer = self.built(weights)
            scheduler = self._schedule(optimizer, len(x))
            trained.models.append(model)
            trained.histories.append(fit(
                model, nn.CrossEntropyLoss(label_smoothing=self.label_smoothing), optimizer, (x, y),
                epochs=self.epochs, batch_size=self.batch_size, seed=batches, scheduler=scheduler,
                augment=self._augmentation(changes), progress=progress))
            if trained.stopped:
                break
        return trained

    def built(self, generator: int | np.random.Generator) -> tuple[nn.Sequential, optim.Optimizer]:
        """A network with its initial weights, and its optimizer."""
        model = NETWORKS[self.network](generator_of(generator))
        optimizer = OPTIMIZERS[self.optimizer](model.parameters(), lr=self.lr, weight_decay=self.weight_decay,
                                               betas=(0.9, self.beta2))
        return model, optimizer

    def inputs(self, images: np.ndarray) -> np.ndarray:
        """Images as the network takes them: (N, 1, size, size), pixels between 0 and 1, without the border."""
        inner = slice(self.cut, images.shape[-1] - self.cut)
        return np.divide(images[:, None, inner, inner], 255, dtype=np.float32)

    def probabilities(self, models: Sequence[nn.Module], images: np.ndarray) -> np.ndarray:
        """(N, 10): the mean over the networks and over the shifts of ``votes``."""
        x, reach = self.inputs(images), range(2 * self.votes + 1)
        height, width = x.shape[-2:]
        padded = np.pad(x, [(0, 0), (0, 0), *[(self.votes, self.votes)] * 2])
        total = np.zeros((len(x), 10))
        for top in reach:
            for left in reach:
                shifted = np.ascontiguousarray(padded[:, :, top:top + height, left:left + width])
                for model in models:
                    total += softmax(model.predict(shifted))
        return total / (len(models) * len(reach) ** 2)

    def _schedule(self, optimizer: optim.Optimizer, count: int) -> OneCycleLR | None:
        if not self.one_cycle:
            return None
        steps = self.epochs * -(-count // self.batch_size)
        return OneCycleLR(optimizer, self.lr, total_steps=steps + 1, pct_start=0.2, anneal_strategy="linear",
                          cycle_momentum=False, div_factor=10, final_div_factor=100)

    def _augmentation(self, generator: np.random.Generator) -> Augmentation | None:
        if self.augmented:
            return data.RandomAffine(self.degrees, (self.translate, self.translate), (1 - self.zoom, 1 + self.zoom),
                                     self.shear, generator=generator)
        return BatchShift(self.shift, generator) if self.shift else None
