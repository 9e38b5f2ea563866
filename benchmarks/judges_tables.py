"""The tables of judges.md about simulated studies."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
from calibration_noise import rate
from judges_cells import DIFFERENCES, EXAMPLES, SEEDS, Cells, joined
from judges_data import WORLDS

MANY = 16  # of 200, with a chance of 4 % where the truth is 5 %


def show_simulated(cells: Cells, judges: Sequence[str], reps: int) -> None:
    """Tables of all that was simulated."""
    kinds = list(itertools.product([world.name for world in WORLDS], SEEDS, EXAMPLES))
    print(f"\n## All, {reps} studies in each of {len(cells)} cells\n")
    print(
        f"| judge | false positives | worst kind | kinds over {MANY / 2:g} % | found 0.5 | found 1 | found 2"
        " | wrong way | coverage | worst cell |"
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


def show_best(cells: Cells, judges: Sequence[str]) -> None:
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
    cells: Cells,
    judges: Sequence[str],
    reps: int,
    kinds: list[tuple[str, int, int]],
) -> None:
    """Each other judge beside ravine on the same studies of the kinds where it kept to 5 %, by more than chance."""
    print("\n## Kind by kind, where another judge kept to 5 % there\n")
    print("| judge | kinds of study | it found more than ravine | ravine found more | not apart |")
    print("|---|---|---|---|---|")
    for name in judges[1:]:
        kept = [kind for kind in kinds if cells[*kind, 0.0][name].said * 200 <= MANY * reps]
        counts = [0, 0, 0]
        for kind, difference in itertools.product(kept, DIFFERENCES[1:]):
            mine, other = (np.array(cells[*kind, difference][each].says) == 1 for each in ("ravine", name))
            more, fewer = int((other & ~mine).sum()), int((mine & ~other).sum())
            sure = abs(more - fewer) > 2.576 * math.sqrt(more + fewer)  # at 1 %
            counts[(0 if more > fewer else 1) if sure else 2] += 1
        print(f"| {name} | {len(kept)} of {len(kinds)} | {' | '.join(map(str, counts))} |")
