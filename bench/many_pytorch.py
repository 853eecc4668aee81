"""PyTorch: the networks of bench/many.py one after the other, in eager mode on one thread; so many as take seconds."""
from __future__ import annotations

from time import perf_counter

import many
import numpy as np
import torch
from rival_pytorch import PyTorch

COUNT = 20  # the time of a network does not depend on it


class Many:
    def __init__(self):
        torch.set_num_threads(1)
        self.x, self.y = map(torch.from_numpy, many.data())
        self.rows = torch.from_numpy(many.order().reshape(many.STEPS, many.SIZE))

    def made(self, number: int) -> PyTorch:
        one = PyTorch("S", many.SIZE)
        with torch.no_grad():
            for parameter, value in zip(one.model.parameters(), many.weights(number), strict=True):
                parameter.copy_(torch.from_numpy(value.T))
        return one

    def seconds(self) -> float:
        self.trained = [self.made(number) for number in range(COUNT)]
        begin = perf_counter()
        for one in self.trained:
            for rows in self.rows:
                one.x, one.y = self.x[rows], self.y[rows]
                one.step()
        return (perf_counter() - begin) / COUNT

    def weights(self, number: int) -> list[np.ndarray]:
        return self.trained[number].weights()
