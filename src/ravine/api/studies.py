"""A study as callers give it: itself, its file, or its name in a store."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from ravine.errors import InputError, StudyError
from ravine.store import Store, StudyRecord
from ravine.study import Study, definition_of, read_study
from ravine.study.definition import MADE_IN_PYTHON
from ravine.study.stored import parse_definition


def read_any(study: Study | Path | str, overrides: Sequence[str] = ()) -> tuple[Study, str, Path | None]:
    """A study or its file: the study, its text, and the folder where its data and modules are looked for."""
    if not isinstance(study, Study):
        return *read_study(study, overrides), Path(study).resolve().parent
    if overrides:
        raise StudyError("overrides: they change a study file; for a Study use dataclasses.replace")
    return study, definition_of(study), None


def study_of_run(store: Store, run_id: str) -> tuple[Study, Path | None]:
    """A study that holds a run, from the text kept with it, and the folder of its file, if that is still there."""
    made_in_python = ""
    for record in store.studies():
        if not any(run.id == run_id for run in store.runs(record.name, all=True)):
            continue
        if record.definition.startswith(MADE_IN_PYTHON):
            made_in_python = record.name
            continue
        folder = folder_of(record)
        where = f"study {record.name!r} in the store{', its file not at hand' if folder is None else ''}"
        return parse_definition(record.definition, where, folder), folder
    if made_in_python:
        raise InputError(
            f"run {run_id}: its study {made_in_python!r} was made in Python, from objects that no text holds; "
            f"there ravine.replay({run_id!r}, study=...) takes the Study itself"
        )
    raise InputError(f"run {run_id}: no study in the store holds it; give the study, or its file")


def folder_of(record: StudyRecord) -> Path | None:
    """Where the study's file lies, going by the commands of its launches; None if none is there from here."""
    for launch in reversed(record.launches):
        words = shlex.split(launch.command)
        if words[:2] == ["ravine", "run"] and len(words) > 2 and Path(words[2]).is_file():
            return Path(words[2]).resolve().parent
    return None


def name_of(study: Study | Path | str) -> str:
    """The name of a study that is given as itself, as its file or by its name.

    Raises:
        StudyError: the file cannot be read.
    """
    if isinstance(study, Study):
        return study.name
    return read_study(study)[0].name if _is_file(study) else str(study)


def _is_file(study: Path | str) -> bool:
    return isinstance(study, Path) or study.endswith(".toml")


def study_named(store: Store, study: Study | Path | str) -> tuple[Study, Path | None]:
    """A study that is given as itself, as its file or by its name, and the folder of its file."""
    if isinstance(study, Study) or _is_file(study):
        read, _, search = read_any(study)
        return read, search
    record = store.study(str(study))
    if record.definition.startswith(MADE_IN_PYTHON):
        raise InputError(
            f"study {record.name!r} was made in Python, from objects that no text holds; there, give the Study itself"
        )
    folder = folder_of(record)
    where = f"study {record.name!r} in the store{', its file not at hand' if folder is None else ''}"
    return parse_definition(record.definition, where, folder), folder
