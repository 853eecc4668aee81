"""History: what a training run was like, by iteration and by epoch."""
from __future__ import annotations

import math
import os
from dataclasses import asdict, dataclass, field, fields

from ..files import part_of
from ..table import as_text, columns, shown

SHOWN = 20  # epochs in a table: the first and the last, if there are more
EPOCH_COLUMNS = ("loss", "error", "validation_loss", "validation_error", "lr", "seconds")


@dataclass(repr=False)
class History:
    """Lists with an entry for each epoch, two with an entry for each iteration.

    ``repr`` tells the last epoch in a line; ``str``, and a notebook, show a table of the epochs.

    loss, error : means over the epoch's batches, before each was trained on; error in percent, None where
        the targets are no classes.
    validation_loss, validation_error : after the epoch; None without validation data.
    lr : the learning rate of the epoch's last step. seconds : since the start.
    iteration_loss, iteration_lr : of every step.
    stopped : why training ended before its last epoch, or "".
    path : how the steps ran: "compiled", "compiled; in place: ..." with the Python that the compiled step calls,
        or "plain: ..." with the reason. "" in files of earlier versions. It is not compared by ==.
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

    def __repr__(self) -> str:
        told = [self._count()]
        for name in EPOCH_COLUMNS[:4]:
            column = getattr(self, name)
            if column and column[-1] is not None:
                told.append(f"{name.replace('_', ' ')} {column[-1]:.4g}{' %' if name.endswith('error') else ''}")
        told += [note.partition(":")[0].partition(";")[0] for note in self._notes()]
        return f"History({', '.join(told)})"

    def _count(self) -> str:
        return f"{len(self)} epoch{'' if len(self) == 1 else 's'}"

    def __str__(self) -> str:
        if not len(self):
            return repr(self)
        lines = as_text(self._rows()).splitlines()
        if len(self) > SHOWN:
            lines.insert(1 + SHOWN // 2, "...")
        return "\n".join([*lines, *self._notes()])

    def _repr_html_(self) -> str:
        rows = self._rows()
        names = columns(rows)
        lines = ["".join(f"<td>{shown(row[name])}</td>" for name in names) for row in rows]
        if len(self) > SHOWN:
            lines.insert(SHOWN // 2, f'<td colspan="{len(names)}">...</td>')
        caption = "; ".join([self._count(), *self._notes()])
        caption = caption.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        return (f"<table><caption>{caption}</caption><thead><tr>{''.join(f'<th>{name}</th>' for name in names)}</tr>"
                f"</thead><tbody>{''.join(f'<tr>{line}</tr>' for line in lines)}</tbody></table>")

    def _rows(self) -> list[dict]:
        """The epochs that a table shows: the number, and the columns with values."""
        count = len(self)
        measured = [name for name in EPOCH_COLUMNS
                    if any(value is not None for value in getattr(self, name)) and len(getattr(self, name)) == count]
        epochs = range(count) if count <= SHOWN else [*range(SHOWN // 2), *range(count - SHOWN // 2, count)]
        titles = {name: name.replace("_", " ") + (" %" if name.endswith("error") else "") for name in measured}
        return [{"epoch": i + 1} | {titles[name]: getattr(self, name)[i] for name in measured} for i in epochs]

    def _notes(self) -> list[str]:
        """How the steps ran, and why the training ended early."""
        return [*([self.path] if self.path else []), *([f"stopped: {self.stopped}"] if self.stopped else [])]

    def append(self, logs: dict) -> None:
        """Add an epoch."""
        for name in EPOCH_COLUMNS:
            getattr(self, name).append(logs[name])

    def save(self, path) -> None:
        """Write as JSON, whole or not at all.

        JSON has no NaN and no infinities: they are written as the strings "NaN", "Infinity" and "-Infinity",
        since null stands for values that were not measured.
        """
        import json  # here, since importing minidl should cost little
        from pathlib import Path  # here, since importing minidl should cost little
        path = Path(path)
        content = {name: encoded(value) if isinstance(value, list) else value
                   for name, value in asdict(self).items()}
        with part_of(path) as part:
            part.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")
            os.replace(part, path)

    @classmethod
    def load(cls, path) -> History:
        """Read what save() wrote; "NaN" and the infinities are numbers again.

        Raises FileNotFoundError for a missing file, ValueError for one that is no history.
        """
        from ..files.strict_json import parsed

        try:
            from pathlib import Path  # here, since importing minidl should cost little
            return cls.of(parsed(Path(path).read_bytes(), nan=True))  # as earlier versions wrote it
        except ValueError as error:
            raise ValueError(f"History.load({os.fspath(path)!r}): {error}") from error

    @classmethod
    def of(cls, content) -> History:
        """The history with these columns by their names; ValueError for others, or numbers that are none."""
        known = {one.name: one.default for one in fields(cls)}
        if not isinstance(content, dict) or not content.keys() <= known.keys():
            raise ValueError(f"expected columns among {', '.join(known)}, got {str(content)[:80]}")
        for name, value in content.items():
            kind = str if known[name] == "" else list
            if not isinstance(value, kind):
                raise ValueError(f"expected {name} as a {kind.__name__}, got {str(value)[:80]}")
        columns = {name: decoded(value, name) for name, value in content.items() if isinstance(value, list)}
        return cls(**content | columns)  # type: ignore[arg-type]


def encoded(column: list[float | None]) -> list[float | str | None]:
    """A column as strict JSON takes it: numbers that are not finite as strings that float() reads."""
    return [None if value is None else float(value) if math.isfinite(value) else
            "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity" for value in column]


def decoded(column: list, name: str = "a column") -> list[float | None]:
    """The inverse of ``encoded``, where ``name`` is that of the column. ValueError for what is no number."""
    return [None if value is None else _number(value, name) for value in column]


def _number(value, name: str) -> float:
    if type(value) is float:
        return value
    if value in ("NaN", "Infinity", "-Infinity") or (type(value) is int and abs(value) < 2**53):
        return float(value)
    raise ValueError(f"expected numbers as {name}, got {str(value)[:40]!r}")
