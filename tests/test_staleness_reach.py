"""What reading the names of a step does not show at once: values reached by other ways, at reused addresses, in arrays.

None may give a stale number: where a way cannot be followed, the step is refused.
"""
from __future__ import annotations

import collections
import contextvars
import dataclasses
import functools
import operator
import os
import types

import numpy as np
from recorded_twins import CALLS, right, right_or_refused, training

import minidl
from minidl import functional as F
from minidl import nn, optim

# Numbers that Python reads out of an array


@right_or_refused
def test_a_branch_on_an_array(run):
    mask = np.zeros(4, bool)
    step = run.capture(lambda x: x * 2 if mask.any() else x + 1)
    run.maps(step)
    mask[2] = True
    run.maps(step)


@right_or_refused
def test_a_number_of_an_array(run):
    table = run.numbers(4)
    step = run.capture(lambda x: x * float(table[1]) + table[2])
    run.maps(step)
    table[...] = 3
    run.maps(step)


@right_or_refused
def test_the_numbers_of_an_array_one_by_one(run):
    table = run.numbers(3)

    @run.capture
    def step(x):
        for number in table:
            x = x * number
        return x + sum(table.tolist())

    run.maps(step)
    table[...] = 3
    run.maps(step)


@right_or_refused
def test_an_array_of_one_number(run):
    scale = np.array(2.0, np.float32)
    step = run.capture(lambda x: x * scale)
    run.maps(step)
    scale[...] = 3
    run.maps(step)
    scale += 1
    run.maps(step)


@right_or_refused
def test_a_sum_of_an_array(run):
    table = run.numbers(4)
    step = run.capture(lambda x: x * table.sum() + table.mean())
    run.maps(step)
    table[...] = 3
    run.maps(step)


@right
def test_the_shape_of_an_array(run):
    table = run.numbers(4)
    step = run.capture(lambda x: x * len(table) + table.shape[0] * table.ndim)
    run.maps(step)
    table = run.numbers(2, 4)
    run.maps(step)


@right_or_refused
def test_an_array_that_grows_in_place(run):
    """Its old memory is gone: whoever kept the address reads what is somebody else's by now."""
    table = np.ones(4, np.float32)
    step = run.capture(lambda x: x * table)
    run.maps(step)
    for _ in range(5):
        table.resize((6, 4), refcheck=False)
        table[...] = run.numbers(6, 4)
        run.maps(step, 3)
        table.resize(4, refcheck=False)
        run.maps(step, 3)


@right
def test_an_array_as_an_index(run):
    rows, mask = np.array([0, 2, 2]), np.array([True, False, True, False])
    step = run.capture(lambda x: (x[rows], x[:, 1], F.where(mask, x, -x)))
    run.maps(step)
    rows[...] = [5, 1, 0]
    mask[...] = ~mask
    run.maps(step)
    rows, mask = np.array([1]), np.array([False, False, True, True])
    run.maps(step)


@right
def test_an_array_as_labels(run):
    model, labels = run.hold(nn.Linear(4, 3)), np.array([0, 1, 2, 0, 1, 2])

    @run.capture
    def step(x):
        model.zero_grad()
        loss = F.cross_entropy(model(x), labels)
        loss.backward()
        return loss

    run.maps(step)
    labels[...] = labels[::-1].copy()
    run.maps(step)
    labels = np.array([2, 2, 2, 0, 0, 0])
    run.maps(step)


@right
def test_a_tensor_in_a_closure(run):
    """tinygrad asks that it be realized first."""
    table = run.hold(minidl.tensor(run.numbers(4)))
    step = run.capture(lambda x: x * table)
    run.maps(step)
    table.data[...] = 3
    run.maps(step)
    table.overwrite(run.numbers(4))
    run.maps(step)
    table.data = run.numbers(4)
    run.maps(step)
    table = run.hold(minidl.tensor(run.numbers(6, 4)))
    run.maps(step)


@right
def test_a_leaf_that_is_no_parameter(run):
    leaf = run.hold(minidl.tensor(run.numbers(4), requires_grad=True))

    @run.capture
    def step(x):
        loss = (x * leaf).sum()
        loss.backward()
        return loss

    run.maps(step)
    leaf.grad = None
    run.maps(step)
    leaf.data[...] = 2
    run.maps(step)
    leaf.requires_grad = False
    run.maps(step, 3)  # nothing to go back to: an error, as in plain Python
    leaf.requires_grad = True
    run.maps(step)


# Addresses that are used again


@right
def test_arrays_that_follow_each_other(run):
    holder = types.SimpleNamespace(table=None)
    step = run.capture(lambda x: x * holder.table)
    for number in range(30):
        holder.table = None  # the next one may be given its place
        holder.table = np.full(4, number, np.float32)
        run.maps(step, 2)


@right
def test_objects_that_follow_each_other(run):
    holder = types.SimpleNamespace(config=None, function=None, layer=None)
    step = run.capture(lambda x: holder.function(x) * holder.config.scale + holder.layer(x))
    for number in range(20):
        holder.config = holder.function = holder.layer = None
        holder.config = types.SimpleNamespace(scale=float(number))
        holder.function = eval(f"lambda x: x + {number}")
        holder.layer = nn.Linear(4, 4)
        run.maps(step, 2)


@right
def test_lists_that_follow_each_other(run):
    weights = None
    step = run.capture(lambda x: sum(x * weight for weight in weights))
    for number in range(20):
        weights = None
        weights = [float(number), 1.0]
        run.maps(step, 2)


@right
def test_there_and_back_between_two_calls(run):
    table, factor = run.numbers(4), 2.0
    step = run.capture(lambda x: x * table * factor)
    run.maps(step)
    kept = table
    for calls in (0, 3):
        table, factor = run.numbers(4), 3.0
        run.maps(step, calls)
        table, factor = kept, 2.0
        run.maps(step, 3)


# Ways around a name


@right_or_refused
def test_names_made_at_run_time(run):
    model = types.SimpleNamespace(scale=2.0, table=run.numbers(4))
    name = "scale"
    get = operator.attrgetter("scale")

    @run.capture
    def step(x):
        return x * getattr(model, name) + vars(model)["table"] + get(model) + getattr(model, "shift", 0.0)

    run.maps(step)
    model.scale = 3.0
    run.maps(step)
    model.table = run.numbers(4)
    run.maps(step)
    model.shift = 1.0
    run.maps(step)


@right_or_refused
def test_whether_there_is_an_attribute(run):
    model = types.SimpleNamespace(scale=2.0)
    step = run.capture(lambda x: x * (model.other if hasattr(model, "other") else model.scale))
    run.maps(step)
    model.other = 5.0
    run.maps(step)
    del model.other
    run.maps(step)


@right_or_refused
def test_attributes_that_python_computes(run):
    class Computed:
        def __init__(self):
            self.stored = {"scale": 2.0}

        def __getattr__(self, name):
            return self.stored[name]

        def __getitem__(self, name):
            return self.stored[name] * 2

        def __call__(self, x):
            return x + self.stored["scale"]

        def __len__(self):
            return len(self.stored)

    holder = Computed()
    step = run.capture(lambda x: holder(x * holder.scale + holder["scale"]) * len(holder))
    run.maps(step)
    holder.stored["scale"] = 3.0
    run.maps(step)
    holder.stored = {"scale": -1.0, "other": 0.0}
    run.maps(step)


@right_or_refused
def test_other_containers(run):
    ring, pair = collections.deque([1.0, 2.0], maxlen=2), (1.0, [2.0])
    kinds, ordered = {"tanh"}, collections.OrderedDict(a=1.0, b=2.0)

    @run.capture
    def step(x):
        x = F.tanh(x) if "tanh" in kinds else x
        return x * ring[0] + pair[1][0] + sum((i + 1) * v for i, v in enumerate(ordered.values()))

    run.maps(step)
    ring.append(5.0)
    run.maps(step)
    pair[1][0] = 7.0
    run.maps(step)
    kinds.clear()
    run.maps(step)
    ordered.move_to_end("a")
    run.maps(step)


@right_or_refused
def test_functions_over_a_list(run):
    weights = [1.0, 2.0, 3.0]

    @run.capture
    def step(x):
        doubled = [2 * weight for weight in sorted(weights, reverse=True)]
        chosen = list(filter(lambda weight: weight > 1.5, map(abs, weights)))
        return sum(x ** i * weight for i, weight in enumerate(doubled)) + max(chosen) + sum(weights[1:]) + len(weights)

    run.maps(step)
    weights[0] = -9.0
    run.maps(step)
    weights.append(0.5)
    run.maps(step)
    weights.sort()
    run.maps(step)


@right_or_refused
def test_a_generator_function(run):
    layers = run.hold([nn.Linear(4, 4), nn.Linear(4, 4)])

    def outputs(x):
        for layer in layers:
            x = F.tanh(layer(x))
            yield x

    step = run.capture(lambda x: sum(y.sum() for y in outputs(x)))
    run.maps(step)
    layers[0] = nn.Linear(4, 4)
    run.maps(step)
    layers.append(nn.Linear(4, 2))
    run.maps(step)


@right
def test_functions_around_functions(run):
    scale = [2.0]

    def logged(function):
        @functools.wraps(function)
        def run_it(*given):
            return function(*given) * scale[0]

        return run_it

    @logged
    def helper(x, by):
        return x * by

    by = functools.partial(lambda b, x: helper(x, b), 3.0)
    step = run.capture(lambda x: by(x))
    run.maps(step)
    scale[0] = 5.0
    run.maps(step)
    by = functools.partial(lambda b, x: helper(x, b), -1.0)
    run.maps(step)


@right_or_refused
def test_a_partial_as_the_step(run):
    config = {"scale": 2.0}
    step = run.capture(functools.partial(lambda config, x, shift: x * config["scale"] + shift, config, shift=1.0))
    run.maps(step)
    config["scale"] = 3.0
    run.maps(step)


@right
def test_a_callable_object_as_the_step(run):
    model = run.hold(nn.Sequential(nn.Linear(4, 5), nn.Tanh()))
    step = run.capture(model)
    run.maps(step)
    model.append(nn.Linear(5, 2))
    run.maps(step)


@right_or_refused
def test_defaults_that_change_in_place(run):
    def step(x, weights=[1.0, 2.0], *, table=None):  # noqa: B006
        return x * weights[0] + table * weights[1]

    step.__kwdefaults__["table"] = run.numbers(4)
    captured = run.capture(step)
    run.maps(captured)
    step.__defaults__[0][0] = 5.0
    run.maps(captured)
    step.__kwdefaults__["table"][...] = 1
    run.maps(captured)
    step.__defaults__ = ([3.0, 4.0],)
    run.maps(captured)


@right
def test_a_dataclass(run):
    @dataclasses.dataclass
    class Config:
        scale: float = 2.0
        sizes: list = dataclasses.field(default_factory=lambda: [1, 2])

        def total(self):
            return sum(self.sizes)

    config = Config()
    step = run.capture(lambda x: x * config.scale + config.total())
    run.maps(step)
    config.scale = 3.0
    run.maps(step)
    config.sizes.append(4)
    run.maps(step)
    config = dataclasses.replace(config, scale=1.0)
    run.maps(step)


@right_or_refused
def test_a_variable_of_the_context(run):
    scale = contextvars.ContextVar("scale", default=2.0)
    step = run.capture(lambda x: x * scale.get())
    run.maps(step)
    scale.set(3.0)
    run.maps(step)


@right_or_refused
def test_the_environment(run):
    os.environ["MINIDL_TEST_SCALE"] = "2"
    step = run.capture(lambda x: x * float(os.environ["MINIDL_TEST_SCALE"]))
    try:
        run.maps(step)
        os.environ["MINIDL_TEST_SCALE"] = "3"
        run.maps(step)
    finally:
        del os.environ["MINIDL_TEST_SCALE"]


@right_or_refused
def test_a_setting_of_minidl(run):
    step = run.capture(lambda x: x * minidl.get_num_threads())
    run.maps(step)
    minidl.set_num_threads(2)
    try:
        run.maps(step)
    finally:
        minidl.set_num_threads(1)


@right
def test_modules_within_modules(run):
    class Net(nn.Module):
        def __init__(self):
            self.blocks = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])
            self.heads = nn.ModuleDict({"a": nn.Linear(4, 2), "b": nn.Linear(4, 3)})
            self.chosen = "a"

        def forward(self, x):
            for block in self.blocks:
                x = x + F.tanh(block(x))
            return self.heads[self.chosen](x), [head(x) for head in self.heads.values()]

    net = run.hold(Net())
    step = run.capture(lambda x: net(x))
    run.maps(step)
    net.chosen = "b"
    run.maps(step)
    net.blocks[1] = nn.Linear(4, 4)
    run.maps(step)
    net.blocks.append(nn.Linear(4, 4))
    run.maps(step)
    net.heads["c"] = nn.Linear(4, 1)
    run.maps(step)
    del net.heads["b"]
    net.chosen = "c"
    run.maps(step)


@right_or_refused
def test_what_the_step_finds_out_about_a_model(run):
    model = run.hold(nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)))

    @run.capture
    def step(x):
        penalty = sum(abs(p).sum() for n, p in model.named_parameters() if p.requires_grad and n.endswith("weight"))
        depth = sum(isinstance(module, nn.Linear) for module in model)
        return model(x).sum() * depth + penalty * 0.01 + (1.0 if model.training else 0.0)

    run.maps(step)
    model[0].requires_grad_(False)
    run.maps(step)
    model.append(nn.Linear(3, 3))
    run.maps(step)
    model.eval()
    run.maps(step)


@right
def test_what_the_step_asks_the_optimizer(run):
    made = training(run, optim.SGD, lr=0.1)

    @run.capture
    def step(x, t):
        loss = made.criterion(made.model(x), t) * made.optimizer.lr
        made.optimizer.zero_grad()
        loss.backward()
        made.optimizer.step()
        return loss, made.optimizer.param_groups[0]["lr"]

    run.trains(step)
    made.optimizer.lr = 0.01
    run.trains(step)


@right_or_refused
def test_whether_there_is_a_gradient(run):
    model = run.hold(nn.Linear(4, 3))

    @run.capture
    def step(x):
        scale = 1.0 if model.weight.grad is None else 2.0
        loss = (model(x) ** 2).sum() * scale
        loss.backward()
        return loss

    run.maps(step)
    model.zero_grad()
    run.maps(step)


@right_or_refused
def test_a_module_on_arrays_that_changes_what_the_step_reads(run):
    scale = [1.0]

    class Changing(nn.Module):
        def forward(self, x):
            scale[0] += 1
            return x * np.float32(2)

        def backward(self, gradient):
            return gradient * np.float32(2)

    module = Changing()
    step = run.capture(lambda x: module(x) * scale[0])
    run.maps(step, 2 * CALLS)


@right_or_refused
def test_an_exception_that_steers(run):
    table = {"a": 2.0}

    @run.capture
    def step(x):
        try:
            return x * table["b"]
        except KeyError:
            return x * table["a"]

    run.maps(step)
    table["b"] = 5.0
    run.maps(step)
    del table["b"]
    run.maps(step)


@right_or_refused
def test_a_cache_of_ones_own(run):
    tables = {}

    def table(n):
        if n not in tables:
            tables[n] = minidl.ones(n) * n
        return tables[n]

    step = run.capture(lambda x: x * table(x.shape[1]))
    run.maps(step)
    run.maps(step, shape=(3, 5))
    for tensor in tables.values():
        tensor.data[...] = 7
    run.maps(step)
    tables.clear()
    run.maps(step)


@right_or_refused
def test_a_cached_function(run):
    factor = 2.0

    @functools.cache
    def scale(n):
        return n * factor

    step = run.capture(lambda x: x * scale(3))
    run.maps(step)
    factor = 5.0
    run.maps(step)  # still 6: so says plain Python
    scale.cache_clear()
    run.maps(step)


@right
def test_a_recursion_in_python(run):
    def power(x, n):
        return x if n == 1 else x * power(x, n - 1)

    n = 3
    step = run.capture(lambda x: power(x, n))
    run.maps(step)
    n = 5
    run.maps(step)


@right
def test_everything_at_once(run):
    model = run.hold(nn.Sequential(nn.Linear(4, 5), nn.Dropout(0.3, generator=2), nn.Linear(5, 3)))
    optimizer = run.hold(optim.Adam(model.parameters(), lr=0.1))
    config, table = {"scale": 2.0}, run.numbers(3)

    @run.capture
    def step(x, t, weight=1.0):
        loss = F.cross_entropy(model(x) * config["scale"] + table, t) * weight
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    for number in range(20):
        run.trains(step, 2, rows=4 + number % 3)
        config["scale"] = 1.0 + number % 4
        optimizer.lr = 0.1 / (1 + number)
        table[number % 3] += 1
        model.train(number % 3 > 0)
        model[1].p = 0.1 * (number % 5)
        if number % 6 == 5:
            model[2] = nn.Linear(5, 3)
            optimizer = run.hold(optim.Adam(model.parameters(), lr=0.1))
        if number % 7 == 6:
            table = run.numbers(3)
        run.calls(step, run.numbers(4, 4), run.rng.integers(0, 3, 4), weight=0.5 * (number % 2))
