"""A member: the weights of a finished run, at its end, after some of its steps, or averaged along it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A finished run, the weights that one had after some of its steps, or an average of them.

    Args:
        run: id of the run.
        step: after how many steps; None: at its end.
        average: name of an average along the run, such as "ema 0.999"; "": its own weights.
        rule: label of its rule.
        config: id of its recipe without the seed.
        hypers: what the study's grid chose.
        seed: of the run.
    """

    run: str
    step: int | None = None
    average: str = ""
    rule: str
    config: str
    hypers: Mapping[str, float | str]
    seed: int

    @property
    def name(self) -> str:
        """The run's id; behind an @ the step, or behind a # the average."""
        return self.run + self._point

    @property
    def short(self) -> str:
        """The same for people."""
        return self.run[:8] + self._point

    @property
    def _point(self) -> str:
        return f"#{self.average}" if self.average else "" if self.step is None else f"@{self.step}"

    @property
    def place(self) -> tuple[str, int, str]:
        """What members are sorted by: never by the place in which they were given."""
        return self.run, 2**63 if self.step is None else self.step, self.average
