"""How long does a study take: ravine beside what users would take instead, measured in one run.

    python benchmarks/sweep.py --study small                     # six rules on digits, MLP 32-32
    python benchmarks/sweep.py --study wide --fraction 0.2       # MLP 128-128; slow contenders take a fifth
    python benchmarks/sweep.py --study fashion                   # Fashion-MNIST: an MLP and a convnet
    python benchmarks/sweep.py --study scaling --svg scaling.svg # time and memory per run against runs
    python benchmarks/sweep.py --study small --contenders plain,lightning,skorch,run-cold
    python benchmarks/sweep.py --study small --device cuda --lrs 56 --contenders plain,indexed,engine,run-cold

Every contender trains the same runs on the same arrays, each time in a process of its own; repetitions are
interleaved, each starting with another contender. The machine should have nothing else to do: threads that
spin slow programs down thirtyfold when another process wants a core. Results are in sweep.md.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from sweeps.execute import HERE, Measured, execute
from sweeps.plot import two_panels
from sweeps.studies import CONTENDERS, STUDIES, Contender, Plan
from sweeps.summary import (
    Spread,
    check_accuracies,
    chosen_threads,
    of_contender,
    table,
    targets_table,
    times_table,
)
from sweeps.task import Job, Task, flops_per_example, save_arrays

PACKAGES = ("ravine", "torch", "numpy", "scikit-learn", "jax", "jaxlib", "optuna", "lightning", "skorch")
BUSY = 0.5  # load above which a machine is not quiet
MACHINE = Contender(about="float32 matrix products", where="ravine_runs:machine", cuda=True)


def main() -> int:
    args = arguments()
    plan = plan_of(args)
    names = [name for name in args.contenders or plan.contenders if usable(name, args.device)]
    if not names:
        raise SystemExit("--contenders: none of them can be run here")
    with tempfile.TemporaryDirectory(prefix="sweep-") as folder:
        record: dict[str, Any] = {
            "command": shlex.join(["python", *sys.argv]),
            "started_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "arguments": {k: str(v) if isinstance(v, Path) else v for k, v in vars(args).items()},
            "load_at_start": os.getloadavg()[0],
            "versions": versions(),
            "commit": commit(),
            "contenders": {name: asdict(CONTENDERS[name]) for name in names},
            "tasks": {task.name: asdict(task) for task in plan.tasks},
        }
        if record["load_at_start"] > BUSY:
            say(f"WARNING: load {record['load_at_start']:.1f}: the machine is not quiet, timings mean little")
        measured: list[Measured] = []
        sizes: dict[str, Any] = {}
        for task in plan.tasks:
            sizes[task.name] = save_arrays(task, Path(folder) / f"{task.name}.npz")
        record["arrays"] = sizes
        measure(plan, names, args, Path(folder), measured, record)
    report, wrong = summarize(plan, args, measured, record, sizes)
    print(report)
    save(args.json, {**record, "report": report}, measured)
    failed = sorted({f"{m.task}: {m.contender}: {m.error}" for m in measured if m.error})
    for line in (*wrong, *failed):
        say(f"PROBLEM: {line}")
    return 1 if wrong or failed else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--study", choices=STUDIES, required=True)
    parser.add_argument("--contenders", type=lambda text: text.split(","), help=f"of {', '.join(CONTENDERS)}")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--json", type=Path, help="everything that was measured; written after each execution"
    )
    parser.add_argument("--svg", type=Path, help="the plot of the study scaling")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="at most so many")
    parser.add_argument(
        "--fraction", type=float, help="of the steps, for slow contenders; the rest is extrapolated"
    )
    parser.add_argument("--lrs", type=int, help="of each rule")
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--steps", type=int, help="of each run; a multiple of the evaluations")
    parser.add_argument("--evaluations", type=int, help="looks at the validation set along a run")
    args = parser.parse_args()
    unknown = [name for name in args.contenders or () if name not in CONTENDERS]
    if unknown:
        parser.error(f"--contenders {unknown[0]}: unknown; allowed: {', '.join(CONTENDERS)}")
    return args


def plan_of(args: argparse.Namespace) -> Plan:
    """The study, with what the command line changes."""
    sizes = {"num_lrs": args.lrs, "seeds": args.seeds}
    plan = STUDIES[args.study](**{name: value for name, value in sizes.items() if value is not None})
    changes = {"steps": args.steps, "evaluations": args.evaluations}
    changes = {name: value for name, value in changes.items() if value is not None}
    tasks = tuple(replace(task, **changes) for task in plan.tasks)
    for task in tasks:
        if task.steps % task.evaluations:
            raise SystemExit(
                f"--steps {task.steps}: must be a multiple of the {task.evaluations} evaluations"
            )
    return replace(plan, tasks=tasks, fraction=plan.fraction if args.fraction is None else args.fraction)


def usable(name: str, device: str) -> bool:
    """Whether a contender can be run here; says why not."""
    missing = [package for package in CONTENDERS[name].needs if importlib.util.find_spec(package) is None]
    if missing:
        say(f"{name} is left out: {', '.join(missing)} is not installed")
    elif device == "cuda" and not CONTENDERS[name].cuda:
        say(f"{name} is left out: it has no GPU version here")
    return not missing and (device == "cpu" or CONTENDERS[name].cuda)


def measure(
    plan: Plan,
    names: Sequence[str],
    args: argparse.Namespace,
    folder: Path,
    measured: list[Measured],
    record: dict[str, Any],
) -> None:
    """Fill the caches that are to be warm, then repeat all of it."""

    def once(task: Task, name: str, contender: Contender, threads: int, repeat: int, cache: Path) -> None:
        with tempfile.TemporaryDirectory(dir=folder) as own:
            job = Job(
                task=task,
                arrays=str(folder / f"{task.name}.npz"),
                threads=threads,
                device=args.device,
                fraction=plan.fraction if contender.slow else 1.0,
                folder=own,
                options=contender.options,
            )
            fresh = Path(own) / "cache"
            found = execute(name, contender, job, repeat, cache if contender.cache == "warm" else fresh)
        measured.append(found)
        times = f"whole {found.whole:.2f} s, train {found.train:.2f} s"
        say(f"{repeat + 1}/{args.repeats} {task.name} {name} ({threads} threads): {found.error or times}")
        save(args.json, record, measured)

    def cache_of(task: Task, name: str) -> Path:
        return folder / "caches" / task.name / name

    for task in plan.tasks:
        for name in names:
            if CONTENDERS[name].cache == "warm":
                once(task, name, CONTENDERS[name], args.threads, -1, cache_of(task, name))
    for repeat in range(args.repeats):
        first = repeat % len(names)
        once(plan.tasks[0], "machine", MACHINE, args.threads, repeat, folder)
        for task in plan.tasks:
            for name in (*names[first:], *names[:first]):
                contender = CONTENDERS[name]
                options = [args.threads]
                if contender.any_threads and args.threads > 1:
                    best = chosen_threads(measured, task.name, name)
                    options = [args.threads, 1] if best is None else [best]
                for threads in options:
                    once(task, name, contender, threads, repeat, cache_of(task, name))


def summarize(
    plan: Plan,
    args: argparse.Namespace,
    measured: list[Measured],
    record: dict[str, Any],
    sizes: dict[str, Any],
) -> tuple[str, list[str]]:
    """The report in Markdown, and what is wrong."""
    machines = [m for m in measured if m.contender == "machine" and not m.error]
    rate = max((m.facts["best_gflops"] for m in machines), default=None)
    hardware = machines[0].facts["hardware"] if machines else {}
    parts = [
        f"`{record['command']}`, {record['started_at']}, commit {record['commit']}, load {record['load_at_start']:.1f}",
        ", ".join(f"{key} {value}" for key, value in {**hardware, **record["versions"]}.items()),
    ]
    if rate:
        parts.append(f"Float32 matrix products, best of several shapes and repetitions: {rate:.4g} GFLOP/s.")
    wrong: list[str] = []
    for task in plan.tasks:
        size = sizes[task.name]
        flops: float | None = None
        if task.model["kind"] == "mlp":
            by_six, needed = flops_per_example(task.model, prod_of(size["input_shape"]), size["classes"])
            flops = by_six * task.batch_size
        if args.study == "scaling":  # one table for all its tasks, and the same accuracies in each
            continue
        title = (
            f"{task.num_runs} runs of {task.steps} steps, {json.dumps(task.model)}, {size['train']} examples"
        )
        parts += [f"### {task.name}: {title}", times_table(measured, task, "plain")]
        if flops and rate and args.study == "wide":
            parts.append(flops_table(measured, task, flops, needed / by_six, rate))
        parts.append(targets_table(measured, [t for t in plan.targets if t.task == task.name], flops, rate))
        told, off = check_accuracies(measured, task, "plain")
        parts += ["Validation accuracy, at each rule's best lr / mean over all its runs:", told]
        wrong += off
        notes = {f"{m.contender}: {note}" for m in measured if m.task == task.name for note in m.notes}
        parts += [f"- {note}" for note in sorted(notes)]
        if any(m.fraction != 1.0 for m in measured if m.task == task.name):
            parts.append(f"\\* took {plan.fraction:g} of the steps; times are extrapolated by steps.")
    if args.study == "scaling":
        parts += scaling_report(plan, measured, args.svg)
    return "\n\n".join(part for part in parts if part), wrong


def flops_table(measured: list[Measured], task: Task, flops: float, needed: float, rate: float) -> str:
    """GFLOP/s of the contenders' training, and their share of the machine's rate."""
    rows = []
    for name in dict.fromkeys(
        m.contender for m in measured if m.task == task.name and "train" in m.phases and m.run_steps
    ):
        found = of_contender(measured, task.name, name)
        if found:
            speed = Spread.of(flops * m.run_steps / m.phases["train"] / 1e9 for m in found)
            share, least = speed.median / rate, speed.median * needed / rate
            rows.append([name, speed.text(), f"{100 * share:.0f} %", f"{100 * least:.0f} %"])
    return table(("contender", "GFLOP/s (6 x weights)", "share", "without the input's gradient"), rows)


def scaling_report(plan: Plan, measured: list[Measured], svg: Path | None) -> list[str]:
    """Time and memory per run against the number of runs."""
    sizes, times, memory, rows = [], [], [], []
    for task in plan.tasks:
        found = of_contender(measured, task.name, "engine")
        if found:
            sizes.append(task.num_runs)
            times.append(Spread.of(1e3 * m.train / task.num_runs for m in found))
            # A peak may lie below what importing took: then a run needs less than can be told.
            grown = [max(m.facts["mib_after"] - m.facts["mib_before"], 0.01) for m in found]
            memory.append(Spread.of(mib / task.num_runs for mib in grown))
            facts = found[0].facts
            cohorts = f"{len(facts['cohorts'])} of {max(facts['cohorts'])}"
            made = Spread.of(m.phases["make"] for m in found).text(2)
            rows.append(
                [str(task.num_runs), facts["backend"], cohorts, made, times[-1].text(), memory[-1].text()]
            )
    if svg and sizes:
        panels = (("training time per run [ms]", times), ("growth of peak memory per run [MiB]", memory))
        svg.write_text(two_panels(sizes, panels), encoding="utf-8")
    header = ("runs", "backend", "cohorts", "make [s]", "train [ms a run]", "memory [MiB a run]")
    return [table(header, rows)] if rows else []


def prod_of(shape: Sequence[int]) -> int:
    result = 1
    for side in shape:
        result *= side
    return result


def versions() -> dict[str, str]:
    """Of Python and of every package that takes part and is installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def commit() -> str:
    """The commit that is measured, and whether files differ from it."""
    try:
        git = ["git", "-C", str(HERE), "describe", "--always", "--dirty"]
        return subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def save(path: Path | None, record: dict[str, Any], measured: list[Measured]) -> None:
    """Write the JSON file in one go, so that an interruption leaves what was measured before."""
    if path is not None:
        temporary = path.with_suffix(".part")
        content = {**record, "executions": [asdict(m) for m in measured]}
        temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")
        temporary.replace(path)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
