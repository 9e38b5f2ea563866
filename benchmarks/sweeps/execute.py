"""Carries out one contender once, in a process of its own, and measures it from outside."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweeps.studies import Contender
from sweeps.task import Job, Score

HERE = Path(__file__).resolve().parent.parent
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
CACHES = ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "JAX_COMPILATION_CACHE_DIR")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One execution.

    Args:
        task, contender: names.
        threads: that it was given.
        repeat: number of the repetition, from 0; -1 for one that only filled a cache.
        wall: seconds from the start of its process to its end.
        peak_mib: the most memory it had.
        phases: seconds of "import", "make" and "train", where it told them.
        run_steps: steps carried out, summed over runs.
        fraction: of the steps that it took.
        scale: what its training time is multiplied by, to be that of the whole task.
        scores: of its runs.
        notes, facts: what else there is to say.
        command, environment: what reproduces it.
        error: why it failed, "" if it did not.
    """

    task: str
    contender: str
    threads: int
    repeat: int
    wall: float
    peak_mib: float
    phases: Mapping[str, float]
    run_steps: int
    fraction: float
    scale: float
    scores: tuple[Score, ...]
    notes: tuple[str, ...]
    facts: Mapping[str, Any]
    command: str
    environment: Mapping[str, str]
    error: str = ""

    @property
    def train(self) -> float:
        """Seconds of training the whole task; of a command, its whole time."""
        return self.phases.get("train", self.wall) * self.scale

    @property
    def made(self) -> float:
        """The same with compilation and whatever else comes first, imports apart."""
        return self.train + self.phases.get("make", 0.0)

    @property
    def whole(self) -> float:
        """Seconds from the start of the process to its end, for the whole task."""
        return self.wall + (self.scale - 1) * self.phases.get("train", 0.0)


def execute(name: str, contender: Contender, job: Job, repeat: int, cache: Path) -> Measured:
    """Start the contender's process, wait for its end, read what it says."""
    folder = Path(job.folder)
    out = folder / "outcome.json"
    if contender.where:
        job.save(folder / "job.json")
        words = [sys.executable, "-m", "sweeps.child", contender.where, str(folder / "job.json"), str(out)]
    else:
        (folder / "study.toml").write_text(job.task.toml(), encoding="utf-8")
        words = [*_ravine(), "run", str(folder / "study.toml"), "--store", str(folder / "store")]
        words += ["--device", job.device]
    environment = {name: str(job.threads) for name in THREADS} | {name: str(cache / name) for name in CACHES}
    environment |= {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0", "JAX_PLATFORMS": "cpu"}
    with (folder / "output.txt").open("wb") as output:
        began = time.perf_counter()
        process = subprocess.Popen(
            words,
            env={**os.environ, **environment, "PYTHONPATH": _path()},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            raise
        wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    error, told = "", dict[str, Any]()
    if process.returncode:
        output_text = (folder / "output.txt").read_text(encoding="utf-8", errors="replace")
        error = f"exit code {process.returncode}: {_reason(output_text)}"
        told = {"facts": {"output": output_text[-4000:]}}
    else:
        told = (
            json.loads(out.read_text(encoding="utf-8")) if contender.where else _stored(folder / "store", job)
        )
    return Measured(
        task=job.task.name,
        contender=name,
        threads=job.threads,
        repeat=repeat,
        wall=wall,
        peak_mib=usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10),
        phases=told.get("phases", {}),
        run_steps=told.get("run_steps", 0),
        fraction=job.fraction,
        scale=told.get("scale", 1.0),
        scores=tuple(Score(**score) for score in told.get("scores", ())),
        notes=tuple(told.get("notes", ())),
        facts=told.get("facts", {}),
        command=" ".join(words),
        environment=environment,
        error=error,
    )


def _reason(output: str) -> str:
    """The line of a process's output that says why it failed: the last one that names an error."""
    lines = [line for line in output.splitlines() if line.strip()]
    named = [line for line in lines if re.match(r"[\w.]+(Error|Exception|Exit)\b", line)]
    return (named or lines or ["no output"])[-1]


def _ravine() -> list[str]:
    """The command of this Python's environment."""
    beside = shutil.which("ravine", path=str(Path(sys.executable).parent))
    return (
        [beside]
        if beside
        else [sys.executable, "-c", "import sys; from ravine.cli import main; sys.exit(main())"]
    )


def _path() -> str:
    inherited = os.environ.get("PYTHONPATH")
    return os.pathsep.join([str(HERE), *([inherited] if inherited else [])])


def _stored(root: Path, job: Job) -> dict[str, Any]:
    """What the command left in its store: read after the clock has stopped."""
    from ravine.store import Store

    with Store(root, create=False) as store:
        runs = store.runs(job.task.name)
        launch = store.study(job.task.name).launches[-1]
    unfinished = [run.id for run in runs if run.status not in ("done", "diverged")]
    if unfinished or len(runs) != job.task.num_runs:
        raise AssertionError(f"{len(runs)} runs of {job.task.num_runs} stored, {len(unfinished)} unfinished")
    if not list(root.glob("*.html")):
        raise AssertionError(f"no report in {root}")
    return {
        "scores": [
            {
                "rule": run.rule,
                "lr": float(run.hypers["lr"]),
                "seed": run.seed,
                "accuracy": run.metrics["validation_accuracy"] if run.status == "done" else None,
            }
            for run in runs
        ],
        "run_steps": sum(run.num_steps if run.diverged_at is None else run.diverged_at for run in runs),
        "facts": {"plan": launch.plan, "launch_seconds": launch.seconds},
    }
