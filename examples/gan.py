"""A generative adversarial network learns to draw points from eight clusters on a circle.

The generator G turns noise into points; the discriminator D tells them from the data. D descends
-log D(x) - log(1 - D(G(z))), G descends -log D(G(z)), both written with softplus on D's logits.

I. Goodfellow et al., "Generative adversarial nets", NeurIPS 2014; the clusters are those of L. Metz et al.,
"Unrolled generative adversarial networks", ICLR 2017.
"""
import numpy as np
from common import COLOURS, options, picture

import minidl
from minidl import functional as F
from minidl import nn, optim

BATCH, NOISE, SPREAD = 256, 8, 0.1

args = options(__doc__, steps=10_000)
rng = np.random.default_rng(args.seed)
angles = 2 * np.pi * np.arange(8) / 8
centres = 2 * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def data(n):
    points = centres[rng.integers(8, size=n)] + SPREAD * rng.standard_normal((n, 2))
    return points.astype(np.float32)


def network(inputs, outputs):
    return nn.Sequential(nn.Linear(inputs, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, outputs))


G, D = network(NOISE, 2), network(2, 1)
of_G = optim.Adam(G.parameters(), lr=1e-3, betas=(0.5, 0.999))
of_D = optim.Adam(D.parameters(), lr=1e-3, betas=(0.5, 0.999))
schedulers = [optim.lr_scheduler.LinearLR(optimizer, 1, 0, total_iters=args.steps) for optimizer in (of_G, of_D)]


@minidl.capture
def train_step(real):
    fake = G(minidl.randn(BATCH, NOISE))
    loss_D = F.softplus(-D(real)).mean() + F.softplus(D(fake.detach())).mean()
    of_D.zero_grad()
    loss_D.backward()
    of_D.step()
    loss_G = F.softplus(-D(fake)).mean()
    of_G.zero_grad()
    loss_G.backward()
    of_G.step()
    return loss_D, loss_G


for i in range(args.steps):
    loss_D, loss_G = train_step(data(BATCH))
    for scheduler in schedulers:
        scheduler.step()
    if (i + 1) % max(1, args.steps // 5) == 0:
        print(f"step {i + 1}: discriminator {loss_D.item():.3f}, generator {loss_G.item():.3f}")

drawn = G.predict(rng.standard_normal((2000, NOISE)))
distances = np.linalg.norm(drawn[:, None] - centres, axis=2)
near = distances.min(axis=1) < 4 * SPREAD
shares = np.bincount(distances.argmin(axis=1)[near], minlength=8) / len(drawn)


def draw(left, right):
    for ax, points, title in ((left, data(2000), "data"), (right, drawn, "generated")):
        ax.plot(*points.T, ".", color=COLOURS[0], markersize=2)
        ax.set(title=title, xlim=(-3, 3), ylim=(-3, 3), aspect="equal")


print(f"train_step: {train_step.path}")
print(f"share of each cluster: {' '.join(f'{share:.2f}' for share in shares)} (of the data: 0.125)")
picture(args.out, draw, columns=2)
print(f"points near a cluster: {near.mean():.3f}, clusters found: {np.count_nonzero(shares > 0.03)}")
