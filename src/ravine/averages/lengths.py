"""Evaluates averages of different lengths, out of the banks of each rule's best config, and stores their scores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ravine.averages.asked import Asked
from ravine.averages.made import MOST, Evaluating
from ravine.averages.profiles import Combination, combine
from ravine.averages.vectors import Stored
from ravine.errors import InputError
from ravine.outcomes import Results
from ravine.outcomes.lengths import HOWS, How, metric_of, places
from ravine.rules.averages import WIDEST
from ravine.store import RunRecord, Store
from ravine.study import Study

WIDTHS = (0.02, 0.03, 0.05, 0.07, 0.10, 0.14, 0.20, 0.25, WIDEST)
"""Relative widths of the averages that are evaluated; the last is the mean of all steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measuring:
    """How far it is: averages done, of so many."""

    done: int
    all: int


def measure(
    results: Results, study: Study, store: Store, *, search: Path | None = None, device: str = "auto"
) -> Iterator[Measuring | int]:
    """Evaluate averages of each rule's chosen config, and store their scores: `outcomes.lengths` reads them.

    Args:
        results: of the study.
        study: for data and model.
        store: where the runs are.
        search: the study file's folder.
        device: "auto", "cpu", "cuda" or "mps".

    Yields:
        Progress, and at the end of how many runs scores were stored.

    Raises:
        InputError: no chosen run has a bank, or data or model are others than when the runs were trained.
    """
    store.check_writable()
    having = [some for seeds in _chosen(results) if (some := _with_bank(seeds, store))]
    if not having:
        raise InputError(
            f"study {results.name!r}: no run of a chosen config has a bank; averages = {{ bank = true }} in the study, "
            "and for runs that are finished `ravine run STUDY.toml --again-for averages`"
        )
    total, done = len(having) * len(WIDTHS), 0
    for records in having:
        evaluating = Evaluating.of(study, store, records, search=search, device=device)
        stored = [Stored.of(store, record) for record in records]
        hows = HOWS if evaluating.statistics else HOWS[:1]
        widths: list[float] = []
        found: dict[str, list[np.ndarray]] = {}
        for width in WIDTHS:
            combined = _combined(stored, width)
            if max(each.error for each in combined) <= MOST:
                widths.append(width)
                for name, values_R in _scored(evaluating, stored, combined, hows).items():
                    found.setdefault(name, []).append(values_R)
            done += 1
            yield Measuring(done=done, all=total)
        values = {name: np.stack(values_WR) for name, values_WR in found.items()}
        store.append_curves([record.id for record in records], places(widths), values)
    yield sum(map(len, having))


def _chosen(results: Results) -> list[list[RunRecord]]:
    """The finished runs of each chosen config."""
    configs = [rule.config for rule in results.verdict.rules if rule.config is not None]
    return [
        [run for run in results.runs if run.config == config and run.status == "done"] for config in configs
    ]


def _with_bank(records: Sequence[RunRecord], store: Store) -> list[RunRecord]:
    """Those that have a whole bank."""
    steps = store.bank.steps([record.id for record in records])
    return [record for record in records if record.num_steps in steps[record.id]]


def _combined(stored: Sequence[Stored], width: float) -> list[Combination]:
    """How an average of some width is made of each run: alike for runs that stored the same."""
    known: dict[tuple[str, ...], Combination] = {}
    found = []
    for each in stored:
        key = tuple(vector.name for vector in each.vectors)
        if key not in known:
            steps = each.record.num_steps
            average = Asked(kind="width", value=width).average(steps, each.kept)
            known[key] = combine([vector.profile for vector in each.vectors], average, steps)
        found.append(known[key])
    return found


def _scored(
    evaluating: Evaluating, stored: Sequence[Stored], combined: Sequence[Combination], hows: Sequence[How]
) -> dict[str, np.ndarray]:
    """Scores by the name of their curve, (R,)."""
    weights = [
        each.weighted(found.coefficients.tolist(), evaluating.names)
        for each, found in zip(stored, combined, strict=True)
    ]
    points_RP = evaluating.packed(weights)
    scores = {}
    for how in hows:
        others = evaluating.again(points_RP) if how == "again" else evaluating.ending
        for quantity, values_R in evaluating.scores(points_RP, others).items():
            scores[metric_of(how, quantity)] = values_R
    return scores
