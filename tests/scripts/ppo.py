"""Proximal policy optimisation on a cart and a pole (Schulman et al. 2017), with advantages by GAE."""
import numpy as np
import torch
import torch.nn as nn
import torch.optim as optim
from cartpole import CartPole
from torch.distributions import Categorical


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
        return Categorical(logits=self.actor(x)), self.critic(x).squeeze(1)


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
                dist, value = agent(torch.from_numpy(state))
                chosen = dist.sample()
                logprob = dist.log_prob(chosen)
            action = chosen.numpy()
            before, ends = state.copy(), np.zeros(8, np.float32)
            for i, env in enumerate(envs):
                state[i], _, _, done = env.step(action[i])
                if done:
                    returns.append(env.steps)
                    state[i], ends[i] = env.reset(), 1
            rows.append((before, action, logprob.numpy(), value.numpy(), ends))
        with torch.no_grad():
            following = agent(torch.from_numpy(state))[1].numpy()
        s, a, old, v, ends = (np.array(column) for column in zip(*rows, strict=True))
        advantage, last = np.zeros_like(v), np.zeros(8, np.float32)
        for t in reversed(range(64)):
            delta = 1 + 0.99 * following * (1 - ends[t]) - v[t]
            advantage[t] = last = delta + 0.99 * 0.95 * (1 - ends[t]) * last
            following = v[t]
        flat = [torch.from_numpy(x) for x in (s.reshape(-1, 4), a.reshape(-1), old.reshape(-1), advantage.reshape(-1),
                                              (advantage + v).reshape(-1))]
        for _ in range(4):
            for index in np.array_split(rng.permutation(512), 4):
                xs, actions, old_logp, adv, goal = (x[torch.from_numpy(index)] for x in flat)
                adv = (adv - adv.mean()) / (adv.std() + 1e-8)
                dist, value = agent(xs)
                ratio = torch.exp(dist.log_prob(actions) - old_logp)
                surr1 = ratio * adv
                surr2 = torch.clamp(ratio, 1 - 0.2, 1 + 0.2) * adv
                loss = -torch.min(surr1, surr2).mean() - 0.01 * dist.entropy().mean()
                loss = loss + 0.5 * nn.functional.mse_loss(value, goal)
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(agent.parameters(), 0.5)
                optimizer.step()
        scheduler.step()
    print(f"mean of the last twenty episodes: {np.mean(returns[-20:]):.1f} steps")
    return returns
