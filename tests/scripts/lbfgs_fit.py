"""Fit a small network to a function with L-BFGS, in double precision."""
import numpy as np
import torch
import torch.nn as nn
import torch.optim as optim


def main(steps=8, state=None):
    torch.manual_seed(0)
    x = torch.from_numpy(np.linspace(-2, 2, 80)[:, None])
    y = torch.from_numpy(np.sin(3 * np.linspace(-2, 2, 80))[:, None])
    model = nn.Sequential(nn.Linear(1, 12), nn.Tanh(), nn.Linear(12, 1)).double()
    if state is not None:
        model.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()})
    criterion = nn.MSELoss()
    optimizer = optim.LBFGS(model.parameters(), lr=1.0, max_iter=20, line_search_fn="strong_wolfe")
    losses = []

    def closure():
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        return loss

    for step in range(steps):
        loss = optimizer.step(closure)
        losses.append(loss.item())
        print(f"step {step}: {losses[-1]:.3e}")
    vector = nn.utils.parameters_to_vector(model.parameters()).detach().numpy()
    return losses, {name: np.asarray(value) for name, value in model.state_dict().items()}, vector
