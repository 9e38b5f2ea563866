"""The one door to test: what validation chose is logged, then scored.

Nothing is chosen after this. The store logs every recipe that was ever scored on the test part of its data, so that a
reader sees how often somebody looked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ravine.ensembles.asked import Asked
from ravine.ensembles.cells import Cells
from ravine.ensembles.judged import Judged, judged
from ravine.ensembles.kinds import Kind, epochs_of
from ravine.ensembles.members import as_members
from ravine.ensembles.reading import Reader
from ravine.ensembles.rival import NAME, Rival, pools_of, rival_of
from ravine.outcomes.scored import log_scored
from ravine.store import Labels, RunRecord, Store


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Long:
    """Finished runs that are longer than the winner's.

    Args:
        runs: a seed each; none if there is no rival.
        times: how many times as long they are.
    """

    runs: tuple[RunRecord, ...] = ()
    times: int = 1


def judge(
    store: Store,
    study_name: str,
    kinds: Sequence[Kind],
    labels: Labels,
    reader: Reader,
    long: Long,
    asked: Asked | None = None,
) -> tuple[tuple[Judged, ...], Rival | None, int, list[str]]:
    """Score what was chosen. Here test is read, once.

    Args:
        store: where the study is.
        study_name: its name.
        kinds: all pools that validation chose.
        labels: the right answers.
        reader: reads what members predict.
        long: the rival's runs.
        asked: the study's metric; None: it is judged by what is usual.

    Returns:
        The scores of each kind, those of the rival, how many recipes were scored on test so far, and notes.
    """
    recipes = {kind.pool.id: f"{study_name}: {kind.name}" for kind in kinds}
    recipes |= {pool.id: f"{study_name}: {NAME}, {name}" for name, pool in pools_of(long.runs).items()}
    fingerprint = store.study(study_name).data_fingerprint
    number, notes = log_scored(store, fingerprint, recipes)
    members = {each.name: each for kind in kinds for each in kind.members}
    wanted = [*members.values(), *as_members(long.runs)]
    validation, test = (reader.outputs(split, wanted) for split in ("validation", "test"))
    records = _records(store, study_name, kinds)
    found = tuple(
        replace(
            judged(
                kind.name,
                kind.pool,
                Cells.of(labels),
                (validation, labels.validation),
                (test, labels.test),
                asked,
            ),
            epochs=epochs_of(kind.runs, records, labels.sizes[0]),
        )
        for kind in kinds
    )
    rival = None
    if long.runs:
        first = long.runs[0]
        epochs = epochs_of({first.id: None}, {first.id: first}, labels.sizes[0])
        rival = rival_of(long.runs, long.times, epochs, labels, validation, test, asked)
    return found, rival, number, notes


def _records(store: Store, study_name: str, kinds: Sequence[Kind]) -> Mapping[str, RunRecord]:
    """The runs that kinds needed, by id."""
    records = {run.id: run for run in store.runs(study_name)}
    return {run: records[run] if run in records else store.run(run) for kind in kinds for run in kind.runs}
