"""Proximal policy optimization balances sixteen poles at a time: the mean return rises from about 20 to 500, the most.

The policy is drawn along the advantage of each action over what the critic expected, but no further than the ratio of
new and old probability stays within 1 - CLIP and 1 + CLIP, so that a batch of steps serves for several epochs.

J. Schulman et al., "Proximal policy optimization algorithms", arXiv:1707.06347 (2017), with their
"High-dimensional continuous control using generalized advantage estimation", ICLR 2016.
"""
import numpy as np
from cartpole import CartPole, returns
from common import COLOURS, options, picture

import minidl
from minidl import functional as F
from minidl import nn, optim
from minidl.data import Batches

CARTS, HORIZON, EPOCHS, BATCH = 16, 128, 4, 256
GAMMA, LAMBDA, CLIP, ENTROPY = 0.99, 0.95, 0.2, 0.01


def network(outputs):
    return nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, outputs))


args = options(__doc__, steps=40)
rng = np.random.default_rng(args.seed)
env = CartPole(CARTS, args.seed)
actor, critic = network(2), network(1)
optimizer = optim.Adam([*actor.parameters(), *critic.parameters()], lr=2e-3)
scheduler = optim.lr_scheduler.LinearLR(optimizer, 1, 0, total_iters=args.steps)


@minidl.capture
def learn(state, action, old, advantage, goal):
    logs = F.log_softmax(actor(state), dim=1)
    ratio = ((logs * action).sum(1) - old).exp()
    clipped = ratio.clamp(1 - CLIP, 1 + CLIP)
    loss = -F.minimum(ratio * advantage, clipped * advantage).mean()
    loss = loss + F.mse_loss(critic(state)[:, 0], goal) + ENTROPY * (logs.exp() * logs).sum(1).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


def collect():
    """HORIZON steps of each cart: what learn() takes, each (HORIZON * CARTS, ...)."""
    rows = []
    for _ in range(HORIZON):
        state = env.state
        p = F.softmax(minidl.tensor(actor.predict(state)), dim=1).numpy()
        action = (rng.random(CARTS) < p[:, 1]).astype(int)
        reached, failed, ended = env.step(action)
        rows.append((state, np.eye(2, dtype=np.float32)[action], np.log(p[np.arange(CARTS), action]),
                     critic.predict(state)[:, 0], critic.predict(reached)[:, 0] * ~failed, ended))
    states, actions, logs, values, following, ended = map(np.stack, zip(*rows, strict=True))
    surprise, advantage = 1 + GAMMA * following - values, np.zeros_like(values)
    sum_ = np.zeros(CARTS, np.float32)
    for k in reversed(range(HORIZON)):
        sum_ = advantage[k] = surprise[k] + GAMMA * LAMBDA * ~ended[k] * sum_
    goals = advantage + values
    advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    return [x.reshape(HORIZON * CARTS, *x.shape[2:]) for x in (states, actions, logs, advantage, goals)]


def greedy(states):
    return actor.predict(states).argmax(1)


scores = []
for i in range(args.steps):
    rollout = collect()
    for _ in range(EPOCHS):
        for rows in Batches(CARTS * HORIZON, BATCH, generator=rng):
            learn(*(x[rows] for x in rollout))
    scheduler.step()
    if i % 3 == 2:
        scores.append(returns(greedy).mean())
        print(f"rollout {i + 1}: mean return {scores[-1]:.1f}")


def draw(ax):
    ax.plot(CARTS * HORIZON * 3 * np.arange(1, len(scores) + 1), scores, color=COLOURS[0])
    ax.set(xlabel="step of a cart", ylabel="mean return", title="PPO on the cart-pole")


print(f"learn: {learn.path}")
picture(args.out, draw)
print(f"mean return: {returns(greedy).mean():.1f}")
