"""Sine and cosine, each the other's derivative."""
from __future__ import annotations

import numpy as np

from .operation import Operation

__all__ = ["cos", "sin"]

sin = Operation("sin", np.sin, lambda g, y, x: g * cos(x), reads=("0",))
cos = Operation("cos", np.cos, lambda g, y, x: -g * sin(x), reads=("0",))
