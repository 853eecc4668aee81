"""The cart-pole of Barto, Sutton and Anderson (1983), any number of them at a time, in NumPy.

A cart on a rail carries a pole on a hinge; each step pushes it to the left or to the right. An episode ends when the
pole leans by more than 12 degrees, when the cart is 2.4 m from the middle, or after 500 steps.

A. Barto, R. Sutton, C. Anderson, "Neuronlike adaptive elements that can solve difficult learning control problems",
IEEE Transactions on Systems, Man and Cybernetics 13 (1983). The limits are those of Gymnasium's CartPole-v1.
"""
from __future__ import annotations

import numpy as np

GRAVITY, CART, POLE, HALF_LENGTH, FORCE, DT = 9.8, 1.0, 0.1, 0.5, 10.0, 0.02  # in m, kg, s
FAR, LEANING, LONGEST = 2.4, np.deg2rad(12), 500


class CartPole:
    """``n`` carts, each with a state (place, speed, angle, angular speed), that begin anew when they end."""

    observations, actions = 4, 2

    def __init__(self, n: int = 1, seed: int = 0):
        self.rng = np.random.default_rng(seed)
        self.state = self._begin(n)
        self.age = np.zeros(n, np.int64)

    def step(self, action: np.ndarray):
        """Push by ``action`` (n,), 0 or 1: the states reached, whether they have failed, and whether they have ended.

        Every step is worth a reward of 1. ``self.state`` is the state to go on from: where an episode has ended
        (failed, or too old), that of the next one.
        """
        self.state = reached = moved(self.state, action)
        self.age += 1
        failed = (np.abs(reached[:, 0]) > FAR) | (np.abs(reached[:, 2]) > LEANING)
        ended = failed | (self.age >= LONGEST)
        if ended.any():
            self.state = np.where(ended[:, None], self._begin(len(ended)), reached)
            self.age[ended] = 0
        return reached, failed, ended

    def _begin(self, n: int) -> np.ndarray:
        return self.rng.uniform(-0.05, 0.05, (n, self.observations)).astype(np.float32)


def moved(state: np.ndarray, action: np.ndarray) -> np.ndarray:
    """The states (n, 4) after DT seconds, by Euler's method.

    With force F, mass m of the pole, total mass M, half length l and angle a:
    a'' = (g sin a - cos a (F + m l a'^2 sin a) / M) / (l (4/3 - m cos^2 a / M))
    x'' = (F + m l (a'^2 sin a - a'' cos a)) / M
    """
    _, speed, angle, turning = state.T
    sin, cos, total = np.sin(angle), np.cos(angle), CART + POLE
    push = (FORCE * (2 * action - 1) + POLE * HALF_LENGTH * turning**2 * sin) / total
    turn = (GRAVITY * sin - cos * push) / (HALF_LENGTH * (4 / 3 - POLE * cos**2 / total))
    return state + np.float32(DT) * np.stack(
        [speed, push - POLE * HALF_LENGTH * turn * cos / total, turning, turn], axis=1).astype(np.float32)


def returns(policy, n: int = 20, seed: int = 1000) -> np.ndarray:
    """The returns (n,) of one episode of each of ``n`` carts, which ``policy`` steers: states (n, 4) to actions."""
    env, lengths = CartPole(n, seed), np.zeros(n, np.int64)
    while not lengths.all():
        age = env.age + 1
        ended = env.step(policy(env.state))[2]
        lengths[ended & (lengths == 0)] = age[ended & (lengths == 0)]
    return lengths
