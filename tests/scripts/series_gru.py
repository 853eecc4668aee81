"""A time series foretold by a GRU with one step of look-ahead, then many steps from its own outputs."""
import numpy as np
import torch
import torch.nn as nn
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.utils.data import DataLoader, Dataset


class SequenceDataset(Dataset):
    def __init__(self, series, window):
        self.series = torch.tensor(series, dtype=torch.float32).unsqueeze(-1)
        self.window = window

    def __len__(self):
        return len(self.series) - self.window

    def __getitem__(self, idx):
        return self.series[idx:idx + self.window], self.series[idx + self.window]


class GRUModel(nn.Module):
    def __init__(self, input_dim, hidden_dim, layer_dim, output_dim, dropout_prob=0.0):
        super(GRUModel, self).__init__()
        self.layer_dim = layer_dim
        self.hidden_dim = hidden_dim
        self.gru = nn.GRU(input_dim, hidden_dim, layer_dim, batch_first=True, dropout=dropout_prob)
        self.fc = nn.Linear(hidden_dim, output_dim)

    def forward(self, x):
        # Initializing hidden state for first input with zeros
        h0 = torch.zeros(self.layer_dim, x.size(0), self.hidden_dim, device=x.device).requires_grad_()
        out, _ = self.gru(x, h0.detach())
        out = out[:, -1, :]
        return self.fc(out)


def main(n_epochs=6, window=20):
    np.random.seed(0)
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    t = np.arange(600)
    series = np.sin(2 * np.pi * t / 25) + 0.5 * np.sin(2 * np.pi * t / 60) + 0.02 * np.random.randn(600)
    train_size = int(len(series) * 0.8)
    mean, std = series[:train_size].mean(), series[:train_size].std()
    series = (series - mean) / std
    train_loader = DataLoader(SequenceDataset(series[:train_size], window), batch_size=32, shuffle=True, drop_last=True)
    test_loader = DataLoader(SequenceDataset(series[train_size:], window), batch_size=1, shuffle=False)
    model = GRUModel(1, 24, 2, 1).to(device)
    loss_fn = nn.MSELoss(reduction="mean")
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3, weight_decay=1e-6)
    scheduler = ReduceLROnPlateau(optimizer, "min", patience=2)
    train_losses = []
    for epoch in range(1, n_epochs + 1):
        batch_losses = []
        for x_batch, y_batch in train_loader:
            x_batch = x_batch.view([32, -1, 1]).to(device)
            y_batch = y_batch.to(device)
            model.train()
            yhat = model(x_batch)
            loss = loss_fn(y_batch, yhat)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
            optimizer.step()
            optimizer.zero_grad()
            batch_losses.append(loss.item())
        train_losses.append(np.mean(batch_losses))
        scheduler.step(train_losses[-1])
        print(f"[{epoch}/{n_epochs}] Training loss: {train_losses[-1]:.4f}")

    with torch.no_grad():
        predictions, values = [], []
        for x_test, y_test in test_loader:
            model.eval()
            predictions.append(model(x_test.to(device)).to(device).detach().numpy())
            values.append(y_test.to(device).detach().numpy())
        seed = test_loader.dataset.series[:window].reshape(1, window, 1)
        for _ in range(10):  # from its own outputs
            following = model(seed)
            seed = torch.cat((seed[:, 1:], following.unsqueeze(1)), dim=1)
    rmse = np.sqrt(np.mean((np.concatenate(predictions, axis=0) - np.concatenate(values, axis=0)) ** 2))
    return train_losses, float(rmse), seed[0, -10:, 0].tolist(), series[train_size + window:train_size + window + 10]
