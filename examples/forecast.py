"""A GRU forecasts a chaotic series: Mackey and Glass's, x' = 0.2 x(t - 17) / (1 + x(t - 17)^10) - 0.1 x.

It learns to give the next value at each place of a window but the first WARMING. Then it is shown WARM values of a
part of the series that it has not seen, and goes on by itself: each value that it gives is the next that it reads.

M. Mackey, L. Glass, "Oscillation and chaos in physiological control systems", Science 197 (1977); K. Cho et al.,
"Learning phrase representations using RNN encoder-decoder", EMNLP 2014.
"""
import numpy as np
from common import COLOURS, options, picture

import minidl
from minidl import functional as F
from minidl import nn, optim

SPAN, WARMING, BATCH, WARM, AHEAD = 64, 16, 32, 100, 100


def mackey_glass(count, every=3.0, delay=17.0, dt=0.1):
    """The series by Euler's method, from a constant; its values after the first 300 seconds, in units of deviation."""
    back, begin, stride = round(delay / dt), round(300 / dt), round(every / dt)
    x = np.full(back + begin + count * stride, 1.2)
    for i in range(back, len(x) - 1):
        x[i + 1] = x[i] + dt * (0.2 * x[i - back] / (1 + x[i - back]**10) - 0.1 * x[i])
    x = x[back + begin::stride]
    return ((x - x.mean()) / x.std()).astype(np.float32)


class Forecaster(nn.Module):
    def __init__(self, hidden=48):
        super().__init__()
        self.gru = nn.GRU(1, hidden, batch_first=True)
        self.output = nn.Linear(hidden, 1)

    def forward(self, x, h=None):
        y, h = self.gru(x, h)
        return x + self.output(y), h


args = options(__doc__, steps=2500)
rng = np.random.default_rng(args.seed)
series = mackey_glass(3000)
seen, unseen = series[:2000, None], series[2000:, None]
model = Forecaster()
optimizer = optim.Adam(model.parameters(), lr=3e-3)
scheduler = optim.lr_scheduler.LinearLR(optimizer, 1, 0, total_iters=args.steps)


@minidl.capture
def train_step(x, y):
    loss = F.mse_loss(model(x)[0][:, WARMING:], y[:, WARMING:])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


@minidl.no_grad()
def forecast(warm, count):
    """The ``count`` values that follow ``warm`` (N, WARM, 1): (N, count)."""
    y, h = model(minidl.tensor(warm))
    values = [y[:, -1:]]
    while len(values) < count:
        y, h = model(values[-1], h)
        values.append(y)
    return minidl.cat(values, dim=1)[:, :, 0].numpy()


for i in range(args.steps):
    rows = rng.integers(len(seen) - SPAN, size=(BATCH, 1)) + np.arange(SPAN)
    loss = train_step(seen[rows], seen[rows + 1])
    scheduler.step()
    if (i + 1) % max(1, args.steps // 5) == 0:
        print(f"step {i + 1}: error of the next value {loss.item()**0.5:.4f} deviations")

begins = np.arange(0, len(unseen) - WARM - AHEAD, 50)
found = forecast(np.stack([unseen[i:i + WARM] for i in begins]), AHEAD)
true = np.stack([unseen[i + WARM:i + WARM + AHEAD, 0] for i in begins])
errors = np.sqrt(np.mean((found - true)**2, axis=0))


def draw(left, right):
    left.plot(np.arange(-WARM, AHEAD), unseen[:WARM + AHEAD], color=COLOURS[1], linewidth=3, label="series")
    left.plot(found[0], color=COLOURS[0], label="forecast")
    left.set(xlabel="value", title="A GRU goes on with a chaotic series", ylim=(-3.5, 2))
    left.legend(loc="lower left", ncols=2)
    right.plot(np.arange(1, AHEAD + 1), errors, color=COLOURS[0])
    right.set(xlabel="values ahead", ylabel="error in deviations", title="How far it sees", ylim=(0, None))


print(f"train_step: {train_step.path}")
picture(args.out, draw, columns=2)
print(f"error 20 values ahead, in deviations: {errors[19]:.4f}")
