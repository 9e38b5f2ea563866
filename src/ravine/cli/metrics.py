"""The verb that computes all metrics of a study. Docstring and signature are its help."""

from __future__ import annotations

from ravine.cli.options import Compare, Metric, Store, StudyName
from ravine.cli.output import put_grids, put_json


def metrics(
    study: StudyName,
    /,
    store: Store = "runs",
    compare: Compare = None,
    metric: Metric = None,
    json: bool = False,
) -> None:
    """Show all metrics: of each rule's chosen hypers on validation and test, with --json of every run on validation.

    Args:
        study: Name of a study in the store.
        store: Folder of the store.
        compare: Judge the levels of this factor: rule, model, dropout, or any other that varies (default: what the
            study says).
        metric: Choose hypers by this metric, such as f1_macro or roc_auc (default: what the study says).
        json: Print one JSON object, with a row per run under `table`.
    """
    from ravine.api.metric import metric_for
    from ravine.outcomes import Results
    from ravine.store import Store as Opened

    with Opened(store, create=False) as opened:
        results = Results.load(opened, study, compare=compare, metric=metric_for(opened, study, metric))
        found = results.metrics()
    if json:
        put_json({"study": study, "chosen_by": results.metric.name, **found.json()})
    else:
        put_grids(found.grids())
