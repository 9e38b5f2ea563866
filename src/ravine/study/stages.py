"""Studies in two stages: what the second one tries, and what the first one must have for that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from ravine.forms import Form, Limits, Refused
from ravine.messages import lacking, shown
from ravine.study.values import Range, Values

DROPOUT = "model.dropout"


class Regularize(Form):
    """When a model counts as overfitting, and so is tried with dropout.

    Args:
        tolerance: what the training accuracy may truly be above the validation accuracy, from 0 to 1.
    """

    tolerance: Annotated[float, Limits(least=0.0, below=1.0)] = 0.01


def parse_regularize(value: object) -> Regularize:
    """From a table; None: the defaults.

    Raises:
        StudyError: one line with the key, the value and what is allowed.

    Example:
        >>> parse_regularize({"tolerance": 0.02}).tolerance
        0.02
    """
    try:
        return value if isinstance(value, Regularize) else Regularize.of({} if value is None else value)
    except Refused as fault:
        raise fault.in_study("regularize") from None


def positive_rates(dropout: Values) -> tuple[float, ...]:
    """The rates that a second stage tries.

    Raises:
        StudyError: there is no list of rates with 0 and others in it.
    """
    if isinstance(dropout, Range) or not isinstance(dropout, tuple) or 0.0 not in dropout or len(dropout) < 2:
        raise lacking(
            "model.dropout",
            'tune = "regularize" needs a list with 0 and the rates to try if it overfits, such as '
            "dropout = [0.0, 0.2, 0.5]",
        )
    return tuple(rate for rate in dropout if rate > 0.0)


def check_stages(tune: str, nums: Mapping[str, int], later: int, num_seeds: int) -> None:
    """There is a second stage, and the rules have equal chances in the first.

    Args:
        tune: "staged" or "regularize".
        nums: of each rule, how many configs its first stage has.
        later: how many configs of each rule its second stage has.
        num_seeds: of the study.

    Raises:
        StudyError: one line with the key and what is needed.
    """
    if tune == "staged" and not later:
        raise lacking(
            "schedule",
            'tune = "staged" needs a schedule besides "constant", such as ["cosine", "linear"]: it is tried once lr '
            "has been chosen without decay",
        )
    if tune == "regularize" and num_seeds < 2:
        raise lacking("seeds", 'tune = "regularize" needs at least 2 seeds to tell overfitting from luck')
    if len(set(nums.values())) > 1:
        found = ", ".join(f"{shown(label)} has {num}" for label, num in nums.items())
        raise lacking(
            "rules",
            f'tune = "{tune}" needs the same number of configs for each rule, so that all are tuned equally: {found}',
        )
