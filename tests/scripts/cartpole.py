"""Barto, Sutton and Anderson's cart and pole (1983), in NumPy."""
import numpy as np


class CartPole:
    """Keep the pole up: actions 0 and 1 push left and right, each step is worth 1, an episode has at most 200."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def reset(self):
        self.state, self.steps = self.rng.uniform(-0.05, 0.05, 4), 0
        return self.state.astype(np.float32)

    def step(self, action):
        x, v, angle, w = self.state
        force = 10.0 if action == 1 else -10.0
        sine, cosine = np.sin(angle), np.cos(angle)
        pushed = (force + 0.05 * w * w * sine) / 1.1
        turn = (9.8 * sine - cosine * pushed) / (0.5 * (4 / 3 - 0.1 * cosine * cosine / 1.1))
        push = pushed - 0.05 * turn * cosine / 1.1
        self.state = np.array([x + 0.02 * v, v + 0.02 * push, angle + 0.02 * w, w + 0.02 * turn])
        self.steps += 1
        fallen = abs(self.state[0]) > 2.4 or abs(self.state[2]) > 0.2095
        return self.state.astype(np.float32), 1.0, fallen, fallen or self.steps >= 200
