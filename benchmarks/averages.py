"""What averages of the weights cost: in a native step of many runs, in a plain PyTorch loop of one, and in a study.

    python benchmarks/averages.py step       # three averages, a bank, both; two networks, two rules
    python benchmarks/averages.py loop       # AveragedModel, ema-pytorch and ravine.optim, three each, in a plain loop
    python benchmarks/averages.py study      # wall time of whole studies with and without, and of an average afterwards

All contenders are measured in turn in one process; every repetition gives a ratio to the same loop without averages.
ema-pytorch is left out where it is not installed. Notes and results: averages.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, redirect_stdout
from copy import deepcopy
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, get_swa_multi_avg_fn

import ravine
from ravine.engine.cohort import Cohort
from ravine.engine.training import Training
from ravine.launch.subject import Subject

NETWORKS = ([128, 128], [32, 32])
RULES = ("sgd", "adam")
LR, BATCH = 0.001, 64
THREE: dict[str, Any] = {"ema": [0.99, 0.999], "polyak": {"from": 0.0}}
STEP: dict[str, dict[str, Any] | None] = {
    "none": None,
    "three averages": THREE,
    "bank": {"bank": True},
    "both": {**THREE, "bank": True},
}
Contender = Callable[[int], None]
"""Takes so many steps."""


def study(hidden: Sequence[int], rule: str, averages: dict[str, Any] | None, **changes: Any) -> ravine.Study:
    """Runs of one config."""
    given: dict[str, Any] = {
        "name": "averages", "data": "digits", "model": {"kind": "mlp", "hidden": list(hidden)}, "batch_size": BATCH,
        "rules": [{"kind": rule, "lr": LR}], "steps": 1_000_000, "averages": averages,
    }  # fmt: skip
    return ravine.Study(**{**given, **changes})


def measured(contenders: dict[str, Contender], steps: int, repeats: int) -> dict[str, list[float]]:
    """Seconds of so many steps of each, all in turn; a first round is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for repetition in range(repeats + 1):
        for name, go in contenders.items():
            start = time.perf_counter()
            go(steps)
            if repetition:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def rows(title: str, seconds: dict[str, list[float]], unit: float) -> Iterator[str]:
    """A line of a table for each contender: time, and ratio to the first."""
    base = next(iter(seconds.values()))
    for name, own in seconds.items():
        ratios = [each / before for each, before in zip(own, base, strict=True)]
        ratio = (
            "" if own is base else f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        )
        yield f"| {title} | {name} | {statistics.median(own) / unit * 1e6:.1f} | {ratio} |"


def step(runs: int, steps: int, repeats: int) -> None:
    """Native steps of many runs."""
    print("| network, rule | averages | us a run and step | times without |\n|---|---|---|---|")
    for hidden in NETWORKS:
        for rule in RULES:
            # All are made before one runs: within a running program PyTorch has one thread, and whoever is made
            # there gets no more.
            made = {name: _training(hidden, rule, averages, runs) for name, averages in STEP.items()}
            contenders: dict[str, Contender] = {
                name: partial(_advance, training) for name, training in made.items()
            }
            with ExitStack() as stack:
                for training in made.values():
                    stack.enter_context(training._program.running())
                title = f"{'-'.join(map(str, hidden))}, {rule}"
                for line in rows(title, measured(contenders, steps, repeats), steps * runs):
                    print(line, flush=True)


def _training(hidden: Sequence[int], rule: str, averages: dict[str, Any] | None, runs: int) -> Training:
    made = study(hidden, rule, averages, seeds=runs)
    subject = Subject.of(made, device="cpu")
    cohort = Cohort.of(subject.runs(), made.averages)
    return Training(cohort, subject.network(cohort.runs), subject.data, "native", subject.device)


def _advance(training: Training, num: int) -> None:
    end = training.step + num
    while training.step < end:
        training.advance(end - training.step)


def loop(steps: int, repeats: int) -> None:
    """A plain loop of one run, and what people put into it."""
    print("| network, rule | averages | us a step | times without |\n|---|---|---|---|")
    data = Subject.of(study([8], "sgd", None), device="cpu").data
    x, y = torch.from_numpy(data.train.x).flatten(1), torch.from_numpy(data.train.y)
    torch.set_num_threads(1)
    for hidden in NETWORKS:
        for rule in RULES:
            contenders = {name: _loop(hidden, rule, name, x, y) for name in _KINDS}
            known = {name: each for name, each in contenders.items() if each is not None}
            title = f"{'-'.join(map(str, hidden))}, {rule}"
            for line in rows(title, measured(known, steps, repeats), steps):
                print(line, flush=True)


_KINDS = ("none", "AveragedModel x 3", "ema-pytorch x 3", "ravine.optim", "ravine.optim, ema of three decays")


def _loop(hidden: Sequence[int], rule: str, kind: str, x: torch.Tensor, y: torch.Tensor) -> Contender | None:
    """A loop with one kind of averages; None: it is not installed."""
    torch.manual_seed(0)
    sizes = [x.shape[1], *hidden]
    layers: list[nn.Module] = []
    for size, following in pairwise(sizes):
        layers += [nn.Linear(size, following), nn.ReLU()]
    model = nn.Sequential(*layers, nn.Linear(sizes[-1], 10))
    if kind.startswith("ravine"):
        ema = {"ema": [0.9, 0.99, 0.999]} if "three" in kind else {}
        optimizer: Any = getattr(ravine.optim, {"sgd": "SGD", "adam": "Adam"}[rule])(
            model.parameters(), lr=LR, **ema
        )
    else:
        optimizer = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[rule](model.parameters(), lr=LR)
    updates: list[Callable[[], object]] = []
    if kind == "AveragedModel x 3":
        averages = [get_ema_multi_avg_fn(0.99), get_ema_multi_avg_fn(0.999), get_swa_multi_avg_fn()]
        copies = [AveragedModel(model, multi_avg_fn=average) for average in averages]
        updates = [lambda copy=copy: copy.update_parameters(model) for copy in copies]  # type: ignore[misc]
    elif kind == "ema-pytorch x 3":
        try:
            from ema_pytorch import EMA
        except ImportError:
            return None
        with redirect_stdout(sys.stderr):
            updates = [
                EMA(model, ema_model=deepcopy(model), beta=beta, update_every=1, update_after_step=0).update
                for beta in (0.9, 0.99, 0.999)
            ]

    def go(num: int) -> None:
        for rows in torch.randint(len(x), (num, BATCH)):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()
            for update in updates:
                update()

    return go


def whole(runs: int, steps: int, repeats: int) -> None:
    """Studies in stores of their own, and one average afterwards."""
    print("| network | averages | seconds of the study | MB of the store |\n|---|---|---|---|")
    for hidden in NETWORKS:
        seconds: dict[str, list[float]] = {name: [] for name in STEP}
        sizes: dict[str, float] = {}
        after: list[float] = []
        for _ in range(repeats):
            for name, averages in STEP.items():
                with tempfile.TemporaryDirectory() as folder:
                    start = time.perf_counter()
                    made = study(hidden, "adam", averages, seeds=runs, steps=steps)
                    ravine.run(made, store=folder, quiet=True, device="cpu", backend="native")
                    seconds[name].append(time.perf_counter() - start)
                    files = (Path(folder) / "blocks").iterdir()
                    sizes[name] = sum(each.stat().st_size for each in files) / 1e6
                    if name == "bank":
                        start = time.perf_counter()
                        ravine.average(made, store=folder, width=0.15, device="cpu")
                        after.append(time.perf_counter() - start)
        title = "-".join(map(str, hidden))
        for name, own in seconds.items():
            print(f"| {title} | {name} | {statistics.median(own):.2f} | {sizes[name]:.1f} |", flush=True)
        print(f"| {title} | one average afterwards | {statistics.median(after):.2f} | |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("step", "loop", "study"))
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("--steps", type=int, default=None, help="of a repetition; of each run of a study")
    parser.add_argument("--repeats", type=int, default=11)
    args = parser.parse_args()
    load = os.getloadavg()[0]
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {load:.1f}; ", end="")
    print(f"Python {platform.python_version()}, torch {torch.__version__}; {args.repeats} repetitions\n")
    if args.what == "step":
        step(args.runs, args.steps or 500, args.repeats)
    elif args.what == "loop":
        loop(args.steps or 500, args.repeats)
    else:
        whole(args.runs, args.steps or 5000, args.repeats)


if __name__ == "__main__":
    main()
