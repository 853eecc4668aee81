"""A convolutional autoencoder that cleans noisy pictures, with a hook on its gradients and a rate that falls."""
from collections import OrderedDict

import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from torch.utils.data import DataLoader, TensorDataset


class DenoisingAutoencoder(nn.Module):
    def __init__(self, channels=(1, 8, 16), code=12):
        super().__init__()
        self.encoder = nn.Sequential(OrderedDict([
            ("conv1", nn.Conv2d(channels[0], channels[1], kernel_size=3, stride=2, padding=1, padding_mode="reflect")),
            ("norm1", nn.InstanceNorm2d(channels[1], affine=True)),
            ("act1", nn.LeakyReLU(0.1, inplace=True)),
            ("conv2", nn.Conv2d(channels[1], channels[2], kernel_size=3, stride=2, padding=1)),
            ("act2", nn.ReLU(True)),
            ("flatten", nn.Flatten()),
            ("code", nn.Linear(channels[2] * 3 * 3, code)),
        ]))
        self.decoder = nn.Sequential(
            nn.Linear(code, 64),
            nn.ReLU(),
            nn.Linear(64, 144),
            nn.Sigmoid(),
            nn.Unflatten(1, (1, 12, 12)),
        )

    def forward(self, x):
        return self.decoder(self.encoder(x))


def discs(n, size=12):
    """White discs on black."""
    ys, xs = torch.meshgrid(torch.arange(size).float(), torch.arange(size).float(), indexing="ij")
    centre = torch.rand(n, 2, 1, 1) * (size - 6) + 3
    radius = 1.5 + 2 * torch.rand(n, 1, 1)
    distance = ((ys - centre[:, 0]) ** 2 + (xs - centre[:, 1]) ** 2).sqrt()
    return torch.clamp(radius - distance + 0.5, 0.0, 1.0).unsqueeze(1)


def main(epochs=6):
    torch.manual_seed(3)
    device = torch.device("cpu")
    clean = discs(768)
    noisy = (clean + 0.3 * torch.randn(*clean.shape)).clamp(0.0, 1.0)
    train_loader = DataLoader(TensorDataset(noisy[:640], clean[:640]), batch_size=32, shuffle=True)
    val_x, val_y = noisy[640:].to(device), clean[640:].to(device)

    model = DenoisingAutoencoder().to(device)
    n_params = sum(p.numel() for p in model.parameters() if p.requires_grad)
    print(f"{model.__class__.__name__} on {next(model.parameters()).device}: {n_params:,} parameters")
    print(model.encoder.conv1.weight.shape, model.encoder[0] is model.encoder.conv1)

    norms = []
    handle = model.decoder[0].register_full_backward_hook(
        lambda module, grad_input, grad_output: norms.append(grad_output[0].norm().item()))
    criterion = nn.MSELoss()
    optimizer = optim.Adam(model.parameters(), lr=4e-3, weight_decay=1e-6)
    scheduler = optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode="min", factor=0.5, patience=1)
    history = []
    for epoch in range(epochs):
        model.train()
        running_loss = 0.0
        for xb, yb in train_loader:
            xb, yb = xb.to(device), yb.to(device)
            optimizer.zero_grad(set_to_none=True)
            output = model(xb)
            loss = criterion(output, yb)
            loss.backward()
            optimizer.step()
            running_loss += loss.item() * xb.size(0)
        model.eval()
        with torch.no_grad():
            val_loss = criterion(model(val_x), val_y)
        scheduler.step(val_loss)
        history.append(val_loss.item())
        print(f"Epoch [{epoch + 1}/{epochs}] loss: {running_loss / 640:.4f} val: {val_loss:.4f} "
              f"lr: {optimizer.param_groups[0]['lr']:.1e}")
    handle.remove()
    model(val_x[:2]).sum().backward()
    assert len(norms) == epochs * 20
    baseline = F.mse_loss(val_x, val_y).item()
    return history, baseline, model.state_dict()
