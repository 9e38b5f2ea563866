"""L-BFGS in a study beside torch.optim's and SciPy's, a hundred runs beside one, and where it stops winning.

    python benchmarks/second.py                          # all three tables
    python benchmarks/second.py --parts time --repeats 3 --json second.json

time: wall time to a loss that all of them reach: 1.001 times the highest of the lowest losses that they find from the
same start. All have the full training set as one tensor; SciPy's objective is the same PyTorch loss in float64. How
many evaluations are needed is counted first; then that many are timed, turn by turn. Tracing is told apart.
many: the time of a step of 100 L-BFGS runs at once by that of one alone, with and without machine code.
noise: the lowest mean training loss over learning rates after as many evaluations, at several strengths of noise and
batch sizes, of L-BFGS and momentum. Notes: second.md.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import platform
import statistics
import time
from collections.abc import Callable
from itertools import groupby, product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor
from torch.nn import functional as F

import ravine
from ravine.data import Dataset, load
from ravine.engine.cohort import Cohort
from ravine.engine.network import Network
from ravine.engine.records import Finished
from ravine.engine.training import Training
from ravine.study import Run, Study, runs_of

CPU = torch.device("cpu")
NATIVE, FUSED = "native", "fused"
DECAY = 1e-3
MOST = 1000  # evaluations
CLOSE = 1e-3  # of the lowest loss
PROBLEMS: dict[str, tuple[str, dict[str, Any]]] = {
    "breast cancer, logistic regression": ("breast_cancer", {"kind": "mlp", "hidden": []}),
    "digits, tanh network of 32": ("digits", {"kind": "mlp", "hidden": [32], "activation": "tanh"}),
}


def study_of(data: str, model: dict[str, Any], **fields: Any) -> Study:
    given = {
        "rules": [{"kind": "lbfgs", "weight_decay": DECAY}],
        "steps": MOST,
        "batch_size": "full",
        **fields,
    }
    return Study(name="second", data=data, model=model, **given)


def loaded(study: Study) -> Dataset:
    return study.data if isinstance(study.data, Dataset) else load(study.data)


def network_of(study: Study, data: Dataset) -> Network:
    return Network.of(study.model, data.input_shape, data.num_outputs, device=CPU)


class Objective:
    """The loss with its penalty, of a flat vector in some dtype, and how often it was asked for."""

    def __init__(self, network: Network, data: Dataset, seed: int, dtype: torch.dtype) -> None:
        self.layout, self.network = network.layout, network
        found = network.initial(seed)
        self.names = list(network.layout.names)
        self.start = torch.cat([found[name].flatten() for name in self.names]).to(dtype)
        self.x, self.y = torch.from_numpy(data.train.x).to(dtype), torch.from_numpy(data.train.y)
        self.sizes = [math.prod(shape) for shape in network.layout.shapes]

    def parts(self, point: Tensor) -> dict[str, Tensor]:
        pieces = point.split(self.sizes)
        shapes = self.layout.shapes
        return {
            name: piece.view(shape) for name, piece, shape in zip(self.names, pieces, shapes, strict=True)
        }

    def __call__(self, point: Tensor) -> Tensor:
        parts = self.parts(point)
        loss = F.cross_entropy(torch.func.functional_call(self.network.module, parts, self.x), self.y)
        return loss + 0.5 * DECAY * sum(p.square().sum() for p in parts.values() if p.dim() > 1)

    def of_row(self, row_P: Tensor) -> float:
        views = self.layout.view_one(row_P)
        return float(self(torch.cat([views[name].flatten() for name in self.names]).to(self.x.dtype)))


class Enough(Exception):
    """The evaluations are used up."""


def scipys(objective: Objective, most: int, losses: list[float] | None = None) -> None:
    calls = 0

    def function(point: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal calls
        if calls == most:
            raise Enough
        calls += 1
        x = torch.from_numpy(point).requires_grad_()
        loss = objective(x)
        loss.backward()
        if losses is not None:
            losses.append(loss.item())
        assert x.grad is not None
        return loss.item(), x.grad.numpy()

    options = {"maxiter": 10 * MOST, "maxfun": 10 * MOST, "ftol": 0.0, "gtol": 1e-9}
    with contextlib.suppress(Enough):
        minimize(function, objective.start.numpy(), jac=True, method="L-BFGS-B", options=options)


def optims(kind: str, objective: Objective, most: int, losses: list[float] | None = None) -> None:
    module = objective.network.make()
    own = dict(module.named_parameters())
    with torch.no_grad():
        for name, value in objective.parts(objective.start).items():
            own[name].copy_(value)
    weights = [p for p in own.values() if p.dim() > 1]
    if kind == "torch":
        optimizer: torch.optim.Optimizer = torch.optim.LBFGS(
            module.parameters(), max_iter=10 * MOST, max_eval=10 * MOST, history_size=10,
            tolerance_grad=0.0, tolerance_change=0.0, line_search_fn="strong_wolfe",
        )  # fmt: skip
    else:
        optimizer = ravine.optim.LBFGS(module.parameters(), max_iter=10 * MOST)
    calls = 0

    def closure() -> Tensor:
        nonlocal calls
        if calls == most:
            raise Enough
        calls += 1
        optimizer.zero_grad()
        loss = F.cross_entropy(module(objective.x), objective.y)
        loss = loss + 0.5 * DECAY * sum(p.square().sum() for p in weights)
        loss.backward()
        if losses is not None:
            losses.append(loss.item())
        return loss

    with contextlib.suppress(Enough):
        optimizer.step(closure)  # type: ignore[arg-type]


def reached(losses: list[float], goal: float) -> int:
    """Evaluations until the lowest loss so far is at most the goal; `MOST` if it never is."""
    at = np.flatnonzero(np.minimum.accumulate(losses) <= goal)
    return int(at[0]) + 1 if len(at) else MOST


def training(
    study: Study, runs: list[Run], network: Network, data: Dataset, backend: str = NATIVE
) -> Training:
    return Training(Cohort.of(runs), network, data, backend, CPU)


def points(made: Training, objectives: dict[int, Objective], steps: int) -> dict[int, list[float]]:
    """The loss at the point that each run holds after each step, by seed."""
    losses: dict[int, list[float]] = {seed: [] for seed in objectives}
    for _ in range(steps):
        made.advance()
        held_RP = made.setting.point()
        for run, row_P in zip(made._part.runs, held_RP, strict=True):
            losses[run.seed].append(objectives[run.seed].of_row(row_P))
    return losses


def timed(job: Callable[[], None]) -> float:
    began = time.perf_counter()
    job()
    return time.perf_counter() - began


def time_part(args: argparse.Namespace) -> list[dict[str, Any]]:
    rows = []
    for name, (source, model) in PROBLEMS.items():
        study = study_of(source, model, seeds=args.runs)
        data = loaded(study)
        network = network_of(study, data)
        seeds = list(range(args.runs))
        singles = {seed: Objective(network, data, seed, torch.float32) for seed in seeds}
        doubles = {seed: Objective(network, data, seed, torch.float64) for seed in seeds}
        runs = sorted(runs_of(study, data), key=lambda run: run.seed)
        found: dict[str, dict[int, list[float]]] = {kind: {} for kind in ("scipy", "torch", "optim")}
        few = seeds[: args.few]
        for seed in few:
            for kind in found:
                losses: list[float] = []
                if kind == "scipy":
                    scipys(doubles[seed], args.steps, losses)
                else:
                    optims(kind, singles[seed], args.steps, losses)
                found[kind][seed] = losses
        found["study"] = points(training(study, runs, network, data), doubles, args.steps)
        goals = {
            seed: (1.0 + CLOSE) * max(min(of[seed]) for of in found.values() if seed in of) for seed in seeds
        }
        needed = {
            kind: {seed: reached(losses, goals[seed]) for seed, losses in of.items()}
            for kind, of in found.items()
        }
        together = max(needed["study"].values())
        tracing = timed(lambda: training(study, runs[:1], network, data))  # noqa: B023
        times: dict[str, list[float]] = {}
        for _ in range(args.repeats):
            for seed in few:
                alone = training(study, [runs[seed]], network, data)
                jobs = {
                    "SciPy L-BFGS-B": lambda: scipys(doubles[seed], needed["scipy"][seed]),  # noqa: B023
                    "torch.optim.LBFGS": lambda: optims("torch", singles[seed], needed["torch"][seed]),  # noqa: B023
                    "ravine.optim.LBFGS": lambda: optims("optim", singles[seed], needed["optim"][seed]),  # noqa: B023
                    "study, one run": lambda: [alone.advance() for _ in range(needed["study"][seed])],  # noqa: B023
                }
                for label, job in jobs.items():
                    times.setdefault(label, []).append(timed(job))  # type: ignore[arg-type]
            made = training(study, runs, network, data)
            seconds = timed(lambda: [made.advance() for _ in range(together)])  # type: ignore[arg-type, misc, func-returns-value] # noqa: B023
            times.setdefault(f"study, {args.runs} runs at once", []).append(seconds / args.runs)
        kinds = dict(zip(times, ("scipy", "torch", "optim", "study", "study"), strict=True))
        for label, seconds_of in times.items():
            counts = [needed[kinds[label]][seed] for seed in few]
            rows.append(
                {
                    "problem": name,
                    "what": label,
                    "ms": 1e3 * statistics.median(seconds_of),
                    "low": 1e3 * min(seconds_of),
                    "high": 1e3 * max(seconds_of),
                    "evaluations": statistics.median(counts) if "at once" not in label else together,
                    "missed": sum(count == MOST for count in counts),
                    "tracing_ms": 1e3 * tracing,
                }
            )
    return rows


def many_part(args: argparse.Namespace) -> list[dict[str, Any]]:
    rows = []
    for name, (source, model) in PROBLEMS.items():
        study = study_of(source, model, seeds=args.runs)
        data = loaded(study)
        network = network_of(study, data)
        runs = runs_of(study, data)
        times: dict[tuple[str, int], list[float]] = {}
        for _ in range(args.repeats):
            for backend, num in product((NATIVE, FUSED), (1, 10, args.runs)):
                made = training(study, runs[:num], network, data, backend)
                for _ in range(5):
                    made.advance()
                seconds = timed(lambda: [made.advance() for _ in range(50)])  # type: ignore[arg-type, misc, func-returns-value] # noqa: B023
                times.setdefault((backend, num), []).append(seconds / 50)
        rows += [
            {
                "problem": name,
                "backend": str(backend),
                "runs": num,
                "ms": 1e3 * statistics.median(t),
                "low": 1e3 * min(t),
                "high": 1e3 * max(t),
                "by_one": statistics.median(t) / statistics.median(times[backend, 1]),
            }
            for (backend, num), t in times.items()
        ]
    return rows


def noise_part(args: argparse.Namespace) -> list[dict[str, Any]]:
    source, model = PROBLEMS["digits, tanh network of 32"]
    dials: list[tuple[float, int | str]] = [(noise, "full") for noise in (0.0, 1e-4, 3e-4, 1e-3, 3e-3)]
    dials += [(0.0, size) for size in (512, 256, 128, 64)]
    rows = []
    for noise, size in dials:
        rules = [
            {"kind": "lbfgs", "noise": noise, "lr": {"log": [0.1, 1.0], "num": 5}},
            {"kind": "momentum", "noise": noise, "lr": {"log": [0.1, 3.0], "num": 5}},
        ]
        study = study_of(source, model, seeds=args.seeds, steps=100, batch_size=size, rules=rules)
        data = loaded(study)
        network = network_of(study, data)
        runs = sorted(runs_of(study, data), key=lambda run: run.recipe.structure)
        final: dict[str, float] = {}
        for _, members in groupby(runs, key=lambda run: run.recipe.structure):
            *_, end = training(study, list(members), network, data).records()
            assert isinstance(end, Finished)
            final.update(zip(end.runs, end.metrics["train_loss"].tolist(), strict=True))
        losses: dict[tuple[str, float], list[float]] = {}
        for run in runs:  # one that has diverged has no loss
            losses.setdefault((run.label, run.recipe.hypers["lr"]), []).append(final.get(run.id, math.inf))
        best = {
            label: min(statistics.mean(found) for (own, _), found in losses.items() if own == label)
            for label in ("lbfgs", "momentum")
        }
        rows.append({"noise": noise, "batch": size, **best})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--parts", nargs="+", default=["time", "many", "noise"], choices=["time", "many", "noise"]
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--runs", type=int, default=100, help="at once")
    parser.add_argument("--few", type=int, default=5, help="seeds that the others are timed with")
    parser.add_argument("--steps", type=int, default=400, help="evaluations in which a loss is looked for")
    parser.add_argument("--seeds", type=int, default=5, help="of the noise table")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    parts = {"time": time_part, "many": many_part, "noise": noise_part}
    found = {part: parts[part](args) for part in args.parts}
    print(f"PyTorch {torch.__version__}, Python {platform.python_version()}, {args.threads} thread(s)")
    for part, rows in found.items():
        print(f"\n{part}")
        for row in rows:
            print(
                "  "
                + ", ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items())
            )
    if args.json:
        args.json.write_text(json.dumps(found, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
