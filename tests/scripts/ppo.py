"""Proximal policy optimisation on a cart and a pole (Schulman et al. 2017), with advantages by GAE."""
import numpy as np
import torch
import torch.nn as nn
import torch.optim as optim
from cartpole import CartPole


def layer(inputs, outputs, std):
    made = nn.Linear(inputs, outputs)
    torch.nn.init.orthogonal_(made.weight, std)
    torch.nn.init.constant_(made.bias, 0.0)
    return made


class Agent(nn.Module):
    def __init__(self):
        super().__init__()
        self.critic = nn.Sequential(layer(4, 64, 1.4), nn.Tanh(), layer(64, 64, 1.4), nn.Tanh(), layer(64, 1, 1.0))
        self.actor = nn.Sequential(layer(4, 64, 1.4), nn.Tanh(), layer(64, 64, 1.4), nn.Tanh(), layer(64, 2, 0.01))

    def forward(self, x):
        return torch.log_softmax(self.actor(x), dim=1), self.critic(x).squeeze(1)


def main(updates=30, seed=0):
    torch.manual_seed(seed)
    rng, envs = np.random.default_rng(seed), [CartPole(seed * 100 + i) for i in range(8)]
    agent = Agent()
    optimizer = optim.Adam(agent.parameters(), lr=2.5e-3, eps=1e-5)
    scheduler = optim.lr_scheduler.LinearLR(optimizer, start_factor=1.0, end_factor=0.0, total_iters=updates)
    state, returns = np.stack([env.reset() for env in envs]), []
    for _ in range(updates):
        rows = []
        for _ in range(64):
            with torch.no_grad():
                logp, value = agent(torch.from_numpy(state))
            action = (rng.random(8) < np.exp(logp.numpy()[:, 1])).astype(np.int64)
            before, ends = state.copy(), np.zeros(8, np.float32)
            for i, env in enumerate(envs):
                state[i], _, _, done = env.step(action[i])
                if done:
                    returns.append(env.steps)
                    state[i], ends[i] = env.reset(), 1
            rows.append((before, action, logp.numpy()[np.arange(8), action], value.numpy(), ends))
        with torch.no_grad():
            following = agent(torch.from_numpy(state))[1].numpy()
        s, a, old, v, ends = (np.array(column) for column in zip(*rows, strict=True))
        advantage, last = np.zeros_like(v), np.zeros(8, np.float32)
        for t in reversed(range(64)):
            delta = 1 + 0.99 * following * (1 - ends[t]) - v[t]
            advantage[t] = last = delta + 0.99 * 0.95 * (1 - ends[t]) * last
            following = v[t]
        taken = np.eye(2, dtype=np.float32)[a.reshape(-1)]
        flat = [torch.from_numpy(x) for x in (s.reshape(-1, 4), taken, old.reshape(-1), advantage.reshape(-1),
                                              (advantage + v).reshape(-1))]
        for _ in range(4):
            for index in np.array_split(rng.permutation(512), 4):
                xs, one_hot, old_logp, adv, goal = (x[torch.from_numpy(index)] for x in flat)
                adv = (adv - adv.mean()) / (((adv - adv.mean()) ** 2).mean().sqrt() + 1e-8)
                logp, value = agent(xs)
                ratio = ((logp * one_hot).sum(1) - old_logp).exp()
                clipped = torch.where(ratio > 1.2, 1.2, torch.where(ratio < 0.8, 0.8, ratio))
                first, second = -adv * ratio, -adv * clipped
                entropy = -(logp.exp() * logp).sum(1).mean()
                loss = torch.where(first > second, first, second).mean() - 0.01 * entropy
                loss = loss + 0.5 * ((value - goal) ** 2).mean()
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(agent.parameters(), 0.5)
                optimizer.step()
        scheduler.step()
    print(f"mean of the last twenty episodes: {np.mean(returns[-20:]):.1f} steps")
    return returns
