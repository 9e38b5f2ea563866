"""What Monte Carlo passes cost: all runs of a study by ravine, and by a plain PyTorch loop.

    python benchmarks/test_time.py digits      # the MLP of the digits study, 54 runs
    python benchmarks/test_time.py fashion     # the Fashion-MNIST convnet, 6 runs
    python benchmarks/test_time.py digits --runs 4 --samples 10 --repeats 2

Each contender makes all passes over validation and test data, averages probabilities, and scores the validation data by
the number of passes. The plain loop has torch's own dropout, drawing in a module that evaluates, and batches of 256.
All are measured in turn in one process; every repetition gives a ratio to the plain loop. Making machine code counts.
Notes and results: test_time.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn

import ravine
from ravine.data import Dataset
from ravine.engine.loss import Loss
from ravine.engine.mixture import of_classes
from ravine.engine.objective import Objective
from ravine.engine.passes import Points
from ravine.launch.evaluate import Passes, of_split
from ravine.launch.subject import Subject
from ravine.nn.dropout import Dropout
from ravine.study.modes import Mode

MODELS = {
    "digits": ({"kind": "mlp", "hidden": [128, 128], "dropout": 0.3}, 54),
    "fashion": ({"kind": "convnet", "channels": [32, 64], "hidden": 128, "dropout": 0.3}, 6),
}
BATCH = 256


def pictures() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """As many as Fashion-MNIST has for validation and test, and as large; what is on them plays no part."""
    draw = np.random.default_rng(0)
    x = draw.integers(0, 256, (18_000, 1, 28, 28), dtype=np.uint8)
    y = draw.integers(0, 10, 18_000)
    return x[:8_000], y[:8_000], x[8_000:], y[8_000:]


def made(name: str, runs: int) -> tuple[Subject, Points, Objective]:
    """Runs as they begin: how fast passes are does not depend on their weights."""
    model, _ = MODELS[name]
    data = "digits" if name == "digits" else pictures()
    study = ravine.Study(name="mc", data=data, model=model, steps=1, seeds=runs, rules=["adam"])  # type: ignore[arg-type]
    subject = Subject.of(study, device="cpu")
    some = subject.runs()
    network = subject.network(some)
    first = [network.initial(run.seed) for run in some]
    points = Points(
        params_RP=torch.stack(
            [network.layout.pack({n: each[n] for n in network.layout.names}) for each in first]
        ),
        others={n: torch.stack([each[n] for each in first]) for n in (*network.buffers, *network.fixed)},
        rates=network.rates([run.recipe.hypers for run in some], subject.device),
        seeds=tuple(run.seed for run in some),
    )
    return subject, points, Objective(network=network, loss=Loss(task="classification"))


def plain(subject: Subject, points: Points, objective: Objective, samples: int) -> Callable[[], None]:
    """A loop over runs, passes and batches."""
    data, network = subject.data, objective.network
    splits = [(torch.from_numpy(each.x), torch.from_numpy(each.y)) for each in (data.validation, data.test)]
    modules = []
    for row in range(len(points)):
        module = _with_torchs_dropout(network.make())
        tensors = {name: tensor[row] for name, tensor in network.layout.views(points.params_RP).items()}
        module.load_state_dict({**tensors, **{name: t[row] for name, t in points.others.items()}})
        module.eval()
        for part in module.modules():
            if isinstance(part, nn.Dropout):
                part.train()
        modules.append(module)

    def go() -> None:
        with torch.inference_mode():
            for module in modules:
                for number, (x, y) in enumerate(splits):
                    passes = [torch.cat([module(part) for part in x.split(BATCH)]) for _ in range(samples)]
                    of_classes(torch.stack(passes, 1)[:, :, None], None if number else y)

    return go


def _with_torchs_dropout(module: nn.Module) -> nn.Module:
    for name, child in list(module.named_children()):
        if isinstance(child, Dropout):
            setattr(module, name, nn.Dropout(0.3))
        else:
            _with_torchs_dropout(child)
    return module


def ours(
    data: Dataset, points: Points, objective: Objective, mode: Mode, *, native: bool
) -> Callable[[], None]:
    """All runs side by side; False: in PyTorch, one run after another."""

    def go() -> None:
        passes = Passes(objective, points, mode)
        if not native:
            assert passes._samples is not None
            passes._samples._native, passes._samples.backend = None, "serial"
        for split in ("validation", "test"):
            of_split(passes, data, split, mode)  # type: ignore[arg-type]

    return go


def measured(contenders: dict[str, Callable[[], None]], repeats: int) -> dict[str, list[float]]:
    """Seconds of each, all in turn; a first round is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for repetition in range(repeats + 1):
        for name, go in contenders.items():
            start = time.perf_counter()
            go()
            if repetition:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=list(MODELS))
    parser.add_argument("--runs", type=int)
    parser.add_argument("--samples", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--no-serial", action="store_true")
    given = parser.parse_args(arguments)
    runs = given.runs or MODELS[given.what][1]
    subject, points, objective = made(given.what, runs)
    mode = Mode(samples=given.samples)
    contenders = {
        "plain PyTorch loop": plain(subject, points, objective, given.samples),
        "ravine, machine code": ours(subject.data, points, objective, mode, native=True),
    }
    if not given.no_serial:
        contenders["ravine, PyTorch"] = ours(subject.data, points, objective, mode, native=False)
    seconds = measured(contenders, given.repeats)
    examples = len(subject.data.validation) + len(subject.data.test)
    print(
        f"{given.what}: {runs} runs, {given.samples} passes, {examples:,} examples; n = {given.repeats}, "
        f"{torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}, {platform.machine()}, "
        f"torch {torch.__version__}"
    )
    print("| | s | us a pass | times as fast as the loop |\n|---|---|---|---|")
    base = seconds["plain PyTorch loop"]
    for name, own in seconds.items():
        ratios = [before / each for each, before in zip(own, base, strict=True)]
        middle, spread = statistics.median(ratios), f"{min(ratios):.2f} to {max(ratios):.2f}"
        each = statistics.median(own) / (runs * given.samples * examples) * 1e6
        print(f"| {name} | {statistics.median(own):.2f} | {each:.2f} | {middle:.2f} ({spread}) |", flush=True)


if __name__ == "__main__":
    main()
