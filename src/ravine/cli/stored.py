"""The verbs that read a store: `list`, `show`, `report`, `delete`. Docstrings and signatures are their help."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from ravine.cli.options import Compare, File, Metric, Shown, Store, StudyName
from ravine.cli.output import put, put_json, write_page
from ravine.errors import InputError

if TYPE_CHECKING:
    from ravine.outcomes import Results


def list_studies(store: Store = "runs", json: bool = False) -> None:
    """List the studies in a store.

    Args:
        store: Folder of the store.
        json: Print one JSON array.
    """
    from ravine.store import Store as Opened

    with Opened(store, create=False) as opened:
        found = [(record, opened.runs(record.name)) for record in opened.studies()]
    if json:
        put_json([_study_json(record, runs) for record, runs in found])
        return
    from ravine.report import terminal

    put(terminal.studies(found))


def show(
    name: Annotated[str, Shown("STUDY|RUN")],
    /,
    store: Store = "runs",
    compare: Compare = None,
    metric: Metric = None,
    json: bool = False,
) -> None:
    """Show a study, finished or not, or a run.

    Args:
        name: Name of a study, or the id of a run (4 digits or more).
        store: Folder of the store.
        compare: Judge the levels of this factor: rule, model, dropout, or any other that varies (default: what the
            study says).
        metric: Judge by this metric, such as f1_macro or roc_auc (default: what the study says).
        json: Print one JSON object.
    """
    from ravine.api.metric import metric_for
    from ravine.outcomes import Results
    from ravine.outcomes.runs import latest
    from ravine.report import terminal, terminal_modes, terminal_runs
    from ravine.store import FINISHED
    from ravine.store import Store as Opened

    with Opened(store, create=False) as opened:
        names = [record.name for record in opened.studies()]
        if name not in names and re.fullmatch("[0-9a-f]{4,16}", name):
            found = opened.run(name)
            holding = [each for each in names if any(run.id == found.id for run in opened.runs(each))]
            if json:
                put_json(_run_json(found, holding))
            else:
                put(terminal.run(found, holding))
            return
        record, runs = opened.study(name), opened.runs(name)
        holder = opened.holder(name)
        running = [run.id for run in runs if run.status == "running"]
        so_far = {
            name_of: latest(curves)
            for name_of, curves in opened.curves_of(
                running, ("validation_accuracy", "validation_loss")
            ).items()
        }
        if not any(run.status in FINISHED for run in runs):
            if json:
                put_json({**_study_json(record, runs), "holder": holder, "so_far": so_far})
            else:
                put(terminal.unfinished(record, runs, holder), "", terminal_runs.runs(runs, so_far, limit=20))
            return
        results = Results.load(opened, name, compare=compare, metric=metric_for(opened, name, metric))
        if json:
            put_json(
                {**results.json(), **terminal_modes.modes_json(results), "holder": holder, "so_far": so_far}
            )
        else:
            put(
                terminal.study(results, holder),
                *terminal_modes.modes(results),
                "",
                terminal_runs.runs_of(results, so_far, limit=20),
                *_alone(results),
            )


def report(
    study: StudyName,
    /,
    store: Store = "runs",
    compare: Compare = None,
    metric: Metric = None,
    figure: Annotated[str | None, Shown("NAME")] = None,
    out: File = None,
) -> None:
    """Write the report of a study, or one of its figures, as an HTML file.

    Args:
        study: Name of a study in the store.
        store: Folder of the store.
        compare: Judge the levels of this factor: rule, model, dropout, or any other that varies (default: what the
            study says).
        metric: Judge by this metric, such as f1_macro or roc_auc (default: what the study says).
        figure: Only this figure: forest, lr, curves, regimes, averages, averaging-length, test-time, gap, sharpness,
            budget, residuals, gain, disagreement, reliability, coverage, cost, ladder, ladder-gap or folds.
        out: The file; - is standard output (default: NAME.html or NAME-FIGURE.html in the store's folder).
    """
    from ravine.api.metric import metric_for
    from ravine.api.mistakes import with_data
    from ravine.api.studies import study_named
    from ravine.outcomes import Results
    from ravine.report import page
    from ravine.store import Store as Opened

    if out not in (None, Path("-")):
        page.check_page(out, "--out")
    with Opened(store, create=False) as opened:
        results = Results.load(opened, study, compare=compare, metric=metric_for(opened, study, metric))
        if figure is None:  # the page shows examples
            results = with_data(results, lambda: study_named(opened, study))
        if out == Path("-"):
            write_page(page.figure(results, figure) if figure else page.report(results))
            return
        if out is None and Path(study).name != study:  # a store names no place outside its folder
            raise InputError(
                f"study {study!r}: its name cannot be a file name; say where to write with --out"
            )
        default = Path(opened.folder) / (f"{study}-{figure}.html" if figure else f"{study}.html")
        put(f"report: {page.write(results, out or default, figure_name=figure)}")


def delete(study: StudyName, /, store: Store = "runs", dry_run: bool = False) -> None:
    """Delete a study and the runs that no other study uses.

    Args:
        study: Name of the study.
        store: Folder of the store.
        dry_run: Only print how many runs would be deleted.
    """
    from ravine.messages import count
    from ravine.store import Store as Opened

    with Opened(store, create=False) as opened:
        shared = opened.shared_runs(study)
        num_runs = opened.count_own_runs(study) if dry_run else opened.delete_study(study)
        reports = [file for file in (Path(opened.folder) / f"{study}.html",) if file.is_file()]
    put(f"{study}: {'would be ' * dry_run}deleted with {count(num_runs, 'run')}")
    for other, number in shared.items():
        stay = "stays" if number == 1 else "stay"
        put(f"  {count(number, 'run')} {stay}: study {other} uses {'it' if number == 1 else 'them'}")
    for file in reports:
        put(f"  its report stays: {file}")


def _alone(results: Results) -> list[str]:
    """Of a ladder: the arm that is best at the largest n, as a study on all examples."""
    from ravine.study.alone import arm_alone

    ladder = results.ladder
    if ladder is None:
        return []
    most = ladder.per_class[-1]
    reached = {
        each.mean: each.arm for each in ladder.rungs if each.per_class == most and each.mean is not None
    }
    arm = reached[max(reached)] if reached else ""
    text = arm_alone(results.study.definition, arm)
    if text is None:
        return []
    sure = "better than all others for sure" if ladder.best(most) == arm else "best by its mean, not for sure"
    return [
        "",
        f"For a model, a study of {arm} on all examples ({arm} is {sure} at n = {most}):",
        "",
        text.rstrip(),
    ]


def _study_json(record: Any, runs: Sequence[Any]) -> Mapping[str, Any]:
    return {
        "study": record.name,
        "runs": len(runs),
        "done": sum(run.status == "done" for run in runs),
        "diverged": sum(run.status == "diverged" for run in runs),
        "begun": sum(run.status == "running" and run.step > 0 for run in runs),
        "created_at": record.created_at,
    }


def _run_json(record: Any, studies: list[str]) -> Mapping[str, Any]:
    from dataclasses import asdict

    return {**asdict(record), "studies": studies}
