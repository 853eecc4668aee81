"""Where operations are recorded: no_grad and its like nested, as decorators, around generators, and after errors."""
from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import functional as F
from minidl.autograd import active_recorder, recording_into
from minidl.autograd.tape import Node, constant, recording_on_tape, unseen

W = minidl.ones(1).requires_grad_()


def recorded() -> bool:
    """Whether an operation is recorded now; what the library says of it must be the same."""
    found = (W * 2).requires_grad
    assert minidl.is_grad_enabled() is found
    return found


MODES = {"no_grad": (minidl.no_grad, False), "enable_grad": (minidl.enable_grad, True),
         "inference_mode": (minidl.inference_mode, False),
         "inference_mode, on": (lambda: minidl.inference_mode(True), False),
         "inference_mode by name": (lambda: minidl.inference_mode(mode=True), False),
         "set_grad_enabled, on": (lambda: minidl.set_grad_enabled(True), True),
         "set_grad_enabled, off": (lambda: minidl.set_grad_enabled(False), False),
         "recording_on_tape, on": (lambda: recording_on_tape(True), True),
         "recording_on_tape, off": (lambda: recording_on_tape(False), False)}


@pytest.mark.parametrize("inner", MODES)
@pytest.mark.parametrize("outer", MODES)
def test_within_each_other(outer, inner):
    """The inner one decides within it; afterwards, and after an error, all is as before."""
    (make, on), (make_inner, on_inner) = MODES[outer], MODES[inner]
    assert recorded()
    with make():
        assert recorded() is on
        with make_inner():
            assert recorded() is on_inner
        assert recorded() is on
        with pytest.raises(KeyError), make_inner():
            raise KeyError
        assert recorded() is on
    assert recorded()
    with pytest.raises(KeyError), make():
        raise KeyError
    assert recorded()


def test_inference_mode_that_is_off_changes_nothing():
    with minidl.inference_mode(False):
        assert recorded()
    with minidl.no_grad(), minidl.inference_mode(mode=False):
        assert not recorded()
    assert recorded()


def test_set_grad_enabled_as_a_statement():
    minidl.set_grad_enabled(False)
    assert not recorded()
    minidl.set_grad_enabled(True)
    assert recorded()


@pytest.mark.parametrize("name", ["no_grad", "enable_grad", "inference_mode"])
def test_as_decorators(name):
    make, on = MODES[name]

    @make()
    def down(depth):
        """Of the function."""
        found = [recorded()]
        return found + down(depth - 1) if depth else found

    for around in (minidl.enable_grad, minidl.no_grad):
        with around():
            before = recorded()
            assert down(2) == [on] * 3 and recorded() is before
    assert (down.__name__, down.__doc__) == ("down", "Of the function.")


@minidl.no_grad()
def walk(log):
    """Of the generator."""
    try:
        log.append(recorded())
        got = yield 1
        log.append((got, recorded()))
        try:
            yield 2
        except KeyError as error:
            log.append((str(error), recorded()))
        yield 3
    finally:
        log.append(("end", recorded()))
    return 4


def test_a_generator_records_nothing_while_its_body_runs():
    log = []
    steps = walk(log)
    assert (walk.__name__, walk.__doc__) == ("walk", "Of the generator.") and log == []
    assert next(steps) == 1 and recorded() and log == [False]
    assert steps.send("given") == 2 and recorded() and log[1:] == [("given", False)]
    assert steps.throw(KeyError("thrown")) == 3 and recorded() and log[2:] == [("'thrown'", False)]
    with pytest.raises(StopIteration) as end:
        next(steps)
    assert end.value.value == 4 and recorded() and log[3:] == [("end", False)]


def test_a_generator_that_is_closed_or_fails():
    log = []
    steps = walk(log)
    next(steps)
    steps.close()
    assert log == [False, ("end", False)] and recorded()
    steps = walk(log)
    next(steps)
    with pytest.raises(ValueError, match="thrown"):
        steps.throw(ValueError("thrown"))
    assert log[3:] == [("end", False)] and recorded()
    assert list(walk([])) == [1, 2, 3] and recorded()


def test_values_are_sent_after_one_was_thrown():
    @minidl.no_grad()
    def echo():
        got = None
        while True:
            try:
                got = yield got
            except KeyError:
                got = "caught"

    steps = echo()
    assert [next(steps), steps.send(1), steps.throw(KeyError()), steps.send(2), next(steps)] == [None, 1, "caught", 2,
     None]


class Recorder:
    def __init__(self):
        self.constants = []

    def constant(self, array):
        self.constants.append(array)


def test_a_recorder_is_there_until_the_end():
    recorder, array = Recorder(), minidl.ones(1).data
    assert active_recorder() is None
    constant(array)  # nobody listens
    with recording_into(recorder) as given:
        assert given is recorder and active_recorder() is recorder
        constant(array)
        with unseen():
            assert active_recorder() is None
            constant(array)
        assert active_recorder() is recorder
        with pytest.raises(RuntimeError, match="this thread is being recorded already"), recording_into(Recorder()):
            pass
        assert active_recorder() is recorder
    assert active_recorder() is None and [x is array for x in recorder.constants] == [True]
    with pytest.raises(KeyError), recording_into(recorder):
        raise KeyError
    assert active_recorder() is None


def test_nodes_are_numbered_in_the_order_of_time():
    x = minidl.ones(2).requires_grad_()
    first, second = x * 2, x * 3
    assert first.node.serial < second.node.serial < Node("f", [], list).serial
    node = Node("f", [x], lambda g: [g])
    assert (node.read, node.parameters()) == ((), [])
    node.free()
    assert node.inputs is node.function is node.read is None


class Reader(Recorder):
    """Keeps what it is told of Tensors that Python reads, and of random numbers."""

    def __init__(self):
        super().__init__()
        self.log = []

    def read(self, tensor, how):
        self.log.append((tensor, how))

    def drawing(self):
        self.log.append("drawing")

    def call(self, name, function, inputs, outputs, listed=True):
        self.log.append((name, function, tuple(inputs), tuple(outputs), listed))


READS = {
    "data": lambda x: x.data, "item()": lambda x: x.item(), "tolist()": lambda x: x.tolist(),
    "numpy()": lambda x: x.numpy(),
    "bool()": bool, "repr()": repr, "item() ": float, "item()  ": int, "numpy() ": np.asarray,
    "item()   ": "{:.1f}".format,
    "allclose()": lambda x: x.allclose(1), "equal()": lambda x: x.equal(x),
    "masked_select()": lambda x: F.masked_select(
        np.ones(()), x), "nonzero()": lambda x: F.nonzero(x), "unique()": lambda x: F.unique(x),
    "one_hot without num_classes": lambda x: F.one_hot(x),
}


@pytest.mark.parametrize("name", READS)
def test_a_recorder_is_told_what_is_read_and_how(name):
    data = {"one_hot without num_classes": 1, "masked_select()": True}.get(name, 1.0)
    x, reader = minidl.tensor(data), Reader()
    with recording_into(reader):
        try:
            READS[name](x)
        except AttributeError as error:  # of what it goes on to do, which this recorder does not take
            assert "operation" in str(error)
    tensor, how = reader.log[0]
    assert tensor is x and how == name.strip()


def test_a_recorder_is_told_what_is_counted():
    x, weights, reader = minidl.tensor([1, 1]), minidl.tensor([0.5, 2.0]), Reader()
    with recording_into(reader):
        F.bincount(x, weights)
    assert [how for _, how in reader.log] == ["bincount()"] * 2 and {id(t) for t, _ in reader.log} == {id(x),
     id(weights)}


def test_a_recorder_is_told_what_is_drawn():
    p, reader = minidl.tensor([0.0, 1.0]), Reader()
    with recording_into(reader):
        found = F.bernoulli(p)
    first, (name, function, inputs, outputs, listed) = reader.log
    assert first == "drawing" and name == "bernoulli" and inputs == (p,) and listed is False
    assert len(outputs) == 1 and outputs[0] is found and function(p.data).tolist() == found.tolist() == [0, 1]
