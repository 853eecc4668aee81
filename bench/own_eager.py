"""The steps of ``own_networks.py``, written once: the text is PyTorch's and minidl's alike.

``lib`` is the one or the other. Each function takes its Linears and optimizers, and gives the step: a function of the
batch's Tensors that returns the loss.
"""
from __future__ import annotations

from collections.abc import Callable

import own_networks


def trained(loss: Callable, optimizer) -> Callable:
    """The step of a loss that one optimizer trains."""
    def step(*batch):
        optimizer.zero_grad()
        value = loss(*batch)
        value.backward()
        optimizer.step()
        return value

    return step


def sequential(lib, layers, optimizer):
    first, *blocks, last = layers
    model = lib.nn.Sequential(first, *(part for block in blocks for part in (block, lib.nn.Tanh())), last)
    criterion = lib.nn.MSELoss()
    return trained(lambda x, y: criterion(model(x), y), optimizer)


def residual(lib, layers, optimizer):
    first, *blocks, last = layers

    def loss(x, y):
        h = first(x)
        for block in blocks:
            h = h + lib.tanh(block(h))
        return lib.nn.functional.mse_loss(last(h), y)

    return trained(loss, optimizer)


def shared(lib, layers, optimizer):
    first, middle, last = layers

    def loss(x, y):
        h = first(x)
        for _ in range(3):
            h = lib.tanh(middle(h))
        return lib.nn.functional.mse_loss(last(h), y)

    return trained(loss, optimizer)


def heads(lib, layers, optimizer):
    first, second, regression, classification = layers

    def loss(x, y, labels):
        h = lib.tanh(second(lib.tanh(first(x))))
        return (lib.nn.functional.mse_loss(regression(h), y)
                + lib.nn.functional.cross_entropy(classification(h), labels))

    return trained(loss, optimizer)


def rnn(lib, layers, optimizer):
    w, u, last = layers

    def loss(x, labels):
        h = lib.zeros(x.shape[1], u.in_features)
        for t in range(x.shape[0]):
            h = lib.tanh(w(x[t]) + u(h))
        return lib.nn.functional.cross_entropy(last(h), labels)

    return trained(loss, optimizer)


def gan(lib, layers, generator_optimizer, discriminator_optimizer):
    def network(first, second, third):
        return lambda x: third(lib.tanh(second(lib.tanh(first(x)))))

    generator, discriminator = network(*layers[:3]), network(*layers[3:])

    def step(real, noise):
        fake = generator(noise)
        discriminator_optimizer.zero_grad()
        loss = ((discriminator(real) - 1) ** 2).mean() + (discriminator(fake.detach()) ** 2).mean()
        loss.backward()
        discriminator_optimizer.step()
        generator_optimizer.zero_grad()
        generator_loss = ((discriminator(fake) - 1) ** 2).mean()
        generator_loss.backward()
        generator_optimizer.step()
        return loss + generator_loss

    return step


def pinn(lib, layers, optimizer):
    first, second, last = layers

    def network(x):
        return last(lib.tanh(second(lib.tanh(first(x)))))

    def loss(x, source, edge):
        x.requires_grad_()
        u = network(x)
        (u_x,) = lib.autograd.grad(u.sum(), x, create_graph=True)
        (u_xx,) = lib.autograd.grad(u_x.sum(), x, create_graph=True)
        return ((u_xx - source) ** 2).mean() + (network(edge) ** 2).mean()

    return trained(loss, optimizer)


STEPS = {"sequential": sequential, "residual": residual, "shared": shared, "heads": heads, "rnn": rnn, "gan": gan,
         "pinn": pinn}


def optimizers(lib, name: str, linears: list, **settings) -> list:
    """One of all parameters; of the gan's one for each of its networks."""
    parts = [linears]
    if name == "gan":
        parts = [linears[:own_networks.GENERATOR_LAYERS], linears[own_networks.GENERATOR_LAYERS:]]
    groups = [[p for linear in part for p in linear.parameters()] for part in parts]
    if name in own_networks.BY_ADAM:
        return [lib.optim.Adam(group, **own_networks.ADAM, **settings) for group in groups]
    return [lib.optim.SGD(group, lr=own_networks.LEARNING_RATE, **settings) for group in groups]


class Eager:
    """What minidl and PyTorch share: the step of one network, called again and again on the same batch."""

    def __init__(self, lib, name: str, batch: list, linears: list, **settings):
        self.batch, self.linears = batch, linears
        self.function = STEPS[name](lib, linears, *optimizers(lib, name, linears, **settings))

    def step(self):
        return self.function(*self.batch)

    def parameters(self) -> list:
        return [p for linear in self.linears for p in (linear.weight, linear.bias) if p is not None]
