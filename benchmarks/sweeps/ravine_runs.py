"""Ravine's engine in process, without store, verdict and report; and what this machine is."""

from __future__ import annotations

import resource
import sys
import time

import torch

from ravine.data import load, parse_data
from ravine.engine.cohort import Cohort, split
from ravine.engine.device import find_device
from ravine.engine.network import Network
from ravine.engine.plan import plan, synchronize
from ravine.engine.records import Finished
from ravine.engine.training import Training
from ravine.launch.machine import hardware
from ravine.study import Study, runs_of
from sweeps.child import Clock
from sweeps.task import Job, Outcome, Score

SHAPES = ((1024, 1024, 1024), (2048, 2048, 2048), (3072, 3072, 3072), (8192, 512, 512), (512, 8192, 512))


def engine(job: Job, clock: Clock) -> Outcome:
    """Plan cohorts, make their programs, train them; option "backend" as in `ravine run --backend`."""
    torch.set_num_threads(job.threads)
    task, device = job.task, find_device(job.device)
    study = Study(
        name=task.name,
        data=dict(task.data),
        model=dict(task.model),
        rules=[{"kind": rule, "lr": list(lrs)} for rule, lrs in task.rules.items()],
        steps=task.steps,
        batch_size=task.batch_size,
        seeds=task.seeds,
        evaluations=task.evaluations,
    )
    with clock.phase("data"):
        data = load(parse_data(dict(task.data)))
    before = peak_mib()
    runs = runs_of(study, data)
    with clock.phase("make"):
        network = Network.of(study.model, data.input_shape, data.num_outputs, device=device)
        chosen = plan(runs, network, data, device, job.options.get("backend", "auto"))
        groups = split(runs, chosen.size)
    accuracies: dict[str, float] = {}
    run_steps = 0
    for group in groups:
        with clock.phase("make"):
            training = Training(Cohort.of(group), network, data, chosen.backend, device)
        with clock.phase("train"):
            for record in training.records():
                if isinstance(record, Finished):
                    accuracies.update(
                        zip(record.runs, record.metrics.get("validation_accuracy", ()), strict=False)
                    )
                    run_steps += len(record.runs) * task.steps + sum(record.diverged.values())
            synchronize(device)
        del training
    scores = [
        Score(
            rule=run.recipe.rule,
            lr=run.recipe.hypers["lr"],
            seed=run.seed,
            accuracy=float(accuracies[run.id]) if run.id in accuracies else None,
        )
        for run in runs
    ]
    facts = {
        "backend": str(chosen.backend),
        "cohorts": [len(group) for group in groups],
        "mib_before": before,
        "mib_after": peak_mib(),
    }
    return Outcome(run_steps=run_steps, scores=tuple(scores), facts=facts)


def peak_mib() -> float:
    """The most memory that this process has had so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def machine(job: Job, clock: Clock) -> Outcome:
    """The best rate of float32 matrix products among several shapes, and what computes them."""
    torch.set_num_threads(job.threads)
    rates: dict[str, float] = {}
    with clock.phase("train"), torch.no_grad():
        for m, k, n in SHAPES:
            a, b = torch.randn(m, k, device=job.device), torch.randn(k, n, device=job.device)
            times: list[float] = []
            while len(times) < 5 or sum(times) < 1.0:
                began = time.perf_counter()
                a @ b
                synchronize(a.device)
                times.append(time.perf_counter() - began)
            rates[f"{m} x {k} x {n}"] = 2 * m * k * n / min(times) / 1e9
    facts: dict[str, object] = {"gflops": rates, "best_gflops": max(rates.values())}
    facts |= {"hardware": hardware(job.device), "torch": torch.__version__}
    return Outcome(run_steps=0, facts=facts)
