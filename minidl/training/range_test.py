"""lr_find: the learning-rate range test (Smith 2017): a short training whose rate grows at each step."""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..compiled.snapshot import Snapshot
from ..data.batches import positive_int
from .trainer import Trainer

SMOOTHING = 0.9  # how much of the mean stays at each step


@dataclass
class LRFind:
    """The rate, the loss and the smoothed loss of each step, before the weights took the step.

    ``suggestion()`` is the rate at which the loss falls fastest; ``minidl.plot.lr_find`` draws all.
    ``diverged`` tells whether the loss had risen so far that the test ended early.
    """

    lr: list[float] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    smoothed: list[float] = field(default_factory=list)
    diverged: bool = False

    def suggestion(self) -> float | None:
        """The rate at which the loss falls fastest along log(lr), or None if it never falls.

        Steps after that of the least smoothed loss do not count. The slope at a step is that of the line through it
        and its neighbours, a fifth of all steps, by least squares: unlike the smoothed loss it does not lag behind.
        """
        if not self.lr:
            return None
        reach, end = max(2, len(self.lr) // 10), int(np.argmin(self.smoothed)) + 1
        x, loss = np.log(self.lr), np.array(self.loss)
        slopes = {i: float(np.polyfit(x[i - reach:i + reach + 1], loss[i - reach:i + reach + 1], 1)[0])
                  for i in range(reach, min(end, len(x) - reach))}
        steepest = min(slopes, key=lambda i: slopes[i], default=None)
        return None if steepest is None or slopes[steepest] >= 0 else self.lr[steepest]

    def _add(self, lr: float, loss: float) -> None:
        count = len(self.lr)
        before = self.smoothed[-1] * (1 - SMOOTHING ** count) if count else 0.0
        mean = SMOOTHING * before + (1 - SMOOTHING) * loss
        self.lr.append(lr)
        self.loss.append(loss)
        self.smoothed.append(mean / (1 - SMOOTHING ** (count + 1)))


def lr_find(model, criterion, optimizer, data: Sequence, *, min_lr: float = 1e-6, max_lr: float = 10.0,
            num_training: int = 100, mode: str = "exponential", early_stop_threshold: float | None = 4.0,
            batch_size: int = 32, seed=None, transform: Callable | None = None, augment: Callable | None = None,
            captured: bool = True) -> LRFind:
    """Train for ``num_training`` steps, at rates from min_lr to max_lr, and put everything back.

    The model, the optimizer with its rate and its state, the criterion and the generators are afterwards what they
    were before, and so is what functions among the arguments keep: a list in a closure, say. The arguments are those
    of ``fit``, and the names those of Lightning's ``lr_find``.

    mode : "exponential" or "linear", how the rate grows, which every parameter group has. The test ends early when the
    smoothed loss exceeds ``early_stop_threshold`` (None: never) times its least value, or is no longer finite.

    Raises as ``fit`` does; ValueError for rates that do not grow and for an unknown mode; FloatingPointError where the
    very first loss is not finite; KeyboardInterrupt after Ctrl-C.
    """
    if not 0 < min_lr < max_lr < math.inf:
        raise ValueError(f"lr_find: expected 0 < min_lr < max_lr, got {min_lr} and {max_lr}")
    if positive_int(num_training, "lr_find", "num_training") < 2:
        raise ValueError("lr_find: expected num_training >= 2, got 1")
    if mode not in ("exponential", "linear"):
        raise ValueError(f"lr_find: expected mode 'exponential' or 'linear', got {mode!r}")
    if early_stop_threshold is not None and not early_stop_threshold > 1:
        raise ValueError(f"lr_find: expected early_stop_threshold > 1 or None, got {early_stop_threshold}")
    rates = [float(rate) for rate in (np.geomspace if mode == "exponential" else np.linspace)(
        min_lr, max_lr, num_training)]
    before = Snapshot(model, criterion, optimizer, augment, seed)
    try:
        trainer = Trainer(model, criterion, optimizer, data, validation=None, epochs=num_training,
                          batch_size=batch_size, seed=seed, scheduler=None, callbacks=(), transform=transform,
                          augment=augment, progress=False, captured=captured)
        found = LRFind()
        with trainer.running(), np.errstate(over="ignore", invalid="ignore"):
            _run(trainer, rates, early_stop_threshold, found)
        if trainer.interrupt.requested:
            raise KeyboardInterrupt
    finally:
        before.put_back()
    return found


def _run(trainer: Trainer, rates: Sequence[float], threshold: float | None, found: LRFind) -> None:
    """A step at each rate, until the loss diverges."""
    left = iter(rates)
    epoch = 0
    while True:
        epoch += 1
        trainer.begin_epoch(epoch)
        for rows in trainer.batches:
            rate = next(left, None)
            if rate is None or trainer.interrupt.requested:
                return
            for group in trainer.optimizer.param_groups:
                group["lr"] = rate
            try:
                trainer.step(rows)
            except FloatingPointError:
                if not found.lr:
                    raise
                found.diverged = True
                return
            found._add(rate, trainer.history.iteration_loss[-1])
            if threshold is not None and found.smoothed[-1] > threshold * min(found.smoothed):
                found.diverged = True
                return
