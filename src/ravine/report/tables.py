"""The report's tables as rows of ready text: the verdict with its intervals, all runs, how it was made."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ravine.messages import count
from ravine.outcomes import words
from ravine.outcomes.results import Results
from ravine.outcomes.runs import plain
from ravine.outcomes.words import NOTHING
from ravine.report.facts import about_examples, about_runs
from ravine.report.html import Html
from ravine.report.palette import looks
from ravine.times import duration, moment

if TYPE_CHECKING:
    from ravine.verdict import RuleResult

ERRORS = ("RMSE", "MAE", "R²")
WIDTH, MARGIN = 220, 16  # of the interval plot, in px


def page_tables(results: Results) -> dict[str, Any]:
    """Everything in the report that isn't a figure, as the template wants it."""
    rules = results.verdict.rules
    columns = words.rule_columns(results.verdict, results.test_errors if results.is_regression else None)
    return {
        "noun": results.noun,
        "facts": _facts(results),
        "titles": words.column_titles(results.verdict),
        "errors": list(ERRORS) if results.is_regression else [],
        "to_beat": words.to_beat(results.to_beat) if results.to_beat else "",
        "scale": _scale(results),
        "rules": [_rule(results, place, columns) for place in range(len(rules))],
        "reading": _reading(results),
        "pairs": [
            {
                "better": pair.first,
                "worse": pair.second,
                "difference": words.difference(results.verdict.measure, pair.difference),
                "interval": " to ".join(
                    words.difference(results.verdict.measure, bound) for bound in pair.ci
                ),
                "seeds": pair.num_seeds,
                "outcome": pair.outcome,
            }
            for pair in results.verdict.pairs
        ],
        "rule_names": results.rules,
        "count": count(len(results.runs), "run"),
        "columns": _columns(results),
        "rows": _rows(results),
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


def _facts(results: Results) -> list[tuple[str, str]]:
    labels = results.labels
    kind = "regression" if results.is_regression else f"{len(labels.classes)} classes"
    return [
        ("runs", about_runs(results)),
        ("diverged", f"{results.num_diverged:,}"),
        ("data", f"{labels.name}, {kind}"),
        *about_examples(results),
        ("time", duration(results.seconds)),
        ("trained by", results.backend or NOTHING),
    ]  # fmt: skip


def _reading(results: Results) -> str:
    what = "mean squared error (lower is better)" if results.is_regression else "accuracy"
    units = " RMSE and MAE are in the target's unit, the mean squared error (MSE) in its square."
    return (
        f"Each {results.noun} has the hypers that did best on validation, averaged over seeds. Its test "
        f"{what} was read once, after that choice. The dot marks the test score, the bar its interval over seeds"
        f" and test examples. Two {results.noun}s can be separable although their bars overlap: runs are paired by"
        " seed, and the verdict compares the paired differences." + units * results.is_regression
    )


def _ends(results: Results, result: RuleResult) -> tuple[float, float, float] | None:
    """Low, middle and high of a rule's interval as drawn: in per cent, or as losses."""
    if result.ci is None or result.test is None:
        return None
    factor = 1.0 if results.is_regression else 100.0
    low, high = sorted(factor * results.readable(bound) for bound in result.ci)
    return low, factor * results.readable(result.test), high


def _scale(results: Results) -> dict[str, Any] | None:
    """The common axis of all interval plots: where its ticks lie."""
    ends = [end for result in results.verdict.rules for end in _ends(results, result) or ()]
    if not ends:
        return None
    low, high = min(ends), max(ends)
    # Where numbers differ by a millionth or less there is nothing to tell apart; nor among floats near the least.
    apart = high - low > 1e-6 * abs(high)
    room = max(0.05 * (high - low) if apart else 0.02 * abs(high), 1e-300)
    low, high = low - room, high + room
    step = 10 ** math.floor(math.log10(high - low))
    step = next(step * part for part in (0.1, 0.2, 0.5, 1, 2, 5) if (high - low) / (step * part) <= 6)
    values = [step * k for k in range(math.ceil(low / step), math.floor(high / step) + 1)]
    return {
        "low": low,
        "high": high,
        "label": "test loss" if results.is_regression else "test accuracy, %",
        "ticks": [
            {"x": _place(value, low, high), "text": _tick(value, step)}
            for value in values
            if value >= 0 and (results.is_regression or value <= 100)  # the margin has no numbers to show
        ],
    }


def _tick(value: float, step: float) -> str:
    """A multiple of the step between ticks, with the digits that tell it from its neighbours."""
    if value == 0:
        return "0"
    if step >= 1e-4 and abs(value) < 1e6:
        return f"{value:.{max(0, -math.floor(math.log10(step)))}f}"
    return f"{value:.{max(0, math.floor(math.log10(abs(value))) - math.floor(math.log10(step)))}e}"


def _place(value: float, low: float, high: float) -> float:
    return round(MARGIN + (WIDTH - 2 * MARGIN) * (value - low) / (high - low), 1)


def _rule(results: Results, place: int, columns: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    result = results.verdict.rules[place]
    look = looks(results.rules)[result.rule]
    scale = _scale(results)
    ends = _ends(results, result)
    bar = None
    if scale and ends:
        low, middle, high = (_place(end, scale["low"], scale["high"]) for end in ends)
        bar = {"low": low, "high": high, "middle": middle}
    return {
        "label": result.rule,
        "best": result.rule == results.verdict.best,
        "badge": columns["standing"][place],
        "swatch": Html(look.swatch()),
        "colour": look.colour,
        "lr": columns["lr"][place],
        "hypers": words.shown_hypers(result),
        "validation": columns["val"][place],
        "test": columns["test"][place],
        "interval": columns["interval"][place],
        "errors": [columns[name][place] for name in ERRORS] if results.is_regression else [],
        "bar": bar,
        "seeds": len(result.seeds),
        "configs": result.num_configs,
        "diverged": columns["diverged"][place],
        "beside": words.beside(results.verdict.measure, result, results.runs),
    }


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
            "label": _LABELS.get(name, name),
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
