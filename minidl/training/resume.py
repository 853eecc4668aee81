"""The state of a training, as a checkpoint keeps it, and how a training goes on from one.

    model, buffers, frozen      weights and persistent buffers by their names; other buffers; the names of what is not
                                trained
    criterion                   the loss's own weights and buffers, if it has some
    optimizer, scheduler        their state_dict(); ``kinds`` names their classes
    callbacks                   [name of the class, state_dict()] of each that has a state
    generators                  where each generator of random numbers is in its stream: see streams.py
    epoch, history              what has been trained

Nothing of a file is believed before it was compared with what the training has: names, types, shapes, ranges.
"""
from __future__ import annotations

import os
import time
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from ..checkpoint import load
from ..nn.module import Module
from . import streams
from .history import EPOCH_COLUMNS, History

if TYPE_CHECKING:
    from .trainer import Trainer

KIND = "training of minidl, 1"  # the number changes where files of earlier versions cannot be read
ITERATIONS = ("iteration_loss", "iteration_lr")  # columns that are kept as arrays
WRONG = (TypeError, ValueError, LookupError, AttributeError, OverflowError)  # what a state that does not fit may raise


def state_of(trainer: Trainer) -> dict[str, Any]:
    """All that the training needs to go on, as ``minidl.save`` takes it."""
    history = asdict(trainer.history)
    return {
        "kind": KIND, "epoch": len(trainer.history), "kinds": _kinds(trainer),
        "model": trainer.model.state_dict(), "buffers": _other_buffers(trainer.model),
        "frozen": _frozen(trainer.model), "criterion": trainer.criterion.state_dict(),
        "optimizer": trainer.optimizer.state_dict(),
        "scheduler": None if trainer.scheduler is None else trainer.scheduler.state_dict(),
        "callbacks": [[type(callback).__name__, state] for callback in trainer.callbacks
                      if (state := callback.state_dict())],
        "generators": streams.told(_generators(trainer)),
        "history": history | {name: np.array(history[name], np.float64) for name in ITERATIONS},
    }


def go_on(trainer: Trainer, path: str | os.PathLike) -> None:
    """Put the training where the file says. ValueError for a file of another one; nothing has changed then."""
    state = load(path)
    try:
        check(state, trainer)
        before = state_of(trainer)
        try:
            take(state, trainer)
        except BaseException:
            take(before, trainer)
            raise
    except WRONG as error:
        raise ValueError(f"fit: expected {os.fspath(path)!r} to be a checkpoint of this training, got: "
                         f"{error}") from error


def check(state: Any, trainer: Trainer) -> None:
    """What can be compared before anything changes."""
    if not isinstance(state, dict) or state.get("kind") != KIND:
        raise ValueError("a file that fit has not written" if not isinstance(state, dict) or "kind" not in state
                         else f"one of another version, {str(state['kind'])[:40]!r}")
    kinds = _kinds(trainer)
    if state["kinds"] != kinds:
        raise ValueError(f"one with {_named(state['kinds'])}, where the training has {_named(kinds)}")
    for name in ("optimizer", "generators", "buffers", "criterion"):
        if not isinstance(state[name], dict):
            raise ValueError(f"{name} of type {type(state[name]).__name__}")
    for name, value in state["optimizer"].items():
        if not isinstance(value, list) or not all(isinstance(group, dict) for group in value):
            raise ValueError(f"{name} of the optimizer that is no list of groups")
    streams.check(state["generators"], _generators(trainer))
    history = _history(state["history"])
    if state["epoch"] != len(history):
        raise ValueError(f"epoch {state['epoch']!r} with a history of {len(history)} epochs")
    _states_of_callbacks(state, trainer)
    others = dict(_other_buffers(trainer.model))
    if _forms(state["buffers"]) != _forms(others):
        raise ValueError(f"buffers {_forms(state['buffers'])}, where the model has {_forms(others)}")
    named = dict(trainer.model.named_parameters())
    if not isinstance(state["frozen"], list) or not all(isinstance(x, str) and x in named for x in state["frozen"]):
        raise ValueError(f"frozen parameters {str(state['frozen'])[:80]} that the model does not have")


def take(state: dict[str, Any], trainer: Trainer) -> None:
    """Make this the state of the training. What raises may have changed a part of it."""
    model = trainer.model
    model.load_state_dict(state["model"])
    for name, buffer in model.named_buffers():
        if name in state["buffers"]:
            buffer.overwrite(state["buffers"][name])
    trainer.criterion.load_state_dict(state["criterion"])
    frozen = set(state["frozen"])
    for name, parameter in model.named_parameters():
        if parameter.requires_grad == (name in frozen):
            parameter.requires_grad = name not in frozen
    trainer.optimizer.load_state_dict(state["optimizer"])
    if trainer.scheduler is not None:
        trainer.scheduler.load_state_dict(state["scheduler"])
    for callback, own in _states_of_callbacks(state, trainer):
        callback.load_state_dict(own)
    streams.put(state["generators"], _generators(trainer))
    trainer.history = _history(state["history"])
    trainer.begin = time.perf_counter() - (trainer.history.seconds[-1] if len(trainer.history) else 0.0)


def _kinds(trainer: Trainer) -> dict[str, str | None]:
    return {"optimizer": type(trainer.optimizer).__name__,
            "scheduler": None if trainer.scheduler is None else type(trainer.scheduler).__name__}


def _named(kinds: Any) -> str:
    return str(kinds)[:80] if not isinstance(kinds, dict) else ", ".join(
        f"the {name} {str(kind)[:40]}" for name, kind in kinds.items())


def _other_buffers(model: Module) -> dict[str, np.ndarray]:
    """The buffers that are not in state_dict()."""
    kept = model.state_dict()
    return {name: buffer.data.copy() for name, buffer in model.named_buffers() if name not in kept}


def _frozen(model: Module) -> list[str]:
    return [name for name, parameter in model.named_parameters() if not parameter.requires_grad]


def _forms(arrays: dict[str, Any]) -> dict[str, tuple]:
    return {name: (getattr(array, "dtype", None), getattr(array, "shape", None)) for name, array in arrays.items()}


def _generators(trainer: Trainer) -> dict[str, np.random.Generator]:
    things = {"augment": trainer.augment, "batches": trainer.batches}
    for part, module in (("model", trainer.model), ("criterion", trainer.criterion)):
        things |= {".".join(filter(None, (part, name))): one for name, one in module.named_modules()}
    return streams.held_by(things, trainer.generator)


def _history(content: Any) -> History:
    for name in ITERATIONS:
        array = content[name]
        if not isinstance(array, np.ndarray) or array.dtype != np.float64 or array.ndim != 1:
            raise ValueError(f"{name} that is no array of numbers")
    history = History.of(content | {name: content[name].tolist() for name in ITERATIONS})
    if len({len(getattr(history, name)) for name in EPOCH_COLUMNS}) > 1 or None in history.loss + history.seconds:
        raise ValueError("a history whose columns are not of one length, or lack numbers")
    return history


def _states_of_callbacks(state: dict[str, Any], trainer: Trainer) -> list[tuple[Any, dict]]:
    """(callback, its state), by class and by order; a callback that was not there when the file was written begins."""
    saved = state["callbacks"]
    if not isinstance(saved, list) or not all(
            isinstance(one, list) and len(one) == 2 and isinstance(one[0], str) and isinstance(one[1], dict)
            for one in saved):
        raise ValueError("callbacks that are no list of names and states")
    places: dict[tuple[str, int], Any] = {}
    seen: Counter[str] = Counter()
    for callback in trainer.callbacks:
        if callback.state_dict():
            name = type(callback).__name__
            places[name, seen[name]] = callback
            seen[name] += 1
    found, used = [], Counter[str]()
    for name, own in saved:
        if (name, used[name]) not in places:
            raise ValueError(f"the state of a callback {name[:40]} that the training does not have")
        found.append((places[name, used[name]], own))
        used[name] += 1
    return found
