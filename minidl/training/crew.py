"""The threads of fit_many: each trains networks that wait, one after the other or, if they are alike, in one call."""
from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import islice

from .fit import epochs_of
from .halving import SuccessiveHalving
from .history import History
from .interrupt import Interrupt
from .molds import Member, Mold
from .progress import Bar
from .trainer import Trainer

SHOW_EVERY = 0.05  # seconds


class Following:
    """An Interrupt of a training in another thread: Ctrl-C ends all of them between two steps."""

    def __init__(self, outer: Interrupt):
        self.outer = outer
        self.failed = False  # another training has failed: this one is to end, too

    @property
    def requested(self) -> bool:
        return self.outer.requested or self.failed

    def __enter__(self) -> Following:
        return self

    def __exit__(self, *error) -> None:
        pass


class Alone:
    """A network that is trained by itself."""

    def __init__(self, trainer: Trainer, following: Following):
        self.trainer, self.run = trainer, epochs_of(trainer)
        trainer.interrupt = following  # type: ignore[assignment]

    @property
    def history(self) -> History:
        return self.trainer.history

    def room(self) -> int:
        """How many networks one call may train."""
        return 1

    def joins(self, other: Run) -> bool:
        """Whether one call may train this one with the other."""
        return False

    def train(self, epochs: int | None, others: Sequence[Run] = ()) -> bool:
        """Train for so many epochs more, or to the end; whether that is reached."""
        trainer = self.trainer
        if trainer.interrupt.requested and not len(trainer.history):
            trainer.history.stopped = "interrupted"
            return True
        try:
            trained = len(list(islice(self.run, epochs)))
            if len(trainer.history) == trainer.epochs:
                next(self.run, None)  # beyond the last epoch
                return True
            return trained != epochs
        except FloatingPointError as error:
            trainer.diverged(error)
            return True


class Molded:
    """A network that is trained in one of the molds of its pattern, of which each thread takes one."""

    def __init__(self, molds: deque[Mold], member: Member, following: Following):
        self.molds, self.member, self.first, self.following = molds, member, molds[0], following
        self.history = History()

    def room(self) -> int:
        """How many networks one call may train."""
        return self.first.room()

    def joins(self, other: Run) -> bool:
        """Whether one call may train this one with the other."""
        return isinstance(other, Molded) and other.molds is self.molds

    def train(self, epochs: int | None, others: Sequence[Run] = ()) -> bool:
        """Train this one, and others that join it, to the end."""
        waiting = [self, *[run for run in others if isinstance(run, Molded)]]
        try:
            mold = self.molds.pop()
        except IndexError:
            mold = self.first.again()
        while waiting and not self.following.requested:
            histories = mold.together([run.member for run in waiting]) if len(waiting) > 1 else []
            histories = histories or [mold.train(waiting[0].member)]
            for run, history in zip(waiting, histories, strict=False):
                run.history = history
            del waiting[:len(histories)]
        for run in waiting:
            run.history.stopped = "interrupted"
        self.molds.append(mold)
        return True


Run = Alone | Molded


def run(runs: Sequence[Run], going: list[int], workers: int, bar: Bar | None, stop: SuccessiveHalving | None,
        following: Following) -> None:
    """Train them all in this order, with a stop rung by rung; raise the error of one."""
    epochs = None if stop is None else stop.first
    with ThreadPoolExecutor(workers, "fit_many") as pool:
        while going:
            waiting, ended = deque(going), []  # type: ignore[var-annotated]
            crew = [pool.submit(_work, runs, waiting, ended, epochs, following, workers) for _ in range(workers)]
            _watch(crew, ended, len(runs) - len(going), bar, following)
            going = sorted(set(going).difference(ended))
            if stop is None or not going:
                break
            for i in stop.ends([(i, runs[i].history) for i in going]):
                runs[i].history.stopped = stop.reason(runs[i].history)
            epochs = stop.more(runs[going[0]].history)


def _work(runs: Sequence[Run], waiting: deque[int], ended: list[int], epochs: int | None,
          following: Following, workers: int) -> None:
    """In a thread: train those that wait, one after the other; ``ended`` gets those that reach their end."""
    while taken := _taken(runs, waiting, workers):
        try:
            first, *others = [runs[i] for i in taken]
            if first.train(epochs, others):
                ended += taken
        except BaseException:
            following.failed = True
            raise


def _taken(runs: Sequence[Run], waiting: deque[int], workers: int) -> list[int]:
    """The next one that waits, and those behind it that one call can train with it; none if no one waits."""
    taken: list[int] = []
    room = 1
    while len(taken) < room:
        try:
            i = waiting.popleft()
        except IndexError:  # another thread took the last one
            break
        if not taken:
            first = runs[i]
            room = min(first.room(), len(waiting) // (2 * workers))  # at the end less, for all threads end together
        elif not runs[i].joins(first):
            waiting.appendleft(i)
            break
        taken.append(i)
    return taken


def _watch(crew: list[Future], ended: list[int], before: int, bar: Bar | None, following: Following) -> None:
    """Wait for the threads, and show how many networks are trained."""
    shown, going = 0, set(crew)
    try:
        while going:
            _, going = wait(going, None if bar is None else SHOW_EVERY)
            if bar is not None and len(ended) > shown:
                shown = len(ended)
                bar.show(before + shown)
        for thread in crew:
            thread.result()
    except BaseException:
        following.failed = True
        raise


