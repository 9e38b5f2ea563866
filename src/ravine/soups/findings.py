"""What averaging weights came to: plain data, which prints as tables and words."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ravine.outcomes.member import Member
from ravine.outcomes.runs import plain_data
from ravine.soups import words
from ravine.soups.basin import TOLERANCE, Way
from ravine.soups.tried import Stirred, Tried

if TYPE_CHECKING:
    from ravine.grid import Grid


@dataclass(frozen=True, slots=True, kw_only=True, repr=False, eq=False)
class Soup:
    """Several members' weights averaged, or the barrier between them. `ravine.soup` makes one.

    Attributes:
        found: what was tried and chosen.
    """

    found: Stirred

    @property
    def study(self) -> str:
        """Name of the study."""
        return self.found.study

    @property
    def chosen(self) -> Tried:
        """The members that were averaged, or of all that were refused the best."""
        return self.found.chosen

    @property
    def tried(self) -> tuple[Tried, ...]:
        """The groups of members that were tried."""
        return self.found.tried

    @property
    def accepted(self) -> bool:
        """Whether there is a soup."""
        return self.chosen.accepted

    @property
    def id(self) -> str:
        """A hash of its members and their shares; "" where there is none."""
        return self.chosen.id if self.accepted else ""

    @property
    def members(self) -> tuple[Member, ...]:
        """Those that are averaged; () where there is no soup."""
        used = set(self.chosen.used) if self.accepted else set()
        return tuple(member for member in self.chosen.members if member.name in used)

    @property
    def weights(self) -> dict[str, np.ndarray] | None:
        """All tensors of the averaged network by name, BatchNorm's statistics estimated again; None: no soup."""
        return self.chosen.tensors() if self.accepted else None

    @property
    def ways(self) -> tuple[Way, ...]:
        """The straight lines between pairs of members, with their barriers."""
        return self.chosen.ways

    @property
    def sentences(self) -> tuple[str, ...]:
        """What it comes to, in words."""
        return words.sentences(self.found)

    def grids(self) -> tuple[Grid, ...]:
        """Scores, ways and the highest of them as tables."""
        parts = (
            words.scores_grid(self.found, self.id),
            words.ways_grid(self.found),
            words.curve_grid(self.found),
        )
        return tuple(part for part in parts if part is not None)

    def json(self) -> dict[str, Any]:
        """As plain, finite numbers: what ``ravine soup --json`` prints."""
        return {
            "study": self.study,
            "how": self.found.how,
            "accepted": self.accepted,
            "id": self.id or None,
            "tolerance": TOLERANCE,
            "examples": self.found.num_examples,
            "tried": [_tried(each, chosen=each is self.chosen) for each in self.tried],
            "sentences": list(self.sentences),
        }

    def __str__(self) -> str:
        return "\n\n".join(map(str, self.grids()))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """How a notebook shows it."""
        return "".join(grid.html() for grid in self.grids())


def _tried(each: Tried, *, chosen: bool) -> dict[str, Any]:
    return {
        "what": each.words,
        "chosen": chosen,
        "accepted": each.accepted,
        "barrier": each.blocked,
        "members": [
            {"member": member.name, "used": member.name in each.used, **plain_data(asdict(own))}
            for member, own in zip(each.members, each.own, strict=True)
        ],
        "mean": plain_data(asdict(each.mean)),
        "ensemble": plain_data(asdict(each.ensemble)),
        "ways": [{**plain_data(asdict(way)), "level": way.level} for way in each.ways],
        "centres": [{**plain_data(asdict(centre)), "level": centre.level} for centre in each.centres],
        "added": [plain_data(asdict(step)) for step in each.added],
    }
