"""PyTorch's step of LeNet-5, eager, the optimizer fused."""
from __future__ import annotations

import images_networks
import numpy as np
from images_contestants import lenet
from rival_pytorch import torch


class PyTorch:
    def __init__(self, size: int, dtype=np.float32):
        self.model = lenet(torch.nn, torch.float32 if dtype == np.float32 else torch.float64)
        with torch.no_grad():
            for parameter, value in zip(self.model.parameters(), images_networks.weights(dtype), strict=True):
                parameter.copy_(torch.from_numpy(value))
        self.optimizer = torch.optim.Adam(self.model.parameters(), fused=True, **images_networks.ADAM)
        self.criterion = torch.nn.CrossEntropyLoss()
        self.x, self.y = map(torch.from_numpy, images_networks.batch(size, dtype))

    def step(self):
        loss = self.criterion(self.model(self.x), self.y)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def predict(self):
        with torch.inference_mode():
            return self.model(self.x)

    def weights(self) -> list[np.ndarray]:
        return [parameter.detach().numpy() for parameter in self.model.parameters()]
