"""A polynomial learns the sine: y = a + b x + c x^2 + d x^3, fitted to sin x between -pi and pi.

The powers of x are the features of one Linear; its weights are the coefficients. RMSprop makes the last step.
PyTorch's tutorial "Learning PyTorch with Examples" has the same problem. Least squares says how close a cubic can come.
"""
import math

import numpy as np
from common import COLOURS, options, picture

import minidl
from minidl import nn, optim

args = options(__doc__, steps=2000)
x = np.linspace(-math.pi, math.pi, 2000, dtype=np.float32)
y = np.sin(x)[:, None]
powers = np.stack([x, x**2, x**3], axis=1)

model = nn.Linear(3, 1)
criterion = nn.MSELoss(reduction="sum")
optimizer = optim.RMSprop(model.parameters(), lr=2e-3)
scheduler = optim.lr_scheduler.StepLR(optimizer, step_size=max(1, args.steps // 2), gamma=0.1)


@minidl.capture
def train_step(powers, y):
    loss = criterion(model(powers), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


for i in range(args.steps):
    loss = train_step(powers, y)
    scheduler.step()
    if (i + 1) % max(1, args.steps // 5) == 0:
        print(f"step {i + 1}: squared error {loss.item():.3f}")


def draw(ax):
    ax.plot(x, y, "--", color=COLOURS[1], label="sin x")
    ax.plot(x, model.predict(powers), color=COLOURS[0], label="polynomial")
    ax.set(xlabel="x", ylabel="y", title="A cubic fitted to the sine")
    ax.legend()


b, c, d = model.weight.detach().numpy()[0]
design = np.stack([np.ones_like(x), *powers.T], axis=1)
least = np.linalg.lstsq(design, y, rcond=None)[1].item()
print(f"y = {model.bias.item():.4f} + {b:.4f} x + {c:.4f} x^2 + {d:.4f} x^3")
print(f"train_step: {train_step.path}")
picture(args.out, draw)
print(f"squared error over the least possible: {loss.item() / least:.4f}")
