"""How much longer a step takes with another loss, or with weights, than with plain cross-entropy: the digits MLP.

    python benchmarks/losses.py                        # machine code, 24 runs, 15 repetitions
    python benchmarks/losses.py --backend fused --repeats 7

Every repetition trains each contender for some steps, in turn, in one process; the table shows the median of the ratios
within a repetition, and their quartiles. Compilation is apart: steps before the first repetition are not counted. Notes
and results: losses.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from ravine.data import Dataset, load, parse_data
from ravine.engine.cohort import Cohort
from ravine.engine.training import Training
from ravine.launch.subject import Subject
from ravine.study import Study, runs_of

LOSSES: dict[str, Any] = {
    "cross_entropy": None,
    "class weights": {"kind": "cross_entropy", "class_weights": "balanced"},
    "sample weights": None,
    "both": {"kind": "cross_entropy", "class_weights": "balanced"},
    "focal": "focal",
}
WEIGHTED = ("sample weights", "both")


def weighted(data: Dataset) -> Dataset:
    """The data with weights between 0 and 2 of its training examples."""
    weights = np.random.default_rng(0).uniform(0.0, 2.0, len(data.train)).astype(np.float32)
    return replace(data, train=data.train.weighing(weights))


def training_of(name: str, data: Dataset, num_runs: int, backend: str) -> Training:
    """Runs with one loss, at as many learning rates."""
    lr = {"log": [1e-3, 1e-1], "num": num_runs}
    study = Study(
        name="losses",
        data=weighted(data) if name in WEIGHTED else data,
        model={"kind": "mlp", "hidden": [128, 128]},
        rules=[{"kind": "momentum", "lr": lr}],
        batch_size=64,
        steps=1_000_000,
        seeds=1,
        loss=LOSSES[name],
    )
    assert isinstance(study.data, Dataset), "the data are loaded"
    subject = Subject.of(study, data=study.data, device="cpu")
    runs = runs_of(study, study.data)
    return Training(Cohort.of(runs), subject.network(runs), study.data, backend, subject.device)


def seconds(training: Training, steps: int) -> float:
    """Of so many steps of all runs."""
    began, done = time.perf_counter(), 0
    while done < steps:
        done += training.advance(steps - done)
    return time.perf_counter() - began


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description="How much longer a step takes with another loss.")
    parser.add_argument("--backend", default="native", choices=("native", "fused"))
    parser.add_argument("--runs", type=int, default=24)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=15)
    given = parser.parse_args(arguments)
    data = load(parse_data("digits"))
    contenders = {name: training_of(name, data, given.runs, given.backend) for name in LOSSES}
    for each in contenders.values():
        seconds(each, given.steps)
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for repeat in range(given.repeats):
        order = list(contenders) if repeat % 2 else list(contenders)[::-1]
        for name in order:
            times[name].append(seconds(contenders[name], given.steps))
    base = times["cross_entropy"]
    print(f"`python benchmarks/losses.py {shlex.join(sys.argv[1:])}`, {platform.machine()}, ", end="")
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}, load {os.getloadavg()[0]:.1f}")
    print(f"{given.runs} runs, batches of 64, {given.repeats} repetitions of {given.steps} steps\n")
    print("| loss | us a step of a run | time beside cross-entropy (quartiles) |\n|---|---|---|")
    for name, own in times.items():
        ratios = [ours / plain for ours, plain in zip(own, base, strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        each = 1e6 * statistics.median(own) / given.steps / given.runs
        print(f"| {name} | {each:.1f} | {middle:.3f} ({low:.3f} to {high:.3f}) |")


if __name__ == "__main__":
    main()
