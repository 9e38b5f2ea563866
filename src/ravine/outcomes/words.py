"""What a study came to, as ready text for terminal, notebook and report alike."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ravine.messages import count
from ravine.outcomes.runs import describe
from ravine.verdict.words import listed

if TYPE_CHECKING:
    from ravine.outcomes.regression import Errors
    from ravine.outcomes.trivial import Trivial
    from ravine.store import RunRecord
    from ravine.verdict import Measure, RuleResult, Verdict

NOTHING = "–"


def readable(measure: Measure, score: float | None) -> float:
    """A score of the verdict as people know it: an accuracy, or a loss without its minus; NaN if None."""
    return math.nan if score is None else measure.readable(score)


def score(measure: Measure, value: float | None) -> str:
    """A validation or test score: an accuracy in per cent, or a number such as a mean squared error."""
    if value is None:
        return NOTHING
    shown = measure.readable(value)
    return f"{100 * shown:.1f}\u00a0%" if measure.percent else signed(f"{shown:.4g}")


def interval(measure: Measure, bounds: tuple[float, float] | None) -> str:
    """An interval of scores, without the sign of per cent."""
    if bounds is None:
        return NOTHING
    low, high = sorted(measure.readable(bound) for bound in bounds)
    texts = (f"{100 * end:.1f}" if measure.percent else signed(f"{end:.4g}") for end in (low, high))
    return " to ".join(texts)


def signed(text: str) -> str:
    """A number in digits with a minus that is one; zero has none.

    Example:
        >>> signed("-0.31"), signed("-0.00"), signed("2.5")
        ('−0.31', '0.00', '2.5')
    """
    rest = text.removeprefix("-")
    return text.replace("-", "−") if rest.strip("0. %") else rest


def two_digits(value: float) -> str:
    """With two digits that count, and no exponent where a number is large.

    Example:
        >>> two_digits(0.01234), two_digits(127.3)
        ('0.012', '127')
    """
    return f"{value:.2g}" if abs(value) < 99.5 else f"{value:,.0f}"


def difference(measure: Measure, value: float) -> str:
    """A difference of scores: percentage points, or of mean squared errors."""
    words = f"{100 * abs(value):.1f}" if measure.percent else f"{abs(value):.3g}"
    return ("−" if value < 0 and float(words) != 0 else "") + words


def ends(measure: Measure, bounds: tuple[float, float] | None) -> str:
    """An interval of a difference."""
    return NOTHING if bounds is None else " to ".join(difference(measure, bound) for bound in bounds)


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


def beside(measure: Measure, result: RuleResult, runs: Sequence[RunRecord]) -> str:
    """The best config of all where an equal tuning budget made the verdict choose another."""
    if result.best_config is None or result.best_config == result.config:
        return ""
    run = next(run for run in runs if run.config == result.best_config)
    reached = score(measure, result.best_validation)
    return f"best of all {result.num_configs}: {describe(run.hypers, run.hypers)}, validation {reached}"


def below(verdict: Verdict, runs: Sequence[RunRecord]) -> tuple[tuple[str, str], ...]:
    """What belongs to a row of the verdict and has no column: rules, each with its other chosen hypers, or with the
    best config of all."""
    found = (
        (rule.rule, text)
        for rule in verdict.rules
        for text in (shown_hypers(rule), beside(verdict.measure, rule, runs))
    )
    return tuple((name, text) for name, text in found if text)


def of_trivial(trivial: Trivial) -> str:
    """What the trivial predictor does, as a sentence."""
    return f"{trivial.name.capitalize()}: {trivial.about}."


def row_names(verdict: Verdict, trivial: Trivial | None = None) -> list[str]:
    """What the rows of `rule_columns` are called."""
    rules = [rule.rule for rule in verdict.rules]
    return [*rules, trivial.name] if rules and trivial is not None else rules


def rule_columns(
    verdict: Verdict, errors: Mapping[str, Errors] | None = None, trivial: Trivial | None = None
) -> dict[str, tuple[str, ...]]:
    """The verdict's rows by column, beside the rule's name; what a rule does not have is a dash.

    Args:
        verdict: whose rules.
        errors: of a regression, the test errors by rule; None: of none.
        trivial: a last row for it; None: none.
    """
    columns = _rule_columns(verdict, errors)
    if trivial is None or not verdict.rules:
        return columns
    of_test = trivial.test_errors
    last = {
        "test": score(verdict.measure, trivial.scores["test"]),
        "val": score(verdict.measure, trivial.scores["validation"]),
        **({} if of_test is None else _shown_errors(of_test)),
        "standing": "",
    }
    return {name: (*cells, last.get(name, NOTHING)) for name, cells in columns.items()}


def _shown_errors(errors: Errors) -> dict[str, str]:
    return {"RMSE": f"{errors.rmse:.4g}", "MAE": f"{errors.mae:.4g}", "R²": shown_r2(errors)}


def _rule_columns(verdict: Verdict, errors: Mapping[str, Errors] | None) -> dict[str, tuple[str, ...]]:
    rules = verdict.rules
    found = [errors.get(rule.rule) if errors else None for rule in rules]
    more = {
        name: tuple(NOTHING if each is None else _shown_errors(each)[name] for each in found)
        for name in ("RMSE", "MAE", "R²")
    }
    return {
        "test": tuple(score(verdict.measure, rule.test) for rule in rules),
        "interval": tuple(interval(verdict.measure, rule.ci) for rule in rules),
        **({} if errors is None else more),
        "val": tuple(score(verdict.measure, rule.validation) for rule in rules),
        "lr": tuple(f"{rule.lr:.4g}" if rule.lr is not None else NOTHING for rule in rules),
        "diverged": tuple(f"{rule.num_diverged}/{rule.num_runs}" for rule in rules),
        "standing": tuple(verdict.standing(rule.rule) for rule in rules),
    }


def column_titles(verdict: Verdict) -> dict[str, str]:
    """Titles of those columns whose name alone says too little."""
    short = verdict.measure.short
    return {
        "test": f"test {short}".rstrip(),
        "interval": f"{100 * (1 - verdict.alpha):g} % interval",
        "val": f"val {short}".rstrip(),
        "standing": "",
    }


def shown_r2(errors: Errors) -> str:
    """R² with two digits behind the point."""
    return NOTHING if math.isnan(errors.r2) else signed(f"{errors.r2:.2f}")


def beaten_by_trivial(verdict: Verdict, trivial: Trivial | None) -> list[str]:
    """The caution that some rules are no better than a predictor without inputs; [] where all are."""
    if trivial is None:
        return []
    bar = trivial.scores["test"]
    under = [rule.rule for rule in verdict.rules if rule.test is not None and rule.test <= bar]
    if not under:
        return []
    return [
        f"{listed(under)} {'is' if len(under) == 1 else 'are'} no better on the test data than always predicting "
        f"{trivial.phrase} ({verdict.measure.name} {score(verdict.measure, bar)})."
    ]


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
