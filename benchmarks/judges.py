"""Who judges two methods best? False positives, power and coverage of `ravine.judge` and others, on the same answers.

    python benchmarks/judges.py simulated --out judges.jsonl   # known differences of 0, 0.5, 1 and 2 points
    python benchmarks/judges.py real FOLDER    # real runs, trained into a store and drawn from again and again
    python benchmarks/judges.py check          # what is written here for deepsig and rliable, against the packages

The question is that of a study: which method is better on other seeds and on other test examples of the same source?
A judge sees two arrays of right and wrong answers, (seeds, examples), from the same examples. The peers come with
`pip install '.[bench]'`; one that is missing is named and left out. A simulation that was ended goes on where it was.
Results are in judges.md.
"""

from __future__ import annotations

import argparse
import itertools
import time
import zlib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
from judges_cells import DIFFERENCES, EXAMPLES, SEEDS, Cell, Tally, keep, kept
from judges_check import run_check
from judges_data import WORLDS, Bits, real, simulate
from judges_peers import Judge, available
from judges_tables import show_simulated


def run_cell(
    judges: Mapping[str, Judge],
    draw: Callable[[np.random.Generator], tuple[Bits, Bits]],
    truth: float,
    reps: int,
    key: str,
) -> tuple[Cell, dict[str, float]]:
    """All judges on the same studies; with the seconds of processor that each took."""
    rng = np.random.default_rng(zlib.crc32(key.encode()))
    cell: Cell = {name: Tally() for name in judges}
    seconds = dict.fromkeys(judges, 0.0)
    for _ in range(reps):
        a, b = draw(rng)
        swapped = bool(rng.random() < 0.5)  # some judges favour whoever comes first
        for name, judge in judges.items():
            start = time.process_time()
            answer = judge(b, a, rng) if swapped else judge(a, b, rng)
            seconds[name] += time.process_time() - start
            cell[name].says.append(-answer.says if swapped else answer.says)
            if answer.interval is not None:
                low, high = answer.interval
                cell[name].covered.append(bool(low <= (-truth if swapped else truth) <= high))
    return cell, seconds


def run_simulated(judges: Mapping[str, Judge], reps: int, out: Path) -> None:
    """Every world, number of seeds, of examples, and true difference; those that the file has are not run again."""
    done, _ = kept(out, reps)
    todo = [
        (world, (world.name, seeds, examples, difference))
        for world, seeds, examples, difference in itertools.product(WORLDS, SEEDS, EXAMPLES, DIFFERENCES)
        if set(done.get((world.name, seeds, examples, difference), ())) < set(judges)
    ]
    for place, (world, key) in enumerate(todo):
        _, seeds, examples, difference = key
        draw = partial(simulate, world=world, seeds=seeds, examples=examples, difference=difference)
        cell, seconds = run_cell(judges, draw, difference, reps, str(key))
        keep(out, key, reps, cell, seconds)
        print(f"{place + 1} of {len(todo)}: {key}, {sum(seconds.values()):.1f} s", flush=True)
    cells, took = kept(out, reps)
    means = {name: np.mean([each[name] for each in took.values()]) / reps for name in judges}
    print(
        "milliseconds for a study: "
        + ", ".join(f"{name} {1000 * seconds:.1f}" for name, seconds in means.items())
    )
    show_simulated(cells, list(judges), reps)


def halves(table: Bits, other: Bits, seeds: int) -> Callable[[np.random.Generator], tuple[Bits, Bits]]:
    """Draws some seeds and half of the examples; other seeds of the second where both tables are one."""

    def draw(rng: np.random.Generator) -> tuple[Bits, Bits]:
        rows = rng.permutation(len(table))[: 2 * seeds]
        some = rng.permutation(table.shape[1])[: table.shape[1] // 2]
        of_second = rows[seeds:] if table is other else rows[:seeds]
        return table[rows[:seeds]][:, some], other[of_second][:, some]

    return draw


NEAR, FAR = "0.4 to 1 point", "1 to 3 points"


def run_real(judges: Mapping[str, Judge], folder: Path, reps: int) -> None:
    """Real runs: one rule's seeds in two groups are equal; pairs of configs differ by what all of their runs say."""
    columns: dict[str, Cell] = {}
    for data, tables in real(folder).items():
        means = {name: float(table.mean()) for name, table in tables.items()}
        groups: dict[str, list[tuple[str, str]]] = {"equal": [(name, name) for name in tables]}
        for first, second in itertools.permutations(tables, 2):
            if 0.004 <= means[first] - means[second] <= 0.03:
                group = NEAR if means[first] - means[second] < 0.01 else FAR
                groups.setdefault(group, []).append((first, second))
        for group, seeds in itertools.product(("equal", NEAR, FAR), SEEDS):
            cell: Cell = {name: Tally() for name in judges}
            for first, second in groups.get(group, ()):
                truth = means[first] - means[second]
                draw = halves(tables[first], tables[second], seeds)
                one, _ = run_cell(judges, draw, truth, reps, f"{data}{first}{second}{seeds}")
                for name, tally in one.items():
                    cell[name].add(tally)
            if group in groups:
                columns[f"{data}, {group}, {seeds} seeds"] = cell
                print(
                    f"{data}, {group}, {seeds} seeds: {len(groups[group])} pairs of {reps} studies",
                    flush=True,
                )
    print(f"\n| judge | {' | '.join(columns)} |")
    print("|---" * (1 + len(columns)) + "|")
    for name in judges:
        texts = []
        for title, cell in columns.items():
            tally = cell[name]
            hits = tally.said if "equal" in title else tally.right
            covered = f", {100 * np.mean(tally.covered):.0f}" if tally.covered else ""
            texts.append(f"{100 * hits / len(tally.says):.1f}{covered}")
        print(f"| {name} | {' | '.join(texts)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mode", choices=["simulated", "real", "check"])
    parser.add_argument("folder", nargs="?", type=Path, help="of the store with real runs")
    parser.add_argument("--reps", type=int, default=200)
    parser.add_argument("--out", type=Path, help="a file for what was simulated, cell by cell")
    args = parser.parse_args()
    judges, missing = available()
    for name in missing:
        print(f"{name} is missing: its judges are left out")
    start = time.process_time()
    if args.mode == "check":
        run_check()
    elif args.mode == "real":
        if args.folder is None:
            parser.error("real needs a folder")
        run_real(judges, args.folder, args.reps)
    else:
        if args.out is None:
            parser.error("simulated needs --out")
        run_simulated(judges, args.reps, args.out)
    print(f"\n{args.mode}: {time.process_time() - start:.0f} s")


if __name__ == "__main__":
    main()
