"""Deep Q-learning balances a pole: the return, 500 at most, rises from about 20 to some hundreds.

A network estimates Q(s, a), the discounted sum of the rewards to come. Past steps are drawn at random from a memory,
and Q(s, a) is drawn towards 1 + gamma max Q'(s', .), where the network Q' follows Q slowly.

V. Mnih et al., "Human-level control through deep reinforcement learning", Nature 518 (2015).
"""
import copy

import numpy as np
from cartpole import CartPole, returns
from common import COLOURS, options, picture

import minidl
from minidl import nn, optim

GAMMA, TAU, BATCH, MEMORY = 0.99, 0.005, 128, 10_000
TEST, SOLVED = 2000, 475  # how often it is tested, and when it may stop


def network():
    return nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2))


args = options(__doc__, steps=40_000)
rng = np.random.default_rng(args.seed)
env = CartPole(1, args.seed)
q, target = network(), network()
target.load_state_dict(q.state_dict())
criterion = nn.HuberLoss()
optimizer = optim.AdamW(q.parameters(), lr=1e-3)


@minidl.capture
def learn(state, action, reached, failed):
    with minidl.no_grad():
        best = 1 + GAMMA * (1 - failed) * target(reached).max(1).values
    loss = criterion((q(state) * action).sum(1), best)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    with minidl.no_grad():
        for slow, fast in zip(target.parameters(), q.parameters(), strict=True):
            slow.mul_(1 - TAU).add_(fast, alpha=TAU)
    return loss


def greedy(states):
    return q.predict(states).argmax(1)


memory = [np.zeros((MEMORY, n), np.float32) for n in (4, 2, 4)] + [np.zeros(MEMORY, np.float32)]
lengths, scores = [0], []
for i in range(args.steps):
    state = env.state
    explore = rng.random() < max(0.05, 1 - i / 3000)
    action = rng.integers(2, size=1) if explore else greedy(state)
    reached, failed, ended = env.step(action)
    lengths[-1] += 1
    if ended[0]:
        lengths.append(0)
    for column, new in zip(memory, (state, np.eye(2)[action], reached, failed), strict=True):
        column[i % MEMORY] = new[0]
    if i >= BATCH:
        rows = rng.integers(min(i + 1, MEMORY), size=BATCH)
        learn(*(column[rows] for column in memory))
    if (i + 1) % TEST == 0:
        scores.append(returns(greedy).mean())
        print(f"step {i + 1}: {len(lengths) - 1} episodes, mean return without exploration {scores[-1]:.1f}")
        if scores[-1] == max(scores):
            found = copy.deepcopy(q.state_dict())
        if scores[-1] >= SOLVED:
            break


def draw(ax):
    ax.plot(np.cumsum(lengths), lengths, ".", color=COLOURS[4], label="an episode, with exploration")
    ax.plot(TEST * np.arange(1, len(scores) + 1), scores, color=COLOURS[0], label="mean of 20 without")
    ax.set(xlabel="step", ylabel="return", title="DQN on the cart-pole")
    ax.legend()


print(f"learn: {learn.path}")
picture(args.out, draw)
q.load_state_dict(found)  # Q-learning forgets at times: the best of the tested networks
print(f"mean return: {returns(greedy, seed=2000).mean():.1f}")
