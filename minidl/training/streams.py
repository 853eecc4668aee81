"""Generators of random numbers: which ones a training holds, where each is in its stream, and how it is put there.

The states of NumPy's generators are taken from a file only in the ranges that NumPy itself keeps to: some of them it
uses as an index without a look.
"""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import random

Places = Mapping[str, np.random.Generator]

KNOWN = (np.random.PCG64, np.random.PCG64DXSM, np.random.MT19937, np.random.Philox, np.random.SFC64)
MOST = {"pos": 624, "buffer_pos": 4, "has_uint32": 1, "uinteger": 2**32 - 1, "state": 2**128 - 1, "inc": 2**128 - 1}


def held_by(things: Mapping[str, Any], own: np.random.Generator) -> dict[str, np.random.Generator]:
    """By their places: minidl's own stream, fit's, and those that are attributes of these things."""
    found = {"minidl": random.generator(None), "fit": own}
    for name, thing in things.items():
        for attribute, value in getattr(thing, "__dict__", {}).items():
            if isinstance(value, np.random.Generator):
                found[f"{name}.{attribute}"] = value
    return found


def told(generators: Places) -> dict[str, Any]:
    """{"places": {place: number}, "states": [...]}: a generator in several places has one state.

    TypeError for one whose bits do not come from NumPy.
    """
    numbers: dict[int, int] = {}
    states: list[Any] = []
    for place, generator in generators.items():
        if id(generator) not in numbers:
            if type(generator.bit_generator) not in KNOWN:
                raise TypeError(f"{place}: expected one of NumPy's bit generators, whose states can be saved, got "
                                f"{type(generator.bit_generator).__name__}")
            numbers[id(generator)] = len(states)
            states.append(generator.bit_generator.state)
    return {"places": {place: numbers[id(generator)] for place, generator in generators.items()}, "states": states}


def check(saved: dict[str, Any], generators: Places) -> None:
    """ValueError for a state that told() would not give for these generators."""
    now = told(generators)
    if saved.keys() != now.keys() or saved["places"] != now["places"]:
        raise ValueError(f"generators at {str(saved.get('places'))[:200]}, where the training has {now['places']}")
    states = saved["states"]
    if not isinstance(states, list) or len(states) != len(now["states"]):
        raise ValueError(f"states of {len(now['states'])} generators expected")
    for state, own in zip(states, now["states"], strict=True):
        _check_like(state, own, "a generator")
        fresh = getattr(np.random, own["bit_generator"])(0)
        fresh.state = state
        _check_like(fresh.state, state, "a generator")


def put(saved: dict[str, Any], generators: Places) -> None:
    """Put the generators where a checked state says."""
    for place, generator in generators.items():
        generator.bit_generator.state = saved["states"][saved["places"][place]]


def _check_like(state: Any, own: Any, name: str) -> None:
    """ValueError unless the state has the form of ``own``, and numbers in their ranges."""
    fits = type(state) is type(own)
    if fits and isinstance(own, dict):
        fits = state.keys() == own.keys()
        for key in own if fits else ():
            _check_like(state[key], own[key], key)
    elif fits and isinstance(own, np.ndarray):
        fits = state.dtype == own.dtype and state.shape == own.shape
    elif fits and isinstance(own, str):
        fits = state == own
    elif fits and isinstance(own, int):
        fits = 0 <= state <= MOST[name]
    if not fits:
        raise ValueError(f"{name} of a generator's state that is not as {str(own)[:80]}, but {str(state)[:80]}")
