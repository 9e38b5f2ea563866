"""What training computes in: ``precision`` in a study."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ravine.errors import choices
from ravine.messages import shown, wrong
from ravine.nn.spec import MLP, Backbone, ConvNet, ResNet
from ravine.rules import rule
from ravine.study.block import RuleBlock
from ravine.study.model import Model
from ravine.study.parts import Part

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


def check_precision(precision: str | None, rules: Sequence[RuleBlock]) -> None:
    """Refuse rules that a precision is no good for.

    Args:
        precision: of a study.
        rules: of it.

    Raises:
        StudyError: a rule that searches in bfloat16.
    """
    for block in rules if precision == BFLOAT16 else ():
        if rule(block.complete()[0]).search is not None:
            words = (
                f"not with rule {shown(block.label)}, whose search compares losses that rounding makes equal"
            )
            raise wrong("precision", precision, f"{words}; allowed here: float32, float64")


def modules_in_float32(parts: Sequence[Part[Any]]) -> list[Model]:
    """Modules of the user's that parts of a study train in float32: only they know whether they are float64."""
    return [
        part.model
        for part in parts
        if part.study.precision == FLOAT32 and not isinstance(part.model, MLP | ConvNet | ResNet | Backbone)
    ]


def lines_of(precision: str | None) -> list[str]:
    """What a reader should know of another precision than float32, in a line.

    Example:
        >>> lines_of("float64"), lines_of(None)
        (['precision: float64, for which there is no machine code'], [])
    """
    return [f"precision: {_NOTES[precision]}"] if precision in _NOTES else []
