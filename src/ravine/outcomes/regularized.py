"""What a study with ``tune = "regularize"`` decided: which rules overfit, and which keep dropout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ravine.errors import InputError
from ravine.messages import count
from ravine.outcomes.metric import measures_of
from ravine.outcomes.runs import describe, final, plain
from ravine.outcomes.trials import Predicted
from ravine.outcomes.words import signed
from ravine.study import STAGE
from ravine.study.load import content_of
from ravine.study.metric import is_default
from ravine.study.stages import DROPOUT, parse_regularize
from ravine.verdict import ACCURACY, Measure, Overfitting, Trial, overfitting

if TYPE_CHECKING:
    from ravine.store import RunRecord
    from ravine.verdict.overfitting import RateGain


def tolerance_of(definition: str) -> float | None:
    """The tolerance of a study that regularizes, by its text; None of any other study.

    Example:
        >>> tolerance_of('tune = "regularize"'), tolerance_of('tune = "staged"')
        (0.01, None)
    """
    try:
        content = content_of(definition)
        if content.get("tune") != "regularize":
            return None
        return parse_regularize(content.get("regularize")).tolerance
    except InputError:  # a study made by an older version, or in Python without a text
        return None


def regularized(
    predicted: Predicted, trials: Sequence[Trial], runs: Sequence[RunRecord], tolerance: float
) -> tuple[Overfitting, ...]:
    """The decisions, rule by rule.

    Args:
        predicted: reads predictions of the study's runs, and knows what they are judged by.
        trials: of the study's finished runs.
        runs: these, which have the accuracies on training data.
        tolerance: what the gap may be.
    """
    training = {run.id: value for run in runs if (value := final(run, "train_accuracy")) is not None}
    metric = predicted.metric
    if metric is None or is_default(metric, predicted.labels.task):
        return overfitting(trials, training, tolerance, DROPOUT)
    done = [each.run for each in trials if each.stage == 1 and each.validation is not None]
    right = replace(predicted, metric=None).scores("validation", done)
    measure = measures_of(metric, predicted.labels)[1]
    return overfitting(trials, training, tolerance, DROPOUT, right=right, measure=measure)


def judged(trials: Sequence[Trial], decided: Sequence[Overfitting]) -> list[Trial]:
    """The trials that speak for a rule: those of the first stage, and of the rate that was kept."""
    kept = {each.kept for each in decided}
    return [each for each in trials if each.stage == 1 or each.config in kept]


def regularized_json(row: Overfitting, measure: Measure) -> dict[str, Any]:
    """Plain data.

    Args:
        row: of a rule.
        measure: what its gains are in.
    """
    gap = row.gap
    return {
        "rule": row.rule,
        "training": plain(gap.training) if gap else None,
        "validation": plain(gap.validation) if gap else None,
        "gap": plain(gap.size) if gap else None,
        "gap_interval": [plain(gap.low), plain(gap.high)] if gap else None,
        "tolerance": row.tolerance,
        "overfits": row.overfits,
        "rates": [
            {
                "rate": gain.rate,
                "validation": plain(measure.readable(gain.validation))
                if gain.validation is not None
                else None,
                "gain": plain(gain.gain) if gain.gain is not None else None,
                "interval": None if gain.low is None else [plain(gain.low), plain(gain.high)],
                "certain": gain.certain,
            }
            for gain in row.gains
        ],
        "dropout": row.rate,
    }


def regularized_words(rows: Sequence[Overfitting], measure: Measure) -> list[str]:
    """What was decided, and why, as a sentence or two for each rule.

    Args:
        rows: the decisions.
        measure: what gains are in.
    """
    return [f"{row.rule}: {_gap(row)} {_dropout(row, measure)}" for row in rows]


def _gap(row: Overfitting) -> str:
    hypers = describe(row.hypers, [name for name in row.hypers if name not in (STAGE, DROPOUT)])
    if row.gap is None:
        return f"fewer than two seeds finished without dropout ({hypers}), so nothing was decided."
    gap = row.gap
    accuracies = f"{_percent(gap.training)} on training and {_percent(gap.validation)} on validation data"
    size = f"{_points(gap.size)} points (95 % interval {_points(gap.low)} to {_points(gap.high)})"
    return f"without dropout ({hypers}) it reaches {accuracies}, a gap of {size}."


def _dropout(row: Overfitting, measure: Measure) -> str:
    allowed = f"{100 * row.tolerance:g} point{'s' * (row.tolerance != 0.01)}"
    if not row.overfits:
        return "" if row.gap is None else f"That is not above {allowed} for sure, so dropout was not tried."
    head = f"That is above {allowed}: it overfits."
    if not row.gains:
        return f"{head} Dropout has not been tried yet."
    tried = ", ".join(_gain(gain, measure) for gain in row.gains)
    where = "on validation" if measure.metric == ACCURACY.metric else f"in {measure.name} on validation"
    corrected = f", corrected for {count(len(row.gains), 'rate')}" if len(row.gains) > 1 else ""
    if row.rate:
        return f"{head} Gains {where}{corrected}: {tried}. Dropout {row.rate:g} is kept."
    return (
        f"{head} Gains {where}{corrected}: {tried}. No gain is above 0 for sure, so it stays without dropout."
    )


def _gain(gain: RateGain, measure: Measure) -> str:
    if gain.gain is None or gain.low is None or gain.high is None:
        return f"dropout {gain.rate:g} lost its seeds"
    size, low, high = (
        measure.difference(each, measure.digits(None)) for each in (gain.gain, gain.low, gain.high)
    )
    return f"dropout {gain.rate:g} {size}{measure.unit} ({low} to {high})"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _points(share: float) -> str:
    return signed(f"{100 * share:.1f}")
