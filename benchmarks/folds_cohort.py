"""Folds as one cohort beside a cohort for each fold: time, and memory of the inputs.

    python benchmarks/folds.py cohort

A study of 5 folds x 2 repeats x 12 runs is launched both ways in turn, after each has been launched once for the code
that it compiles. "Each fold by itself" is what ravine does for runs that augment: cohorts of one fold. "Scaled copies"
are inputs as such cohorts would have them: of each fold its own. Results are in folds.md.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np

import ravine
from ravine.data import Dataset, from_arrays, load, parse_data
from ravine.study import Recipe

SPLIT = {"folds": 5, "repeats": 2}
RULES = [{"kind": kind, "lr": {"log": [1e-3, 1e-1], "num": 3}} for kind in ("sgd", "adam")]
ROWS, COLUMNS = 200_000, 50


@dataclass(frozen=True, kw_only=True)
class Launch:
    """What a launch took.

    Args:
        wall, processor: seconds.
    """

    wall: float
    processor: float


@contextmanager
def each_by_itself() -> Iterator[None]:
    """Within it, no two folds are in one cohort."""
    with mock.patch.object(Recipe, "together", property(lambda recipe: recipe.structure)):
        yield


def launch(data: Dataset, model: dict[str, object], *, apart: bool) -> Launch:
    """A study in a new store: 120 runs, of one cohort or of ten."""
    study = ravine.Study(name="folds", data=data, model=model, epochs=10, seeds=2, rules=RULES)
    with tempfile.TemporaryDirectory() as folder:
        began, worked = time.perf_counter(), time.process_time()
        if apart:
            with each_by_itself():
                ravine.run(study, store=Path(folder) / "runs", quiet=True)
        else:
            ravine.run(study, store=Path(folder) / "runs", quiet=True)
        return Launch(wall=time.perf_counter() - began, processor=time.process_time() - worked)


def spread(values: list[float]) -> str:
    """The median, and the smallest and largest."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def resident() -> int:
    """Bytes of memory that this process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def memory() -> None:
    """What all folds of a large table hold, shared and as copies."""
    x = np.random.default_rng(0).normal(size=(ROWS, COLUMNS))
    data = from_arrays(x, np.arange(ROWS) % 2, split=SPLIT)
    assert data.folds is not None
    print(
        f"\n{ROWS:,} rows x {COLUMNS} numbers, float32 {4 * x.size / 1e6:.0f} MB; MB held for all 10 folds:"
    )
    before = resident()
    sets = [data.folds.of(part) for part in data.folds.sizes]
    print(f"shared inputs, with the rows of each fold {(resident() - before) / 1e6:8.0f}")
    before = resident()
    copies = [getattr(each, split).x for each in sets for split in ("train", "validation", "test")]
    print(f"scaled copies on top                      {(resident() - before) / 1e6:8.0f}")
    assert len(copies) == 3 * len(sets)


def run_cohort(reps: int) -> None:
    """Both ways in turn."""
    print("| data | model | one cohort, processor s | a cohort for each fold | wall s | wall s | ratio |")
    print("|---|---|---|---|---|---|---|")
    for name, model in (
        ("breast_cancer", {"kind": "mlp", "hidden": [16]}),
        ("digits", {"kind": "mlp", "hidden": [16]}),
        ("digits", {"kind": "mlp", "hidden": [128, 128]}),
    ):
        data = load(parse_data({"kind": name, "split": SPLIT}))
        took: dict[bool, list[Launch]] = {False: [], True: []}
        for rep in range(-1, reps):
            for apart in (False, True) if rep % 2 else (True, False):
                found = launch(data, model, apart=apart)
                if rep >= 0:
                    took[apart].append(found)
        processor = {apart: [each.processor for each in some] for apart, some in took.items()}
        wall = {apart: [each.wall for each in some] for apart, some in took.items()}
        ratio = statistics.median(a / b for a, b in zip(processor[True], processor[False], strict=True))
        cells = [spread(processor[False]), spread(processor[True]), spread(wall[False]), spread(wall[True])]
        print(f"| {name} | {model['hidden']} | {' | '.join(cells)} | {ratio:.2f} |", flush=True)
    memory()
