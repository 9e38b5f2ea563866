"""What the data sets of studies did to raw values, so that their models can predict without the training data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Row, delete, select

from ravine.store import digests, studies
from ravine.store.core import Core
from ravine.store.records import parsed
from ravine.store.schema import preparations


class Preparations:
    """The part of a store with the preparation of each study's data. A store has one: ``store.preparations``.

    Args:
        core: of an open store.
    """

    def __init__(self, core: Core) -> None:
        self._core = core

    def put(self, study: str, content: Mapping[str, Any]) -> None:
        """Keep that of a study; it replaces an earlier one.

        Args:
            study: its name.
            content: plain data, as `Preparation.content` gives it.

        Raises:
            StoreError: there is no such study.
        """
        packed = json.dumps(dict(content), allow_nan=False)
        with self._core.write() as connection:
            number = studies.study_id(connection, study)
            here = preparations.c.study_id == number
            if connection.scalar(select(preparations.c.content).where(here)) != packed:
                connection.execute(delete(preparations).where(here))
                digests.add(connection, preparations, [{"study_id": number, "content": packed}])

    def of(self, study: str) -> dict[str, Any] | None:
        """That of a study; None for one that was stored without.

        Raises:
            StoreError: there is no such study, or the entry is damaged.
        """
        with self._core.read() as connection:
            number = studies.study_id(connection, study)
            query = select(preparations).where(preparations.c.study_id == number)
            row = connection.execute(query).one_or_none()
        return None if row is None else content_of(row)


def content_of(row: Row[Any]) -> dict[str, Any]:
    """The content of a row.

    Raises:
        StoreError: it is damaged.
    """
    about = f"preparation of the data of study {row.study_id}"
    digests.verify(preparations, row, about)
    content: dict[str, Any] = parsed(row.content, dict, about)
    return content
