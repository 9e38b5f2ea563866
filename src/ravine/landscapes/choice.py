"""Which runs of a study are looked at after training."""

from __future__ import annotations

from collections.abc import Sequence

from ravine.errors import InputError
from ravine.messages import shown
from ravine.store import RunRecord


def chosen_runs(records: Sequence[RunRecord], wanted: Sequence[str] | None, name: str) -> list[RunRecord]:
    """The finished runs of a study, or those whose ids begin with the prefixes given.

    Args:
        records: the study's runs.
        wanted: beginnings of ids; None: all.
        name: of the study.

    Raises:
        InputError: there is none, or several; or one has no weights.
    """
    if wanted is None:
        found = [record for record in records if record.status == "done"]
        if not found:
            raise InputError(
                f"study {name!r}: no run has finished with a finite loss, so there is none to look at"
            )
        return found
    chosen = []
    for prefix in wanted:
        if not isinstance(prefix, str):
            raise InputError(f"run = {shown(prefix)}: must be the id of a run, or its beginning, as a text")
        fitting = [record for record in records if prefix and record.id.startswith(prefix)]
        if len(fitting) != 1:
            ids = "several ids begin" if fitting else "no id begins"
            raise InputError(f"run {shown(prefix)}: in study {name!r} {ids} with it")
        if fitting[0].status != "done":
            raise InputError(
                f"run {fitting[0].id} is {fitting[0].status}: only runs that are done have weights"
            )
        chosen.append(fitting[0])
    if len({record.id for record in chosen}) < len(chosen):
        raise InputError(f"runs {', '.join(wanted)}: one is named twice")
    return chosen
