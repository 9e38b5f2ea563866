"""The study: what a person declares, and the runs that follow from it."""

from __future__ import annotations

from ravine.study.definition import definition_of
from ravine.study.expand import STAGE, base_of, decayed_runs, notes_of, regularized_runs, runs_of
from ravine.study.load import FindStudy, parse_study, read_study
from ravine.study.recipe import Recipe, Run, content_id
from ravine.study.spec import Study
from ravine.study.stored import parse_definition

__all__ = [
    "STAGE",
    "FindStudy",
    "Recipe",
    "Run",
    "Study",
    "base_of",
    "content_id",
    "decayed_runs",
    "definition_of",
    "notes_of",
    "parse_definition",
    "parse_study",
    "read_study",
    "regularized_runs",
    "runs_of",
]
