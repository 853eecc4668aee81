"""PyTorch's steps of one's own, eager, the optimizers fused."""
from __future__ import annotations

import own_networks
from own_eager import Eager
from rival_pytorch import torch


class PyTorch(Eager):
    def __init__(self, name: str, units: int):
        pairs = own_networks.layers(name, own_networks.weights(name, units))
        linears = [torch.nn.Linear(*w.shape, bias=b is not None) for w, b in pairs]
        with torch.no_grad():
            for linear, (w, b) in zip(linears, pairs, strict=True):
                linear.weight.copy_(torch.from_numpy(w.T))
                if b is not None:
                    linear.bias.copy_(torch.from_numpy(b))
        batch = [torch.from_numpy(x) for x in own_networks.batch(name)]
        super().__init__(torch, name, batch, linears, fused=True)

    def weights(self) -> list:
        return [p.detach().numpy().T for p in self.parameters()]
