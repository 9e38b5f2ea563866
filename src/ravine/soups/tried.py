"""Groups of members whose weights were averaged, or could not be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ravine.outcomes.member import Member
from ravine.outcomes.trials import Split
from ravine.soups.basin import Centre, Way


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """On validation.

    Args:
        loss: NLL, or squared error in the target's own units.
        accuracy: of a regression the loss once more.
    """

    loss: float
    accuracy: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """A member that greedy averaging came to.

    Args:
        member: its name.
        loss: of the mean with it.
        before: of the mean without it.
        outcome: ``added``, ``no better`` or ``barrier``.
    """

    member: str
    loss: float
    before: float
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tried:
    """Some members, and what their mean weights are like.

    Args:
        words: what the members are, for people.
        members: all that were tried.
        own: their scores.
        accepted: whether there is a soup: several members without a barrier, or one that was named.
        used: names of those in the soup; of all where there is none.
        mean: of these, the scores of their mean weights.
        ensemble: of these, the scores of the mean of their predictions.
        ways: between pairs, as far as they were looked at.
        centres: of all members, or after each that was added.
        added: what greedy averaging came to.
        id: a hash of the members and their shares.
        tensors: makes all tensors of the mean by name.
        outputs: makes what the mean predicts on a split.
    """

    words: str
    members: tuple[Member, ...]
    own: tuple[Score, ...]
    accepted: bool
    used: tuple[str, ...]
    mean: Score
    ensemble: Score
    ways: tuple[Way, ...]
    centres: tuple[Centre, ...]
    added: tuple[Added, ...]
    id: str
    tensors: Callable[[], dict[str, np.ndarray]]
    outputs: Callable[[Split], np.ndarray]

    @property
    def blocked(self) -> bool:
        """Whether a barrier was in the way."""
        return not (all(way.level for way in self.ways) and all(centre.level for centre in self.centres))

    @property
    def worst(self) -> Way | None:
        """The way with the highest bound, measured by what it may be."""
        return max(self.ways, key=lambda way: way.upper - way.tolerance, default=None)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stirred:
    """All that was tried, and what was chosen.

    Args:
        study: name of the study.
        task: "classification" or "regression".
        how: "uniform" or "greedy".
        tried: the groups of members.
        chosen: of the accepted ones that with the smallest validation loss; of refused ones likewise.
        num_examples: validation examples.
    """

    study: str
    task: str
    how: str
    tried: tuple[Tried, ...]
    chosen: Tried
    num_examples: int
