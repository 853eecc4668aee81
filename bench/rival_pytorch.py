"""PyTorch, eager: the optimizer fused and inference without records, as its tuning guide advises."""
from __future__ import annotations

from itertools import pairwise

import machine
import numpy as np
from networks import LEARNING_RATE, WIDTHS, batch, is_regression, is_tanh, weights

try:
    import torch
    torch.set_num_threads(machine.COUNT)
except ImportError:
    torch = None  # the rival is left out


class PyTorch:
    """PyTorch's protocol, on its own tape."""

    def __init__(self, network: str, size: int):
        self.x, self.y = map(torch.from_numpy, batch(network, size))
        layers: list[torch.nn.Module] = []
        for n, m in pairwise(WIDTHS[network]):
            layers += [torch.nn.Linear(n, m), torch.nn.Tanh() if is_tanh(network) else torch.nn.ReLU()]
        self.model = torch.nn.Sequential(*layers[:-1])
        with torch.no_grad():
            for parameter, value in zip(self.model.parameters(), weights(network), strict=True):
                parameter.copy_(torch.from_numpy(value.T))
        self.criterion = torch.nn.MSELoss() if is_regression(network) else torch.nn.CrossEntropyLoss()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=LEARNING_RATE, fused=True)

    def predict(self) -> np.ndarray:
        with torch.inference_mode():
            return self.model(self.x).numpy()

    def step(self) -> float:
        loss = self.criterion(self.model(self.x), self.y)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def weights(self) -> list[np.ndarray]:
        return [parameter.detach().numpy().T for parameter in self.model.parameters()]
