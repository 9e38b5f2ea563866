"""What a study came to, as ready text for terminal, notebook and report alike."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ravine.messages import count
from ravine.outcomes.runs import describe

if TYPE_CHECKING:
    from ravine.outcomes.regression import Errors
    from ravine.store import RunRecord
    from ravine.verdict import RuleResult, Verdict

NOTHING = "–"


def readable(regression: bool, score: float | None) -> float:
    """A score of the verdict as people know it: an accuracy, or a loss without its minus; NaN if None."""
    return math.nan if score is None else 0.0 - score if regression else score


def score(regression: bool, value: float | None) -> str:
    """A validation or test score: an accuracy in per cent, or a mean squared error."""
    if value is None:
        return NOTHING
    shown = readable(regression, value)
    return f"{shown:.4g}" if regression else f"{100 * shown:.1f}\u00a0%"


def interval(regression: bool, bounds: tuple[float, float] | None) -> str:
    """An interval of scores, without the sign of per cent."""
    if bounds is None:
        return NOTHING
    low, high = sorted(readable(regression, bound) for bound in bounds)
    return f"{low:.4g} to {high:.4g}" if regression else f"{100 * low:.1f} to {100 * high:.1f}"


def difference(regression: bool, value: float) -> str:
    """A difference of scores: percentage points, or of mean squared errors."""
    words = f"{abs(value):.3g}" if regression else f"{100 * abs(value):.1f}"
    return ("−" if value < 0 and float(words) != 0 else "") + words


def shown_hypers(result: RuleResult) -> str:
    """The chosen hypers beside lr, without those that a variant is called by: ``cutout 0.4`` says it all."""
    said = result.rule.split(", ")
    short = {name: describe(result.hypers, [name]) for name in result.hypers if name != "lr"}
    return describe(
        result.hypers,
        [
            name
            for name, text in short.items()
            if text.removeprefix("model.").removeprefix("augment.") not in said
        ],
    )


def beside(regression: bool, result: RuleResult, runs: Sequence[RunRecord]) -> str:
    """The best config of all where an equal tuning budget made the verdict choose another."""
    if result.best_config is None or result.best_config == result.config:
        return ""
    run = next(run for run in runs if run.config == result.best_config)
    reached = score(regression, result.best_validation)
    return f"best of all {result.num_configs}: {describe(run.hypers, run.hypers)}, validation {reached}"


def below(regression: bool, verdict: Verdict, runs: Sequence[RunRecord]) -> tuple[tuple[str, str], ...]:
    """What belongs to a row of the verdict and has no column: rules, each with its other chosen hypers, or with the
    best config of all."""
    found = (
        (rule.rule, text)
        for rule in verdict.rules
        for text in (shown_hypers(rule), beside(regression, rule, runs))
    )
    return tuple((name, text) for name, text in found if text)


def rule_columns(
    regression: bool, verdict: Verdict, errors: Mapping[str, Errors]
) -> dict[str, tuple[str, ...]]:
    """The verdict's rows by column, beside the rule's name; what a rule does not have is a dash.

    Args:
        regression: whether scores are losses.
        verdict: whose rules.
        errors: of a regression, the test errors by rule.
    """
    rules = verdict.rules
    found = [errors.get(rule.rule) for rule in rules]
    more = {
        "RMSE": tuple(NOTHING if each is None else f"{each.rmse:.4g}" for each in found),
        "MAE": tuple(NOTHING if each is None else f"{each.mae:.4g}" for each in found),
        "R²": tuple(NOTHING if each is None else shown_r2(each) for each in found),
    }
    return {
        "test": tuple(score(regression, rule.test) for rule in rules),
        "interval": tuple(interval(regression, rule.ci) for rule in rules),
        **(more if regression else {}),
        "val": tuple(score(regression, rule.validation) for rule in rules),
        "lr": tuple(f"{rule.lr:.4g}" if rule.lr is not None else NOTHING for rule in rules),
        "diverged": tuple(f"{rule.num_diverged}/{rule.num_runs}" for rule in rules),
        "standing": tuple(verdict.standing(rule.rule) for rule in rules),
    }


def column_titles(regression: bool, verdict: Verdict) -> dict[str, str]:
    """Titles of those columns whose name alone says too little."""
    return {
        "test": "test MSE" if regression else "test",
        "interval": f"{100 * (1 - verdict.alpha):g} % interval",
        "val": "val MSE" if regression else "val",
        "standing": "",
    }


def shown_r2(errors: Errors) -> str:
    """R² with two digits behind the point, and a minus that is one."""
    return NOTHING if math.isnan(errors.r2) else f"{errors.r2:.2f}".replace("-", "−")


def to_beat(errors: Errors) -> str:
    """What a model without inputs reaches, as a sentence."""
    return (
        "To beat: always predicting the mean of the validation targets has a test "
        f"RMSE of {errors.rmse:.4g}, an MAE of {errors.mae:.4g} and an R² of {shown_r2(errors)}."
    )


def none_of(num_runs: int) -> str:
    """That no run has finished."""
    return "its only run has not" if num_runs == 1 else f"none of its {count(num_runs, 'run')} has"


def unfinished(num_finished: int, num_runs: int) -> str:
    """That some runs have not finished."""
    left = num_runs - num_finished
    have = "has" if left == 1 else "have"
    return (
        f"{left:,} of {count(num_runs, 'run')} {have} not finished, so this covers only the other {num_finished:,}. "
        "Run the study file again to continue."
    )
