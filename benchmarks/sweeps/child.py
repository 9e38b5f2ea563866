"""One execution of one contender in a process of its own.

    python -m sweeps.child MODULE:FUNCTION JOB.json OUTCOME.json

Whatever it imports, compiles or starts threads for, no other contender feels it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from sweeps.task import Job, Outcome


class Clock:
    """Seconds by phase: "import", "make" (build, trace, compile), "train"."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add the time of a block to a phase."""
        began = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began


def main() -> None:
    where, job_path, out = sys.argv[1:]
    job, clock = Job.load(Path(job_path)), Clock()
    if job.options.get("affinity") and hasattr(
        os, "sched_setaffinity"
    ):  # XLA has no reliable setting for the number of its threads
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: job.threads])
    module, _, function = where.partition(":")
    with clock.phase("import"):
        contender = getattr(import_module(f"sweeps.{module}"), function)
    outcome: Outcome = contender(job, clock)
    Path(out).write_text(json.dumps({"phases": clock.seconds, **asdict(outcome)}), encoding="utf-8")


if __name__ == "__main__":
    main()
