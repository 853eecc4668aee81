"""Bytes of a stream whose header may announce more than it holds."""
from __future__ import annotations

from typing import IO, Any

STEP = 1 << 20  # bytes to read at a time: memory grows with what comes, not with what was announced


def read_up_to(stream: IO[bytes] | Any, count: int) -> bytearray:
    """The next ``count`` bytes, or fewer where the stream ends before."""
    data = bytearray()
    while len(data) < count:
        chunk = stream.read(min(STEP, count - len(data)))
        if not chunk:
            break
        data += chunk
    return data
