"""Trains what an ensemble has to be compared with: one run as long as all of its members together."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from ravine.ensembles.rival import Train, rival_name
from ravine.host_memory import check_address_space
from ravine.store import FINISHED, RunRecord, Store
from ravine.study import FindStudy, Study, definition_of
from ravine.study.longer import longer


def training(store: Store, name: str, find: FindStudy, device: str, *, quiet: bool) -> Train:
    """What trains the rival, as a study of its own in the same store; finished runs are never trained again.

    Args:
        store: where the study is.
        name: its name.
        find: gives the study.
        device: "auto", "cpu", "cuda" or "mps".
        quiet: show no progress.
    """

    def train(first: RunRecord, times: int) -> list[RunRecord]:
        read, search = find()
        seeds = sorted(run.seed for run in store.runs(name) if run.config == first.config)
        rival = longer(read, first.rule, first.recipe, seeds, times, rival_name(name, times), first.hypers)
        definition = definition_of(rival)
        if not _finished(store, rival.name, definition):
            _train(rival, store, definition, search, device, quiet=quiet)
        wanted = set(seeds)
        runs = [run for run in store.runs(rival.name) if run.seed in wanted and run.status == "done"]
        return sorted(runs, key=lambda run: run.seed)

    return train


def _finished(store: Store, name: str, definition: str) -> bool:
    """Whether the store has all of it: then PyTorch is not imported."""
    if not any(record.name == name and record.definition == definition for record in store.studies()):
        return False
    runs = store.runs(name)
    return bool(runs) and all(run.status in FINISHED for run in runs)


def _train(
    rival: Study, store: Store, definition: str, search: Path | None, device: str, *, quiet: bool
) -> None:
    check_address_space()
    from rich.console import Console

    from ravine.launch.launch import launch
    from ravine.report.watch import watch

    events = launch(
        replace(rival, origin=""),
        store,
        definition=definition,
        search=search,
        device=device,
        command="ravine ensemble --rival",
    )
    watch(events, Console(file=sys.stderr, quiet=quiet), rival.name)
