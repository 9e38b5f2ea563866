"""Which weights along a run are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from ravine.messages import lacking, unknown, wrong
from ravine.study.fields import MOST_STEPS, whole

_EXAMPLE = 'must be a table such as { every = "epoch" } or { every = 100 }'


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """Weights along training that are stored beside those at the end, for `ravine landscape`.

    Args:
        every: so many steps lie between two of them, the first at step 0; "epoch": one pass over the training set.
    """

    every: int | Literal["epoch"]

    def steps(self, batches_per_epoch: int) -> int:
        """Steps between two kept weights."""
        return batches_per_epoch if self.every == "epoch" else self.every

    def times(self, steps: int, batches_per_epoch: int) -> int:
        """How often along a run of so many steps: at the beginning, and then at every multiple before the end."""
        return -(-steps // self.steps(batches_per_epoch))


KeepLike: TypeAlias = Mapping[str, Any] | Keep


def parse_keep(value: object) -> Keep | None:
    """What to keep, from a table; None: only the weights at the end.

    Raises:
        StudyError: one line with the key, the value and what is allowed.

    Example:
        >>> parse_keep({"every": "epoch"})
        Keep(every='epoch')
    """
    if value is None:
        return None
    if isinstance(value, Keep):
        value = {"every": value.every}
    if not isinstance(value, Mapping):
        raise wrong("keep", value, _EXAMPLE)
    for key in value:
        if key != "every":
            raise unknown("keep", key, ["every"])
    if "every" not in value:
        raise lacking("keep.every", f"missing: keep {_EXAMPLE}")
    every = value["every"]
    if isinstance(every, str) and every == "epoch":
        return Keep(every="epoch")
    return Keep(every=whole(every, "keep.every", 1, MOST_STEPS, ' steps, or "epoch"'))
