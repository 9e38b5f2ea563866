"""Every page of the site is true: its commands and its Python run, and print what the page says."""

from __future__ import annotations

import doctest
import re
import tomllib
from pathlib import Path

import loosely
import page_runs
import pytest
from page_blocks import COMMAND, ROOT, blocks, pages

PAGES = [pytest.param(path, id=str(path.relative_to(ROOT))) for path in pages()]
SLOW = [
    page
    for page in PAGES
    if re.search(r"^<!-- test: (page )?(slow|needs [\w ]+) -->$", page.values[0].read_text(), re.MULTILINE)
]


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Output is that of a pipe; pytest-xdist says that a terminal has 80 columns."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.mark.parametrize("path", PAGES)
def test_what_a_page_shows_works(path: Path, tmp_path: Path) -> None:
    page = page_runs.Page(tmp_path)
    for block in blocks(path):
        page.run(block)


@pytest.mark.slow
@pytest.mark.parametrize("path", SLOW)
def test_what_a_page_shows_works_with_what_takes_long(path: Path, tmp_path: Path) -> None:
    page = page_runs.Page(tmp_path, slow=True)
    for block in blocks(path):
        page.run(block)


@pytest.mark.parametrize("path", PAGES)
def test_every_command_stands_in_a_fence(path: Path) -> None:
    """Otherwise it would not be tested."""
    prose = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    assert COMMAND.findall(prose) == []


@pytest.mark.parametrize("path", PAGES)
def test_links_lead_somewhere(path: Path) -> None:
    prose = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\((?!https?:)([^)]*)\)", prose):
        file, _, anchor = target.partition("#")
        there = (path.parent / file).resolve() if file else path
        assert there.exists(), f"{path.name}: {target}"
        if anchor and there.suffix == ".md":
            assert anchor in anchors(there), f"{path.name}: {target}"


def anchors(path: Path) -> set[str]:
    """What the headings of a page are linked by."""
    headings = re.findall(r"^#{1,6} (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    plain = (re.sub(r"[^\w\s-]", "", re.sub(r"\[(.*?)\]\(.*?\)", r"\1", heading)) for heading in headings)
    return {re.sub(r"[\s]", "-", heading.strip().lower()) for heading in plain}


@pytest.mark.parametrize("page", ["README.md", "docs/start/first-study.md"])
def test_the_first_study_is_the_demo(page: str) -> None:
    study, *_ = (block.text for block in blocks(ROOT / page) if block.language == "toml")
    demo = (ROOT / "examples" / "digits.toml").read_text(encoding="utf-8")
    assert tomllib.loads(study) == tomllib.loads(demo)


@pytest.mark.parametrize("module", [loosely, page_runs])
def test_the_harness_does_what_its_examples_say(module: object) -> None:
    failed, tried = doctest.testmod(module)  # type: ignore[arg-type]
    assert tried > 0
    assert failed == 0
