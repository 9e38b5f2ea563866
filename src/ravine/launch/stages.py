"""The second stage of a staged study, decided by the validation of the first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ravine.metrics import DEFAULT, METRICS
from ravine.store import FINISHED, Store
from ravine.study import Run, Study, decayed_runs, regularized_runs
from ravine.study.expand import judged_of


def second_stage(
    study: Study, store: Store, first: Sequence[Run], search: Path | None = None
) -> list[Run] | None:
    """The runs of the second stage.

    A rule's config is chosen as the verdict chooses one: fewest lost seeds, then the highest mean score on
    validation. A rule without a surviving run has no second stage; nor has one that does not overfit, where the second
    stage is for dropout.

    Args:
        study: a staged study.
        store: where its first stage is.
        first: the runs of the first stage.
        search: the folder of the study file, where a metric of the user's is looked for.

    Returns:
        The runs; None while some run of the first stage has not finished.
    """
    status = store.statuses([run.id for run in first])
    if any(status.get(run.id) not in FINISHED for run in first) or not store.has(study.name):
        return None
    from ravine.outcomes.metric import as_weighted
    from ravine.outcomes.regularized import regularized
    from ravine.outcomes.trials import Predicted, trials
    from ravine.verdict import best_configs

    known = {record.id: record for record in store.runs(study.name, all=True)}
    if any(run.id not in known for run in first):
        return None
    records = [
        replace(known[run.id], rule=run.label, config=run.recipe.id, hypers=dict(run.chosen)) for run in first
    ]
    judged = judged_of(study)
    metric = None if judged is None else judged.metric(search)
    labels = store.labels.of(first[0].recipe.data)
    if labels.weights is not None:
        metric = as_weighted(METRICS[DEFAULT[labels.task]] if metric is None else metric, labels)
    predicted = Predicted(store=store, labels=labels, metric=metric)
    found = trials(records, predicted)
    if study.tune == "regularize":
        decided = regularized(predicted, found, records, study.regularize.tolerance)
        best = {each.rule: each.config for each in decided if each.overfits}
    else:
        best = best_configs(found)
    winners: dict[str, Run] = {}
    for run in first:
        if best.get(run.label) == run.recipe.id:
            winners.setdefault(run.label, run)
    later = regularized_runs if study.tune == "regularize" else decayed_runs
    return later(study, list(winners.values()))
