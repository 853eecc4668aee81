"""A captured step follows the attributes and items that it reads, of modules, classes, objects, lists and dicts.

JAX does not see that an object changes which it was given as static.
"""
from __future__ import annotations

import types

import numpy as np
from recorded_twins import right

import minidl
from minidl import functional as F
from minidl import nn

WEIGHTS = [1.0, 2.0]
SETTINGS = {"scale": 2.0, "kind": "tanh"}


# Attributes


class Scaled(nn.Module):
    shift = 1.0  # of the class

    def __init__(self):
        self.scale, self.table = 2.0, np.ones(4, np.float32)
        self.linear = nn.Linear(4, 4)

    def forward(self, x):
        return self.linear(x) * self.scale + minidl.tensor(self.table) * self.shift


@right
def test_attributes_of_a_module(run):
    model = run.hold(Scaled())
    step = run.capture(lambda x: model(x))
    run.maps(step)
    model.scale = 3.0
    run.maps(step)
    model.table[...] = 5
    run.maps(step)
    model.table = run.numbers(4)
    run.maps(step)
    model.linear = nn.Linear(4, 4)
    run.maps(step)
    model = run.hold(Scaled())
    run.maps(step)


@right
def test_an_attribute_of_a_class(run):
    class Own(Scaled):
        pass

    model = run.hold(Own())
    step = run.capture(lambda x: model(x))
    run.maps(step)
    Own.shift = 2.0  # hides that of the class above
    run.maps(step)
    model.shift = 3.0  # hides that of the class
    run.maps(step)
    del model.shift
    run.maps(step)
    del Own.shift
    run.maps(step)


@right
def test_a_method_is_replaced(run):
    class Own(Scaled):
        def extra(self, x):
            return x * 2

        def forward(self, x):
            return self.extra(super().forward(x))

    model = run.hold(Own())
    step = run.capture(lambda x: model(x))
    run.maps(step)
    Own.extra = lambda self, x: x * 3
    run.maps(step)
    model.extra = F.tanh
    run.maps(step)
    model.__class__ = Scaled
    run.maps(step)


@right
def test_attributes_of_any_object(run):
    class Slotted:
        __slots__ = ("inner",)

    class Computed:
        raw = 2.0

        @property
        def scale(self):
            return self.raw * 2

    holder, computed = Slotted(), Computed()
    holder.inner = types.SimpleNamespace(scale=2.0)
    step = run.capture(lambda x: x * holder.inner.scale + computed.scale)
    run.maps(step)
    holder.inner.scale = 3.0
    run.maps(step)
    holder.inner = types.SimpleNamespace(scale=-1.0)
    run.maps(step)
    computed.raw = 0.5
    run.maps(step)


@right
def test_a_bound_method_as_the_step(run):
    class Trainer:
        def __init__(self, scale):
            self.scale = scale

        def step(self, x):
            return x * self.scale

    one, other = Trainer(2.0), Trainer(3.0)
    steps = [run.capture(one.step), run.capture(other.step)]
    for trainer, step in zip((one, other), steps, strict=True):
        run.maps(step)
        trainer.scale += 10
        run.maps(step)


# Items


@right
def test_items_of_a_list(run):
    WEIGHTS[:] = [1.0, 2.0]

    @run.capture
    def step(x):
        for weight in WEIGHTS:
            x = x * weight
        return x + WEIGHTS[-1]

    run.maps(step)
    WEIGHTS[1] = 3.0
    run.maps(step)
    WEIGHTS.append(0.5)
    run.maps(step)
    WEIGHTS.reverse()
    run.maps(step)
    del WEIGHTS[0]
    run.maps(step)


@right
def test_items_of_a_dict(run):
    SETTINGS.clear()
    SETTINGS.update(scale=2.0, kind="tanh")

    @run.capture
    def step(x):
        x = x * SETTINGS["scale"] + SETTINGS.get("shift", 0.0)
        return F.tanh(x) if SETTINGS["kind"] == "tanh" else F.relu(x)

    run.maps(step)
    for change in ({"scale": 3.0}, {"kind": "relu"}, {"shift": 1.0}, {"other": 1}):
        SETTINGS.update(change)
        run.maps(step)
    del SETTINGS["shift"]
    run.maps(step)


@right
def test_items_within_items(run):
    config = {"layers": [{"scale": 2.0}, {"scale": 3.0}], "table": [run.numbers(4)]}

    @run.capture
    def step(x):
        for layer in config["layers"]:
            x = x * layer["scale"]
        return x + config["table"][0]

    run.maps(step)
    config["layers"][1]["scale"] = 5.0
    run.maps(step)
    config["layers"].append({"scale": -1.0})
    run.maps(step)
    config["table"][0][...] = 1
    run.maps(step)
    config["table"] = [run.numbers(4)]
    run.maps(step)


@right
def test_a_list_of_layers(run):
    layers = [nn.Linear(4, 4), nn.Tanh()]
    run.hold(layers[0])

    @run.capture
    def step(x):
        for layer in layers:
            x = layer(x)
        return x

    run.maps(step)
    layers.append(nn.Linear(4, 2))
    run.maps(step)
    layers[1] = nn.ReLU()
    run.maps(step)
    layers[0] = nn.Linear(4, 4, bias=False)
    run.maps(step)


@right
def test_a_list_of_functions(run):
    functions = [F.tanh, lambda x: x * 2]

    @run.capture
    def step(x):
        return sum(f(x) for f in functions)

    run.maps(step)
    functions[1] = F.sigmoid
    run.maps(step)
    functions.pop()
    run.maps(step)
