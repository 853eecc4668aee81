"""A network that solves a differential equation: u'' = -pi^2 sin(pi x), u(0) = u(1) = 0, and an unknown constant."""
import numpy as np
import torch
import torch.nn as nn
from torch.autograd import grad


class FCN(nn.Module):
    """Fully connected, with sines or tanh in between."""

    def __init__(self, N_INPUT, N_OUTPUT, N_HIDDEN, N_LAYERS, activation=nn.Tanh):
        super().__init__()
        self.fcs = nn.Sequential(*[nn.Linear(N_INPUT, N_HIDDEN), activation()])
        self.fch = nn.ModuleList([nn.Sequential(*[nn.Linear(N_HIDDEN, N_HIDDEN), activation()])
                                  for _ in range(N_LAYERS - 1)])
        self.fce = nn.Linear(N_HIDDEN, N_OUTPUT)

    def forward(self, x):
        x = self.fcs(x)
        for layer in self.fch:
            x = layer(x)
        return self.fce(x)


class Sine(nn.Module):
    def forward(self, x):
        return torch.sin(x)


def derivative(y, x):
    return grad(y, x, grad_outputs=torch.ones_like(y), create_graph=True)[0]


def solve(steps):
    torch.manual_seed(123)
    pinn = FCN(1, 1, 24, 2, Sine)
    x_boundary = torch.tensor([[0.0], [1.0]]).requires_grad_(True)
    x_physics = torch.linspace(0, 1, 40).view(-1, 1).requires_grad_(True)
    optimiser = torch.optim.Adam(pinn.parameters(), lr=1e-2)
    for i in range(steps):
        optimiser.zero_grad()
        loss1 = torch.mean(torch.squeeze(pinn(x_boundary)) ** 2)
        u = pinn(x_physics)
        dudx = torch.autograd.grad(u, x_physics, torch.ones_like(u), create_graph=True)[0]
        d2udx2 = torch.autograd.grad(dudx, x_physics, torch.ones_like(dudx), create_graph=True)[0]
        source = -(torch.pi ** 2) * torch.sin(torch.pi * x_physics)
        loss2 = torch.mean((d2udx2 - source.detach()) ** 2)
        loss = 10 * loss1 + 1e-2 * loss2
        loss.backward(retain_graph=True)
        optimiser.step()
    x_test = torch.linspace(0, 1, 101).view(-1, 1)
    u = pinn(x_test).detach()
    return np.abs(u.numpy() - np.sin(np.pi * x_test.numpy())).max()


def discover(steps, observed=30):
    """Find omega in u'' = -omega^2 u from noisy points of u = cos(3 t)."""
    torch.manual_seed(123)
    t_obs = torch.rand(observed, 1)
    u_obs = torch.cos(3 * t_obs) + 0.02 * torch.randn_like(t_obs)
    t = torch.linspace(0, 1, 30).view(-1, 1).requires_grad_(True)
    net = FCN(1, 1, 24, 2)
    omega = torch.nn.Parameter(torch.zeros(1) + 1.0)
    optimiser = torch.optim.Adam([{"params": net.parameters()}, {"params": [omega], "lr": 3e-2}], lr=1e-2)
    mus = []
    for i in range(steps):
        optimiser.zero_grad()
        u = net(t)
        second = derivative(derivative(u, t), t)
        loss = torch.mean((second + omega ** 2 * u) ** 2) / 2000 + torch.mean((net(t_obs) - u_obs) ** 2)
        loss.backward()
        optimiser.step()
        mus.append(omega.item())
        if i % 200 == 0:
            print(f"{i}: loss {loss:.5f}, omega {omega.item():.3f}")
    return mus


def main(steps=500):
    return solve(steps), discover(steps)
