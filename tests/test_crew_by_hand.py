"""The threads of fit_many: who is trained with whom, in which order, rung by rung, and what an error or Ctrl-C ends."""
from __future__ import annotations

import threading
from collections import deque
from types import SimpleNamespace

import numpy as np
import pytest

import minidl
from minidl import nn, optim
from minidl.training import crew
from minidl.training.crew import Alone, Following, Molded
from minidl.training.history import History
from minidl.training.trainer import Trainer

X = np.random.default_rng(0).standard_normal((8, 2)).astype(np.float32)


def following(requested=False):
    return Following(SimpleNamespace(requested=requested))


class Fake:
    """A network that notes with which others it is trained; ``lasts``: so many rungs."""

    def __init__(self, i, told, room=1, kind=0, lasts=1, error=None):
        self.i, self.told, self.places, self.kind, self.lasts, self.error = i, told, room, kind, lasts, error
        self.history = History()

    def room(self):
        return self.places

    def joins(self, other):
        return self.kind == other.kind

    def train(self, epochs, others=()):
        if self.error is not None:
            raise self.error
        self.told.append((epochs, [self.i, *[other.i for other in others]]))
        self.lasts -= 1
        return self.lasts <= 0


def trained(runs, going=None, workers=1, bar=None, stop=None, follow=None):
    crew.run(runs, list(range(len(runs))) if going is None else going, workers, bar, stop, follow or following())


def test_so_many_in_a_call_and_fewer_at_the_end():
    told = []
    trained([Fake(i, told, room=4) for i in range(20)])
    assert [len(each) for _, each in told] == [4, 4, 4, 3, 2, 1, 1, 1]
    assert [i for _, each in told for i in each] == list(range(20)) and {epochs for epochs, _ in told} == {None}


def test_those_behind_join_while_they_are_alike():
    told = []
    kinds = [0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    trained([Fake(i, told, room=3, kind=kind) for i, kind in enumerate(kinds)])
    assert [each for _, each in told] == [[0, 1], [2, 3, 4], [5, 6, 7], [8, 9, 10], [11, 12], [13], [14], [15]]


def test_with_more_threads_a_call_takes_less_of_what_is_left():
    runs = [Fake(i, [], room=8) for i in range(13)]
    for workers, count in ((1, 6), (2, 3), (3, 2), (6, 1), (9, 1)):
        waiting = deque(range(13))
        assert crew._taken(runs, waiting, workers) == list(range(count)) and list(waiting) == list(range(count, 13))
    assert crew._taken(runs, deque(), 1) == []
    assert crew._taken(runs, deque([5, 7, 9]), 1) == [5] and crew._taken(runs, deque([5, 7, 9, 3, 2]), 1) == [5, 7]


def test_all_are_trained_by_several_threads():
    told = []
    trained([Fake(i, told, room=4) for i in range(40)], workers=3)
    assert sorted(i for _, each in told for i in each) == list(range(40))


def test_the_names_of_the_threads():
    names = []

    class Named(Fake):
        def train(self, epochs, others=()):
            names.append(threading.current_thread().name)
            return super().train(epochs, others)

    trained([Named(i, []) for i in range(3)])
    assert names == ["fit_many_0"] * 3


def test_only_those_that_go_are_trained_and_in_their_order():
    told = []
    trained([Fake(i, told) for i in range(6)], going=[4, 1, 3])
    assert told == [(None, [4]), (None, [1]), (None, [3])]


class Rungs:
    """A stop that ends the last of those that go at every rung."""

    first = 2

    def __init__(self):
        self.asked = []

    def ends(self, going):
        self.asked.append([i for i, _ in going])
        return [going[-1][0]] if len(going) > 1 else []

    def reason(self, history):
        return f"rung {len(self.asked)}"

    def more(self, history):
        return 3


def test_rung_by_rung():
    told, stop = [], Rungs()
    runs = [Fake(i, told, lasts=lasts) for i, lasts in enumerate([2, 9, 1, 3])]
    trained(runs, stop=stop)
    # the third ends by itself; the last and the second end when they are judged, but those that go on are all trained
    assert told[:4] == [(2, [0]), (2, [1]), (2, [2]), (2, [3])] and told[4:7] == [(3, [0]), (3, [1]), (3, [3])]
    assert stop.asked[0] == [0, 1, 3] and stop.asked[1] == [1, 3]
    assert [run.history.stopped for run in (runs[0], runs[2])] == ["", ""] and runs[3].history.stopped


def test_an_error_ends_the_others_and_is_raised():
    told, follow = [], following()
    runs = [Fake(0, told), Fake(1, told, error=KeyError("mine")), Fake(2, told)]
    with pytest.raises(KeyError, match="mine"):
        trained(runs, follow=follow)
    assert told == [(None, [0])] and follow.failed and follow.requested


class Shown:
    def __init__(self):
        self.counts = []

    def show(self, count):
        self.counts.append(count)


def test_the_bar_shows_how_many_are_trained(monkeypatch):
    monkeypatch.setattr(crew, "SHOW_EVERY", 0.001)
    bar, told = Shown(), []
    trained([Fake(i, told) for i in range(5)], bar=bar)
    assert bar.counts[-1] == 5 and bar.counts == sorted(set(bar.counts))
    bar = Shown()
    trained([Fake(i, told) for i in range(5)], going=[3, 4], bar=bar)
    assert bar.counts[-1] == 5 and bar.counts[0] >= 4

    class Broken(Shown):
        def show(self, count):
            raise OSError("no terminal")

    follow = following()
    with pytest.raises(OSError, match="no terminal"):
        trained([Fake(0, told)], bar=Broken(), follow=follow)
    assert follow.failed


def test_who_follows_ctrl_c():
    outer = SimpleNamespace(requested=False)
    follow = Following(outer)
    with follow as entered:
        assert entered is follow and follow.requested is False and follow.failed is False
    outer.requested = True
    assert follow.requested is True
    outer.requested, follow.failed = False, True
    assert follow.requested is True


# Networks by themselves

def alone(epochs=3, follow=None, rate=0.1):
    minidl.manual_seed(0)
    model = nn.Linear(2, 1)
    return Alone(Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=rate), (X, X[:, :1]), None, epochs, 4, 0,
                         None, (), None, None, False, True, None), follow or following())


def test_a_network_by_itself_is_trained_in_parts():
    run = alone()
    assert run.room() == 1 and run.joins(alone()) is False
    assert run.train(2) is False and len(run.history) == 2
    assert run.train(1) is True and len(run.history) == 3 and not run.history.stopped
    run = alone()
    assert run.train(None) is True and len(run.history) == 3
    run = alone()
    assert run.train(5) is True and len(run.history) == 3
    assert alone(epochs=1).train(1) is True


def test_a_network_that_had_not_begun_when_ctrl_c_came():
    run = alone(follow=following(requested=True))
    assert run.train(None) is True and run.history.stopped == "interrupted" and len(run.history) == 0
    outer = SimpleNamespace(requested=False)
    run = alone(follow=Following(outer))
    assert run.train(1) is False
    outer.requested = True
    assert run.train(None) is True and len(run.history) == 1 and run.history.stopped == "interrupted"


def test_a_network_that_diverges_is_at_its_end():
    run = alone(rate=1e30)
    with np.errstate(all="ignore"):
        assert run.train(None) is True
    assert run.history.stopped.startswith("the loss became")


# Networks that are alike

class FakeMold:
    def __init__(self, told, together=(), again=0, room=3):
        self.told, self.answers, self.number, self.places = told, list(together), again, room

    def again(self):
        return FakeMold(self.told, again=self.number + 1)

    def room(self):
        return self.places

    def train(self, member):
        self.told.append((self.number, [member]))
        return History()

    def together(self, members):
        self.told.append((self.number, list(members)))
        return [History() for _ in range(self.answers.pop(0))] if self.answers else []


def molded(told, count, together=(), follow=None):
    molds = deque([FakeMold(told, together)])
    return molds, [Molded(molds, f"m{i}", follow or following()) for i in range(count)]


@pytest.mark.parametrize("together, calls", [
    ([4], [["m0", "m1", "m2", "m3"]]), ([2, 2], [["m0", "m1", "m2", "m3"], ["m2", "m3"]]),
    ([3], [["m0", "m1", "m2", "m3"], ["m3"]]),
    ([], [["m0", "m1", "m2", "m3"], ["m0"], ["m1", "m2", "m3"], ["m1"], ["m2", "m3"], ["m2"], ["m3"]]),
    ([0, 3], [["m0", "m1", "m2", "m3"], ["m0"], ["m1", "m2", "m3"]])])
def test_a_mold_trains_all_that_join(together, calls):
    told = []
    molds, (first, *others) = molded(told, 4, together)
    kept, before = molds[0], [run.history for run in (first, *others)]
    assert first.room() == 3 and first.train(None, others) is True
    assert [each for _, each in told] == calls and list(molds) == [kept]
    assert not any(run.history is old for run, old in zip((first, *others), before, strict=True))
    assert first.joins(others[0]) and not first.joins(molded(told, 1)[1][0]) and not first.joins(alone())


def test_a_thread_without_a_mold_makes_one():
    told = []
    molds, (first, second) = molded(told, 2)
    taken = molds.pop()
    assert first.train(None) is True and told == [(1, ["m0"])] and [mold.number for mold in molds] == [1]
    molds.append(taken)
    second.train(None)
    assert told[1:] == [(0, ["m1"])] and [mold.number for mold in molds] == [1, 0]


def test_ctrl_c_between_two_calls_of_a_mold():
    told, outer = [], SimpleNamespace(requested=False)
    molds, (first, *others) = molded(told, 3, follow=Following(outer))
    train = molds[0].train

    def pressed(member):
        outer.requested = True
        return train(member)

    molds[0].train = pressed
    assert first.train(None, others) is True and [each for _, each in told] == [["m0", "m1", "m2"], ["m0"]]
    assert [run.history.stopped for run in (first, *others)] == ["", "interrupted", "interrupted"] and len(molds) == 1
