"""Who judges two methods best? False positives, power and coverage of `ravine.judge` and others, on the same answers.

    python benchmarks/judges.py simulated         # known differences of 0, 0.5, 1 and 2 points
    python benchmarks/judges.py real FOLDER       # real runs, trained into a store and drawn from again and again
    python benchmarks/judges.py check             # what is written here for deepsig and rliable, against the packages

The question is that of a study: which method is better on other seeds and on other test examples of the same source?
A judge sees two arrays of right and wrong answers, (seeds, examples), from the same examples. The peers come with
`pip install '.[bench]'`; one that is missing is named and left out. Results are in judges.md.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from calibration_noise import rate
from judges_check import run_check
from judges_data import WORLDS, Bits, real, simulate
from judges_peers import Judge, available

SEEDS, EXAMPLES, DIFFERENCES = (3, 5, 10), (300, 3000), (0.0, 0.005, 0.01, 0.02)
MANY = 16  # of 200, with a chance of 4 % where the truth is 5 %


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
                cell[name].covered.append(low <= (-truth if swapped else truth) <= high)
    return cell, seconds


def run_simulated(judges: Mapping[str, Judge], reps: int) -> dict[tuple[str, int, int, float], Cell]:
    """Every world, number of seeds, of examples, and true difference."""
    cells = {}
    total = dict.fromkeys(judges, 0.0)
    for world, seeds, examples, difference in itertools.product(WORLDS, SEEDS, EXAMPLES, DIFFERENCES):
        key = (world.name, seeds, examples, difference)
        cells[key], seconds = run_cell(
            judges,
            lambda rng, w=world, s=seeds, n=examples, d=difference: simulate(rng, w, s, n, d),
            difference,
            reps,
            str(key),
        )
        total = {name: total[name] + seconds[name] for name in judges}
    print(
        "milliseconds for a study: "
        + ", ".join(f"{name} {1000 * seconds / (reps * len(cells)):.1f}" for name, seconds in total.items())
    )
    return cells


def joined(cells: Mapping[tuple[str, int, int, float], Cell], name: str, **at: object) -> Tally:
    """A judge's tally over all cells with these values, among world, seeds, examples and difference."""
    found = Tally()
    for key, cell in cells.items():
        values = dict(zip(("world", "seeds", "examples", "difference"), key, strict=True))
        if all(values[name] == value for name, value in at.items()):
            found.add(cell[name])
    return found


def show_simulated(
    cells: Mapping[tuple[str, int, int, float], Cell], judges: Mapping[str, Judge], reps: int
) -> None:
    """Tables of all that was simulated."""
    kinds = list(itertools.product([world.name for world in WORLDS], SEEDS, EXAMPLES))
    print(f"\n## All, {reps} studies in each of {len(cells)} cells\n")
    print(
        f"| judge | false positives | worst cell | cells over {MANY / 2:g} % | found 0.5 | found 1 | found 2"
        " | wrong way | coverage | worst |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name in judges:
        null = joined(cells, name, difference=0.0)
        equal = [cells[*kind, 0.0][name].said for kind in kinds]
        found = [joined(cells, name, difference=d) for d in DIFFERENCES[1:]]
        wrong = sum(each.says.count(-1) for each in found)
        coverage = "| | "
        if null.covered:
            every = joined(cells, name)
            worst = min(sum(cell[name].covered) / reps for cell in cells.values())
            coverage = f"| {rate(sum(every.covered), len(every.covered))} | {100 * worst:.1f} % "
        print(
            f"| {name} | {rate(null.said, len(null.says))}"
            f" | {100 * max(equal) / reps:.1f} % ({kinds[int(np.argmax(equal))][0]})"
            f" | {sum(each * 200 > MANY * reps for each in equal)} of {len(kinds)}"
            f" | {' | '.join(f'{100 * each.right / len(each.says):.0f} %' for each in found)}"
            f" | {rate(wrong, sum(len(each.says) for each in found))} {coverage}|"
        )
    for title, axis, values in (
        ("world", "world", [world.name for world in WORLDS]),
        ("seeds", "seeds", SEEDS),
        ("test examples", "examples", EXAMPLES),
    ):
        print(f"\n## By {title}: false positives / found of 1 point, %\n")
        print(f"| judge | {' | '.join(map(str, values))} |")
        print("|---" * (len(values) + 1) + "|")
        for name in judges:
            texts = []
            for value in values:
                null = joined(cells, name, difference=0.0, **{axis: value})
                found_one = joined(cells, name, difference=0.01, **{axis: value})
                texts.append(
                    f"{100 * null.said / len(null.says):.1f} / {100 * found_one.right / len(found_one.says):.0f}"
                )
            print(f"| {name} | {' | '.join(texts)} |")
    show_best(cells, judges)
    show_rivals(cells, judges, reps, kinds)


def show_best(cells: Mapping[tuple[str, int, int, float], Cell], judges: Mapping[str, Judge]) -> None:
    """By what is known beforehand, seeds and examples: who finds most of those with at most 5 % over all worlds."""
    print("\n## Most power at 5 % or less, over all worlds\n")
    print(
        "| seeds | examples | ravine: false, found 0.5 / 1 / 2 | the best other with at most 5 % | its own |"
    )
    print("|---|---|---|---|---|")
    for seeds, examples in itertools.product(SEEDS, EXAMPLES):
        texts, power = {}, {}
        for name in judges:
            null = joined(cells, name, seeds=seeds, examples=examples, difference=0.0)
            found = [
                joined(cells, name, seeds=seeds, examples=examples, difference=d) for d in DIFFERENCES[1:]
            ]
            shares = [100 * each.right / len(each.says) for each in found]
            if name == "ravine" or 20 * null.said <= len(null.says):
                wrong = 100 * null.said / len(null.says)
                texts[name] = f"{wrong:.1f} %, {' / '.join(f'{share:.0f}' for share in shares)} %"
                power[name] = sum(shares)
        others = [name for name in power if name != "ravine"]
        best = max(others, key=lambda name: power[name], default=None)
        shown = f"{best} | {texts[best]}" if best else "none | "
        print(f"| {seeds} | {examples} | {texts['ravine']} | {shown} |")


def show_rivals(
    cells: Mapping[tuple[str, int, int, float], Cell],
    judges: Mapping[str, Judge],
    reps: int,
    kinds: list[tuple[str, int, int]],
) -> None:
    """Each other judge beside ravine on the same studies of the kinds where it kept to 5 %, by more than chance."""
    print("\n## Kind by kind, where another judge kept to 5 % there\n")
    print("| judge | kinds of study | it found more than ravine | ravine found more | not apart |")
    print("|---|---|---|---|---|")
    for name in list(judges)[1:]:
        kept = [kind for kind in kinds if cells[*kind, 0.0][name].said * 200 <= MANY * reps]
        counts = [0, 0, 0]
        for kind, difference in itertools.product(kept, DIFFERENCES[1:]):
            mine, other = (np.array(cells[*kind, difference][each].says) == 1 for each in ("ravine", name))
            more, fewer = int((other & ~mine).sum()), int((mine & ~other).sum())
            sure = abs(more - fewer) > 2.576 * math.sqrt(more + fewer)  # at 1 %
            counts[(0 if more > fewer else 1) if sure else 2] += 1
        print(f"| {name} | {len(kept)} of {len(kinds)} | {' | '.join(map(str, counts))} |")


def halves(table: Bits, other: Bits, seeds: int) -> Callable[[np.random.Generator], tuple[Bits, Bits]]:
    """Draws some seeds and half of the examples; other seeds of the second where both tables are one."""

    def draw(rng: np.random.Generator) -> tuple[Bits, Bits]:
        rows = rng.permutation(len(table))[: 2 * seeds]
        some = rng.permutation(table.shape[1])[: table.shape[1] // 2]
        of_second = rows[seeds:] if table is other else rows[:seeds]
        return table[rows[:seeds]][:, some], other[of_second][:, some]

    return draw


def run_real(judges: Mapping[str, Judge], folder: Path, reps: int) -> None:
    """Real runs: one rule's seeds in two groups are equal; pairs of configs differ by what all of their runs say."""
    print("| data | case | truth, points | seeds | examples |", " | ".join(judges), "|")
    print("|---" * (5 + len(judges)) + "|")
    for data, tables in real(folder).items():
        size = next(iter(tables.values())).shape[1] // 2
        means = {name: float(table.mean()) for name, table in tables.items()}
        apart = [
            pair
            for pair in itertools.permutations(tables, 2)
            if 0.004 <= means[pair[0]] - means[pair[1]] <= 0.03
        ]
        groups = {"equal": [(name, name) for name in tables]}
        groups |= {f"{first} over {second}": [(first, second)] for first, second in apart}
        for (group, pairs), seeds in itertools.product(groups.items(), SEEDS):
            cell: Cell = {name: Tally() for name in judges}
            for first, second in pairs:
                truth = means[first] - means[second]
                draw = halves(tables[first], tables[second], seeds)
                one, _ = run_cell(judges, draw, truth, reps, f"{data}{first}{second}{seeds}")
                for name, tally in one.items():
                    cell[name].add(tally)
            texts = []
            for tally in cell.values():
                hits = tally.said if group == "equal" else tally.right
                covered = f", {100 * np.mean(tally.covered):.0f}" if tally.covered else ""
                texts.append(f"{100 * hits / len(tally.says):.1f}{covered}")
            print(
                f"| {data} | {group} | {100 * truth:.2f} | {seeds} | {size} | {' | '.join(texts)} |",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mode", choices=["simulated", "real", "check"])
    parser.add_argument("folder", nargs="?", type=Path, help="of the store with real runs")
    parser.add_argument("--reps", type=int, default=200)
    parser.add_argument("--out", type=Path, help="a JSON file for judges_plot.py")
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
        cells = run_simulated(judges, args.reps)
        show_simulated(cells, judges, args.reps)
        if args.out:
            summary = {
                name: [
                    joined(cells, name, difference=0.0).said / (args.reps * len(cells) / len(DIFFERENCES)),
                    joined(cells, name, difference=0.01).right / (args.reps * len(cells) / len(DIFFERENCES)),
                ]
                for name in judges
            }
            args.out.write_text(json.dumps(summary, indent=1))
    print(f"\n{args.mode}: {time.process_time() - start:.0f} s")


if __name__ == "__main__":
    main()
