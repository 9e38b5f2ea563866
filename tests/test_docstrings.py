"""The examples in the docstrings run, in every module whose room has no such test of its own."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import ravine

ROOT = Path(ravine.__file__).parent
ELSEWHERE = (
    "landscapes/",
    "nn/",
    "optim/",
    "rng/",
    "second/",
    "api/look.py",
    "report/sharp.py",
    "study/keep.py",
)
SLOW = ("api/run.py", "report/surface.py")  # they train, or write a page


def examples() -> list[object]:
    found: list[object] = []
    for path in sorted(ROOT.rglob("*.py")):
        place = path.relative_to(ROOT).as_posix()
        if ">>> " in path.read_text(encoding="utf-8") and not place.startswith(ELSEWHERE):
            name = "ravine." + place.removesuffix(".py").replace("/", ".")
            found.append(pytest.param(name, marks=pytest.mark.slow if place in SLOW else ()))
    return found


@pytest.mark.parametrize("name", examples())
def test_examples(name: str) -> None:
    failed, attempted = doctest.testmod(importlib.import_module(name))
    assert attempted > 0
    assert failed == 0
