"""Tell two moons apart, with weight decay, a cosine and clipped gradients."""
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

device = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def moons(n, rng):
    angle = rng.uniform(0, np.pi, n)
    label = rng.integers(0, 2, n)
    x = np.where(label, 1 - np.cos(angle), np.cos(angle))
    y = np.where(label, 0.5 - np.sin(angle), np.sin(angle))
    return (np.stack([x, y], 1) + rng.normal(0, 0.1, (n, 2))).astype(np.float32), label


class Classifier(nn.Module):
    def __init__(self, hidden=32):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU())
        self.head = nn.Linear(hidden, 2)
        self.apply(self._init)

    def _init(self, module):
        if isinstance(module, nn.Linear):
            nn.init.orthogonal_(module.weight, gain=1.4)
            nn.init.zeros_(module.bias)

    def forward(self, x):
        return self.head(self.net(x))


def main(epochs=20, state=None):
    torch.manual_seed(0)
    X, y = moons(600, np.random.default_rng(0))
    X, y = torch.from_numpy(X), torch.from_numpy(y)
    train = DataLoader(TensorDataset(X[:500], y[:500]), batch_size=50, shuffle=False)
    model = Classifier().to(device)
    if state is not None:
        model.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()})
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=1e-3)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)
    averaged = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9))
    losses = []
    for _ in range(epochs):
        model.train()
        for xb, yb in train:
            xb, yb = xb.to(device), yb.to(device)
            optimizer.zero_grad(set_to_none=True)
            loss = criterion(model(xb), yb)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
            optimizer.step()
            averaged.update_parameters(model)
            losses.append(loss.item())
        scheduler.step()
    averaged.eval()
    with torch.no_grad():
        accuracy = (averaged(X[500:].to(device)).argmax(1).cpu() == y[500:]).float().mean().item()
    print(f"{accuracy:.1%}, learning rate {scheduler.get_last_lr()[0]:.2g}")
    return losses, {name: np.asarray(value) for name, value in averaged.state_dict().items()}, accuracy
