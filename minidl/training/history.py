"""History: what a training run was like, by iteration and by epoch."""
from __future__ import annotations

import math
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ..data.idx import part_of

EPOCH_COLUMNS = ("loss", "error", "validation_loss", "validation_error", "lr", "seconds")


@dataclass
class History:
    """Lists with an entry for each epoch, two with an entry for each iteration.

    loss, error : means over the epoch's batches as they were trained on; error in percent, None where
        the targets are no classes.
    validation_loss, validation_error : after the epoch; None without validation data.
    lr : the learning rate of the epoch's last step. seconds : since the start.
    iteration_loss, iteration_lr : of every step.
    stopped : why training ended before its last epoch, or "".
    path : how the steps ran: "compiled", "compiled; in place: ..." with the Python that the compiled step calls,
        or "plain: ..." with the reason. "" in files of earlier versions. It makes no two histories different.
    """

    loss: list[float] = field(default_factory=list)
    error: list[float | None] = field(default_factory=list)
    validation_loss: list[float | None] = field(default_factory=list)
    validation_error: list[float | None] = field(default_factory=list)
    lr: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    iteration_loss: list[float] = field(default_factory=list)
    iteration_lr: list[float] = field(default_factory=list)
    stopped: str = ""
    path: str = field(default="", compare=False)

    def __len__(self) -> int:
        """The number of completed epochs."""
        return len(self.loss)

    def append(self, logs: dict) -> None:
        """Add an epoch."""
        for name in EPOCH_COLUMNS:
            getattr(self, name).append(logs[name])

    def save(self, path) -> None:
        """Write as JSON, whole or not at all.

        JSON has no NaN and no infinities: they are written as the strings "NaN", "Infinity" and "-Infinity",
        since null already stands for what was not measured.
        """
        import json  # here, since importing minidl should cost little

        path = Path(path)
        content = {name: encoded(value) if isinstance(value, list) else value
                   for name, value in asdict(self).items()}
        with part_of(path) as part:
            part.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")
            os.replace(part, path)

    @classmethod
    def load(cls, path) -> History:
        """Read what save() wrote; "NaN" and the infinities are numbers again."""
        import json

        content = json.loads(Path(path).read_text())
        return cls(**content | {name: decoded(value) for name, value in content.items() if isinstance(value, list)})


def encoded(column: list[float | None]) -> list[float | str | None]:
    """A column as strict JSON takes it: what is no finite number as a string, by the name that float() reads."""
    return [None if value is None else float(value) if math.isfinite(value) else
            "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity" for value in column]


def decoded(column: list[float | str | None]) -> list[float | None]:
    """The inverse of ``encoded``."""
    return [float(value) if isinstance(value, str) else value for value in column]
