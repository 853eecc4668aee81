"""fit_many beside fit, where some of its networks were altered before in every way: the same bits, or an exception."""
from __future__ import annotations

import contextlib
import random

import fuzz_alterations
import numpy as np
import pytest
from recorded_twins import bits

import minidl
from minidl import nn, optim
from minidl.training import fit, molds

ALTERED = (3, 5, 6)  # of the networks
KINDS = (lambda p: optim.SGD(p, lr=0.1), lambda p: optim.SGD(p, lr=0.1, momentum=0.9), lambda p: optim.Adam(p, lr=0.1))


class Side:
    """One network, as the alterations take it."""

    def __init__(self, number: int, kind, dtype: str):
        self.dtype = np.dtype(dtype)
        self.model = nn.Sequential(nn.Linear(3, 5, dtype=dtype, generator=number), nn.Tanh(),
                                   nn.Linear(5, 2, dtype=dtype, generator=99 + number))
        self.criterion = self.loss = nn.CrossEntropyLoss()
        self.optimizer = kind(self.model.parameters())
        rng = np.random.default_rng(0)
        self.x, self.y, self.index = rng.standard_normal((40, 3)).astype(dtype), rng.integers(0, 2, 40), np.arange(40)
        self.rows, self.width, self.classes, self.step = 40, 3, 2, None


def altered(what: str, seed: int) -> list[Side]:
    rng = random.Random(f"{what} {seed}")
    kind, dtype = rng.choice(KINDS), rng.choice(("f4", "f8"))
    sides = [Side(number, kind, dtype) for number in range(9)]
    threads = minidl.get_num_threads()
    for number in ALTERED:
        with contextlib.suppress(Exception):  # does not apply, or is refused: it may have done a part
            fuzz_alterations.ALTERATIONS[what](sides[number], rng)
    minidl.set_num_threads(threads)
    return sides


def left(side: Side) -> tuple:
    """The bits of all that a training leaves."""
    parameters = side.model.parameters()
    return ([p.data.tobytes() for p in parameters], [(p.status.has_grad, p.gradient.tobytes()) for p in parameters],
            bits(side.optimizer.state_dict()))


def told(history) -> str:
    return history.stopped or f"{history.iteration_loss} {history.loss} {history.error} {history.lr}"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("what", fuzz_alterations.ALTERATIONS)
def test_altered_networks_among_others(what, monkeypatch):
    monkeypatch.setattr(molds.Mold, "room", lambda self: 4)
    settings = {"epochs": 2, "batch_size": 16, "seed": 1, "progress": False}
    for seed in range(4):
        found, failed, sides = [], False, altered(what, seed)
        data = [(side.x, side.y) for side in sides] if seed % 2 else [(sides[0].x, sides[0].y)] * len(sides)
        for side, own in zip(sides, data, strict=True):
            try:
                found.append((told(fit(side.model, side.criterion, side.optimizer, own, **settings)), left(side)))
            except FloatingPointError as error:
                found.append((str(error).removeprefix("fit: "), left(side)))
            except Exception:
                failed = True
        sides = altered(what, seed)
        data = [(side.x, side.y) for side in sides] if seed % 2 else (sides[0].x, sides[0].y)
        try:
            histories = minidl.fit_many([side.model for side in sides], [side.criterion for side in sides],
                                        [side.optimizer for side in sides], data, n_threads=1, **settings)
        except Exception:
            assert failed
        else:
            assert not failed
            assert found == [(told(history), left(side)) for history, side in zip(histories, sides, strict=True)]
