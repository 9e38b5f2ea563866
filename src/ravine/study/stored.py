"""A study from the text that a store keeps of it."""

from __future__ import annotations

import tomllib

from ravine.errors import StudyError
from ravine.study.load import apply_override, parse_study
from ravine.study.spec import Study

OVERRIDE = "# --set "


def parse_definition(definition: str, where: str) -> Study:
    """The study of a stored text: its file, with the overrides that follow it as comments.

    Args:
        definition: what `read_study` returned beside the study.
        where: what to call it in an error.

    Raises:
        StudyError: the study was made in Python, from objects that no text can hold.
    """
    try:
        content = tomllib.loads(definition)
    except tomllib.TOMLDecodeError:
        raise StudyError(f"{where}: it was made in Python; name the study itself") from None
    for line in definition.splitlines():
        if line.startswith(OVERRIDE):
            apply_override(content, line.removeprefix(OVERRIDE))
    return parse_study(content, where)
