"""Where weights can be averaged: pairs of runs that share more or less, on small real data.

python benchmarks/soups.py        # two to three minutes on one core
"""

from __future__ import annotations

import os
import platform
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import ravine
from ravine.api.studies import study_named
from ravine.ensembles.naming import member_of
from ravine.launch.trained import Trained
from ravine.outcomes.member import Member
from ravine.soups.groups import Group
from ravine.soups.soup import tried
from ravine.store import RunRecord, Store
from ravine.version import version

MODELS = {
    "linear": {"kind": "mlp", "hidden": []},
    "mlp 32": {"kind": "mlp", "hidden": [32]},
    "mlp 32, BatchNorm": {"kind": "mlp", "hidden": [32], "norm": "batch"},
}
SEEDS, EPOCHS, BATCH = 6, 20, 16
LRS = (0.005, 0.007, 0.01, 0.014, 0.02)  # neighbours differ by a factor of 1.4; all are usable


def study(data: str, name: str, schedule: str) -> ravine.Study:
    return ravine.Study(
        name=f"{data}-{name.replace(' ', '-').replace(',', '')}-{schedule}",
        data=data,
        model=MODELS[name],
        epochs=EPOCHS,
        batch_size=BATCH,
        seeds=SEEDS,
        schedule=schedule,
        rules=[{"kind": "adam", "lr": list(LRS)}],
        keep={"every": "epoch"},
        averages={"ema": 0.98},
    )


def groups(store: Store, runs: Sequence[RunRecord]) -> Iterator[tuple[str, list[Member]]]:
    """Each kind of group, and its members."""
    by = {(run.hypers["lr"], run.seed): run for run in runs}
    for lr in LRS:
        for first, second in pairwise(range(SEEDS)):
            yield "different seeds", [member_of(by[lr, first]), member_of(by[lr, second])]
    for apart in (1, 2, 4):
        for low, high in zip(LRS, LRS[apart:], strict=False):
            for seed in range(SEEDS):
                yield (
                    f"same seed, lr x {1.4**apart:.1f}",
                    [member_of(by[low, seed]), member_of(by[high, seed])],
                )
    for lr in LRS:
        for seed in range(SEEDS):
            run = by[lr, seed]
            steps = store.kept.steps([run.id])[run.id]
            path = [*(member_of(run, step=step) for step in steps if step > 0), member_of(run)]
            late = path[len(path) // 2 :]
            for number, pair in enumerate(pairwise(late)):
                if number % 3 == seed % 3:
                    yield "one path, an epoch apart", list(pair)
            yield "one path, 5 points of the last half", late[::2][:5]
            yield "a run and its EMA (0.98)", [member_of(run), member_of(run, average="ema 0.98")]


def main() -> None:
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, ravine {version()}\n")
    print(
        "| data, schedule | model | members | groups | accepted | barrier / loss | NLL: mean weights | ensemble "
        "| accuracy: mean weights | ensemble |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for data, schedule in (("digits", "constant"), ("digits", "cosine"), ("wine", "constant")):
            for name in MODELS:
                table(Path(folder), data, name, schedule)


def table(folder: Path, data: str, name: str, schedule: str) -> None:
    given = study(data, name, schedule)
    ravine.run(given, store=folder, quiet=True)
    store = Store(folder, create=False)
    runs = store.runs(given.name)
    read, _ = study_named(store, given)
    trained = Trained.of(read, store, runs)
    labels = store.labels.of(store.study(given.name).data_fingerprint)
    found: dict[str, list[tuple[bool, float, float, float, float, float]]] = {}
    for kind, members in groups(store, runs):
        each = tried(Group(words=kind, members=tuple(members)), "uniform", trained, labels, BATCH)
        best = min(each.own, key=lambda score: score.loss)
        worst = max(each.ways, key=lambda way: way.barrier / way.tolerance)
        found.setdefault(kind, []).append(
            (
                each.accepted,
                worst.barrier / worst.losses[[0, -1]].mean(),
                each.mean.loss - best.loss,
                each.ensemble.loss - best.loss,
                100 * (each.mean.accuracy - best.accuracy),
                100 * (each.ensemble.accuracy - best.accuracy),
            )
        )
    for kind, rows in found.items():
        accepted, barriers, *gains = zip(*rows, strict=True)
        cells = [
            f"{100 * sum(accepted) / len(accepted):.0f} %",
            f"{statistics.median(barriers):.2f} ({max(barriers):.2f})",
            *(f"{statistics.fmean(each):+.4f}" for each in gains[:2]),
            *(f"{statistics.fmean(each):+.2f}" for each in gains[2:]),
        ]
        print(
            f"| {data} | {name} | {kind} | {len(rows)} | {' | '.join(cells)} |".replace("-", "−"), flush=True
        )


if __name__ == "__main__":
    main()
