"""History: what a training run was like, by iteration and by epoch."""
from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

from .data.idx import part_of

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

    def __len__(self) -> int:
        """The number of completed epochs."""
        return len(self.loss)

    def append(self, logs: dict) -> None:
        """Add an epoch."""
        for name in EPOCH_COLUMNS:
            getattr(self, name).append(logs[name])

    def save(self, path) -> None:
        """Write as JSON, whole or not at all."""
        import json  # here, since importing minidl should cost little

        path = Path(path)
        with part_of(path) as part:
            part.write_text(json.dumps(asdict(self), indent=1) + "\n")
            os.replace(part, path)

    @classmethod
    def load(cls, path) -> History:
        """Read what save() wrote."""
        import json

        return cls(**json.loads(Path(path).read_text()))
