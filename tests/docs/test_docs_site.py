"""The site is built without a warning, names what is public, fits a narrow screen and needs no network."""

from __future__ import annotations

import functools
import http.server
import inspect
import re
import shutil
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from page_blocks import ROOT, pages

import ravine
from ravine.cli.main import VERBS

PARTS = (
    "README.md",
    "CHANGELOG.md",
    "CITATION.cff",
    "LICENSE",
    "mkdocs.yml",
    "benchmarks",
    "docs",
    "examples",
    "src",
)


def directives(page: str) -> set[str]:
    """What a page takes from docstrings."""
    return set(re.findall(r"^::: ([\w.]+)$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE))


def test_every_public_name_is_on_the_site() -> None:
    named = directives("docs/reference/api.md")
    assert named == {f"ravine.{name}" for name in ravine.__all__ if name not in ("nn", "optim")}
    for part in (ravine.nn, ravine.optim):
        home = part.__name__
        named = directives(f"docs/reference/{home.rpartition('.')[2]}.md")
        assert named == {f"{home}.{name}" for name in part.__all__}


def test_every_page_is_in_the_navigation() -> None:
    config = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    listed = re.findall(r": (\S+\.md)$", config.partition("nav:")[2], re.MULTILINE)
    assert sorted(listed) == sorted([str(path.relative_to(ROOT)) for path in pages()] + ["CHANGELOG.md"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the site, built from a copy as scripts/docs builds it."""
    pytest.importorskip("zensical")
    folder = tmp_path_factory.mktemp("site")
    for name in PARTS:
        part = ROOT / name
        shutil.copytree(part, folder / name) if part.is_dir() else shutil.copy(part, folder)
    (folder / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "docs", folder / "scripts")
    (folder / ".venv").symlink_to(Path(sys.executable).parents[1])
    done = subprocess.run([folder / "scripts" / "docs"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    serve = functools.partial(Quiet, directory=folder / "build" / "site")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_the_site_is_built_without_a_warning(site: str) -> None:
    with urllib.request.urlopen(f"{site}/index.html") as page:
        assert "ravine" in page.read().decode("utf-8")


@pytest.mark.slow
@pytest.mark.browser
def test_pages_fit_the_screen_and_load_nothing_from_elsewhere(browser: Any, site: str) -> None:
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for name in ("docs/start/first-study.html", "docs/rules.html", "docs/reference/api.html"):
        page.goto(f"{site}/{name}")
        for width in (390, 1280):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (name, width)
    for width in (390, 1280):
        page.set_viewport_size({"width": width, "height": 900})
        page.goto(f"{site}/index.html")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.wait_for_load_state("networkidle")  # the search listens to keys only once it has been loaded
        page.keyboard.press("Control+k")
        page.locator("dialog[open] input").fill("cohort")
        page.wait_for_selector("text=/[0-9]+ results/")
    page.close()
    assert [url for url in asked if not url.startswith((site, "data:", "blob:"))] == []


def test_every_verb_and_every_option_is_on_its_page() -> None:
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    for verb, function in VERBS.items():
        assert re.search(rf"^\| `{verb}\b", page, re.MULTILINE), verb
        for name, option in inspect.signature(function).parameters.items():
            if option.kind in (option.POSITIONAL_ONLY, option.VAR_POSITIONAL):
                continue
            flag = {"overrides": "set"}.get(name, name.replace("_", "-"))
            assert f"`--no-{flag}`" in page if option.default is True else re.search(rf"`--{flag}\b", page), (
                verb,
                flag,
            )
