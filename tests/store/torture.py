"""Trains pretend cohorts into a store, is killed again and again, and looks at what is left each time.

Run as ``python torture.py FOLDER SEED NUM_KILLS``: this process forks writers, kills them at random moments,
opens the store after each and checks it. Everything a writer stores is a function of run and step, so what
should be there is known. Prints a summary as JSON; an assertion that fails is the finding.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ravine.store import NewRun, RunResult, Store

RUNS = 6
COHORTS = 400
LAST = 8
METRICS = ("train_loss", "validation_loss")


def run_id(cohort: int, slot: int) -> str:
    return hashlib.sha256(f"{cohort}/{slot}".encode()).hexdigest()[:16]


def ids_of(cohort: int) -> list[str]:
    return [run_id(cohort, slot) for slot in range(RUNS)]


def weights(cohort: int, step: int) -> np.ndarray:
    return np.random.default_rng([cohort, step]).normal(size=(RUNS, 2000))


def point(run: str, metric: str, step: int) -> float:
    return (int(run, 16) % 1009) + METRICS.index(metric) / 2 + step / 64


def write(root: str, most: int = COHORTS) -> None:
    """Go on where the last writer was stopped, until killed, or until so many cohorts are done."""
    with Store(root) as store, store.lock("torture"):
        store.save_study("torture", definition="", base="", data_fingerprint="")
        new = [
            NewRun(id=run, config=run, rule="sgd", hypers={}, seed=0, recipe={}, num_steps=LAST)
            for cohort in range(COHORTS)
            for run in ids_of(cohort)
        ]
        store.add_runs("torture", new)
        done = {run.id for run in store.runs("torture") if run.status in ("done", "diverged")}
        for cohort in range(most):
            if run_id(cohort, 0) not in done:
                train(store, cohort)


def train(store: Store, cohort: int) -> None:
    ids, name = ids_of(cohort), f"cohort-{cohort}"
    store.open_cohort(name, ids, {"cohort": cohort})
    found = store.load_checkpoint(name)
    start = 0 if found is None else found[0]
    if found is not None:
        assert np.array_equal(found[1]["w"], weights(cohort, start)), "a checkpoint of another step"
    store.truncate_curves(ids, start)
    for step in range(start + 1, LAST + 1):
        values = {m: np.array([[point(run, m, step) for run in ids]]) for m in METRICS}
        store.append_curves(ids, np.array([step]), values)
        if step % 2 == 0 and step < LAST:
            store.save_checkpoint(name, step, {"w": weights(cohort, step)}, dict.fromkeys(ids))
    results = [RunResult(id=run, diverged_at=None, step=LAST, seconds=0.0, backend="x") for run in ids]
    final = weights(cohort, LAST)
    store.finish_cohort(name, results, {"w": final}, {"test": final[:, :10]})


def look(root: str, seen: dict[str, int]) -> tuple[int, int]:
    """Check everything; returns the number of finished runs and the open cohort's step (-1: none)."""
    with Store(root) as store:
        problems = store.check()
        assert problems == [], problems
        if not store.studies():
            return 0, -1
        runs = store.runs("torture")
        open_cohorts = store.cohorts(unfinished_for=[run.id for run in runs])
        referred = len({run.id for run in runs if run.status == "done"}) // RUNS * 2
        referred += sum(cohort.checkpoint for cohort in open_cohorts)
        files = sorted(path.name for path in (Path(root) / "blocks").iterdir())
        assert len(files) == referred, f"{files}: {referred} should be there"
        for run in runs:
            assert run.step >= seen.get(run.id, 0), f"run {run.id} went back"
            seen[run.id] = run.step
        done = [run.id for run in runs if run.status == "done"]
        check_curves(store, done, LAST)
        for cohort in range(len(done) // RUNS):
            final = store.tensors_many("weights", ids_of(cohort))
            assert all(
                np.array_equal(final[run]["w"], weights(cohort, LAST)[slot])
                for slot, run in enumerate(ids_of(cohort))
            ), f"weights of cohort {cohort}"
        assert len(open_cohorts) <= 1
        for cohort in open_cohorts:
            found = store.load_checkpoint(cohort.id)
            assert (found is None) == (cohort.step == 0) == (not cohort.checkpoint)
            store.truncate_curves(cohort.run_ids, cohort.step)
            check_curves(store, cohort.run_ids, cohort.step)
        return len(done), open_cohorts[0].step if open_cohorts else -1


def check_curves(store: Store, runs: Sequence[str], last: int) -> None:
    for metric in METRICS:
        for run, (steps, values) in store.curves(runs, metric).items():
            assert steps.tolist() == list(range(1, last + 1)), f"{run}: {steps}"
            assert values.tolist() == [point(run, metric, int(step)) for step in steps]


def main(root: str, seed: int, num_kills: int) -> None:
    moments = random.Random(seed)
    seen: dict[str, int] = {}
    looks: list[tuple[int, int]] = []
    began = time.perf_counter()
    write(f"{root}-first", 2)
    longest = max(
        0.8, 1.5 * (time.perf_counter() - began)
    )  # a busy machine's writers need more time to get anywhere
    # A few kills may all come where no cohort has a checkpoint: then there are some more.
    while len(looks) < num_kills or (len(looks) < 5 * num_kills and max(step for _, step in looks) <= 0):
        pid = os.fork()
        if pid == 0:
            write(root)
            os._exit(0)
        time.sleep(moments.uniform(0.005, longest))
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        assert os.WIFSIGNALED(status), f"the writer ended by itself: {status}"
        looks.append(look(root, seen))
    finished = [done for done, _ in looks]
    assert finished == sorted(finished), "finished runs were lost"
    json.dump({"finished": finished[-1], "steps": [step for _, step in looks]}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
