"""Trains the same studies at another commit and in this tree, and compares what they left, bit for bit.

Every run must have the same id, record, metrics, curves, final weights, weights along the way and predictions. In
the other commit's stores this tree must find nothing to train, and from its checkpoints it must go on to the same end.
Exit code 1 where anything differs.
"""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from stored import contents
from studies import CASES, mixed_csv

HERE = Path(__file__).resolve().parent
TREE = HERE.parents[1]


def main(rev: str, only: list[str]) -> int:
    """Prints a line per study and backend, and what differs."""
    unknown = [name for name in only if name not in CASES]
    if unknown:
        sys.exit(f"no such study: {unknown[0]}; there are {', '.join(CASES)}")
    names = only or list(CASES)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        other = folder / "tree"
        git = ["git", "-C", str(TREE)]
        subprocess.run([*git, "worktree", "add", "--quiet", "--detach", str(other), rev], check=True)
        try:
            return _compare(folder, other, names)
        finally:
            subprocess.run([*git, "worktree", "remove", "--force", str(other)], check=True)


def _compare(folder: Path, other: Path, names: list[str]) -> int:
    jobs = [(name, backend) for name in names for backend in CASES[name].backends]
    old, new = folder / "old", folder / "new"
    for root in (old, new):
        _write(root, names)
    whole = [job for job in jobs if not CASES[job[0]].interrupted]
    broken = [job for job in jobs if CASES[job[0]].interrupted]
    for tree, root in ((other, old), (TREE, new)):
        began = time.perf_counter()
        _train(tree, root, whole)
        for job in broken:
            _interrupt(tree, root, job)
        if root == old:  # checkpoints of the other commit, for this tree
            for name, backend in broken:
                shutil.copytree(old / f"{name}-{backend}", folder / "begun" / f"{name}-{backend}")
        _train(tree, root, broken)
        print(f"trained in {time.perf_counter() - began:.0f} s", flush=True)
    num = sum(_differences(f"{name}, {backend}", old, new, name, backend) for name, backend in jobs)
    before = {job: contents(old / "-".join(job)) for job in jobs}
    launched = {job: _seconds(old / "-".join(job)) for job in jobs}
    _train(TREE, old, jobs)
    for job in jobs:
        again = contents(old / "-".join(job)) != before[job] or _seconds(old / "-".join(job)) != launched[job]
        if again:
            print(f"{', '.join(job)}: this tree trained again what the other commit's store has")
        num += again
    if broken:
        _write(folder / "begun", names)
        _train(TREE, folder / "begun", broken)
        num += sum(_differences(f"{n}, {b}, resumed here", old, folder / "begun", n, b) for n, b in broken)
    print("all bits are the same" if not num else f"{num} differences")
    return int(num > 0)


def _write(root: Path, names: list[str]) -> None:
    root.mkdir(exist_ok=True, parents=True)
    shutil.copy(HERE / "nets.py", root)
    (root / "mixed.csv").write_text(mixed_csv())
    for name in names:
        (root / f"{name}.toml").write_text(CASES[name].text)


def _environment(tree: Path) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": str(tree / "src"),
        "OMP_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _command(root: Path, jobs: list[tuple[str, str]]) -> list[str]:
    return [
        sys.executable,
        str(HERE / "train.py"),
        str(root),
        *(f"{name}:{backend}" for name, backend in jobs),
    ]


def _train(tree: Path, root: Path, jobs: list[tuple[str, str]]) -> None:
    done = subprocess.run(
        _command(root, jobs), env=_environment(tree), cwd=root, capture_output=True, text=True
    )
    if done.returncode:
        said = (done.stdout + done.stderr)[-4000:]
        hint = "; install into .venv what that commit needs" if "ModuleNotFoundError" in said else ""
        sys.exit(f"training with {tree} failed with exit code {done.returncode}{hint}:\n{said}")


def _interrupt(tree: Path, root: Path, job: tuple[str, str]) -> None:
    """Train for a moment and stop as Ctrl-C does, with other moments until that is amid the training."""
    store = root / "-".join(job)
    wait = 0.7
    for _ in range(12):
        process = subprocess.Popen(
            _command(root, [job]),
            env=_environment(tree),
            cwd=root,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        while process.poll() is None and not _query(store / "ravine.db", "SELECT 1 FROM cohorts"):
            time.sleep(0.01)
        time.sleep(wait)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        process.wait()
        if _query(store / "ravine.db", "SELECT 1 FROM cohorts WHERE step > 0"):
            return
        wait *= 1.4 if _query(store / "ravine.db", "SELECT 1 FROM cohorts") else 0.6
        shutil.rmtree(store)
    sys.exit(f"{', '.join(job)}: could not be interrupted amid its training")


def _seconds(store: Path) -> list[object]:
    return _query(store / "ravine.db", "SELECT id, seconds FROM runs ORDER BY id")


def _query(database: Path, query: str) -> list[object]:
    if not database.exists():
        return []
    db = sqlite3.connect(database, timeout=30)
    try:
        return db.execute(query).fetchall()
    except sqlite3.OperationalError:  # not made yet
        return []
    finally:
        db.close()


def _differences(title: str, old: Path, new: Path, name: str, backend: str) -> int:
    """How many parts of runs differ, after a line for each study and some for what differs."""
    before, after = contents(old / f"{name}-{backend}"), contents(new / f"{name}-{backend}")
    wrong = [
        f"run {run}: only {'before' if run in before else 'after'}" for run in before.keys() ^ after.keys()
    ]
    for run in before.keys() & after.keys():
        parts = sorted(before[run].keys() | after[run].keys())
        differ = [part for part in parts if before[run].get(part) != after[run].get(part)]
        if differ:
            wrong.append(f"run {run}: {', '.join(differ[:6])}{' ...' * (len(differ) > 6)}")
    num_parts = sum(len(parts) for parts in before.values())
    print(f"{title}: {len(before)} runs, {num_parts} parts, {len(wrong)} runs differ", flush=True)
    for line in wrong[:5]:
        print(f"  {line}")
    return len(wrong)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: scripts/same-bits REV [STUDY ...]")
    sys.exit(main(sys.argv[1], sys.argv[2:]))
