"""What a step takes in float64, beside float32 in machine code and in PyTorch.

    python benchmarks/precision.py                    # all, n = 7
    python benchmarks/precision.py --repeats 3 --steps 40

Sixteen runs of an MLP on digits, which differ in their seeds, on one thread; serial programs train one of them. A
repetition times every contender for the same number of steps, one after another, in one process; a ratio is that of two
times of one repetition, and the table shows its median with the smallest and the largest. Making a program is left
out. Notes and results: precision.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time

import torch

from ravine import Study
from ravine.data import Dataset
from ravine.engine.cohort import Cohort
from ravine.engine.network import Network
from ravine.engine.training import Training
from ravine.launch.subject import rates_of
from ravine.study import runs_of
from ravine.study.reading import read_data

CPU = torch.device("cpu")
CONTENDERS = (
    ("float32", "fused"), ("float32", "native"), ("float32", "serial"), ("float64", "fused"), ("float64", "serial"),
)  # fmt: skip
"""The first one is what the others are compared with."""
NUM_RUNS = 16


def training_of(width: int, precision: str, backend: str) -> Training:
    """Runs in training, after a first step."""
    study = Study(
        name="step",
        data="digits",
        model={"kind": "mlp", "hidden": [width, width]},
        rules=[{"kind": "adam", "lr": 1e-3}],
        steps=10**6,
        batch_size=64,
        seeds=1 if backend == "serial" else NUM_RUNS,
        precision=precision,
    )
    data: Dataset = read_data(study, None)
    runs = list(runs_of(study, data))
    network = Network.of(
        study.model,
        data.input_shape,
        data.num_outputs,
        device=CPU,
        rates=rates_of(runs),
        precision=precision,
    )
    training = Training(Cohort.of(runs), network, data, backend, CPU)
    training.advance()
    return training


def seconds(training: Training, steps: int) -> float:
    """Of a step of a run."""
    began, first = time.perf_counter(), training.step
    while training.step < first + steps:
        training.advance(first + steps - training.step)
    return (time.perf_counter() - began) / steps / len(training.cohort.runs)


def main() -> None:
    """Measure and print a table for each width."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--widths", type=int, nargs="+", default=[16, 128, 512])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--steps", type=int, default=40)
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{platform.platform()}, {os.cpu_count()} cores, torch {torch.__version__}, n = {given.repeats}")
    for width in given.widths:
        trainings = {each: training_of(width, *each) for each in CONTENDERS}
        times: dict[tuple[str, str], list[float]] = {each: [] for each in CONTENDERS}
        for _ in range(given.repeats):
            for each, training in trainings.items():
                times[each].append(seconds(training, given.steps))
        print(f"\n| 64-{width}-{width}-10, batch 64 | ms a step of a run | beside the first |\n|---|---|---|")
        for (precision, backend), own in times.items():
            ratios = [a / b for a, b in zip(own, times[CONTENDERS[0]], strict=True)]
            spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
            took = f"{1e3 * statistics.median(own):.3g}"
            print(f"| {precision}, {backend} | {took} | {statistics.median(ratios):.2f} ({spread}) |")


if __name__ == "__main__":
    main()
