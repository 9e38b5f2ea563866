"""The public door to a verdict on several studies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ravine.api.metric import metric_for
from ravine.api.studies import name_of
from ravine.errors import InputError, StoreError
from ravine.messages import shown
from ravine.outcomes import Results
from ravine.outcomes.compared import STUDY, Comparison, compared
from ravine.outcomes.compared_folds import compared_over_folds
from ravine.outcomes.compared_page import as_judgement
from ravine.store import Store
from ravine.study import Study
from ravine.study.metric import MetricLike
from ravine.study.naming import naming


def compare(
    *studies: Results | Study | Path | str,
    store: Path | str | Sequence[Path | str] = "runs",
    compare: str | None = None,
    metric: MetricLike | None = None,
) -> Comparison:
    """Judge several studies together: one table, one verdict.

    Their data, split and metric must agree. Rules of all studies are compared as those of one study are: each by the
    configuration that validation chose for it at a tuning budget that is the same for all, pairs on the seeds that they
    share, intervals corrected for all comparisons. A rule that several studies tried is called "study: rule". Where
    they tried the same configurations, it is one entry with all of their seeds, and is not compared with itself. A run
    that several studies have counts once. Studies with the same folds are judged over these, tuned anew in each.

    Args:
        *studies: two or more: names of studies, their files, `Study` objects or results.
        store: where studies are that are not given as results; several: each name stands for the study of every store
            that has it.
        compare: what is compared: "study" for the studies as such, each tuned over all that it tried; or a factor that
            varies in each, such as "model"; None: what the studies say, which by default is their rules.
        metric: choose hypers and judge by this one, by its name or a function; None: what each study says.

    Returns:
        The verdict; it prints as a table, and shows itself in a notebook. Its ``report("page.html")`` writes a page
        with figures.

    Raises:
        InputError: fewer than two studies, one that is not there or has no finished run, a metric of another task, or
            studies whose data, split, metric or predictions at test differ.

    Example:
        >>> import tempfile
        >>> from ravine.api.run import run
        >>> base = dict(data="iris", model={"kind": "mlp", "hidden": [8]}, batch_size=16, seeds=2, epochs=2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     first, second = (
        ...         run(Study(name=rule, rules=[{"kind": rule, "lr": [0.01, 0.1]}], **base), store=folder, quiet=True)
        ...         for rule in ("sgd", "adam")
        ...     )
        ...     found = compare(first, second)
        >>> sorted(rule.rule for rule in found.verdict.rules)
        ['adam', 'sgd']
    """
    factor = None if compare == STUDY else compare
    several = [store] if isinstance(store, str | Path) else list(store)
    opened: list[Store] = []
    found: list[Results] = []
    for study in studies:
        if isinstance(study, Results):
            again = factor not in (None, study.compare) or metric is not None
            found.append(_load(study.source, study.name, factor, metric, study) if again else study)
            continue
        opened = opened or [Store(each, create=False) for each in several]
        name = name_of(study)
        found += [_load(each, name, factor, metric, study) for each in _having(name, opened)]
    judged = compared_over_folds if any(each.folds is not None for each in found) else compared
    return judged(found, _page, whole=compare == STUDY)


def _page(found: Comparison, path: Path | str) -> Path:
    from ravine.report.judged import write_judged

    if found.folds is not None:
        raise InputError(
            f"{path}: a comparison over folds has no page; its table has the verdict, and --json (json() in Python)"
            " what each fold chose and reached"
        )
    return write_judged(as_judgement(found, write_judged), path)


def _load(
    store: Store,
    name: str,
    factor: str | None,
    metric: MetricLike | None,
    given: Results | Study | Path | str,
) -> Results:
    with naming(f"study {shown(name)}"):
        return Results.load(store, name, compare=factor, metric=metric_for(store, name, metric, given))


def _having(name: str, stores: Sequence[Store]) -> list[Store]:
    """The stores that have a study of that name.

    Raises:
        StoreError: none has.
    """
    having = [store for store in stores if store.has(name)]
    if not having and len(stores) == 1:
        stores[0].study(name)  # which says what there is instead
    if not having:
        raise StoreError(
            f"no study {shown(name)} in any of the stores {', '.join(each.root for each in stores)}"
        )
    return having
