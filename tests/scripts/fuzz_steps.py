"""Captured steps beside plain ones, altered between and during steps: the same bits or an exception.

A case is (what is altered) x (when): see WHEN, and ALTERATIONS in fuzz_alterations.py. Where the alteration
comes at a moment of its own (another thread, a signal), only the process must live on.
"""
from __future__ import annotations

import contextlib
import random
import signal
import threading
from collections import Counter

import numpy as np
from fuzz_alterations import ALTERATIONS, numbers
from fuzz_arrays import Odd
from fuzz_kernels import Finding
from twins import plain_step

import minidl
from minidl import nn, optim
from minidl.autograd.parameter import Parameter
from minidl.autograd.tensor import Tensor

DURING = ("loss forward", "loss backward", "optimizer", "generator")  # of a user, in the middle of a step
WHEN = ("between", "between", *DURING, "float", "callback", "thread", "signal")
ERRORS = (ValueError, TypeError, IndexError, RuntimeError, KeyError, MemoryError, StopIteration)
OUTCOMES: Counter[tuple[str, str]] = Counter()


class Happening:
    """What a user's code does once, the next time that it is called at a certain point."""

    def __init__(self):
        self.waiting: dict[str, list] = {}
        self.calls = 0

    def at(self, when: str) -> None:
        if self.waiting.get(when):
            self.calls += 1
            self.waiting[when].pop()()


class Loss(nn.Module):
    """A user's own, around one of minidl's."""

    def __init__(self, inner: nn.Module, happening: Happening):
        self.inner, self.happening = inner, happening

    def forward(self, z, t):
        self.happening.at("loss forward")
        return self.inner(z, t)

    def backward(self):
        self.happening.at("loss backward")
        return self.inner.backward()


def own_optimizer(kind: type, happening: Happening) -> type:
    class Mine(kind):
        def step(self):
            happening.at("optimizer")
            super().step()

    return Mine


class Generator(np.random.Generator):
    """A Dropout's own."""

    happening: Happening

    def random(self, *given, **options):
        self.happening.at("generator")
        return super().random(*given, **options)


class Side:
    """A model, a loss, an optimizer and a batch; stepped with the modules if step is None."""

    def __init__(self, seed: int, when: str, captured: bool):
        rng = random.Random(seed)
        minidl.manual_seed(seed)
        self.happening, self.unaltered = Happening(), False
        large = when in ("thread", "signal") or rng.random() < 0.05
        self.width = 64 if large else rng.choice((1, 3, 9, 17))
        self.rows = rng.choice((64, 200)) if large else rng.randint(1, 20)
        self.classes, self.dtype = rng.choice((1, 2, 3, 10)), np.dtype(rng.choice(("f4", "f4", "f8")))
        self.model = self._model(rng, when)
        self.loss = rng.choice((nn.MSELoss, nn.CrossEntropyLoss, nn.NLLLoss))(reduction=rng.choice(("mean", "sum")))
        own = when.startswith("loss") or rng.random() < 0.1
        self.criterion = Loss(self.loss, self.happening) if own else self.loss
        self.optimizer = self._optimizer(rng, when)
        self.x = numbers(rng, (self.rows, self.width), self.dtype)
        self.y = self._target(rng)
        self.index = np.array([rng.randrange(self.rows) for _ in range(rng.randint(1, 2 * self.rows))])
        self.picks = rng.random() < 0.4
        self.step = minidl.capture(self.model, self.criterion, self.optimizer) if captured else None

    def _model(self, rng, when: str) -> nn.Sequential:
        layers: list = []
        width = self.width
        for _ in range(rng.randint(0, 2)):
            layers.append(nn.Linear(width, self.width, bias=rng.random() < 0.8, dtype=self.dtype))
            layers.append(rng.choice((nn.ReLU, nn.Tanh, nn.Sigmoid, nn.SELU, nn.Softmax, lambda: nn.ELU(0.7),
                                      lambda: nn.LeakyReLU(0.1), nn.LogSoftmax, nn.Identity))())
        if when == "generator" or rng.random() < 0.2:
            generator = Generator(np.random.PCG64(rng.randrange(100)))
            generator.happening = self.happening
            layers.append(nn.Dropout(0.3, generator=generator))
        layers.append(nn.Linear(width, self.classes, dtype=self.dtype))
        return nn.Sequential(*layers) if rng.random() < 0.8 else nn.Sequential(nn.Sequential(*layers))

    def _optimizer(self, rng, when: str):
        kind, options = rng.choice((
            (optim.SGD, {}), (optim.SGD, {"momentum": 0.9}), (optim.SGD, {"momentum": 0.5, "nesterov": True}),
            (optim.Adam, {}), (optim.AdamW, {}), (optim.Adadelta, {})))
        if when == "optimizer":
            kind = own_optimizer(kind, self.happening)
        parameters = self.model.parameters()
        if rng.random() < 0.3 and len(parameters) > 1:
            parameters = [{"params": parameters[:1], "lr": 0.05}, {"params": parameters[1:]}]
        elif rng.random() < 0.2:
            parameters = parameters[:-1] or parameters
        return kind(parameters, lr=0.1, **options)

    def _target(self, rng):
        if isinstance(self.loss, nn.MSELoss):
            return numbers(rng, (self.rows, self.classes), self.dtype)
        return np.array([rng.randrange(self.classes) for _ in range(self.rows)])

    def step_once(self) -> float:
        batch = (self.x, self.y, self.index) if self.picks else (self.x, self.y)
        if self.step is not None:
            return self.step.run(*batch)
        return plain_step(self.model, self.criterion, self.optimizer, *batch)

    def snapshot(self) -> dict[str, object]:
        """The bits of all that a step may change."""
        found: dict[str, object] = {}
        for name, module in self.model.named_modules():
            for own, value in vars(module).items():
                if isinstance(value, Tensor):
                    found[f"{name}.{own}"] = bytes_of(value.data)
                    found[f"gradient {name}.{own}"] = bytes_of(value.grad)
        groups = self.optimizer.param_groups
        for number, group in enumerate(groups if isinstance(groups, (list, tuple)) else ()):
            members = group.get("params", ()) if isinstance(group, dict) else ()
            for i, p in enumerate(members if isinstance(members, (list, tuple)) else ()):
                if isinstance(p, Parameter):
                    found[f"group {number} {i}"], found[f"gradient {number} {i}"] = bytes_of(p.data), bytes_of(p.grad)
        with contextlib.suppress(Exception):  # a state that was made unusable
            for number, state in enumerate(self.optimizer.state_dict()["state"]):
                for name, value in state.items():
                    found[f"state {number} {name}"] = bytes_of(value)
        return found


def bytes_of(value) -> object:
    return value.tobytes() if isinstance(value, np.ndarray) and value.dtype != object else repr(value)


def case(rng: random.Random, told: bool) -> int:
    """One case; how many captured steps it was. Raises Finding."""
    when, what = rng.choice(WHEN), rng.choice(sorted(ALTERATIONS))
    if rng.random() < 0.15:
        what = rng.choice(("raise", "enter", "enter larger", "two threads", "batch"))
    seed = rng.randrange(1 << 30)
    if told:
        print(f"{when}: {what}, sides of seed {seed}")
    minidl.set_num_threads(rng.choice((1, 1, 2)))
    try:
        with np.errstate(all="ignore"):
            if what == "batch":
                return wrong_batches(rng, seed, told)
            if what == "two threads":
                return many_threads(seed)
            if when in ("thread", "signal"):
                return at_any_moment(rng, seed, when, what)
            return in_step(rng, seed, when, what, told)
    finally:
        minidl.set_num_threads(1)


def action_on(side: Side, what: str, seed: int, told: bool = False):
    """A function that does it to the side; what the alteration itself refuses is left."""
    mine = random.Random(seed).choice(ERRORS)("mine")  # drawn here: a recorded step refuses code that draws

    def act():
        if what == "raise":
            raise mine
        rng = random.Random(seed)
        if what.startswith("enter"):
            rows = side.rows * 3 if what == "enter larger" else max(side.rows // 2, 1)
            other = numbers(rng, (rows, side.width), side.dtype), np.resize(side.y, (rows, *side.y.shape[1:]))
            (side.step.run if side.step is not None else side.unentered)(*other)
            return
        try:
            ALTERATIONS[what](side, rng)
        except Exception as error:  # as the resizing of an array that a step holds
            side.unaltered = True
            if told:
                print(f"  the alteration raises {error!r}")

    return act


def refuses(*_):
    raise RuntimeError("a plain step may be entered, a captured one may not")


def attempt(side: Side) -> tuple[object, Exception | None]:
    try:
        return side.step_once(), None
    except Exception as error:
        return None, error


def in_step(rng, seed: int, when: str, what: str, told: bool) -> int:
    """Some steps, the alteration, some more: each on both sides."""
    plain, captured = Side(seed, when, False), Side(seed, when, True)
    plain.unentered = refuses
    steps = 0
    for _ in range(rng.choice((0, 1, 1, 2))):
        steps += 1
        if not compare(plain, captured, f"before {when}: {what}", False, told):
            return steps
    for _ in range(rng.choice((1, 1, 1, 2))):
        if when == "between" and what not in ALTERATIONS:  # then these are whole steps
            what = rng.choice(sorted(ALTERATIONS))
        choice = rng.randrange(1 << 30)
        acts = [action_on(side, what, choice, told) for side in (plain, captured)]
        if when == "between":
            for act in acts:
                act()
        elif when == "float":
            for side, act in zip((plain, captured), acts, strict=True):
                group = side.optimizer.param_groups[0]
                dict.__setitem__(group, "lr", Odd(0.1, act))
        elif when == "callback":
            return steps + fitted(seed, (plain, captured), acts, what)
        else:
            for side, act in zip((plain, captured), acts, strict=True):
                side.happening.waiting[when] = [act]
        for _ in range(rng.choice((1, 2))):
            steps += 1
            if not compare(plain, captured, f"{when}: {what}", what == "raise" and when in DURING, told):
                attempt(captured)
                return steps + 1
        if when == "float" or what not in ALTERATIONS:
            break
        what = rng.choice(sorted(ALTERATIONS))
    return steps


def excused(refused: Exception) -> bool:
    """Fields of packed records are copied by a captured step, and refused by modules that are called directly."""
    return "strides of whole elements" in str(refused)


def compare(plain: Side, captured: Side, key: str, raising: bool, told: bool) -> bool:
    """A step on both sides; whether both went well. Finding unless their bits are the same."""
    clean = not any(captured.happening.waiting.values()) or raising
    expected, refused = attempt(plain)
    before = captured.snapshot()
    captured.happening.calls = 0
    loss, error = attempt(captured)
    after = captured.snapshot()
    if told:
        print(f"  plain {expected} {refused!r}; captured {loss} {error!r}")
    OUTCOMES[key, "right" if error is None else "refused"] += 1
    if raising and captured.happening.calls > 1:
        raise Finding(f"called twice, {key}", f"the user's code that raises {refused!r} was called twice")
    if raising and captured.happening.calls and str(error) != str(refused):
        raise Finding(f"error lost, {key}", f"the user's code raised {refused!r}, the step {error!r}")
    if error is not None:
        if clean and "float" not in key:
            changed = sorted(name for name in before if before[name] != after.get(name))
            half = [name for name in changed if not name.startswith("gradient")]
            if half:
                raise Finding(f"half done, {key}", f"{error!r}, and has changed {half[:4]}")
            if changed:
                raise Finding(f"gradients changed, {key}", f"{error!r}, and has changed {changed[:4]}")
        return False
    if captured.unaltered != plain.unaltered:
        return False
    if refused is not None:
        if "enter" in key:
            raise Finding(f"entered, {key}", "a step was entered while it ran")
        # After a loss that is not finite a captured step does not ask the optimizer, and it has its own copy of labels.
        if np.isfinite(loss) and not excused(refused) and "resized" not in key and "float" not in key:
            raise Finding(f"accepted, {key}", f"the plain step raises {refused!r}, the captured one gives {loss}")
        return False
    if not (loss == expected or (loss != loss and expected != expected)):
        raise Finding(f"another loss, {key}", f"{loss}, and plain {expected}")
    if loss != loss or abs(loss) == float("inf"):
        return False  # nothing was updated
    there = plain.snapshot()
    wrong = sorted(name for name in there if there[name] != after.get(name))
    if wrong:
        raise Finding(f"other bits, {key}", f"other than plain: {wrong[:5]}")
    return True


def fitted(seed: int, sides, acts, what: str) -> int:
    """fit, on both sides, with a callback that does it after the first epoch."""
    found = []
    for side, act in zip(sides, acts, strict=True):
        class Acts(minidl.training.Callback):
            def on_epoch_end(self, epoch, logs, act=act):
                if epoch == 1:
                    act()

        try:
            minidl.fit(side.model, side.criterion, side.optimizer, (side.x, side.y), epochs=3, batch_size=7, seed=seed,
                       progress=False, captured=side.step is not None, callbacks=[Acts()])
            found.append(side.snapshot())
        except Exception as error:
            found.append(error)
    plain, captured = found
    if isinstance(plain, dict) and isinstance(captured, dict):
        wrong = sorted(name for name in plain if plain[name] != captured.get(name))
        if wrong:
            raise Finding(f"other bits, callback: {what}", f"other than plain: {wrong[:5]}")
    elif isinstance(captured, dict) and "enter" not in what:
        raise Finding(f"accepted, callback: {what}", f"the plain fit raises {plain!r}, the captured one goes on")
    return 9


def at_any_moment(rng, seed: int, when: str, what: str) -> int:
    """The alteration again and again while steps run; what they give is not compared."""
    if what in ("batch_resized", "array_resized", "state_resized"):
        what = "labels_written"  # NumPy gives memory back that others compute with: no library can prevent that
    side, steps = Side(seed, when, True), 30
    act = action_on(side, what, rng.randrange(1 << 30))

    acting, left = threading.Lock(), [20]  # an alteration that adds something makes each step longer

    def again(*_):
        if not left[0] or not acting.acquire(blocking=False):  # a signal within the handler of another
            return
        left[0] -= 1
        try:
            with contextlib.suppress(Exception):
                act()
        finally:
            acting.release()

    if when == "signal":
        before = signal.signal(signal.SIGALRM, again)
        signal.setitimer(signal.ITIMER_REAL, 1e-4, 2e-4)
        try:
            for _ in range(steps):
                with contextlib.suppress(Exception):
                    side.step_once()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        return steps
    done = threading.Event()

    def alter():
        for _ in range(1000):
            again()
            if done.is_set():
                return

    thread = threading.Thread(target=alter)
    thread.start()
    for _ in range(steps):
        attempt(side)
    done.set()
    thread.join()
    return steps


def many_threads(seed: int) -> int:
    """One step from three threads at once: each call ends, with a number or an exception."""
    side = Side(seed, "thread", True)
    threads = [threading.Thread(target=lambda: [attempt(side) for _ in range(20)]) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    attempt(side)
    return 61


def wrong_batches(rng, seed: int, told: bool) -> int:
    """Batches that fit and that do not, one after the other."""
    plain, captured = Side(seed, "between", False), Side(seed, "between", True)
    for number in range(8):
        choice = rng.randrange(1 << 30)
        for side in (plain, captured):
            alter_batch(side, random.Random(choice))
        before = captured.snapshot()
        loss, error = attempt(captured)
        if told:
            print(f"  x {getattr(captured.x, 'shape', captured.x)}: {loss} {error!r}")
        if error is not None:
            if captured.snapshot() != before and np.isfinite(np.asarray(getattr(captured.x, "data", 0)).size):
                changed = [name for name, value in captured.snapshot().items() if before.get(name) != value]
                raise Finding("half done, batch", f"{error!r}, and has changed {changed[:4]}")
            if any(isinstance(module, nn.Dropout) for module in captured.model.modules()):
                return number  # which may have drawn, where the plain step was not called
            continue
        expected, refused = attempt(plain)
        if refused is not None:
            if isinstance(refused, (IndexError, ValueError, TypeError)) and not excused(refused):
                raise Finding("accepted, batch", f"the plain step raises {refused!r}, the captured one gives {loss}")
            return number
        if not (loss == expected or loss != loss):
            raise Finding("another loss, batch", f"{loss}, and plain {expected}")
        if loss != loss or abs(loss) == float("inf"):
            return number
        if plain.snapshot() != captured.snapshot():
            raise Finding("other bits, batch", f"x of {captured.x.shape}, strides {captured.x.strides}")
    return 8


def alter_batch(side: Side, rng) -> None:
    """Another batch: sizes, dtypes, strides, labels, index."""
    side.rows = rng.choice((0, 1, 2, 7, 16, 17, 33, 100))
    side.x = numbers(rng, (side.rows, side.width), side.dtype)
    side.y = side._target(rng)
    side.picks = rng.random() < 0.5
    low, high = rng.choice(((0, side.rows), (0, side.rows), (0, side.rows), (-2, side.rows + 2)))
    side.index = np.array([rng.randrange(low, max(high, 1)) for _ in range(rng.choice((0, 1, 5, 40)))], dtype=np.int64)
    for _ in range(rng.choice((0, 0, 1, 2))):
        name = rng.choice(("x", "y", "index"))
        a = getattr(side, name)
        if not isinstance(a, np.ndarray):
            continue
        choices = [lambda a: a[::-1], lambda a: np.repeat(a, 2, axis=0)[::2], lambda a: np.asfortranarray(a),
                   lambda a: a[:-1], lambda a: a.astype(">" + a.dtype.str[1:]), lambda a: a.astype("f4"),
                   lambda a: a.astype("u8"), lambda a: a.astype("i4"), lambda a: a.astype("u1"), lambda a: a[None],
                   lambda a: np.broadcast_to(a[:1], a.shape), lambda a: a.tolist(), lambda a: None,
                   lambda a: np.frombuffer(b"xyz" + a.tobytes(), a.dtype, offset=3).reshape(a.shape),
                   lambda a: a.view(np.ndarray).copy()]
        if name != "x":
            choices += [lambda a: a + rng.choice((-1, 1, 1 << 40))] * 2
        with contextlib.suppress(Exception):
            setattr(side, name, rng.choice(choices)(a))
