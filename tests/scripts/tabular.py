"""Regression on a table, with batch normalisation, dropout, one cycle of the learning rate and early stopping."""
import copy

import numpy as np
import torch
from torch import nn, optim
from torch.utils.data import DataLoader, Dataset, TensorDataset, random_split


class Table(Dataset):
    def __init__(self, n, seed):
        rng = np.random.default_rng(seed)
        self.X = rng.normal(0, [1, 10, 0.1, 5, 1, 3], (n, 6)).astype(np.float32)
        self.y = (np.sin(self.X[:, 0]) + 0.1 * self.X[:, 1] * (self.X[:, 3] > 0)).astype(np.float32)

    def __len__(self):
        return len(self.X)

    def __getitem__(self, i):
        return torch.from_numpy(self.X[i]), self.y[i]


def build(p):
    return nn.Sequential(
        nn.BatchNorm1d(6), nn.Linear(6, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(p),
        nn.Linear(32, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 1))


def main(epochs=12, p=0.0, state=None, split=False):
    torch.manual_seed(0)
    data = Table(800, 1)
    held_out = Table(200, 2)
    if split:
        data, held_out = random_split(data, [0.8, 0.2], generator=torch.Generator().manual_seed(0))
    loader = DataLoader(data, batch_size=64, shuffle=split, num_workers=0, drop_last=True)
    rest = [held_out[i] for i in range(len(held_out))]
    rest = TensorDataset(torch.stack([x for x, _ in rest]), torch.from_numpy(np.array([y for _, y in rest])))
    model = build(p)
    if state is not None:
        model.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()})
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    scheduler = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=2e-2, epochs=epochs, steps_per_epoch=len(loader))
    losses, best, kept = [], float("inf"), None
    for _ in range(epochs):
        model.train()
        for xb, yb in loader:
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(model(xb).squeeze(1), yb)
            loss.backward()
            nn.utils.clip_grad_value_(model.parameters(), 1.0)
            optimizer.step()
            scheduler.step()
            losses.append(loss.item())
        model.eval()
        total = 0.0
        with torch.no_grad():
            for xb, yb in DataLoader(rest, batch_size=100):
                total += nn.functional.mse_loss(model(xb).squeeze(1), yb, reduction="sum").item()
        if total / len(rest) < best:
            best, kept = total / len(rest), copy.deepcopy(model.state_dict())
    model.load_state_dict(kept)
    print(f"best validation loss {best:.4f} of {epochs} epochs")
    return losses, {name: np.asarray(value) for name, value in kept.items()}, best
