"""The examples in the docstrings of this part run."""

from __future__ import annotations

import doctest
import importlib

import pytest


@pytest.mark.parametrize(
    "name", ["landscapes.lanczos", "verdict.barrier", "report.sharp", "study.keep", "api.look"]
)
def test_examples(name: str) -> None:
    failed, attempted = doctest.testmod(importlib.import_module(f"ravine.{name}"))
    assert attempted > 0
    assert failed == 0
