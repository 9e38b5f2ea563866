"""What training computes in: ``precision`` in a study."""

from __future__ import annotations

from collections.abc import Sequence

from ravine.errors import choices
from ravine.messages import shown, wrong
from ravine.nn.spec import Backbone
from ravine.rules import rule
from ravine.study.block import RuleBlock

FLOAT32, FLOAT64, BFLOAT16 = "float32", "float64", "bfloat16"
PRECISIONS = (FLOAT32, FLOAT64, BFLOAT16)
_NOTES = {
    FLOAT64: "float64, for which there is no machine code",
    BFLOAT16: "bfloat16 in the passes of training; weights, losses and scores are float32",
}


def parse_precision(value: object) -> str | None:
    """What training computes in; None: float32, or float64 where the model's own parameters are.

    Raises:
        StudyError: one line with the key, the value and what is allowed.

    Example:
        >>> parse_precision("float64")
        'float64'
    """
    if value is None:
        return None
    if not isinstance(value, str) or value not in PRECISIONS:
        raise wrong("precision", value, choices(value, PRECISIONS))
    return str(value)


def check_precision(precision: str | None, models: Sequence[object], rules: Sequence[RuleBlock]) -> None:
    """Refuse models and rules that a precision is no good for.

    Args:
        precision: of a study.
        models: of it.
        rules: of it.

    Raises:
        StudyError: a backbone in float64, or a rule that searches in bfloat16.
    """
    if precision == FLOAT64 and any(isinstance(each, Backbone) for each in models):
        words = "a backbone's weights and features are float32; allowed here: float32, bfloat16"
        raise wrong("precision", precision, words)
    for block in rules if precision == BFLOAT16 else ():
        if rule(block.complete()[0]).search is not None:
            words = (
                f"not with rule {shown(block.label)}, whose search compares losses that rounding makes equal"
            )
            raise wrong("precision", precision, f"{words}; allowed here: float32, float64")


def lines_of(precision: str | None) -> list[str]:
    """What a reader should know of another precision than float32, in a line.

    Example:
        >>> lines_of("float64"), lines_of(None)
        (['precision: float64, for which there is no machine code'], [])
    """
    return [f"precision: {_NOTES[precision]}"] if precision in _NOTES else []
