"""Deep Q-learning on a cart and a pole, with a replay memory and a target network (Mnih et al. 2015)."""
import random
from collections import deque

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from cartpole import CartPole


class QNetwork(nn.Module):
    def __init__(self, n_observations, n_actions):
        super().__init__()
        self.layer1 = nn.Linear(n_observations, 64)
        self.layer2 = nn.Linear(64, 64)
        self.layer3 = nn.Linear(64, n_actions)

    def forward(self, x):
        x = F.relu(self.layer1(x))
        x = F.relu(self.layer2(x))
        return self.layer3(x)


def main(episodes=120, seed=0):
    torch.manual_seed(seed)
    rng, env = random.Random(seed), CartPole(seed)
    policy, target = QNetwork(4, 2), QNetwork(4, 2)
    target.load_state_dict(policy.state_dict())
    target.requires_grad_(False)
    optimizer = optim.AdamW(policy.parameters(), lr=2e-3, amsgrad=True)
    criterion = nn.HuberLoss()
    memory, returns, steps = deque(maxlen=10000), [], 0
    for _ in range(episodes):
        state, done = env.reset(), False
        while not done:
            steps += 1
            if rng.random() < 0.02 + 0.9 * np.exp(-steps / 300):
                action = rng.randrange(2)
            else:
                with torch.no_grad():
                    action = policy(torch.from_numpy(state[None])).max(1)[1].item()
            following, reward, fallen, done = env.step(action)
            memory.append((state, action, reward, following, float(not fallen)))
            state = following
            if len(memory) < 128 or steps % 3:
                continue
            s, a, r, s2, alive = (np.array(column) for column in zip(*rng.sample(memory, 128), strict=True))
            action_batch = torch.from_numpy(a).long().unsqueeze(1)
            with torch.no_grad():
                best = target(torch.from_numpy(s2)).max(1)[0]
            goal = torch.from_numpy(r.astype(np.float32)) + 0.98 * torch.from_numpy(alive.astype(np.float32)) * best
            loss = criterion(policy(torch.from_numpy(s)).gather(1, action_batch), goal.unsqueeze(1))
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_value_(policy.parameters(), 100)
            optimizer.step()
            with torch.no_grad():
                for old, new in zip(target.parameters(), policy.parameters(), strict=True):
                    old.mul_(0.97).add_(new, alpha=0.03)
        returns.append(env.steps)
    print(f"mean of the last twenty episodes: {np.mean(returns[-20:]):.1f} steps")
    return returns
