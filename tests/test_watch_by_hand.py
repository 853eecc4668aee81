"""Each thing that a step reads, changed between two replays that are not checked: the next call has the new value."""
from __future__ import annotations

import collections
import contextvars
import functools
import os
import sys
import types

import numpy as np
import pytest

import minidl
from minidl import nn, optim

X = np.ones(2, np.float32)
CALLS = 5  # the last of them is checked; the next check is at the ninth
SCALE = 2.0
CASES = {}


def case(make):
    """make() gives a function of x, and a function that changes what it reads."""
    CASES[make.__name__] = make
    return make


@case
def an_attribute_of_a_class_read_in_init():
    class Scale:
        factor = 2.0

        def __init__(self):
            self.scale = self.factor

    return lambda x: x * Scale().scale, lambda: setattr(Scale, "factor", 3.0)


@case
def an_attribute_of_a_class_read_in_new():
    class Scale:
        factor = 2.0

        def __new__(cls):
            made = object.__new__(cls)
            made.scale = cls.factor
            return made

    return lambda x: x * Scale().scale, lambda: setattr(Scale, "factor", 3.0)


@case
def an_attribute_of_a_class_read_by_a_method_of_what_was_just_made():
    class Scale:
        factor = 2.0

        def of(self, x):
            return x * self.factor

    return lambda x: Scale().of(x), lambda: setattr(Scale, "factor", 3.0)


@case
def an_attribute_of_a_class_above():
    class Base:
        factor = 2.0

        def of(self, x):
            return x * self.factor

    class Scale(Base):
        pass

    return lambda x: Scale().of(x), lambda: setattr(Scale, "factor", 3.0)


@case
def an_attribute_read_by_a_class_method():
    class Scale:
        factor = 2.0

        @classmethod
        def of(cls, x):
            return x * cls.factor

    return lambda x: type(Scale()).of(x), lambda: setattr(Scale, "factor", 3.0)


@case
def a_class_body_that_names_a_global():
    def step(x):
        class Made:
            scale = SCALE

        return x * Made.scale

    return step, lambda: globals().__setitem__("SCALE", 3.0)


@case
def a_global_by_its_name():
    return lambda x: x * globals()["SCALE"], lambda: globals().__setitem__("SCALE", 3.0)


@case
def a_global_of_a_function_within():
    def step(x):
        def within():
            return [x * SCALE for _ in range(1)]

        return within()[0]

    return step, lambda: globals().__setitem__("SCALE", 3.0)


@case
def a_method_of_a_class_of_a_named_tuple():
    class Pair(collections.namedtuple("Pair", "a b")):
        factor = 2.0

        @property
        def total(self):
            return (self.a + self.b) * self.factor

    pair = Pair(1.0, 2.0)
    return lambda x: x * pair.total, lambda: setattr(Pair, "factor", 3.0)


@case
def a_list_that_iterates_otherwise():
    class Twice(list):
        def __iter__(self):
            return iter([item for item in super().__iter__() for _ in range(2)])

    numbers = Twice([1.0, 2.0])
    return lambda x: x * sum(numbers), lambda: numbers.append(5.0)


@case
def an_object_within_such_a_list():
    class Mine(list):
        pass

    numbers = Mine([types.SimpleNamespace(scale=2.0)])
    return lambda x: x * numbers[0].scale, lambda: setattr(numbers[0], "scale", 3.0)


@case
def the_items_of_a_set():
    kinds = {"a"}
    return lambda x: x * len(kinds), lambda: kinds.add("b")


@case
def an_object_in_a_set():
    class Kind:
        scale = 2.0

    kind = Kind()
    kinds = frozenset([kind])
    return lambda x: x * next(iter(kinds)).scale, lambda: setattr(kind, "scale", 3.0)


@case
def an_object_in_a_deque():
    ring = collections.deque([{"scale": 2.0}])
    return lambda x: x * ring[0]["scale"], lambda: ring[0].update(scale=3.0)


@case
def a_deque_that_turns():
    ring = collections.deque([2.0, 3.0])
    return lambda x: x * ring[0], lambda: ring.rotate(1)


@case
def the_order_of_a_dictionary():
    ordered = collections.OrderedDict(a=2.0, b=3.0)
    return lambda x: x * next(iter(ordered.values())), lambda: ordered.move_to_end("a")


@case
def a_key_that_comes():
    config = {"a": 2.0}
    return lambda x: x * config.get("b", 1.0), lambda: config.update(b=3.0)


@case
def a_bound_method():
    holder = types.SimpleNamespace(scale=2.0)

    def of(self, x):
        return x * self.scale

    method = types.MethodType(of, holder)
    return lambda x: method(x), lambda: setattr(holder, "scale", 3.0)


@case
def a_bound_method_as_the_step():
    class Steps:
        scale = 2.0

        def step(self, x):
            return x * self.scale

    return Steps().step, lambda: setattr(Steps, "scale", 3.0)


@case
def an_attribute_of_the_object_of_a_bound_method_as_the_step():
    class Steps:
        def __init__(self):
            self.scale = 2.0

        def step(self, x):
            return x * self.scale

    steps = Steps()
    return steps.step, lambda: setattr(steps, "scale", 3.0)


@case
def a_callable_object_as_the_step():
    class Step:
        def __init__(self):
            self.config = {"scale": 2.0}

        def __call__(self, x):
            return x * self.config["scale"]

    step = Step()
    return step, lambda: step.config.update(scale=3.0)


@case
def an_argument_of_a_partial():
    config = {"scale": 2.0}
    step = functools.partial(lambda config, x: x * config["scale"], config)
    return lambda x: step(x), lambda: config.update(scale=3.0)


@case
def an_argument_by_name_of_a_partial():
    config = types.SimpleNamespace(scale=2.0)
    step = functools.partial(lambda x, config: x * config.scale, config=config)
    return lambda x: step(x), lambda: setattr(config, "scale", 3.0)


@case
def an_argument_by_name_of_a_partial_as_the_step():
    config = types.SimpleNamespace(scale=2.0)
    return functools.partial(lambda x, config: x * config.scale, config=config), lambda: setattr(config, "scale", 3.0)


@case
def the_code_of_a_function():
    def helper(x):
        return x * 2.0

    return lambda x: helper(x), lambda: setattr(helper, "__code__", (lambda x: x * 3.0).__code__)


@case
def the_defaults_of_a_function():
    def helper(x, scale=2.0):
        return x * scale

    return lambda x: helper(x), lambda: setattr(helper, "__defaults__", (3.0,))


@case
def the_defaults_by_name_of_a_function():
    def helper(x, *, scale=2.0):
        return x * scale

    return lambda x: helper(x), lambda: setattr(helper, "__kwdefaults__", {"scale": 3.0})


@case
def an_object_among_the_defaults():
    config = types.SimpleNamespace(scale=2.0)

    def helper(x, config=config):
        return x * config.scale

    return lambda x: helper(x), lambda: setattr(config, "scale", 3.0)


@case
def an_object_among_the_defaults_by_name():
    config = types.SimpleNamespace(scale=2.0)

    def helper(x, *, config=config):
        return x * config.scale

    return lambda x: helper(x), lambda: setattr(config, "scale", 3.0)


@case
def a_variable_of_an_enclosing_function():
    scale = 2.0

    def change():
        nonlocal scale
        scale = 3.0

    return lambda x: x * scale, change


@case
def what_a_wrapped_function_reads():
    config = {"scale": 2.0}

    class Wrapper:
        def __init__(self, function):
            functools.update_wrapper(self, function)

        def __call__(self, x):
            return self.__wrapped__(x)

    @Wrapper
    def helper(x):
        return x * config["scale"]

    return lambda x: helper(x), lambda: config.update(scale=3.0)


@case
def the_cache_of_a_function():
    state = [2.0]

    @functools.lru_cache
    def scale(which):
        return state[0]

    def change():
        state[0] = 3.0
        scale.cache_clear()

    return lambda x: x * scale(0), change


@case
def a_slot():
    class Slotted:
        __slots__ = ("scale",)

    slotted = Slotted()
    slotted.scale = 2.0
    return lambda x: x * slotted.scale, lambda: setattr(slotted, "scale", 3.0)


@case
def a_slot_that_is_one_string_and_holds_an_object():
    class Slotted:
        __slots__ = "config"

    slotted = Slotted()
    slotted.config = {"scale": 2.0}
    return lambda x: x * slotted.config["scale"], lambda: slotted.config.update(scale=3.0)


@case
def a_slot_of_a_class_above():
    class Base:
        __slots__ = ("__dict__", "scale")

    class Slotted(Base):
        __slots__ = ("other",)

    slotted = Slotted()
    slotted.scale = 2.0
    return lambda x: x * slotted.scale, lambda: setattr(slotted, "scale", 3.0)


@case
def the_class_of_an_object():
    class Two:
        def of(self, x):
            return x * 2.0

    class Three:
        def of(self, x):
            return x * 3.0

    holder = Two()
    return lambda x: holder.of(x), lambda: setattr(holder, "__class__", Three)


@case
def an_attribute_that_comes_to_hide_that_of_a_class():
    class Config:
        scale = 2.0

    config = Config()
    return lambda x: x * config.scale, lambda: setattr(config, "scale", 3.0)


@case
def an_object_of_a_library_is_read_by_names():
    error = KeyError()
    error.scale = 2.0
    return lambda x: x * error.scale, lambda: setattr(error, "scale", 3.0)


@case
def an_attribute_of_a_python_module():
    module = types.ModuleType("settings")
    module.scale = 2.0
    return lambda x: x * module.scale, lambda: setattr(module, "scale", 3.0)


@case
def an_attribute_that_a_python_module_did_not_have():
    module = types.ModuleType("settings")
    return lambda x: x * getattr(module, "scale", 2.0), lambda: setattr(module, "scale", 3.0)


@case
def an_object_in_a_python_module():
    module = types.ModuleType("settings")
    module.config = types.SimpleNamespace(scale=2.0)
    return lambda x: x * module.config.scale, lambda: setattr(module.config, "scale", 3.0)


@case
def a_variable_of_the_context():
    scale = contextvars.ContextVar("scale", default=2.0)
    return lambda x: x * scale.get(), lambda: scale.set(3.0)


@case
def the_environment():
    os.environ["MINIDL_TEST_SCALE"] = "2"
    return lambda x: x * float(os.environ["MINIDL_TEST_SCALE"]), lambda: os.environ.update(MINIDL_TEST_SCALE="3")


@case
def the_environment_by_getenv():
    os.environ["MINIDL_TEST_SCALE"] = "2"
    getenv = os.getenv
    return lambda x: x * float(os.getenv("MINIDL_TEST_SCALE")), lambda: getenv and os.environ.update(
        MINIDL_TEST_SCALE="3")


@case
def an_array_that_python_reads():
    table = np.array([2.0])
    return lambda x: x * float(table[0]), lambda: table.fill(3.0)


@case
def an_array_in_its_place():
    table = [np.full(2, 2, np.float32)]
    return lambda x: x * table[0], lambda: table.__setitem__(0, np.full(2, 3, np.float32))


@case
def the_array_of_a_tensor():
    table = minidl.tensor([2.0, 2.0])
    return lambda x: x * table, lambda: setattr(table, "data", np.full(2, 3, np.float32))


@case
def whether_a_tensor_requires_a_gradient():
    table = minidl.tensor([2.0, 2.0])
    return lambda x: (x * table) * (3.0 if table.requires_grad else 1.0), lambda: setattr(table, "requires_grad", True)


@case
def whether_a_parameter_is_trained():
    layer = nn.Linear(2, 2, generator=0)
    return lambda x: x * (3.0 if layer.weight.requires_grad else 1.0), lambda: layer.requires_grad_(False)


@case
def the_mode_of_a_module():
    layer = nn.Linear(2, 2, generator=0)
    return lambda x: x * (3.0 if layer.training else 1.0), layer.eval


@case
def a_forward_of_a_modules_own():
    class Double(nn.Module):
        def forward(self, x):
            return x * 2.0

    module = Double()
    return lambda x: module(x), lambda: setattr(module, "forward", lambda x: x * 3.0)


@case
def a_forward_of_a_class():
    class Double(nn.Module):
        def forward(self, x):
            return x * 2.0

    module = Double()
    return lambda x: module(x), lambda: setattr(Double, "forward", lambda self, x: x * 3.0)


@case
def an_attribute_that_a_module_did_not_have():
    layer = nn.Linear(2, 2, generator=0)
    return lambda x: x * getattr(layer, "scale", 2.0), lambda: setattr(layer, "scale", 3.0)


def an_optimizer(read):
    def make():
        optimizer = optim.SGD(nn.Linear(2, 2, generator=0).parameters(), lr=2.0)
        return lambda x: x * read(optimizer), lambda: setattr(optimizer, "lr", 3.0)

    return make


for name, read in {
        "by its groups": lambda o: o.param_groups[0]["lr"], "by itself": lambda o: o.lr,
        "by its state": lambda o: o.state_dict()["param_groups"][0]["lr"]}.items():
    CASES[f"a learning rate {name}"] = an_optimizer(read)


@case
def the_last_rate_of_a_schedule():
    optimizer = optim.SGD(nn.Linear(2, 2, generator=0).parameters(), lr=2.0)
    schedule = optim.lr_scheduler.StepLR(optimizer, 1, gamma=1.5)
    return lambda x: x * schedule.get_last_lr()[0], schedule.step


@case
def the_optimizer_of_a_schedule():
    optimizer = optim.SGD(nn.Linear(2, 2, generator=0).parameters(), lr=2.0)
    schedule = optim.lr_scheduler.StepLR(optimizer, 1, gamma=1.5)
    return lambda x: x * schedule.optimizer.lr, schedule.step


@case
def the_defaults_of_an_optimizer():
    optimizer = optim.SGD(nn.Linear(2, 2, generator=0).parameters(), lr=2.0)
    return lambda x: x * optimizer.defaults["lr"], lambda: optimizer.defaults.update(lr=3.0)


@case
def a_variable_that_was_not_yet_assigned():
    def step(x):
        try:
            return x * scale
        except NameError:
            return x

    def change():
        nonlocal scale
        scale = 3.0

    if step is None:
        scale = 2.0
    return step, change


@case
def a_slot_that_was_empty():
    class Slotted:
        __slots__ = ("other", "scale")

    slotted = Slotted()
    slotted.other = 1.0
    return lambda x: x * getattr(slotted, "scale", 2.0), lambda: setattr(slotted, "scale", 3.0)


@case
def an_attribute_that_a_class_did_not_have():
    class Base:
        pass

    class Config(Base):
        pass

    config = Config()
    return lambda x: x * getattr(config, "scale", 2.0), lambda: setattr(Base, "scale", 3.0)


@case
def an_attribute_of_a_function():
    def helper(x):
        return x * helper.scale

    helper.scale = 2.0
    return lambda x: helper(x), lambda: setattr(helper, "scale", 3.0)


@case
def an_attribute_of_a_function_that_its_caller_reads():
    def helper(x):
        return x

    helper.scale = 2.0
    return lambda x: helper(x) * helper.scale, lambda: setattr(helper, "scale", 3.0)


@case
def an_object_that_is_a_key():
    class Key:
        def __init__(self):
            self.scale = 2.0

    table = {Key(): 1.0}
    return lambda x: x * sum(key.scale for key in table), lambda: [setattr(key, "scale", 3.0) for key in table]


@case
def an_attribute_of_the_class_of_a_class():
    class Kind(type):
        scale = 2.0

        def of(cls, x):
            return x * cls.scale

    class Made(metaclass=Kind):
        pass

    return lambda x: Made.of(x), lambda: setattr(Kind, "scale", 3.0)


@case
def another_group_of_parameters():
    optimizer = optim.SGD(nn.Linear(2, 2, generator=0).parameters(), lr=2.0)
    return lambda x: x * len(optimizer.param_groups), lambda: optimizer.add_param_group(
        {"params": nn.Linear(2, 2).parameters()})


@case
def the_number_of_threads():
    return lambda x: x * minidl.get_num_threads(), lambda: minidl.set_num_threads(2)


@pytest.fixture
def put_back():
    yield
    global SCALE
    SCALE = 2.0
    minidl.set_num_threads(1)
    os.environ.pop("MINIDL_TEST_SCALE", None)


@pytest.mark.parametrize("name", CASES)
def test_a_change_is_noticed_at_once(name, put_back):
    function, change = CASES[name]()
    step = minidl.capture(function)
    for _ in range(CALLS):
        before = step(X).data.tolist()
    assert before == function(minidl.tensor(X)).tolist() and step.recordings == 1 and step.path == "compiled"
    change()
    now = step(X).data.tolist()
    assert now == function(minidl.tensor(X)).tolist() != before and step.recordings == 2


@pytest.mark.parametrize("read, message", [
    (lambda: iter([1.0]), "uses a list_iterator from outside"),
    (lambda: (i for i in range(9)), "uses a generator from outside"),
])
def test_iterators_are_refused(read, message):
    numbers = read()
    with pytest.raises(minidl.CaptureError, match=message):
        minidl.capture(lambda x: x * next(numbers))(X)


class Slotted:
    __slots__ = ("held",)

    def __init__(self, held):
        self.held = held


class Listed(list):
    pass


def of_a_class(thing):
    return type("Holder", (), {"held": thing})


WRAPS = {
    "list": lambda thing: [thing], "tuple": lambda thing: (thing,), "dict": lambda thing: {"held": thing},
    "deque": lambda thing: collections.deque([thing]), "list of one's own": lambda thing: Listed([thing]),
    "object": lambda thing: types.SimpleNamespace(held=thing), "slot": Slotted, "class": of_a_class,
}


@pytest.mark.parametrize("kind", WRAPS)
def test_objects_are_looked_through_to_the_twelfth(kind):
    """Known by an iterator, which is refused where it is found."""
    def step_of(holder):
        return minidl.capture(lambda x: x * 2.0 if holder is not None or x.held else x)

    for count, found in ((11, True), (12, True), (13, False)):
        thing = iter([1.0])
        for _ in range(count):
            thing = WRAPS[kind](thing)
        step = step_of(thing)
        if found:
            with pytest.raises(minidl.CaptureError, match="from outside"):
                step(X)
        else:
            assert step(X).data.tolist() == [2, 2]


def counting_in_init():
    class Counted:
        count = 0

        def __init__(self):
            type(self).count += 1

    return Counted


def counting_in_new():
    class Counted:
        count = 0

        def __new__(cls):
            cls.count += 1
            return object.__new__(cls)

    return Counted


@pytest.mark.parametrize("make", [counting_in_init, counting_in_new])
def test_a_class_that_counts_its_objects_is_refused(make):
    kind = make()
    with pytest.raises(minidl.CaptureError, match=r"changes Counted\.count, which it reads"):
        minidl.capture(lambda x: x if kind() is None else x * 2)(X)


def test_what_a_function_makes_itself_may_change():
    class Made:
        def __init__(self, scale):
            self.scale = scale
            self.scale += 1

    step = minidl.capture(lambda x: x * Made(2.0).scale)
    for _ in range(CALLS):
        assert step(X).data.tolist() == [3, 3]
    assert step.path == "compiled" and step.recordings == 1


def test_a_change_of_something_else_is_none():
    config, layer = types.SimpleNamespace(scale=2.0, other=np.zeros(2)), nn.Linear(2, 2, generator=0)
    ordered = {"a": 1.0}
    optimizer = optim.SGD(layer.parameters(), lr=2.0)
    module = types.ModuleType("settings")
    module.scale, module.other = 2.0, 3.0

    @minidl.capture
    def step(x):
        return layer(x) * config.scale * module.scale + len(ordered)

    for _ in range(CALLS):
        step(X)
    module.other = 4.0
    optimizer.lr = 5.0
    layer.predict(np.ones((3, 2), np.float32))
    layer(minidl.tensor(X))
    layer.weight.data[...] = 1
    assert step(X).data.tolist() == (layer(minidl.tensor(X)) * 4.0 + 1).tolist() and step.recordings == 1
    assert sys.getprofile() is None
