"""Write reports.md and its pictures from a folder that ``minidl reproduce all --out DIR`` has made.

    minidl reproduce all --out runs/reproduce && python docs/make_reports.py runs/reproduce
"""
from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from minidl.papers import EXPERIMENTS

DOCS = Path(__file__).parent
HEAD = """# The reports, reproduced

minidl began with five project reports of students who wrote a framework of their own. Four of them train small
networks to tell whether a point of the unit square lies in a disk; `minidl reproduce all` does all of their experiments
again, in some 15 seconds, and prints each number beside the report's. Here they are. The fifth, a grid search on MNIST,
takes two minutes: `minidl reproduce mnist-grid`. [MNIST beyond the reports](mnist.md) goes on from there.

Errors are in percent: means over so many rounds, with the standard deviation where there is one.
"""


def page(rows: list[dict], pictures: dict[str, list[str]]) -> str:
    parts = [HEAD]
    for name, experiment in EXPERIMENTS.items():
        parts += [f"## {name}", "", f"From {experiment.source}.", ""]
        of_report = [row for row in rows if row["experiment"] == name]
        for table in dict.fromkeys(row["table"] for row in of_report):
            title = table if table.startswith("section") else f"table {table}"
            parts += [f"{title[0].upper()}{title[1:]}:", "", "| | report | minidl | rounds |", "|---|---:|---:|---:|"]
            parts += [f"| {row['row']} | {spread(row['paper_mean'], row['paper_sd'])} | "
                      f"{spread(row['mean'], row['sd'])} | {row['rounds']} |"
                      for row in of_report if row["table"] == table]
            parts.append("")
        for picture in pictures[name]:
            parts += [f"![{Path(picture).stem.replace('_', ' ')}](reports/{picture})", ""]
    return "\n".join(parts)


def spread(mean: float, sd: float | None) -> str:
    return f"{mean:.2f}" if sd is None else f"{mean:.2f} ± {sd:.2f}"


def main() -> None:
    folder = Path(sys.argv[1])
    pictures: dict[str, list[str]] = {}
    (DOCS / "reports").mkdir(exist_ok=True)
    for name in EXPERIMENTS:
        pictures[name] = []
        for path in sorted((folder / name).glob("*.png")):
            shutil.copyfile(path, DOCS / "reports" / f"{name}_{path.name}")
            pictures[name].append(f"{name}_{path.name}")
    (DOCS / "reports.md").write_text(page(json.loads((folder / "rows.json").read_text()), pictures))


if __name__ == "__main__":
    main()
