"""Pages in a real browser, and what must not happen on them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

WIDE, PHONE = (1280, 900), (360, 740)


@contextmanager
def watched(tab: Any, path: Path, size: tuple[int, int] = WIDE, *, stay: bool = False) -> Iterator[Any]:
    """Open a page, and fail on anything that a reader shouldn't get: messages, errors, dialogs, requests.

    Args:
        tab: in which it is opened.
        path: its file.
        size: of the window.
        stay: leave it open afterwards, and do not open it again where it is open already.
    """
    problems: list[str] = []
    requests: list[str] = []
    seen = {
        "console": lambda message: problems.append(f"{message.type}: {message.text}"),
        "pageerror": lambda error: problems.append(f"error: {error}"),
        "dialog": lambda dialog: (problems.append(f"dialog: {dialog.message}"), dialog.dismiss()),
        "request": lambda request: requests.append(request.url),
    }
    for event, note in seen.items():
        tab.on(event, note)
    try:
        if not stay or tab.url != path.as_uri():
            tab.set_viewport_size({"width": size[0], "height": size[1]})
            tab.goto(path.as_uri())
            tab.wait_for_selector("html[data-drawn=true]", state="attached")
        yield tab
        tab.wait_for_timeout(50)  # for messages under way
    finally:
        for event, note in seen.items():
            tab.remove_listener(event, note)
        if not stay:
            tab.emulate_media(media="null")
            tab.goto("about:blank")
    assert not problems, problems
    # A data: address is part of the file itself: the icon, or an image that plotly makes.
    assert {url for url in requests if not url.startswith("data:")} <= {path.as_uri()}
