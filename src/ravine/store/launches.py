"""The launches of studies: when they were trained, where, and by which command."""

from __future__ import annotations

import json
from collections.abc import Mapping

from sqlalchemy import insert, select, update

from ravine.store import digests, studies
from ravine.store.core import Core
from ravine.store.lock import now
from ravine.store.schema import launches


class Launches:
    """The part of a store with the launches of studies. A store has one: ``store.launches``.

    Args:
        core: of an open store.
    """

    def __init__(self, core: Core) -> None:
        self._core = core

    def begin(
        self,
        study: str,
        *,
        command: str,
        versions: Mapping[str, str],
        hardware: Mapping[str, str | int],
        plan: str,
        file: str | None = None,
    ) -> int:
        """Note that training of a study starts, with the facts of a `Launch`.

        Returns:
            The launch's number, for `end`.

        Raises:
            StoreError: there is no such study.
        """
        with self._core.write() as connection:
            row = {
                "study_id": studies.study_id(connection, study),
                "started_at": now(),
                "command": command,
                "file": file,
                "versions": json.dumps(dict(versions)),
                "hardware": json.dumps(dict(hardware)),
                "plan": plan,
            }
            digest = digests.digest_of(launches, row)
            added = connection.execute(insert(launches).values(**row, digest=digest))
        assert added.inserted_primary_key is not None, "an insert has a key"
        return int(added.inserted_primary_key[0])

    def end(self, number: int, seconds: float) -> None:
        """Note how long a launch took. One that was killed keeps None."""
        with self._core.write() as connection:
            here = launches.c.id == number
            row = connection.execute(select(launches).where(here)).one_or_none()
            if row is not None:  # its study may have been deleted meanwhile
                digest = digests.digest_of(launches, {**row._asdict(), "seconds": seconds})
                connection.execute(update(launches).where(here).values(seconds=seconds, digest=digest))
