"""A physics-informed network solves an oscillator's equation without being shown a solution.

u'' + 2 d u' + w^2 u = 0 with u(0) = 1, u'(0) = 0: the loss is the squared residual of the equation at points of time,
plus the squared errors of the two initial conditions. The derivatives with respect to the time are derivatives of
the network, which backward() differentiates once more, with respect to the weights.

M. Raissi, P. Perdikaris, G. Karniadakis, "Physics-informed neural networks", J. Computational Physics 378 (2019).
"""
import numpy as np
from common import COLOURS, options, picture

import minidl
from minidl import nn, optim

DAMPING, FREQUENCY, DURATION = 0.4, 4.0, 3.0

args = options(__doc__, steps=20_000)
model = nn.Sequential(nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1))
optimizer = optim.Adam(model.parameters(), lr=5e-3)
scheduler = optim.lr_scheduler.LinearLR(optimizer, 1, 0, total_iters=args.steps)


def derivative(y, x):
    return minidl.autograd.grad(y.sum(), x, create_graph=True)[0]


@minidl.capture
def train_step(t):
    t.requires_grad_()
    u = model(t)
    du = derivative(u, t)
    d2u = derivative(du, t)
    residual = d2u + 2 * DAMPING * du + FREQUENCY**2 * u
    loss = (residual / FREQUENCY).pow(2).mean() + (u[0] - 1).pow(2).sum() + (du[0] / FREQUENCY).pow(2).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


def exact(t):
    w = np.sqrt(FREQUENCY**2 - DAMPING**2)
    return np.exp(-DAMPING * t) * (np.cos(w * t) + DAMPING / w * np.sin(w * t))


rng = np.random.default_rng(args.seed)
losses = []
for i in range(args.steps):
    t = rng.uniform(0, DURATION, (64, 1)).astype(np.float32)
    t[0] = 0
    losses.append(train_step(t).item())
    scheduler.step()
    if (i + 1) % max(1, args.steps // 6) == 0:
        print(f"step {i + 1}: loss {losses[-1]:.2e}")

time = np.linspace(0, DURATION, 401, dtype=np.float32)[:, None]
found = model.predict(time)


def draw(left, right):
    left.semilogy(losses, color=COLOURS[0], linewidth=0.5)
    left.set(xlabel="step", ylabel="loss", title="Residual and initial conditions")
    right.plot(time, exact(time), color=COLOURS[1], linewidth=4, label="exact")
    right.plot(time, found, color=COLOURS[0], label="network")
    right.set(xlabel="t", ylabel="u", title="The damped oscillator")
    right.legend()


print(f"train_step: {train_step.path}")
picture(args.out, draw, columns=2)
print(f"root mean square error: {np.sqrt(np.mean((found - exact(time))**2)):.5f}")
