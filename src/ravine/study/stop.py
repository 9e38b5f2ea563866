"""Early stopping: when a run ends before its planned end, and whose weights it has then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast, get_args

from ravine.errors import choices
from ravine.messages import lacking, unknown, wrong
from ravine.rules import Hyper
from ravine.study.averages import Averages
from ravine.study.values import Values, parse_number, parse_values, plain

PATIENCE = "stop.patience"
"""The hyper of a run: after so many evaluations in a row without a gain it stops; 0: it never does."""

Metric: TypeAlias = Literal["loss", "accuracy"]
_EXAMPLE = "must be a table such as { patience = 5 }"
_PATIENCE = Hyper(about="evaluations in a row without a gain", high=10_000, whole=True)
_MIN_DELTA = Hyper(about="what is no gain yet")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """When runs stop before their planned end. A run that may stop ends with the weights of its best evaluation.

    Args:
        patience: a run stops after so many evaluations in a row without a gain; 0: it never does, and ends with its
            last weights. Several are part of the grid.
        metric: "loss" or "accuracy", on validation.
        min_delta: a gain is by more than this, in the metric's unit.
    """

    patience: Values
    metric: Metric = "loss"
    min_delta: float = 0.0

    def content(self) -> dict[str, Any]:
        """The table that `parse_stop` reads; defaults are left out."""
        return {"patience": plain(self.patience), **self.rest()}

    def rest(self) -> dict[str, Any]:
        """What all runs share, but for defaults.

        Example:
            >>> Stop(patience=5).rest(), Stop(patience=5, metric="accuracy").rest()
            ({}, {'metric': 'accuracy'})
        """
        found: dict[str, Any] = {"metric": self.metric, "min_delta": self.min_delta}
        return {name: value for name, value in found.items() if value != getattr(Stop(patience=0.0), name)}


StopLike: TypeAlias = Mapping[str, Any] | Stop


def check_bank(stop: Stop | None, averages: Averages | None) -> None:
    """See that no bank is kept where runs may stop: it is filled over the planned length of a run.

    Raises:
        StudyError: one is.
    """
    if stop is not None and stop.patience not in (0.0, (0.0,)) and averages is not None and averages.bank:
        words = (
            "not with stop, since a run that stops fills only a part of its bank; ask for averages by name"
        )
        raise lacking("averages.bank", words)


def parse_stop(value: object) -> Stop | None:
    """When to stop, from a table; None: never.

    Raises:
        StudyError: one line with the key, the value and what is allowed.

    Example:
        >>> parse_stop({"patience": [0, 5]}).patience
        (0.0, 5.0)
    """
    if value is None:
        return None
    if isinstance(value, Stop):
        value = value.content()
    if not isinstance(value, Mapping):
        raise wrong("stop", value, _EXAMPLE)
    keys = ("patience", "metric", "min_delta")
    for key in value:
        if key not in keys:
            raise unknown("stop", key, keys)
    if "patience" not in value:
        raise lacking(PATIENCE, f"missing: stop {_EXAMPLE}")
    metric = value.get("metric", "loss")
    if metric not in get_args(Metric):
        raise wrong("stop.metric", metric, choices(metric, get_args(Metric)))
    return Stop(
        patience=parse_values(value["patience"], PATIENCE, _PATIENCE),
        metric=cast("Metric", metric),
        min_delta=parse_number(value.get("min_delta", 0.0), "stop.min_delta", _MIN_DELTA),
    )
