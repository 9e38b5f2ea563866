"""Whether a model overfits, and whether dropout is kept: two decisions on validation, each with its interval.

"BatchNorm first, dropout only if it still overfits": the first stage of a study has no dropout. Its best config
overfits if its training accuracy is above its validation accuracy by more than a tolerance, for sure: the lower end of
the gap's interval counts. Only then the rates of dropout are tried, and one is kept only if its gain over the same
config without it is above 0 for sure, where several rates have that many chances.

Both accuracies are of the network as it predicts: stochastic layers at their mean, examples as they are. A study may be
judged by another metric: configs are then chosen by it and gains are in it, while the gap stays one of accuracies, of
which training examples have one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ravine.study import STAGE
from ravine.verdict.comparison import difference_error, width
from ravine.verdict.measure import ACCURACY, Measure
from ravine.verdict.own_interval import mean_error
from ravine.verdict.selection import best_configs
from ravine.verdict.student import Error
from ravine.verdict.trials import Scores, Trial

Array = NDArray[np.float64]
ALPHA = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """By how much a config is better on what it learned from.

    Args:
        training: mean accuracy on training data over seeds.
        validation: mean accuracy on validation data.
        low, high: interval of their difference, over seeds and validation examples.
    """

    training: float
    validation: float
    low: float
    high: float

    @property
    def size(self) -> float:
        """The difference."""
        return self.training - self.validation


@dataclass(frozen=True, slots=True, kw_only=True)
class RateGain:
    """What a rate of dropout gained on validation over none.

    Args:
        rate: the rate.
        config: id of the config with it.
        validation: mean score; None where no seed finished.
        gain: mean over the seeds that both finished; None where they share fewer than two.
        low, high: its interval, corrected for the number of rates.
        certain: the gain is above 0 for sure, and no seed was lost.
    """

    rate: float
    config: str
    validation: float | None
    gain: float | None
    low: float | None
    high: float | None
    certain: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Overfitting:
    """What the two stages of one rule came to.

    Args:
        rule: its label.
        config: that the first stage chose.
        hypers: of that config.
        gap: None where fewer than two seeds finished, which decides nothing.
        tolerance: what the gap may be.
        gains: of the rates that were tried; () before the second stage, or without one.
        kept: the config that speaks for the rule: one with dropout, or that of the first stage.
    """

    rule: str
    config: str
    hypers: Mapping[str, float | str]
    gap: Gap | None
    tolerance: float
    gains: tuple[RateGain, ...]
    kept: str

    @property
    def overfits(self) -> bool:
        """Whether the gap is above the tolerance for sure."""
        return self.gap is not None and self.gap.low > self.tolerance

    @property
    def rate(self) -> float:
        """The rate of dropout that is kept; 0 for none."""
        return next((gain.rate for gain in self.gains if gain.config == self.kept), 0.0)


def gap_error(training: Array, scores: Array) -> Error:
    """The law of the error of a mean gap: see `gap_of`. A single row says nothing of others, and is left out.

    Args:
        training: accuracy of each seed, (S,).
        scores: (S, n) for each example.
    """
    num_seeds, num_examples = scores.shape
    error = mean_error(scores)
    example = math.hypot(error.example, math.sqrt(2.0 / num_seeds) / num_examples)
    gaps = training - scores.mean(axis=1)
    seed = float(gaps.std(ddof=1)) / math.sqrt(num_seeds) if num_seeds > 1 else 0.0
    return replace(error, seed=seed, example=example)


def gap_of(training: Sequence[float], validation: Array, alpha: float = ALPHA) -> Gap:
    """The gap of one config, with its interval of level 1 - alpha.

    Its parts are those of a difference (`comparison.py`), without one for training examples: these are all that the
    model learned from, and no sample of anything. Seeds are paired. As in a comparison, two validation examples are
    added, so that a gap of nothing is not known without error.

    Args:
        training: accuracy of each seed, (S,).
        validation: (S, n) 1 or 0 for each example, row by row the same seed; S >= 2.
        alpha: in (0, 1).

    Example:
        >>> gap = gap_of([1.0, 1.0, 1.0], np.array([[1.0] * 90 + [0.0] * 10] * 3))
        >>> round(gap.size, 3), round(gap.low, 3)
        (0.1, 0.039)
    """
    scores, trained = np.asarray(validation, dtype=np.float64), np.asarray(training, dtype=np.float64)
    half, mean = width(gap_error(trained, scores), alpha), float((trained - scores.mean(axis=1)).mean())
    return Gap(
        training=float(trained.mean()), validation=float(scores.mean()), low=mean - half, high=mean + half
    )


def overfitting(
    trials: Sequence[Trial],
    training: Mapping[str, float],
    tolerance: float,
    rate: str,
    alpha: float = ALPHA,
    *,
    right: Mapping[str, Scores] | None = None,
    measure: Measure = ACCURACY,
) -> tuple[Overfitting, ...]:
    """The decisions of a study with two stages, rule by rule.

    Args:
        trials: of both stages, or of the first.
        training: accuracy on training data, by run.
        tolerance: what the gap may be.
        rate: name of the hyper that the second stage varies.
        alpha: chance of either false decision for a rule.
        right: by run, 1 or 0 for each validation example; None: the scores of the trials are that.
        measure: what the scores of the trials measure.

    Returns:
        A row for each rule that has a finished run in the first stage, in the order of the trials.
    """
    best = best_configs([each for each in trials if each.stage == 1])
    known = training if right is None else {run: training[run] for run in training if run in right}
    return tuple(
        _of_rule(
            [each for each in trials if each.rule == rule],
            best[rule],
            (known, right),
            tolerance,
            rate,
            alpha,
            binary=measure.binary,
        )
        for rule in dict.fromkeys(each.rule for each in trials)
        if rule in best
    )


def _of_rule(
    trials: Sequence[Trial],
    chosen: str,
    accuracies: tuple[Mapping[str, float], Mapping[str, Scores] | None],
    tolerance: float,
    rate: str,
    alpha: float,
    *,
    binary: bool,
) -> Overfitting:
    training, right = accuracies
    plain, lost = _seeds(trials, chosen)
    runs = {each.seed: each.run for each in trials if each.config == chosen}
    known = [seed for seed in sorted(plain) if runs[seed] in training]
    gap = None
    if len(known) > 1:
        hits = plain if right is None else {seed: right[runs[seed]] for seed in known}
        gap = gap_of([training[runs[seed]] for seed in known], _table(hits, known), alpha)
    # By another metric than the study's another config is chosen, whose second stage may not have been trained.
    own = _rest(next(each.hypers for each in trials if each.config == chosen), rate)
    second = {
        each.config: each.hypers for each in trials if each.stage == 2 and _rest(each.hypers, rate) == own
    }
    gains = tuple(
        _gain(
            float(values[rate]),
            config,
            (plain, lost),
            _seeds(trials, config),
            alpha / len(second),
            binary=binary,
        )
        for config, values in second.items()
    )
    best = max((gain for gain in gains if gain.certain), key=lambda gain: gain.gain or 0.0, default=None)
    return Overfitting(
        rule=trials[0].rule,
        config=chosen,
        hypers=next(each.hypers for each in trials if each.config == chosen),
        gap=gap,
        tolerance=tolerance,
        gains=gains,
        kept=chosen if best is None else best.config,
    )


def _seeds(trials: Sequence[Trial], config: str) -> tuple[dict[int, Scores], int]:
    """The scores of a config by seed, and how many seeds it lost."""
    own = [each for each in trials if each.config == config]
    found = {
        each.seed: each.validation
        for each in own
        if not each.diverged and each.validation is not None and bool(np.isfinite(each.validation).all())
    }
    return found, len(own) - len(found)


def _rest(hypers: Mapping[str, float | str], rate: str) -> dict[str, float | str]:
    """Hypers but for what the stages differ in."""
    return {name: value for name, value in hypers.items() if name not in (rate, STAGE)}


def _table(scores: Mapping[int, Scores], seeds: Sequence[int]) -> Array:
    return np.stack([np.asarray(scores[seed], dtype=np.float64) for seed in seeds])


def _gain(
    rate: float,
    config: str,
    plain: tuple[Mapping[int, Scores], int],
    dropped: tuple[Mapping[int, Scores], int],
    alpha: float,
    *,
    binary: bool,
) -> RateGain:
    before, after = plain[0], dropped[0]
    validation = float(np.mean([np.mean(each) for each in after.values()])) if after else None
    shared = sorted(set(before) & set(after))
    if len(shared) < 2:
        return RateGain(
            rate=rate, config=config, validation=validation, gain=None, low=None, high=None, certain=False
        )
    first, second = _table(after, shared), _table(before, shared)
    gain = float((first - second).mean())
    half = width(difference_error(first, second, matched=True, binary=binary), alpha)
    return RateGain(
        rate=rate,
        config=config,
        validation=validation,
        gain=gain,
        low=gain - half,
        high=gain + half,
        certain=gain - half > 0.0 and dropped[1] <= plain[1],
    )
