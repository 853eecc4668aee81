"""L-BFGS: steps along an estimate of Newton's direction, from the last gradients."""
from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, ClassVar

import numpy as np

from .. import arrays
from ..autograd.parameter import Parameter
from ..autograd.tape import active_recorder, recording_on_tape
from ..kernels.memory import advance
from .flat import Flat
from .group import Group, at_least_zero
from .lr_scheduler.scheduler import count
from .optimizer import Optimizer
from .strong_wolfe import Point, strong_wolfe


def line_search(what: str, value: Any) -> str | None:
    """None or "strong_wolfe"."""
    if value not in (None, "strong_wolfe"):
        raise ValueError(f"{what} to be None or 'strong_wolfe', got {value!r}")
    return value


def dot(a: np.ndarray, b: np.ndarray) -> float:
    """a·b, summed in an order that hangs on the length alone."""
    return float(arrays.summed(a * b, None, False))


class LBFGS(Optimizer, in_place=False):
    """L-BFGS: ``optimizer.step(closure)``, of which each step makes up to ``max_iter`` iterations.

        def closure():
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            return loss

    An iteration moves the parameters by t d: d = -H g, where H, an estimate of the inverse of the Hessian, is
    made of the last ``history_size`` differences of parameters and of gradients; t is ``lr``, or, with
    line_search_fn="strong_wolfe", what that search finds from there. The closure is called at most ``max_eval``
    times (by default max_iter 5 / 4), and the step ends where no gradient exceeds ``tolerance_grad``, or neither
    loss nor parameters change by more than ``tolerance_change``.

    It takes one parameter group. In a step of one's own that is captured, it makes the step run plain, since how
    often the closure is called hangs on the losses; capture what the closure does instead. ``fit`` does that.
    What the closure raises leaves the parameters and the state as they were before the step.

    Liu and Nocedal, On the limited memory BFGS method for large scale optimization, 1989. Raises what Optimizer
    raises, and ValueError for several groups.
    """

    rules: ClassVar = {
        "lr": at_least_zero, "max_iter": partial(count, least=1), "max_eval": partial(count, least=1),
        "tolerance_grad": at_least_zero, "tolerance_change": at_least_zero,
        "history_size": partial(count, least=1), "line_search_fn": line_search}
    needs_closure = True

    def __init__(self, params: Iterable[Parameter] | Iterable[dict[str, Any]], lr: float = 1, max_iter: int = 20,
                 max_eval: int | None = None, tolerance_grad: float = 1e-7, tolerance_change: float = 1e-9,
                 history_size: int = 100, line_search_fn: str | None = None):
        if max_eval is None:
            max_eval = count("LBFGS: expected max_iter", max_iter, least=1) * 5 // 4
        super().__init__(params, lr=lr, max_iter=max_iter, max_eval=max_eval, tolerance_grad=tolerance_grad,
                         tolerance_change=tolerance_change, history_size=history_size, line_search_fn=line_search_fn)
        self._flat()
        self.state: dict[str, Any] = {"func_evals": 0, "n_iter": 0}

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        raise ValueError("LBFGS: expected one parameter group, got another one")

    def step(self, closure: Callable[[], Any]) -> Any:  # type: ignore[override]
        """Up to max_iter iterations; returns the loss before them, as the closure gave it."""
        recorder = active_recorder()
        if recorder is not None:
            recorder.only_plain("LBFGS.step calls its closure as often as the losses ask for")
        flat = self._flat()
        settings = self.settings(*self.param_groups)
        self._vectors(flat.size)
        before, state = self._values(), {name: copy.copy(value) for name, value in self.state.items()}
        try:
            with np.errstate(all="ignore"):
                return self._iterate(settings, closure)
        except BaseException:
            self._write(before)
            self.state = state
            raise

    def _vectors(self, size: int) -> None:
        """Begin anew where the parameters are no longer those that the state is of."""
        kept = self.state.get("prev_flat_grad")
        if kept is not None and (kept.size != size or kept.dtype != self._flat().dtype):
            self.state = {"func_evals": self.state["func_evals"], "n_iter": 0}

    def _iterate(self, s: dict[str, Any], closure: Callable[[], Any]) -> Any:
        state = self.state
        first = self._call(closure)
        loss, g, calls = float(first), self._gradient(), 1
        state["func_evals"] += 1
        if np.abs(g).max(initial=0) <= s["tolerance_grad"]:
            return first
        for iteration in range(1, s["max_iter"] + 1):
            state["n_iter"] += 1
            d = self._direction(g, s["history_size"])
            state["d"], state["prev_flat_grad"], state["prev_loss"] = d, g, loss
            first_ever = state["n_iter"] == 1
            t = min(1.0, 1.0 / float(arrays.summed(np.abs(g), None, False))) * s["lr"] if first_ever else s["lr"]
            state["t"] = t
            slope = dot(g, d)
            if slope > -s["tolerance_change"]:  # no way down
                break
            x, looked = self._values(), 0
            if s["line_search_fn"] is not None:
                def evaluate(t, x=x, d=d):
                    self._write(x + t * d)
                    loss = float(self._call(closure))
                    gradient = self._gradient()
                    return Point(t, loss, gradient, dot(gradient, d))

                found, looked = strong_wolfe(evaluate, Point(0.0, loss, g, slope), t, float(np.abs(d).max()),
                                             s["tolerance_change"], s["max_eval"] - calls)
                t = state["t"] = found.t
                loss, g = found.loss, found.gradient
                self._write(x + t * d)
            else:
                self._write(x + t * d)
                if iteration < s["max_iter"]:
                    loss, g, looked = float(self._call(closure)), self._gradient(), 1
            calls += looked
            state["func_evals"] += looked
            if calls >= s["max_eval"] or np.abs(g).max() <= s["tolerance_grad"]:
                break
            if np.abs(t * d).max() <= s["tolerance_change"] or abs(loss - state["prev_loss"]) < s["tolerance_change"]:
                break
        return first

    def _direction(self, g: np.ndarray, history: int) -> np.ndarray:
        """-H g, by the two loops of the paper's algorithm 2.1, after the last step is taken into the history."""
        state = self.state
        if state["n_iter"] == 1:
            state["old_dirs"], state["old_stps"], state["ro"], state["H_diag"] = [], [], [], 1.0
            return -g
        y, step = g - state["prev_flat_grad"], state["t"] * state["d"]
        ys = dot(y, step)
        if ys > 1e-10:  # else the curvature is no use
            for name, value in (("old_dirs", y), ("old_stps", step), ("ro", 1.0 / ys)):
                state[name] = [*state[name], value][-history:]
            state["H_diag"] = ys / dot(y, y)
        past = list(zip(state["old_dirs"], state["old_stps"], state["ro"], strict=True))
        shares: list[float] = []
        q = -g
        for y, step, ro in reversed(past):
            shares.append(dot(step, q) * ro)
            q = q - shares[-1] * y
        d = q * state["H_diag"]
        for y, step, ro in past:
            d = d + (shares.pop() - dot(y, d) * ro) * step
        return d

    # The parameters as vectors

    @staticmethod
    def _call(closure: Callable[[], Any]) -> Any:
        with recording_on_tape(True):
            return closure()

    def _flat(self) -> Flat:
        """All parameters; ValueError unless there is one group of them."""
        flats = self.flats()
        if len(flats) != 1:
            raise ValueError(f"LBFGS: expected one parameter group, got {len(flats)}")
        flat, = flats
        return flat

    def _values(self) -> np.ndarray:
        return np.concatenate([values for values, _ in self._flat().spans])

    def _gradient(self) -> np.ndarray:
        """The gradients; zero for what is frozen or has none, which does not move then."""
        flat = self._flat()
        g = np.concatenate([gradients for _, gradients in flat.spans])
        for parameter, begin in zip(flat.parameters, flat.begins, strict=True):
            if not parameter.requires_grad:
                g[begin:begin + parameter.numel()] = 0
        return g

    def _write(self, vector: np.ndarray) -> None:
        flat, begin = self._flat(), 0
        trained = all(parameter.requires_grad for parameter in flat.parameters)
        if not trained:  # what is frozen stays, whatever the history says
            now = self._values()
            for parameter, start in zip(flat.parameters, flat.begins, strict=True):
                if not parameter.requires_grad:
                    vector[start:start + parameter.numel()] = now[start:start + parameter.numel()]
        for values, _ in flat.spans:
            values[...] = vector[begin:begin + values.size]
            begin += values.size
        advance(flat.statuses)

    # Saving

    def state_dict(self) -> dict[str, list[dict[str, Any]]]:
        """As of any optimizer, with PyTorch's names: "old_dirs" and "old_stps" are rows, the last difference last."""
        flat, (group,), state = self._flat(), self.param_groups, dict(self.state)
        for name in ("old_dirs", "old_stps"):
            if name in state:
                state[name] = np.stack(state[name]) if state[name] else np.empty((0, flat.size), flat.dtype)
        if "ro" in state:
            state["ro"] = list(state["ro"])
        for name in ("d", "prev_flat_grad"):
            if name in state:
                state[name] = state[name].copy()
        return {"state": [state], "param_groups": [{**group, "params": flat.shapes}]}

    def load_state_dict(self, state_dict: dict[str, list[dict[str, Any]]]) -> None:
        """Go on from what ``state_dict()`` gave. ValueError where it does not fit; nothing has changed then."""
        flat, (group,) = self._flat(), self.param_groups
        saved, states = state_dict.get("param_groups", []), state_dict.get("state", [])
        wrong = len(saved) != 1 or len(states) != 1 or saved[0].keys() != group.keys() or [
            tuple(shape) for shape in saved[0]["params"]] != flat.shapes
        if wrong or not self._fits(states[0]):
            raise ValueError("LBFGS.load_state_dict: expected the state of an LBFGS of these parameters, got another")
        settings = Group(type(self), {**saved[0], "params": group["params"]})
        state = {name: np.array(value) if isinstance(value, np.ndarray) else copy.copy(value)
                 for name, value in states[0].items()}
        for name in ("old_dirs", "old_stps"):
            if name in state:
                state[name] = list(state[name])
        group.update({name: value for name, value in settings.items() if name != "params"})
        self.state = state

    def _fits(self, state: dict[str, Any]) -> bool:
        """Whether a saved state has the names, shapes and dtypes of these parameters."""
        flat = self._flat()
        counts = {"func_evals", "n_iter"}
        if not counts <= state.keys() or any(type(state[name]) is not int or state[name] < 0 for name in counts):
            return False
        if state.keys() == counts:
            return state["n_iter"] == 0
        if state.keys() != counts | {"d", "t", "old_dirs", "old_stps", "ro", "H_diag", "prev_flat_grad", "prev_loss"}:
            return False
        rows = len(state["ro"]) if isinstance(state["ro"], list) else -1
        shapes: dict[str, tuple[int, ...]] = {
            "d": (flat.size,), "prev_flat_grad": (flat.size,), "old_dirs": (rows, flat.size),
            "old_stps": (rows, flat.size)}
        numbers = [state["t"], state["H_diag"], state["prev_loss"], *state["ro"]] if rows >= 0 else [None]
        return all(isinstance(x, (int, float)) for x in numbers) and all(
            isinstance(state[name], np.ndarray) and state[name].shape == shape and state[name].dtype == flat.dtype
            for name, shape in shapes.items())
