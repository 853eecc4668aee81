"""PyTorch: the networks of bench/many.py one after the other, in eager mode on one thread; so many as take seconds."""
from __future__ import annotations

from itertools import pairwise
from time import perf_counter

import many
import numpy as np
import torch
from networks import LEARNING_RATE, WIDTHS

COUNT = 20  # the time of a network does not depend on it


class Many:
    def __init__(self):
        torch.set_num_threads(1)
        self.x, self.y = map(torch.from_numpy, many.data())
        self.rows = torch.from_numpy(many.order().reshape(many.STEPS, many.SIZE))
        self.criterion = torch.nn.CrossEntropyLoss()

    def made(self, number: int) -> torch.nn.Sequential:
        layers: list[torch.nn.Module] = []
        for n, m in pairwise(WIDTHS["S"]):
            layers += [torch.nn.Linear(n, m), torch.nn.Tanh()]
        model = torch.nn.Sequential(*layers[:-1])
        with torch.no_grad():
            for parameter, value in zip(model.parameters(), many.weights(number), strict=True):
                parameter.copy_(torch.from_numpy(np.ascontiguousarray(value.T)))
        return model

    def seconds(self) -> float:
        self.trained = [self.made(number) for number in range(COUNT)]
        optimizers = [torch.optim.SGD(model.parameters(), lr=LEARNING_RATE) for model in self.trained]
        begin = perf_counter()
        for model, optimizer in zip(self.trained, optimizers, strict=True):
            for rows in self.rows:
                loss = self.criterion(model(self.x[rows]), self.y[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return (perf_counter() - begin) / COUNT

    def weights(self, number: int) -> list[np.ndarray]:
        return [parameter.detach().numpy().T for parameter in self.trained[number].parameters()]
