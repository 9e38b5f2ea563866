"""How long a step of a run takes, for a dozen models: ravine beside the loop that a good user of PyTorch would write.

    python benchmarks/models.py                                   # all models
    python benchmarks/models.py --models mlp-1024 vit             # some; those measured before stay in the table
    python benchmarks/models.py --repeats 3 --seconds 0.3 --commands 0

The loop takes its batches from a tensor by index, sets gradients to None, and uses torch.optim's fused kernel; it runs
with one thread and with all, and for pictures in both memory layouts: the best of these is what counts. A repetition
measures both in turn, in one process, for the same number of steps; what comes before the first step (planning,
tracing, compiling) is left out. It is in the whole command, which begins with the imports, trains all runs, evaluates
them five times, and ends with their test scores. Notes and results: models.md.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import os
import platform
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nets import CASES, Case
from torch import Tensor, nn
from torch.nn import functional as F

HERE = Path(__file__).parent
MARK = "<!-- models.py --write puts the table here -->"
NUM, HELD_OUT = 2048, 256  # examples: to train with; to validate and to test with
LR, MOMENTUM, EVALUATIONS = 0.01, 0.9, 5
THREADS = os.cpu_count() or 1
T_95 = (12.7, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26)  # Student's t, two-sided, by degrees of freedom


def arrays(case: Case) -> dict[str, np.ndarray]:
    """Inputs and classes of three splits."""
    draw = np.random.default_rng(0)
    found = {}
    for name, num in (("train", NUM), ("validation", HELD_OUT), ("test", HELD_OUT)):
        x = draw.normal(size=(num, *case.shape))
        if case.words:
            x = draw.integers(0, case.words, (num, *case.shape)).astype(np.float64)
        found[name], found[f"{name}_y"] = x.astype(np.float32), draw.integers(0, 10, num)
    return found


# The plain loop.


class Loop:
    """Runs of a model, one after another.

    Args:
        case: the model.
        threads: of PyTorch's.
        last: whether pictures lie with their channels side by side.
    """

    def __init__(self, case: Case, threads: int, last: bool) -> None:
        self.case, self.threads, self.last = case, threads, last
        self.tensors = {name: torch.from_numpy(array) for name, array in arrays(case).items()}
        if last:
            for name in ("train", "validation", "test"):
                self.tensors[name] = self.tensors[name].contiguous(memory_format=torch.channels_last)

    def __str__(self) -> str:
        layout = ", channels last" if self.last else ""
        return f"{self.threads} thread{'s' * (self.threads > 1)}{layout}"

    def made(self, seed: int) -> tuple[nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(seed)
        model = self.case.make()
        if self.last:
            model = model.to(memory_format=torch.channels_last)
        return model, torch.optim.SGD(model.parameters(), lr=LR, momentum=MOMENTUM, fused=True)

    def train(self, model: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> list[Tensor]:
        x, y, batch = self.tensors["train"], self.tensors["train_y"], self.case.batch
        losses, order = [], torch.randperm(NUM)
        for step in range(steps):
            start = step * batch % NUM
            if start == 0:
                order = torch.randperm(NUM)
            rows = order[start : start + batch]
            loss = F.cross_entropy(model(x[rows]), y[rows])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        return losses

    def step_seconds(self, steps: int) -> float:
        """Of one step of one run, after a first one."""
        torch.set_num_threads(self.threads)
        runs = [self.made(seed) for seed in range(self.case.runs)]
        for run in runs:
            self.train(*run, 1)
        began = time.perf_counter()
        for run in runs:
            self.train(*run, steps)
        return (time.perf_counter() - began) / (steps * len(runs))

    def command(self) -> None:
        """All runs, evaluated along the way and tested at the end."""
        torch.set_num_threads(self.threads)
        found = []
        for seed in range(self.case.runs):
            model, optimizer = self.made(seed)
            for _ in range(EVALUATIONS):
                losses = self.train(model, optimizer, self.case.steps // EVALUATIONS)
                found.append((float(torch.stack(losses).mean()), self.score(model, "validation")))
            found.append((self.score(model, "train"), self.score(model, "test")))
        print(found[-1])

    @torch.no_grad()
    def score(self, model: nn.Module, split: str) -> float:
        model.eval()
        parts = [model(part) for part in self.tensors[split].split(HELD_OUT)]
        model.train()
        return float((torch.cat(parts).argmax(1) == self.tensors[f"{split}_y"]).float().mean())


def best_loop(case: Case, seconds: float) -> tuple[Loop, float]:
    """The fastest form of the loop, and how long its step takes."""
    forms = [
        Loop(case, threads, last)
        for threads in dict.fromkeys((1, THREADS))
        for last in ((False, True) if len(case.shape) == 3 else (False,))
    ]
    times = {}
    for form in forms * 2:
        steps = 2
        while (took := form.step_seconds(steps)) * steps * case.runs < seconds / 4:
            steps *= 2
        times[form] = min(took, times.get(form, math.inf))
    form = min(times, key=times.__getitem__)
    return form, times[form]


# ravine.


def study(case: Case, steps: int) -> Any:
    from ravine import Study, from_arrays

    found = arrays(case)
    data = from_arrays(
        found["train"], found["train_y"], x_validation=found["validation"], y_validation=found["validation_y"],
        x_test=found["test"], y_test=found["test_y"], normalize="none",
    )  # fmt: skip
    return Study(
        name="models", data=data, model=case.make, rules=[{"kind": "momentum", "lr": LR, "rho": MOMENTUM}],
        steps=steps, batch_size=case.batch, seeds=case.runs, evaluations=min(steps, EVALUATIONS),
    )  # fmt: skip


class Ours:
    """The engine, as a launch uses it: planned once, as for a study of a minute, then trained anew each time."""

    def __init__(self, case: Case, steps: int, step_seconds: float) -> None:
        from ravine.engine.network import Network
        from ravine.engine.plan import plan
        from ravine.study import runs_of

        torch.set_num_threads(THREADS)
        self.case, self.steps, self.device = case, steps, torch.device("cpu")
        made = study(case, steps + 1)
        self.data, self.runs = made.data, list(runs_of(made, made.data))
        self.network = Network.of(
            made.model, self.data.input_shape, self.data.num_outputs, device=self.device
        )
        began = time.perf_counter()
        long = study(case, steps + round(60 / (step_seconds * case.runs)))
        self.plan = plan(list(runs_of(long, long.data)), self.network, self.data, self.device)
        self.plan_seconds = time.perf_counter() - began

    def step_seconds(self) -> float:
        """Of one step of one run, after a first one."""
        from ravine.engine.cohort import Cohort, split
        from ravine.engine.training import Training

        torch.set_num_threads(THREADS)
        trainings = [
            Training(Cohort.of(group), self.network, self.data, self.plan.backend, self.device)
            for group in split(self.runs, self.plan.size)
        ]
        for training in trainings:
            training.advance()
        began = time.perf_counter()
        for training in trainings:
            for _ in training.losses():
                pass
        return (time.perf_counter() - began) / (self.steps * len(self.runs))


# Measuring.


def measure(name: str, repeats: int, seconds: float, commands: int) -> dict[str, Any]:
    case = CASES[name]
    loop, step = best_loop(case, seconds)
    steps = max(3, min(2000, round(seconds / (step * case.runs))))
    ours = Ours(case, steps, step)
    pairs = []
    for repeat in range(repeats + 1):
        gc.collect()
        order = [lambda: loop.step_seconds(steps), ours.step_seconds]
        if repeat % 2:
            found = [each() for each in order]
        else:
            found = [each() for each in reversed(order)][::-1]
        if repeat:  # the first one warms up
            pairs.append(found)
    whole = []
    for repeat in range(commands):
        order = [("loop", str(loop.threads), str(int(loop.last))), ("ours",)]
        took = {}
        for who in order if repeat % 2 else order[::-1]:
            took[who[0]] = command_seconds(name, *who)
        whole.append([took["loop"], took["ours"]])
    return {
        "loop": str(loop), "plan": str(ours.plan.backend), "why": ours.plan.why, "plan_seconds": ours.plan_seconds,
        "steps": steps, "pairs": pairs, "commands": whole, "load": os.getloadavg()[0],
        "measured": time.strftime("%Y-%m-%d %H:%M"),
    }  # fmt: skip


def command_seconds(name: str, *who: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, __file__, "--child", name, *who], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def child(name: str, who: str, *options: str) -> None:
    """One whole command, in a process of its own."""
    case = CASES[name]
    if who == "loop":
        Loop(case, int(options[0]), bool(int(options[1]))).command()
        return
    import ravine

    with tempfile.TemporaryDirectory() as folder:
        print(ravine.run(study(case, case.steps), store=folder, device="cpu", quiet=True))


def interval(pairs: list[list[float]]) -> tuple[float, float, float]:
    """The geometric mean of ratios, and 95 % of Student's t around it."""
    logs = [math.log(a / b) for a, b in pairs]
    middle = statistics.fmean(logs)
    far = 0.0
    if len(logs) > 1:
        far = T_95[min(len(logs) - 2, len(T_95) - 1)] * statistics.stdev(logs) / math.sqrt(len(logs))
    return math.exp(middle), math.exp(middle - far), math.exp(middle + far)


def table(found: dict[str, dict[str, Any]]) -> str:
    lines = [
        "| model | batch, runs | best loop | ravine | loop [ms] | ravine [ms] "
        "| loop / ravine, a step of a run (95 %) | n | whole command [s]: loop, ravine | ratio |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, case in CASES.items():
        one = found.get(name)
        if one is None:
            continue
        ratio, low, high = interval(one["pairs"])
        loop, ours = (1e3 * statistics.median(pair[i] for pair in one["pairs"]) for i in (0, 1))
        whole = one["commands"]
        told, whole_ratio = "", ""
        if whole:
            told = ", ".join(f"{statistics.median(pair[i] for pair in whole):.1f}" for i in (0, 1))
            whole_ratio = f"{interval(whole)[0]:.2f}"
        lines.append(
            f"| {name}: {case.about} | {case.batch}, {case.runs} | {one['loop']} | {one['plan']} | {loop:.3g} "
            f"| {ours:.3g} | {ratio:.2f} ({low:.2f} to {high:.2f}) | {len(one['pairs'])} | {told} | {whole_ratio} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", choices=list(CASES), default=list(CASES), metavar="NAME")
    parser.add_argument("--repeats", type=int, default=7, help="pairs of each model")
    parser.add_argument("--seconds", type=float, default=1.0, help="of the loop, in a repetition")
    parser.add_argument("--commands", type=int, default=3, help="pairs of whole commands")
    parser.add_argument("--json", type=Path, default=HERE / "models.json", help="what was measured so far")
    parser.add_argument("--write", action="store_true", help="put the table into models.md")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(*args.child)
        return
    found = json.loads(args.json.read_text()) if args.json.exists() else {}
    for name in args.models:
        found[name] = measure(name, args.repeats, args.seconds, args.commands)
        args.json.write_text(json.dumps(found, indent=1))
        ratio, low, high = interval(found[name]["pairs"])
        print(
            f"{name}: {ratio:.2f} ({low:.2f} to {high:.2f}); {found[name]['plan']}; loop with {found[name]['loop']}; "
            f"{found[name]['why']}",
            file=sys.stderr,
        )
    load = max(one["load"] for one in found.values())
    told = (
        f"`{shlex.join(['python', *sys.argv])}`, {time.strftime('%Y-%m-%d')}, {platform.machine()}, {THREADS} threads, "
        f"torch {torch.__version__}, load at most {load:.1f}\n\n{table(found)}\n"
    )
    print(told)
    if args.write:
        page = HERE / "models.md"
        page.write_text(f"{page.read_text().split(MARK)[0]}{MARK}\n\n{told}")


if __name__ == "__main__":
    main()
