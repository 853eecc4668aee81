"""PyTorch, with which tests compare: imported where a test first asks for something of it, which skips the test where
it is not installed. What the test does before, on minidl alone, is checked everywhere."""
from __future__ import annotations

from functools import cache
from typing import Any

import pytest


class PyTorch:
    """The module torch; an attribute is asked for within a test, or the whole file is skipped."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(imported(), name)


@cache
def imported() -> Any:
    try:
        import torch
    except ImportError:
        pytest.skip("PyTorch is not installed", allow_module_level=True)
    torch.set_num_threads(1)  # the networks of tests are small, and so are the machines that run them
    return torch


torch: Any = PyTorch()
