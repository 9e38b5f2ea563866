"""The report's tables as rows of ready text: the verdict with its intervals, all runs, how it was made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ravine.messages import count, plural
from ravine.outcomes import words
from ravine.outcomes.fold_words import READING
from ravine.outcomes.results import Results
from ravine.outcomes.runs import plain
from ravine.outcomes.words import NOTHING
from ravine.report.facts import about_examples, about_runs
from ravine.report.palette import looks
from ravine.report.verdict_texts import Beside, Column, verdict_texts
from ravine.report.views import called
from ravine.times import duration, moment

ERRORS = ("RMSE", "MAE", "R²")


def page_tables(results: Results) -> dict[str, Any]:
    """Everything in the report that isn't a figure, as the template wants it."""
    return {
        **verdict_texts(results.verdict, _beside(results)),
        "facts": _facts(results),
        "rule_names": results.rules,
        "count": count(len(results.runs), "run"),
        "columns": _columns(results),
        "rows": _rows(results),
        "last": _last(results),
        "launches": [
            {
                "started": moment(launch.started_at),
                "time": duration(launch.seconds) if launch.seconds is not None else "interrupted",
                "command": launch.command,
                "plan": launch.plan,
            }
            for launch in results.study.launches
        ],
        "made": _made(results),
    }


def _beside(results: Results) -> Beside:
    """What is shown of a study's verdict beside its scores."""
    verdict = results.verdict
    errors, trivial = results.error_columns, results.trivial
    columns = words.rule_columns(verdict, errors, trivial)
    last = [] if trivial is None else [NOTHING]
    return Beside(
        looks=looks(results.rules),
        before=[Column(title=name, cells=columns[name]) for name in ERRORS if name in columns],
        after=[
            Column(title="validation", cells=columns["val"]),
            Column(title="lr", cells=columns["lr"]),
            Column(
                title="seeds",
                cells=[str(len(rule.seeds)) for rule in verdict.rules] + last,
                about="seeds of the chosen config",
            ),
            Column(
                title="configs",
                cells=[str(rule.num_configs) for rule in verdict.rules] + last,
                about="configs tried",
            ),
            Column(title="diverged", cells=columns["diverged"]),
        ],
        below=[
            (words.shown_hypers(rule), words.beside(verdict.measure, rule, results.runs))
            for rule in verdict.rules
        ],
        reading=_reading(results),
        trivial=trivial,
    )


def _facts(results: Results) -> list[tuple[str, str]]:
    labels = results.labels
    kind = "regression" if results.is_regression else f"{len(labels.classes)} classes"
    if labels.targets:
        kind = f"regression of {len(labels.targets)} targets"
    elif labels.task == "multilabel":
        kind = f"{len(labels.classes)} labels"
    return [
        ("runs", about_runs(results)),
        ("diverged", f"{results.num_diverged:,}"),
        ("data", f"{labels.name}, {kind}"),
        *about_examples(results),
        ("time", duration(results.seconds)),
        ("trained by", results.backend or NOTHING),
    ]  # fmt: skip


def _reading(results: Results) -> str:
    if results.folds is not None:
        return READING
    measure = results.verdict.measure
    what = f"{measure.name} (lower is better)" if measure.loss else measure.name
    units = " RMSE and MAE are in the target's unit, the mean squared error (MSE) in its square."
    if not results.is_usual:
        units = " RMSE and MAE are in the target's unit."
    if results.labels.targets:
        units = " The mean squared error (MSE) is the mean over the targets, each in units of its variance in training."
    return (
        f"Each {results.noun} has the hypers that did best on validation, averaged over seeds. Its test "
        f"{what} was read once, after that choice. The dot marks the test score, the bar its interval over seeds"
        f" and test examples. Two {plural(results.noun)} can be separable although their bars overlap: runs are"
        " paired by seed, and the verdict compares the paired differences." + units * results.is_regression
    )


_LABELS = {
    "num_steps": "steps",
    "train_loss": "training loss",
    "validation_loss": "validation loss",
    "train_accuracy": "training accuracy",
    "validation_accuracy": "validation accuracy",
    "validation_rmse": "validation RMSE",
    "validation_mae": "validation MAE",
    "validation_r2": "validation R²",
    "seconds": "time",
}
_HIDDEN = ("step", "diverged_at")  # both are in the status


def _table_columns(results: Results) -> list[str]:
    return [name for name in results.columns() if name not in _HIDDEN]


def _columns(results: Results) -> list[dict[str, Any]]:
    rows = results.table()
    return [
        {
            "label": _LABELS.get(name, name).replace("accuracy", called(results, "accuracy")),
            "numeric": name not in ("run", "rule", results.noun, "status")
            and not any(isinstance(row[name], str) for row in rows),
        }
        for name in _table_columns(results)
    ]


def _rows(results: Results) -> list[dict[str, Any]]:
    columns = _table_columns(results)
    return [
        {
            "id": row["run"],
            "rule": row[results.noun],
            "lost": row["status"] == "diverged",
            "cells": [_cell(name, row) for name in columns],
        }
        for row in results.table()
    ]


def _last(results: Results) -> list[dict[str, Any]]:
    """The predictor without inputs, as a last row of all runs; [] where there is none."""
    if results.trivial is None:
        return []
    known = {results.noun: results.trivial.name, **results.trivial.metrics, "status": ""}
    row = {name: plain(known.get(name)) for name in (*results.columns(), "status")}
    names = [name for name in _table_columns(results) if name != "run"]
    return [{"text": "", "value": None, "numeric": False}, *(_cell(name, row) for name in names)]


def _cell(name: str, row: Mapping[str, float | str | None]) -> dict[str, Any]:
    value = row[name]
    if name == "run":
        return {"text": str(value)[:8], "value": None, "numeric": False}
    if name == "status":
        text = str(value)
        if text == "diverged" and row["diverged_at"] is not None:
            text = f"diverged at {row['diverged_at']:,}"
        elif text == "done" and row["step"] != row["num_steps"]:
            text = f"stopped early at {row['step']:,}"
        elif text == "running":
            text = f"stopped at {row['step']:,}"
        return {"text": text, "value": None, "numeric": False}
    if isinstance(value, str):
        return {"text": value, "value": None, "numeric": False}
    return {"text": "" if value is None else _short(name, value), "value": plain(value), "numeric": True}


def _short(name: str, value: float) -> str:
    if name.endswith("_accuracy"):
        return f"{100 * value:.2f}\u00a0%"
    if name == "seconds":
        return duration(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _made(results: Results) -> Sequence[tuple[str, str]]:
    made = [("first run", moment(results.study.created_at)), ("time of training", duration(results.seconds))]
    trained = [launch for launch in results.study.launches if launch.hardware]
    if trained:
        last = trained[-1]
        made += [_hardware(name, value) for name, value in last.hardware.items()]
        made += [(name, str(value)) for name, value in last.versions.items()]
    made.append(("data fingerprint", results.study.data_fingerprint[:16]))
    return made


def _hardware(name: str, value: str | int) -> tuple[str, str]:
    """A fact about a machine; what is stored in GiB says so behind the number."""
    if name.endswith("_gib"):
        return name.removesuffix("_gib").replace("_", " "), f"{value:,} GiB"
    return name.replace("_", " "), str(value)
