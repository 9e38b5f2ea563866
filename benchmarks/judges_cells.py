"""What judges said in each cell of judges.py's simulation: counted, and kept in a JSON file as it goes.

A cell is a world with a number of seeds, of examples, and a true difference. The file has one line for each cell, with
a letter for each study: "+" where the better method was found, "-" where the other one was, "." where nothing was said;
and where the judge has an interval "1" if the truth was in it, else "0".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

SEEDS, EXAMPLES, DIFFERENCES = (3, 5, 10), (300, 3000), (0.0, 0.005, 0.01, 0.02)
LETTERS = {1: "+", -1: "-", 0: "."}
Key = tuple[str, int, int, float]
"""World, seeds, examples, difference."""


@dataclass(slots=True)
class Tally:
    """What a judge said of studies of one kind: of each study 1, 0 or -1, and whether the interval had the truth."""

    says: list[int] = field(default_factory=list)
    covered: list[bool] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        self.says += other.says
        self.covered += other.covered

    @property
    def right(self) -> int:
        return self.says.count(1)

    @property
    def said(self) -> int:
        return len(self.says) - self.says.count(0)


Cell = dict[str, Tally]


Cells = dict[Key, Cell]


def joined(cells: Mapping[Key, Cell], name: str, **at: object) -> Tally:
    """A judge's tally over all cells with these values, among world, seeds, examples and difference."""
    found = Tally()
    for key, cell in cells.items():
        values = dict(zip(("world", "seeds", "examples", "difference"), key, strict=True))
        if all(values[name] == value for name, value in at.items()):
            found.add(cell[name])
    return found


def keep(path: Path, key: Key, reps: int, cell: Cell, seconds: Mapping[str, float]) -> None:
    """Add a cell to the file."""
    judges = {
        name: {
            "says": "".join(LETTERS[each] for each in tally.says),
            "covered": "".join("01"[each] for each in tally.covered),
            "seconds": round(seconds[name], 3),
        }
        for name, tally in cell.items()
    }
    with path.open("a") as file:
        file.write(json.dumps({"cell": key, "reps": reps, "judges": judges}) + "\n")


def kept(path: Path, reps: int | None = None) -> tuple[Cells, dict[Key, dict[str, float]]]:
    """The cells of a file, of so many studies each or of any number, and the seconds that each judge took for each."""
    numbers = {letter: number for number, letter in LETTERS.items()}
    cells: Cells = {}
    seconds: dict[Key, dict[str, float]] = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        row = json.loads(line)
        if reps not in (None, row["reps"]):
            continue
        world, seeds, examples, difference = row["cell"]
        key = (world, seeds, examples, difference)
        cells[key] = {
            name: Tally([numbers[each] for each in one["says"]], [each == "1" for each in one["covered"]])
            for name, one in row["judges"].items()
        }
        seconds[key] = {name: one["seconds"] for name, one in row["judges"].items()}
    return cells, seconds
