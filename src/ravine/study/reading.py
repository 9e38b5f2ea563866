"""The data of a study, read as its models want them: pictures for a backbone by the sheet of its weights."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

from ravine import backbones
from ravine.data import Dataset
from ravine.data.decoding import Decoding
from ravine.data.load import load, loading
from ravine.data.sheet import Sheet
from ravine.errors import StudyError
from ravine.nn.spec import Backbone
from ravine.study.spec import Study


def sheet_of(study: Study, search: Path | None) -> Sheet | None:
    """How a study's backbones want their pictures; None: the study has none, or nothing is known of it.

    Raises:
        StudyError: two of them want pictures in different ways: the runs of a study share their data.
        ModelError: weights are not there.
    """
    found: dict[Sheet, Backbone] = {}
    for model in study.models:
        if isinstance(model, Backbone):
            sheet = backbones.sheet(model, search)
            if sheet is not None:
                found.setdefault(sheet, model)
    if len(found) > 1:
        (one, first), (other, second), *_ = found.items()
        differ = [key for key, value in one.plain().items() if value != other.plain()[key]]
        raise StudyError(
            f"model: {first.weights or first.target} and {second.weights or second.target} want their pictures in "
            f"different ways ({', '.join(differ)}), and all runs of a study share their data: make two studies, "
            "or give one of them the other's input"
        )
    return next(iter(found), None)


def read_data(study: Study, search: Path | None, *, blank: bool = False) -> Dataset:
    """The data set of a study.

    Args:
        study: the study.
        search: its file's folder.
        blank: as in `ravine.data.load`.

    Raises:
        InputError: it cannot be read, or not as a model wants it.
    """
    return load(study.data, base=search, blank=blank, reading=sheet_of(study, search))


def reading_data(study: Study, search: Path | None) -> Generator[Decoding, None, Dataset]:
    """The same; it says how far it is, and what it took from the cache is yet to be verified."""
    return (yield from loading(study.data, base=search, reading=sheet_of(study, search)))
