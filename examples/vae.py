"""A variational autoencoder lays digits out in a plane: from each point of it, an image can be drawn.

The encoder gives mean and variance of a point for each image, the decoder an image for a point. The loss is the
cross-entropy of the pixels plus the divergence of the points from a standard normal distribution.

The images are MNIST where it is on this machine (MINIDL_DATA), otherwise digits of seven segments, moved about.

D. Kingma, M. Welling, "Auto-encoding variational Bayes", ICLR 2014.
"""
import numpy as np
from common import options, picture

import minidl
from minidl import data, nn, optim
from minidl import functional as F

BATCH = 64


def seven_segments(count, rng):
    """Images (count, 28, 28) of digits as a pocket calculator shows them, and their labels."""
    labels, images = rng.integers(10, size=count), np.zeros((count, 28, 28), np.uint8)
    bars = [(0, 0, 2, 8), (0, 0, 8, 2), (0, 6, 8, 8), (6, 0, 8, 8), (6, 0, 14, 2), (6, 6, 14, 8), (12, 0, 14, 8)]
    lit = ["1110111", "0010010", "1011101", "1011011", "0111010", "1101011", "1101111", "1010010", "1111111", "1111011"]
    for image, label, (top, left) in zip(images, labels, rng.integers((2, 4), (12, 16), size=(count, 2)), strict=True):
        for (y0, x0, y1, x1), on in zip(bars, lit[label], strict=True):
            if on == "1":
                image[top + y0:top + y1, left + x0:left + x1] = 255
    return images, labels


class VAE(nn.Module):
    def __init__(self, hidden=128, latent=2):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(784, hidden), nn.ReLU(), nn.Linear(hidden, 2 * latent))
        self.decoder = nn.Sequential(nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, 784))
        self.latent = latent

    def forward(self, x):
        code = self.encoder(x)
        mean, log_variance = code[:, :self.latent], code[:, self.latent:]
        noise = minidl.randn(BATCH, self.latent)
        return self.decoder(mean + noise * (0.5 * log_variance).exp()), mean, log_variance


args = options(__doc__, steps=5000)
rng = np.random.default_rng(args.seed)
try:
    images, labels = data.mnist(download=False)[:2]
except FileNotFoundError:
    images, labels = seven_segments(10_000, rng)
model = VAE()
optimizer = optim.Adam(model.parameters(), lr=1e-3)


@minidl.capture
def train_step(x):
    z, mean, log_variance = model(x)
    cross_entropy = (F.softplus(z) - x * z).sum() / BATCH
    divergence = -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum() / BATCH
    optimizer.zero_grad()
    (cross_entropy + divergence).backward()
    optimizer.step()
    return cross_entropy, divergence


for i in range(args.steps):
    x = data.scaled(images[rng.integers(len(images), size=BATCH)])
    cross_entropy, divergence = train_step(x)
    if (i + 1) % max(1, args.steps // 5) == 0:
        print(f"step {i + 1}: cross-entropy {cross_entropy.item():.1f}, divergence {divergence.item():.1f}")

x = data.scaled(images[:2000])
means = model.encoder.predict(x)[:, :2]
drawn = F.sigmoid(model.decoder.predict(means))
side = np.linspace(-2, 2, 12, dtype=np.float32)
grid = F.sigmoid(model.decoder.predict([(u, -v) for v in side for u in side])).reshape(12, 12, 28, 28)


def draw(left, right):
    left.scatter(*means.T, c=labels[:2000], s=4, cmap="tab10")
    left.set(title="where the encoder puts digits", xlim=(-3, 3), ylim=(-3, 3))
    right.imshow(1 - grid.transpose(0, 2, 1, 3).reshape(12 * 28, 12 * 28), cmap="gray")
    right.set(title="what the decoder draws", xticks=[], yticks=[])


print(f"train_step: {train_step.path}")
picture(args.out, draw, columns=2)
print(f"squared error over the variance: {np.mean((drawn - x)**2) / x.var(axis=0).mean():.3f}")
