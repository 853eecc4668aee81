"""A variational autoencoder of small pictures of bars (Kingma and Welling 2014), with its losses side by side."""
import argparse

import torch
import torch.utils.data
from torch import nn, optim
from torch.distributions import Normal, kl_divergence
from torch.nn import functional as F

parser = argparse.ArgumentParser(description="VAE of bars")
parser.add_argument("--batch-size", type=int, default=64)
parser.add_argument("--epochs", type=int, default=12)
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--log-interval", type=int, default=10)


class Bars(torch.utils.data.Dataset):
    """Pictures of 8 x 8 pixels, in which some rows or some columns are white."""

    def __init__(self, n):
        lines = (torch.rand(n, 8) < 0.3).float()
        upright = torch.rand(n) < 0.5
        rows = lines.unsqueeze(2).expand(-1, -1, 8)
        self.data = torch.where(upright.view(-1, 1, 1), rows, rows.transpose(1, 2)).unsqueeze(1)
        self.targets = upright.long()

    def __len__(self):
        return self.data.size(0)

    def __getitem__(self, index):
        return self.data[index], self.targets[index]


class VAE(nn.Module):
    def __init__(self, latent=6):
        super(VAE, self).__init__()

        self.fc1 = nn.Linear(64, 48)
        self.fc21 = nn.Linear(48, latent)
        self.fc22 = nn.Linear(48, latent)
        self.fc3 = nn.Linear(latent, 48)
        self.fc4 = nn.Linear(48, 64)

    def encode(self, x):
        h1 = F.relu(self.fc1(x))
        return self.fc21(h1), self.fc22(h1)

    def reparameterize(self, mu, logvar):
        std = torch.exp(0.5 * logvar)
        eps = torch.randn_like(std)
        return mu + eps * std

    def decode(self, z):
        h3 = F.relu(self.fc3(z))
        return torch.sigmoid(self.fc4(h3))

    def forward(self, x):
        mu, logvar = self.encode(x.view(-1, 64))
        z = self.reparameterize(mu, logvar)
        return self.decode(z), mu, logvar


# Reconstruction + KL divergence, summed over all elements and the batch
def loss_function(recon_x, x, mu, logvar):
    BCE = F.binary_cross_entropy(recon_x, x.view(-1, 64), reduction="sum")
    KLD = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return BCE + KLD


def train(model, device, loader, optimizer, epoch, log_interval):
    model.train()
    train_loss = 0
    for batch_idx, (data, _) in enumerate(loader):
        data = data.to(device)
        optimizer.zero_grad()
        recon_batch, mu, logvar = model(data)
        loss = loss_function(recon_batch, data, mu, logvar)
        loss.backward()
        train_loss += loss.item()
        optimizer.step()
        if batch_idx % log_interval == 0:
            print("Train Epoch: {} [{}/{} ({:.0f}%)]\tLoss: {:.6f}".format(
                epoch, batch_idx * len(data), len(loader.dataset), 100.0 * batch_idx / len(loader),
                loss.item() / len(data)))
    return train_loss / len(loader.dataset)


def test(model, device, loader):
    model.eval()
    test_loss = 0.0
    with torch.no_grad():
        for _, (data, _) in enumerate(loader):
            data = data.to(device)
            recon_batch, mu, logvar = model(data)
            test_loss += loss_function(recon_batch, data, mu, logvar).item()
    return test_loss / len(loader.dataset)


def main(argv=(), device="cpu"):
    args = parser.parse_args(list(argv))
    torch.manual_seed(args.seed)
    device = torch.device("cuda" if torch.cuda.is_available() and device == "cuda" else "cpu")
    train_loader = torch.utils.data.DataLoader(Bars(2000), batch_size=args.batch_size, shuffle=True)
    test_loader = torch.utils.data.DataLoader(Bars(500), batch_size=args.batch_size, shuffle=False)
    model = VAE().to(device)
    optimizer = optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for epoch in range(1, args.epochs + 1):
        train(model, device, train_loader, optimizer, epoch, args.log_interval)
        losses.append(test(model, device, test_loader))
        print(f"====> Test set loss: {losses[-1]:.4f}")
    with torch.no_grad():
        sample = model.decode(torch.randn(16, 6).to(device)).cpu()
        mu, logvar = model.encode(next(iter(test_loader))[0].view(-1, 64))
        kl = kl_divergence(Normal(mu, (0.5 * logvar).exp()), Normal(torch.zeros_like(mu), torch.ones_like(mu)))
        by_formula = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
        assert abs(kl.sum().item() - by_formula.item()) < 1e-2 * abs(by_formula.item())
    return losses, sample.view(16, 1, 8, 8).numpy()
