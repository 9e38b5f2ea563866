"""Members along one run: which of the weights that a study kept on the way are in a snapshot ensemble."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ravine.ensembles.naming import member_of
from ravine.errors import InputError
from ravine.outcomes.member import Member
from ravine.schedules import cycle_ends, parse_schedule
from ravine.store import RunRecord, Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshots:
    """The kept weights of a run as members.

    Args:
        record: the run.
        steps: after which its weights are members.
        cyclic: the schedule restarts, and these are the ends of its cycles.
    """

    record: RunRecord
    steps: tuple[int, ...]
    cyclic: bool

    @property
    def members(self) -> list[Member]:
        """The snapshots, the run's end last."""
        return [*(member_of(self.record, step=step) for step in self.steps), member_of(self.record)]


def snapshots(store: Store, records: Sequence[RunRecord]) -> Snapshots | None:
    """Those of the first run that has some; None if no run has any.

    Args:
        store: where they are.
        records: runs that are done, the best first.
    """
    kept = store.kept.steps([record.id for record in records])
    record = next((each for each in records if any(step > 0 for step in kept[each.id])), None)
    if record is None:
        return None
    # The end of the last cycle is the run's own.
    ends = cycle_ends(parse_schedule(record.recipe["schedule"]), record.num_steps)[:-1]
    return Snapshots(record=record, steps=tuple(_chosen(kept[record.id], ends)), cyclic=bool(ends))


def no_snapshots(study: str) -> InputError:
    """The error where they are asked for."""
    return InputError(
        f"members = 'snapshots': study {study!r} kept no weights along the winner's runs; keep = "
        '{ every = "epoch" } does, or "cycle" where the schedule restarts'
    )


def _chosen(kept: Sequence[int], ends: Sequence[int]) -> list[int]:
    """Of each cycle the last kept step; without cycles all but step 0, at which nothing was learned."""
    if not ends:
        return [step for step in kept if step > 0]
    found = []
    for start, end in zip((0, *ends), ends, strict=False):
        inside = [step for step in kept if start < step <= end]
        if inside:
            found.append(max(inside))
    return found
