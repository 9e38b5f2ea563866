"""The second stage of a staged study, decided by the validation of the first."""

from __future__ import annotations

from collections.abc import Sequence

from ravine.store import RunRecord, Store
from ravine.study import Run, Study, decayed_runs
from ravine.verdict import Trial, best_configs, scorer


def second_stage(study: Study, store: Store, first: Sequence[Run]) -> list[Run] | None:
    """The runs of the second stage.

    A rule's config is chosen as the verdict chooses one: fewest lost seeds, then the highest mean score on
    validation. A rule of which nothing survived has no second stage.

    Args:
        study: a staged one.
        store: that has its first stage.
        first: the runs of that.

    Returns:
        None while one of the first stage has not finished.
    """
    known = {record.id: record for record in store.runs(study.name, all=True)}
    if any(run.id not in known or known[run.id].status not in ("done", "diverged") for run in first):
        return None
    labels = store.labels(first[0].recipe.data)
    score = scorer(labels.task)
    done = [run.id for run in first if known[run.id].status == "done"]
    predictions = store.tensors_many("predictions", done)

    def trial(run: Run, record: RunRecord) -> Trial:
        found = predictions.get(run.id)
        return Trial(
            rule=run.label,
            config=run.recipe.id,
            hypers=run.chosen,
            seed=run.seed,
            run=run.id,
            diverged=record.status == "diverged",
            validation=None if found is None else score(found["validation"], labels.validation),
        )

    best = best_configs([trial(run, known[run.id]) for run in first])
    winners: dict[str, Run] = {}
    for run in first:
        if best.get(run.label) == run.recipe.id:
            winners.setdefault(run.label, run)
    return decayed_runs(study, list(winners.values()))
