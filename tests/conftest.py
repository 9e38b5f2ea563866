"""A browser for all tests of a process: to start one takes a second, and to read a page's scripts anew two."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium; a test that asks for it is skipped where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright (extra dev) drives the browser")
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no chromium on PATH")
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield found
        found.close()


@pytest.fixture(scope="session")
def tab(browser: Any) -> Iterator[Any]:
    """Without any network, for one test after another; scripts that it has read are not compiled again."""
    context = browser.new_context()
    context.set_default_timeout(20_000)
    context.set_offline(True)
    yield context.new_page()
    context.close()


@pytest.fixture(scope="session")
def page_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where tests write the page that they open: always the same address, or scripts would be compiled again."""
    return tmp_path_factory.mktemp("pages") / "page.html"
