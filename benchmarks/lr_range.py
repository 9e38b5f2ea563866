"""How long a range test of several rules takes: `ravine.lr_range` at once, beside a plain PyTorch loop a run at a time.

    python benchmarks/lr_range.py                       # seven rules, three seeds, 300 steps, digits
    python benchmarks/lr_range.py --seeds 1 --steps 100 --repeats 3 --json lr_range.json

The plain loop is what a range finder for one optimizer does: fresh model, torch.optim, one batch a step, lr multiplied
after each step, stopped once the smoothed loss is four times its lowest. Batches are rows of one tensor: no loader is
timed. Repetitions take turns; the numbers are medians. Ours include reading the data, planning and compilation;
importing is left out of both. Notes: lr_range.md.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

import ravine
from ravine.data import Dataset, load

HIDDEN, BATCH, LOW, HIGH = 64, 64, 1e-6, 10.0
RULES: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "momentum": lambda p, lr: torch.optim.SGD(p, lr=lr, momentum=0.9),
    "nesterov": lambda p, lr: torch.optim.SGD(p, lr=lr, momentum=0.9, nesterov=True),
    "adagrad": torch.optim.Adagrad,
    "rmsprop": torch.optim.RMSprop,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
}


def study_of(seeds: int) -> ravine.Study:
    rules = [{"kind": kind, "lr": 0.01} for kind in RULES]
    model = {"kind": "mlp", "hidden": [HIDDEN, HIDDEN]}
    return ravine.Study(
        name="range", data="digits", model=model, steps=1, batch_size=BATCH, seeds=seeds, rules=rules
    )


def plain(data: Dataset, kind: str, seed: int, steps: int, stop: bool) -> list[float]:
    """The losses of one run."""
    generator = torch.Generator().manual_seed(seed)
    x, y = torch.from_numpy(data.train.x), torch.from_numpy(data.train.y)
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(x[0].numel(), HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU(),
        nn.Linear(HIDDEN, data.num_outputs),
    )  # fmt: skip
    optimizer = RULES[kind](model.parameters(), lr=LOW)
    ratio = (HIGH / LOW) ** (1.0 / (steps - 1))
    order = torch.randperm(len(x), generator=generator)
    losses: list[float] = []
    smooth, best, place = 0.0, math.inf, 0
    for step in range(steps):
        if place + BATCH > len(order):
            order, place = torch.randperm(len(x), generator=generator), 0
        rows = order[place : place + BATCH]
        place += BATCH
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        smooth = 0.95 * smooth + 0.05 * losses[-1]
        debiased = smooth / (1.0 - 0.95 ** (step + 1))
        best = min(best, debiased)
        if stop and (debiased > 4.0 * best or not math.isfinite(debiased)):
            break
        for group in optimizer.param_groups:
            group["lr"] *= ratio
    return losses


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    study = study_of(args.seeds)
    data = load(study.data)
    jobs = [(kind, seed) for kind in RULES for seed in range(args.seeds)]

    def ours() -> int:
        ravine.lr_range(study, low=LOW, high=HIGH, num_steps=args.steps, quiet=True)
        return len(jobs) * args.steps

    def loop(stop: bool) -> int:
        return sum(len(plain(data, kind, seed, args.steps, stop)) for kind, seed in jobs)

    contenders: dict[str, Callable[[], int]] = {
        "ravine.lr_range": ours,
        "plain loop, stopped when diverged": lambda: loop(True),
        "plain loop, all steps": lambda: loop(False),
    }
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    steps: dict[str, int] = {}
    ravine.lr_range(study_of(1), num_steps=50, quiet=True)  # imports and first use, of both
    plain(data, "adam", 0, 50, stop=False)
    for _ in range(args.repeats):
        for name, run in contenders.items():
            began = time.perf_counter()
            steps[name] = run()
            seconds[name].append(time.perf_counter() - began)
    print(
        f"{len(RULES)} rules x {args.seeds} seeds x {args.steps} steps, MLP {HIDDEN}-{HIDDEN}, digits, batch {BATCH}; "
        f"{os.cpu_count()} cores ({torch.get_num_threads()} threads), torch {torch.__version__}, "
        f"Python {platform.python_version()}, median of {args.repeats}"
    )
    base = statistics.median(seconds["ravine.lr_range"])
    for name, times in seconds.items():
        middle = statistics.median(times)
        print(
            f"{name:34}  {middle:7.3f} s  ({min(times):.3f} to {max(times):.3f})  {steps[name]:6,} steps"
            f"  {middle / base:5.1f} x"
        )
    if args.json:
        args.json.write_text(
            json.dumps({"seconds": seconds, "steps": steps, "options": vars(args)}, default=str)
        )


if __name__ == "__main__":
    main()
