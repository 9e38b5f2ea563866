"""The report's tables as rows of ready text: the verdict with its intervals, all runs, how it was made."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from ravine.outcomes.results import Results
from ravine.outcomes.runs import describe, plain
from ravine.report.palette import looks

if TYPE_CHECKING:
    from ravine.verdict import RuleResult

NOTHING = "–"
WIDTH, MARGIN = 220, 16  # of the interval plot, in px


def score(results: Results, value: float | None) -> str:
    """A validation or test score for reading: an accuracy in per cent, or a loss."""
    if value is None:
        return NOTHING
    shown = results.readable(value)
    return f"{shown:.4g}" if results.is_regression else f"{100 * shown:.1f}\u00a0%"


def interval(results: Results, bounds: tuple[float, float] | None) -> str:
    """An interval of scores for reading, without the sign of per cent."""
    if bounds is None:
        return NOTHING
    low, high = sorted(results.readable(bound) for bound in bounds)
    return f"{low:.4g} to {high:.4g}" if results.is_regression else f"{100 * low:.1f} to {100 * high:.1f}"


def difference(results: Results, value: float) -> str:
    """A difference of scores for reading: percentage points, or of losses."""
    words = f"{abs(value):.3g}" if results.is_regression else f"{100 * abs(value):.1f}"
    return ("−" if value < 0 and float(words) != 0 else "") + words


def duration(seconds: float | None) -> str:
    """A time span for reading: ``850 ms``, ``4.9 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if seconds is None or not math.isfinite(seconds):
        return NOTHING
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def shown_hypers(result: RuleResult) -> str:
    """The chosen hypers beside lr."""
    return describe(result.hypers, [name for name in result.hypers if name != "lr"])


def standing(results: Results, rule: str) -> str:
    """A rule's place in the verdict in a word or two; empty for one that is separable from the best."""
    return results.verdict.standing(rule)


def page_tables(results: Results) -> dict[str, Any]:
    """Everything in the report that isn't a figure, as the template wants it."""
    rules = results.verdict.rules
    return {
        "facts": _facts(results),
        "level": f"{100 * (1 - results.verdict.alpha):g}\u00a0%",
        "scale": _scale(results),
        "rules": [_rule(results, place) for place in range(len(rules))],
        "reading": _reading(results),
        "pairs": [
            {
                "better": pair.first,
                "worse": pair.second,
                "difference": difference(results, pair.difference),
                "interval": " to ".join(difference(results, bound) for bound in pair.ci),
                "seeds": pair.num_seeds,
                "outcome": pair.outcome,
            }
            for pair in results.verdict.pairs
        ],
        "rule_names": results.rules,
        "columns": _columns(results),
        "rows": _rows(results),
        "launches": [
            {
                "started": launch.started_at[:19].replace("T", " "),
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
    train, validation, test = labels.sizes
    seeds = len({run.seed for run in results.runs})
    configs = len({run.config for run in results.runs})
    kind = "regression" if results.is_regression else f"{len(labels.classes)} classes"
    return [
        ("runs", f"{len(results.runs):,} = {configs:,} configs × {seeds} {_plural('seed', seeds)}"
         if configs * seeds == len(results.runs) else f"{len(results.runs):,}"),
        ("diverged", f"{results.num_diverged:,}"),
        ("data", f"{labels.name}, {kind}"),
        ("training, validation, test", f"{train:,}, {validation:,}, {test:,}"),
        ("time", duration(results.seconds)),
        ("trained by", results.backend or NOTHING),
    ]  # fmt: skip


def _plural(word: str, count: int) -> str:
    return word if count == 1 else word + "s"


def _reading(results: Results) -> str:
    what = "loss (lower is better)" if results.is_regression else "accuracy"
    return (
        f"Each rule with the hypers chosen on validation, by the mean over seeds; its test {what} was read"
        " once, after the choice. The dot is the test score, the bar its interval over seeds and test"
        " examples. Rules whose bars overlap may still be told apart: runs are paired by seed, and the"
        " verdict rests on their differences, not on these bars."
    )


def beside(results: Results, result: RuleResult) -> str:
    """The best config of all where an equal tuning budget made the verdict choose another."""
    if result.best_config is None or result.best_config == result.config:
        return ""
    run = next(run for run in results.runs if run.config == result.best_config)
    reached = score(results, result.best_validation)
    return f"best of all {result.num_configs}: {describe(run.hypers, run.hypers)}, validation {reached}"


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


def _rule(results: Results, place: int) -> dict[str, Any]:
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
        "badge": standing(results, result.rule),
        "swatch": Markup(look.swatch()),
        "colour": look.colour,
        "lr": f"{result.lr:.4g}" if result.lr is not None else NOTHING,
        "hypers": shown_hypers(result),
        "validation": score(results, result.validation),
        "test": score(results, result.test),
        "interval": interval(results, result.ci),
        "bar": bar,
        "seeds": len(result.seeds),
        "configs": result.num_configs,
        "diverged": f"{result.num_diverged}/{result.num_runs}",
        "beside": beside(results, result),
    }


_LABELS = {
    "num_steps": "steps",
    "train_loss": "training loss",
    "validation_loss": "validation loss",
    "train_accuracy": "training accuracy",
    "validation_accuracy": "validation accuracy",
}
_HIDDEN = ("step", "diverged_at")  # both are in the status


def _table_columns(results: Results) -> list[str]:
    return [name for name in results.columns() if name not in _HIDDEN]


def _columns(results: Results) -> list[dict[str, Any]]:
    rows = results.table()
    return [
        {
            "label": _LABELS.get(name, name),
            "numeric": name not in ("run", "rule", "status")
            and not any(isinstance(row[name], str) for row in rows),
        }
        for name in _table_columns(results)
    ]


def _rows(results: Results) -> list[dict[str, Any]]:
    columns = _table_columns(results)
    return [
        {
            "id": row["run"],
            "rule": row["rule"],
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
        return f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _made(results: Results) -> Sequence[tuple[str, str]]:
    made = [("first run", results.study.created_at[:19].replace("T", " ") + " UTC")]
    made.append(("time of training", duration(results.seconds)))
    if results.study.launches:
        last = results.study.launches[-1]
        made += [(name, str(value)) for name, value in last.hardware.items()]
        made += [(name, str(value)) for name, value in last.versions.items()]
    made.append(("data fingerprint", results.study.data_fingerprint[:16]))
    return made
