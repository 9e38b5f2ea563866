"""HTML out of Python: every text is escaped on its way in, so that no name in a study can be anything but text."""

from __future__ import annotations

import re
from typing import final

_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&#34;", "'": "&#39;", "\0": "\ufffd"})
_VOID = ("input", "img")  # elements that end where they begin
_PLACE = re.compile(r"\{\{ (\w+) \}\}")


@final
class Html(str):
    """A text that is HTML already, and goes in as it is."""

    __slots__ = ()


Part = str | float | None


def escaped(part: Part) -> str:
    """A part of a page: HTML as it is, any other text escaped, nothing for None."""
    if isinstance(part, Html):
        return part
    return "" if part is None else str(part).translate(_ESCAPES)


def join(*parts: Part) -> Html:
    """Parts one after another."""
    return Html("".join(map(escaped, parts)))


def tag(name: str, *parts: Part, **attributes: str | float | bool | None) -> Html:
    """An element.

    Args:
        name: of its tag.
        parts: what is in it.
        attributes: an underscore stands for a hyphen, one at the end for nothing; None or False: it has no such
            attribute; True: one without a value.

    Example:
        >>> tag("p", "a < b ", tag("b", "c"), class_="x", data_id=3, hidden=True, title=None)
        '<p class="x" data-id="3" hidden>a &lt; b <b>c</b></p>'
    """
    given = []
    for key, value in attributes.items():
        shown = key.rstrip("_").replace("_", "-")
        if value is True:
            given.append(f" {shown}")
        elif value is not None and value is not False:
            given.append(f' {shown}="{escaped(value)}"')
    begin = f"<{name}{''.join(given)}>"
    return Html(begin if name in _VOID else f"{begin}{''.join(map(escaped, parts))}</{name}>")


def fill(template: str, **values: Part) -> Html:
    """A template with a value in each place ``{{ name }}``.

    Example:
        >>> fill("<p>{{ text }}</p>", text="<b>")
        '<p>&lt;b&gt;</p>'
    """
    return Html(_PLACE.sub(lambda place: escaped(values[place[1]]), template))
