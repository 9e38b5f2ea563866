"""A study as callers give it: itself, its file, or its name in a store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ravine.errors import InputError, StudyError
from ravine.messages import shown
from ravine.nn.spec import Module
from ravine.store import Store, StudyRecord
from ravine.study import FindStudy, Study, definition_of, read_study
from ravine.study.block import has_target
from ravine.study.definition import objects_of
from ravine.study.load import content_of, read_content
from ravine.study.naming import naming
from ravine.study.stored import parse_definition
from ravine.study.trust import distrusted, trusting

if TYPE_CHECKING:
    from ravine.outcomes import Results


def read_any(
    study: Study | Path | str, overrides: Sequence[str] = (), trust: Sequence[str] = ()
) -> tuple[Study, str, Path | None]:
    """A study, given as itself or as its file.

    Returns:
        The study, its text, and the folder where its data and modules are looked for (None: the working directory).
    """
    if not isinstance(study, Study):
        read, definition = read_study(study, overrides)
        return trusting(read, trust), definition, Path(study).resolve().parent
    if overrides:
        raise StudyError("overrides: they change a study file; for a Study use dataclasses.replace")
    return trusting(study, trust), definition_of(study), None


def study_of_run(store: Store, run_id: str, trust: Sequence[str] = ()) -> tuple[Study, Path | None]:
    """A stored study that has this run, and the folder of its file; None where the file is not found."""
    made_in_python = ""
    for record in store.studies():
        if not any(run.id == run_id for run in store.runs(record.name, all=True)):
            continue
        if objects_of(record.definition):
            made_in_python = record.name
            continue
        return _stored(record, trust)
    if made_in_python:
        raise InputError(
            f"run {run_id}: its study {made_in_python!r} was made in Python, from objects that text cannot represent; "
            f"in Python, ravine.replay({run_id!r}, study=...) takes the Study itself"
        )
    raise InputError(f"run {run_id}: no study in the store has it; give the study, or its file")


def _stored(record: StudyRecord, trust: Sequence[str]) -> tuple[Study, Path | None]:
    """The study of a stored text, and the folder of its file.

    A store is data: code runs only if a study file of the user's names it too.
    """
    file = file_of(record)
    folder = None if file is None else file.parent
    where = f"study {record.name!r} in the store{', its file not found' if file is None else ''}"
    try:
        named = set() if file is None else _targets(read_content(file)[0])
    except InputError:
        named = set()
    with naming(where):
        for target in _targets(content_of(record.definition), rules_only=True) - named:
            raise InputError(
                f"rules: {shown(target)}: no study file found here names it, and ravine runs no code that only a store "
                "names: give the study file"
            )
    study = parse_definition(record.definition, where, folder)
    if any(isinstance(model, Module) and model.target not in named for model in study.models):
        return distrusted(study), folder
    return trusting(study, trust), folder


def _targets(content: Mapping[str, Any], *, rules_only: bool = False) -> set[str]:
    """The code that a study names: its rules', and its model's."""
    listed = content.get("rules")
    rules = [rule for rule in (listed if isinstance(listed, list) else ()) if has_target(rule)]
    found = [rule.get("kind") if isinstance(rule, Mapping) else rule for rule in rules]
    given = content.get("model")
    models = given if isinstance(given, list) else [given]
    if not rules_only:
        found += [model.get("target") if isinstance(model, Mapping) else model for model in models]
    return {target for target in found if isinstance(target, str)}


def file_of(record: StudyRecord) -> Path | None:
    """The study's file, as its last launches named it; None if none is in the working directory or below.

    A store is data: it does not get to name a place elsewhere.
    """
    here = Path.cwd().resolve()
    for file in (launch.file for launch in reversed(record.launches)):
        try:
            if file is not None and Path(file).is_file() and Path(file).resolve().is_relative_to(here):
                return Path(file).resolve()
        except (OSError, ValueError):  # not a path
            continue
    return None


def name_of(study: Study | Path | str) -> str:
    """The name of a study that is given as itself, as its file or by its name.

    Raises:
        StudyError: the file cannot be read.
        InputError: it is something else.
    """
    if isinstance(study, Study):
        return study.name
    if not isinstance(study, str | Path):
        raise InputError(
            f"study = {shown(study)}: must be the name of a study in the store, its file, a Study or its results"
        )
    return read_study(study)[0].name if is_file(study) else str(study)


def is_file(study: Path | str) -> bool:
    """Whether a study is given as its file, not by its name."""
    return isinstance(study, Path) or study.endswith(".toml")


def study_named(
    store: Store, study: Study | Path | str, trust: Sequence[str] = ()
) -> tuple[Study, Path | None]:
    """A study that is given as itself, as its file or by its name, and the folder of its file."""
    if isinstance(study, Study) or is_file(study):
        read, _, search = read_any(study, trust=trust)
        return read, search
    record = store.study(str(study))
    if objects_of(record.definition):
        raise InputError(
            f"study {record.name!r} was made in Python, from objects that text cannot represent; "
            "in Python, give the Study itself"
        )
    return _stored(record, trust)


def stored_study(
    study: Results | Study | Path | str, store: Path | str, trust: Sequence[str] = ()
) -> tuple[Store, str, FindStudy]:
    """Where a study that has been run is, its name, and what finds the study itself and the folder of its file.

    Args:
        study: the results of a study, its name in the store, its file, or the `Study` itself.
        store: where it is, unless results are given.
        trust: as in `ravine.run`.
    """
    from ravine.outcomes import Results

    if isinstance(study, Results):
        source, name = study.source, study.name
        return source, name, lambda: study_named(source, name, trust)
    opened, given = Store(store, create=False), study
    return opened, name_of(given), lambda: study_named(opened, given, trust)
