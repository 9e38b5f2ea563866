"""What members predict, wherever their weights are: stored, along a run, or made of several runs'."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from ravine.errors import InputError
from ravine.outcomes.member import Member
from ravine.outcomes.trials import Predicted, Split

Evaluate: TypeAlias = Callable[[Split, Sequence[Member]], Mapping[str, np.ndarray]]
"""(split, members along runs) -> by name what they predict. It needs PyTorch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Reads what members predict.

    Args:
        predicted: of runs at their end, and of their averages.
        evaluate: weights along a run; None where it cannot be done.
        made: what predicts for a member that is no run's, by its name: a soup.
    """

    predicted: Predicted
    evaluate: Evaluate | None = None
    made: dict[str, Callable[[Split], np.ndarray]] = field(default_factory=dict)

    def outputs(self, split: Split, members: Sequence[Member]) -> dict[str, np.ndarray]:
        """By name: logits (N, K), or values (N,) in the target's own units."""
        own = [each for each in members if each.name not in self.made]
        found = self.predicted.of_members(split, [each for each in own if each.step is None])
        along = [each for each in own if each.step is not None]
        if along:
            if self.evaluate is None:
                raise InputError(
                    f"members: {along[0].short} has to be evaluated, which needs the study's model"
                )
            found |= self.evaluate(split, along)
        return found | {each.name: self.made[each.name](split) for each in members if each.name in self.made}
