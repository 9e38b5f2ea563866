"""The examples of the docstrings and of docs/optim.md run."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import ravine.optim

MODULES = [info.name for info in pkgutil.iter_modules(ravine.optim.__path__, "ravine.optim.")]


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_the_pages_examples_run_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).parents[2] / "docs" / "optim.md").read_text(encoding="utf-8")
    found = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert len(found) == 4
    names: dict[str, object] = {}
    for code in found:
        exec(compile(code, "docs/optim.md", "exec"), names)
    assert (tmp_path / "model.pt").exists()


def test_the_page_names_every_class() -> None:
    page = (Path(__file__).parents[2] / "docs" / "optim.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == set(ravine.optim.__all__)
