"""A study from the text that a store keeps of it."""

from __future__ import annotations

from pathlib import Path

from ravine.errors import StudyError
from ravine.study.definition import objects_of
from ravine.study.load import content_of, parse_study
from ravine.study.naming import naming
from ravine.study.spec import Study


def parse_definition(definition: str, where: str = "", search: Path | None = None) -> Study:
    """The study of a stored text.

    Args:
        definition: what `read_study` returned beside the study, or `definition_of` made of it.
        where: what errors begin with.
        search: folder of the study file, where modules of rules are looked for.

    Raises:
        StudyError: the study was made in Python, from objects that text cannot represent.

    Example:
        >>> text = 'name = "s"\\ndata = "iris"\\nmodel = "mlp"\\nsteps = 9\\nrules = ["adam"]'
        >>> parse_definition(text).steps
        9
    """
    with naming(where):
        if objects_of(definition):
            raise StudyError(
                "it was made in Python, from objects that text cannot represent; give the Study itself"
            )
        content = content_of(definition)
    return parse_study(content, where, search)
