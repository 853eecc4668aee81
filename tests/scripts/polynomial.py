"""Fit a cubic to the sine, with RMSprop."""
import math

import numpy as np
import torch


def main(steps=2000, state=None):
    torch.manual_seed(0)
    x = torch.from_numpy(np.linspace(-math.pi, math.pi, 500, dtype=np.float32))
    y = torch.from_numpy(np.sin(np.linspace(-math.pi, math.pi, 500)).astype(np.float32))
    xx = torch.stack([x, x ** 2, x ** 3], 1)

    model = torch.nn.Sequential(torch.nn.Linear(3, 1), torch.nn.Flatten(0, 1))
    if state is not None:
        model.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()})
    loss_fn = torch.nn.MSELoss(reduction="sum")
    optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-3)
    losses = []
    for t in range(steps):
        y_pred = model(xx)
        loss = loss_fn(y_pred, y)
        if t % 100 == 99:
            print(t, loss.item())
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    linear_layer = model[0]
    print(f"y = {linear_layer.bias.item():.4f} + {linear_layer.weight[:, 0].item():.4f} x")
    return losses, {name: np.asarray(value) for name, value in model.state_dict().items()}
