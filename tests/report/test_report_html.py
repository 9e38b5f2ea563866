"""Texts on their way into a page, as a browser reads them again."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from ravine.report.html import fill, tag

TEXTS = [
    "\"><script>alert('1')</script>",
    "' onmouseover='alert(1)",
    "javascript:alert(1)",
    "</title></style></script><!-- ]]> -->",
    "&amp; &#60; &lt &notanentity; & <b>",
    "{{ body }} {{body}} {% for %}",
    "two\nlines\ttab",
    "größe ✓ \u202e",
    "",
]


class Read(HTMLParser):
    """Every element and text, in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[object] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, attrs))

    def handle_data(self, data: str) -> None:
        self.found.append(data)


@pytest.mark.parametrize("text", TEXTS)
def test_any_text_comes_back_as_the_text_that_it_was(text: str) -> None:
    page = fill("{{ body }}", body=tag("p", text, title=text, style=text, href=text, aria_label=text))
    given = [(name, text) for name in ("title", "style", "href", "aria-label")]
    assert Read(page).found == [("p", given), *([text] if text else [])]


def test_a_null_character_is_shown_as_one_that_is_unknown() -> None:
    assert tag("p", "a\0b", title="\0") == '<p title="\ufffd">a\ufffdb</p>'  # as browsers do, with an error
