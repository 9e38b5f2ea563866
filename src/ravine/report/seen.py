"""What training sees of an example, for people: a page with a grid of pictures, and a table of a row's numbers."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from ravine.grid import Grid
from ravine.launch.seen import Look, Seen
from ravine.messages import count
from ravine.report import elements
from ravine.report.html import Html, Part, fill, join, tag
from ravine.report.page import TEMPLATES, policy
from ravine.report.pixels import pixels
from ravine.report.png import png
from ravine.version import version

_MOST_COLUMNS = 8  # of a row that are printed
_LEAST = 0.005  # a weight that is shown
_SIDE = 112  # CSS pixels of a picture's longer side, at least


def heading(found: Seen) -> str:
    """What is looked at, in a line."""
    looks = max((len(setting.looks) for setting in found.settings), default=0)
    return (
        f"{found.study}: example {found.example} ({found.answer}) of {found.data.name}, seed {found.seed}, "
        f"{count(len(found.settings), 'setting')}, {count(looks, 'epoch')}"
    )


def answer_of(look: Look) -> str:
    """The answer that training sees.

    Example:
        >>> answer_of(Look(epoch=0, x=None)), answer_of(Look(epoch=0, x=np.zeros(1), answer=(("3", 0.75), ("8", 0.25))))
        ('left out', '3 0.75, 8 0.25')
    """
    if look.x is None:
        return "left out"
    told = [(name, f"{weight:.2f}") for name, weight in look.answer if weight >= _LEAST]
    return told[0][0] if len(told) == 1 else ", ".join(f"{name} {weight}" for name, weight in told)


def mixture_of(look: Look) -> str:
    """What an example is mixed with; empty where it is not."""
    return "" if look.partner is None else f"λ {look.share:.2f}, with {look.partner}"


def grid(found: Seen) -> Grid:
    """A row's numbers before and after, as training sees them."""
    names = found.data.features or tuple(f"x{i}" for i in range(len(found.clean)))
    shown = min(len(names), _MOST_COLUMNS)
    mixes = any(look.share is not None for setting in found.settings for look in setting.looks)

    def line(strengths: str, epoch: str, x: np.ndarray | None, answer: str, mixture: str) -> tuple[str, ...]:
        numbers = ("",) * shown if x is None else tuple(f"{value:.4g}" for value in x[:shown])
        return (strengths, epoch, *numbers, answer, *((mixture,) if mixes else ()))

    rows = [line("as it is", "", found.clean, found.answer, "")]
    for setting in found.settings:
        for look in setting.looks:
            rows.append(line(setting.words, str(look.epoch), look.x, answer_of(look), mixture_of(look)))
    more = (
        [f"and {count(len(names) - shown, 'column')} more, which --json prints"] if len(names) > shown else []
    )
    return Grid(
        title=heading(found),
        before=("standardized, as training sees it",),
        columns=("strengths", "epoch", *names[:shown], "answer", *(("mixed",) if mixes else ())),
        rows=tuple(rows),
        left=("strengths", "answer", "mixed"),
        after=(*more, *_left_out(found)),
    )


def page(found: Seen, command: str) -> bytes:
    """The page, as HTML in UTF-8: it has no scripts, and asks no network for anything.

    Args:
        found: what is shown.
        command: what makes it again.
    """
    body = tag(
        "main",
        tag("p", "What training sees", class_="eyebrow"),
        tag("h1", f"{found.study}, example {found.example}"),
        tag("div", elements.prose(_lead(found)), class_="lead"),
        tag("dl", *elements.terms(_facts(found)), class_="facts"),
        tag("section", _pictures(found) if found.is_picture else _numbers(found)),
        tag("pre", tag("code", elements.words(command)), class_="command"),
    )
    whole = fill(
        (TEMPLATES / "seen.html").read_text(encoding="utf-8"),
        policy=policy([]).replace("script-src ;", "script-src 'none';"),
        version=version(),
        name=found.study,
        css=Html((TEMPLATES / "report.css").read_text(encoding="utf-8")),
        more=Html((TEMPLATES / "seen.css").read_text(encoding="utf-8")),
        body=body,
    )
    return whole.encode()


def content(found: Seen) -> dict[str, Any]:
    """All numbers, as JSON has them: x to the last bit."""
    return {
        "study": found.study,
        "seed": found.seed,
        "example": found.example,
        "answer": found.answer,
        "x": found.clean.tolist(),
        "settings": [
            {
                "strengths": dict(setting.strengths),
                "epochs": [
                    {
                        "epoch": look.epoch,
                        "x": None if look.x is None else look.x.tolist(),
                        "answer": dict(look.answer),
                        "share": look.share,
                        "partner": look.partner,
                    }
                    for look in setting.looks
                ],
            }
            for setting in found.settings
        ],
    }


def _lead(found: Seen) -> str:
    what = "pictures" if found.is_picture else "numbers"
    return (
        f"These are the very {what} that a run of this study sees in training, epoch by epoch. A draw depends on the "
        "seed, the epoch and the example alone, and a strength only scales it; partners of a mixed example come from "
        "its batch."
    )


def _facts(found: Seen) -> list[tuple[str, str]]:
    left = _left_out(found)
    return [
        ("data", found.data.name),
        ("answer", found.answer),
        ("seed", str(found.seed)),
        ("settings", f"{len(found.settings)}{f' ({left[0]})' if left else ''}"),
    ]


def _left_out(found: Seen) -> list[str]:
    return [f"{found.left_out:,} more settings are not shown; narrow them by --set"] if found.left_out else []


def _pictures(found: Seen) -> Html:
    epochs = max(len(setting.looks) for setting in found.settings)
    head = [tag("th", "strengths", scope="col"), tag("th", "as it is", scope="col")]
    head += [tag("th", f"epoch {epoch}", scope="col") for epoch in range(epochs)]
    rows = []
    for setting in found.settings:
        cells = [_cell(_image(found, found.clean, "as it is"), found.answer, "")]
        for look in setting.looks:
            words = f"{setting.words}, epoch {look.epoch}"
            image = tag("span", "left out", class_="out") if look.x is None else _image(found, look.x, words)
            cells.append(_cell(image, "" if look.x is None else answer_of(look), mixture_of(look)))
        cells += [tag("td")] * (epochs - len(setting.looks))
        rows.append(tag("tr", tag("th", _strengths(setting.strengths), scope="row"), *cells))
    table = tag("table", tag("thead", tag("tr", *head)), tag("tbody", *rows), class_="seen-grid")
    note = None
    if any(look.x is None for setting in found.settings for look in setting.looks):
        words = "Left out: the examples that do not fill an epoch's last batch are others in each epoch."
        note = tag("p", words, class_="reading")
    return join(elements.scroll(table, "Pictures by strengths and epoch"), note)


def _strengths(strengths: Any) -> Html:
    return join(*(tag("span", f"{name} {value:g}", class_="strength") for name, value in strengths.items()))


def _cell(image: Html, answer: str, mixture: str) -> Html:
    return tag(
        "td",
        image,
        tag("span", answer, class_="answer") if answer else None,
        tag("span", mixture, class_="mixture") if mixture else None,
    )


def _image(found: Seen, x: np.ndarray, words: str) -> Html:
    bytes_HWC = pixels(found.data, x, found.clean)
    height, width, _ = bytes_HWC.shape
    larger = max(1.0, _SIDE / max(height, width))
    source = base64.b64encode(png(bytes_HWC)).decode()
    size: dict[str, Part] = {"width": round(width * larger), "height": round(height * larger)}
    return tag("img", src=f"data:image/png;base64,{source}", alt=words, **size)


def _numbers(found: Seen) -> Html:
    table = grid(found)
    head = tag("tr", *(elements.column(name, numeric=name not in table.left) for name in table.columns))
    rows = (
        tag(
            "tr",
            *(
                elements.cell(cell, class_=None if name in table.left else "n")
                for name, cell in zip(table.columns, row, strict=True)
            ),
        )
        for row in table.rows
    )
    whole = tag("table", tag("thead", head), tag("tbody", *rows))
    notes = (tag("p", words, class_="reading") for words in (*table.before, *table.after))
    return join(elements.scroll(whole, "Numbers by strengths and epoch"), *notes)
