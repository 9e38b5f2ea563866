"""How fast batches are augmented: this package beside others, and beside a copy of the same bytes.

    python benchmarks/augment.py                      # 128 x 3 x 32 x 32 and 32 x 3 x 224 x 224, one thread
    python benchmarks/augment.py --threads 2
    python benchmarks/augment.py --groups             # 64 strengths at once beside 64 seeds of one strength

All contenders of a line are measured in turn in one process, from rows of a float32 source to a float32 batch; every
repetition gives a ratio. What is not installed is left out. Notes and results: augment.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

SHAPES = {"32": (128, 3, 32, 32), "224": (32, 3, 224, 224)}


def seconds_of(
    contenders: dict[str, Callable[[], Any]], repeats: int, least: float
) -> dict[str, list[float]]:
    """Seconds of one call of each, all in turn, each as often as takes ``least`` seconds; first rounds do not count."""
    calls: dict[str, int] = {}
    for name, go in contenders.items():
        go()
        go()
        start = time.perf_counter()
        go()
        calls[name] = max(1, min(200, int(least / (time.perf_counter() - start))))
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(repeats):
        for name, go in contenders.items():
            start = time.perf_counter()
            for _ in range(calls[name]):
                go()
            found[name].append((time.perf_counter() - start) / calls[name])
    return found


def print_lines(title: str, found: dict[str, list[float]], num: int) -> None:
    """A line of a table for each contender: pictures a second, and times as long as this package takes."""
    own = found["ravine"]
    for name, each in found.items():
        ratios = [one / base for one, base in zip(each, own, strict=True)]
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        middle = statistics.median(each)
        print(f"| {title} | {name} | {middle * 1e6:,.0f} | {num / middle:,.0f} | {spread} |", flush=True)


def strengths_of(recipe: str) -> dict[str, float]:
    import augment_rivals as rivals

    jitter = dict.fromkeys(("brightness", "contrast", "saturation"), rivals.JITTER)
    of_part = {
        "flip": {"flip": 0.5},
        "crop": {"crop": float(rivals.PAD)},
        "affine": {
            "rotate": rivals.TURN,
            "translate": rivals.MOVE,
            "scale": rivals.SIZE,
            "shear": rivals.SHEAR,
        },
        "jitter": {**jitter, "hue": rivals.HUE},
        "cut": {"cutout": rivals.CUT},
    }
    return {name: value for part in rivals.PARTS[recipe] for name, value in of_part[part].items()}


def ours(
    x: Any, rows: Any, strengths: dict[str, Sequence[float]], seeds: Sequence[int], threads: int
) -> Callable[[], Any]:
    """Makes a batch for every seed and its strengths, in machine code."""
    import torch

    from ravine.augment.fixed import fixed_of
    from ravine.augment.native.batches import Given, PictureBatches
    from ravine.augment.spec import Augment

    num = len(seeds)
    rows_JB = rows.expand(num, -1).contiguous()
    of_group = {"seed": torch.tensor(seeds), **{name: torch.tensor(each) for name, each in strengths.items()}}
    y, epochs = torch.zeros(len(x), dtype=torch.int64), torch.full((num,), 3)
    given = Given(x=x, y=y, rows_JB=rows_JB, examples_JB=rows_JB, epochs_J=epochs, of_group=of_group)
    found_x, found_y = (
        torch.empty(*rows_JB.shape, *x.shape[1:]),
        torch.empty(rows_JB.shape, dtype=torch.int64),
    )
    fixed, options = fixed_of(x, strengths), Augment(fill="reflect")
    make = PictureBatches(
        given, found_x, found_y, fixed=fixed, options=options, num_classes=10, num_threads=threads, team=True
    )
    return lambda: make(num)


def beside_others(shapes: Sequence[str], threads: int, repeats: int, least: float) -> None:
    import augment_rivals as rivals
    import torch

    from ravine.augment.batch import augmented_batch
    from ravine.augment.fixed import fixed_of
    from ravine.augment.spec import Augment

    print(
        "| batch, recipe | contender | us | pictures/s | times as long |\n| --- | --- | ---: | ---: | ---: |"
    )
    for name in shapes:
        shape = SHAPES[name]
        x = torch.rand(4 * shape[0], *shape[1:])
        rows = torch.randperm(len(x))[: shape[0]]
        for recipe in rivals.RECIPES:
            strengths = strengths_of(recipe)
            given = {key: torch.tensor(value) for key, value in strengths.items()}
            fixed, options, y = fixed_of(x, strengths), Augment(fill="reflect"), torch.zeros(len(x))
            target, source = torch.empty(shape), x[: shape[0]].clone()

            def reference(
                x: Any = x,
                y: Any = y,
                rows: Any = rows,
                given: Any = given,
                fixed: Any = fixed,
                options: Any = options,
            ) -> Any:
                return augmented_batch(x, y, rows, rows, 3, 0, given, fixed, options, None)

            contenders: dict[str, Callable[[], Any]] = {
                "ravine": ours(x, rows, {key: [value] for key, value in strengths.items()}, [0], threads),
                "a copy of as many bytes": lambda target=target, source=source: target.copy_(source),
                "ravine's reference in PyTorch": reference,
            }
            for rival, make in rivals.rivals(x, recipe):
                contenders[rival] = lambda make=make, rows=rows: make(rows)
            found = seconds_of(contenders, repeats, least)
            print_lines(f"{' x '.join(map(str, shape))}, {recipe}", found, shape[0])


def groups(threads: int, repeats: int, least: float) -> None:
    import torch

    x = torch.rand(512, 3, 32, 32)
    rows = torch.randperm(512)[:128]
    one = strengths_of("recipe")
    same = {name: [value] * 64 for name, value in one.items()}
    spread = {name: [value * i / 63 for i in range(64)] for name, value in one.items()}
    found = seconds_of(
        {
            "64 seeds of one strength": ours(x, rows, same, range(64), threads),
            "ravine": ours(x, rows, spread, [0] * 64, threads),
        },
        repeats,
        least,
    )
    print("| batch | contender | us | pictures/s | times as long |\n| --- | --- | ---: | ---: | ---: |")
    print_lines("64 x 128 x 3 x 32 x 32, recipe ('ravine': 64 strengths)", found, 64 * 128)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shapes", nargs="+", choices=list(SHAPES), default=list(SHAPES))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--least", type=float, default=0.2, help="seconds of a repetition of a contender")
    parser.add_argument("--groups", action="store_true")
    given = parser.parse_args()
    # Before any library starts its threads: JAX has as many as the process has cores.
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: given.threads])
    os.environ["OMP_NUM_THREADS"] = str(given.threads)
    import torch

    torch.set_num_threads(given.threads)
    versions = f"python {platform.python_version()}, torch {torch.__version__}"
    print(f"<!-- {versions}, {given.threads} threads, n = {given.repeats}: {' '.join(sys.argv[1:])} -->")
    if given.groups:
        groups(given.threads, given.repeats, given.least)
    else:
        beside_others(given.shapes, given.threads, given.repeats, given.least)


if __name__ == "__main__":
    main()
