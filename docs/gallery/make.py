"""Draw the figures of the gallery and write its page: `scripts/gallery [NAME ...]`.

Without a name all ten are drawn into docs/gallery/ and docs/gallery.md is written; with names, these alone are drawn
and their words printed.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

from figures import FIGURES, Figure

HERE = Path(__file__).parent
HEAD = """# The update rules in ten figures

Each figure shows something that textbooks say about gradient descent and its successors, with the command that draws
it and the numbers behind it. `scripts/gallery` draws all ten and writes this page with its numbers; `scripts/gallery
NAME` draws one of them. With `--out page.html`, each `ravine surface` command writes a page on which you can move
everything ([surfaces.md](surfaces.md)).

<!-- test: page slow -->
"""
WIDTH = 120


def section(place: int, figure: Figure) -> str:
    """A figure's part of the page."""
    return (
        f"## {place}. {figure.title}\n\n![{figure.title}](gallery/{figure.name}.svg)\n\n"
        f"```sh\n{figure.command}\n```\n\n{wrapped(figure.text)}\n"
    )


def wrapped(text: str) -> str:
    """Paragraphs of equal width; tables as they are."""
    parts = text.strip().split("\n\n")
    return "\n\n".join(
        part if part.startswith("|") else fill(part, WIDTH, break_long_words=False, break_on_hyphens=False)
        for part in parts
    )


def main(names: Sequence[str]) -> int:
    wrong = [name for name in names if name not in FIGURES]
    if wrong:
        print(f"no such figure: {', '.join(wrong)}; there are {', '.join(FIGURES)}", file=sys.stderr)
        return 2
    parts = [HEAD]
    for place, (name, make) in enumerate(FIGURES.items(), 1):
        if names and name not in names:
            continue
        figure = make()
        (HERE / f"{name}.svg").write_text(figure.svg, encoding="utf-8")
        parts.append(section(place, figure))
        print(f"docs/gallery/{name}.svg, {len(figure.svg) / 1e3:.0f} kB\n\n{wrapped(figure.text)}\n")
    if not names:
        (HERE.parent / "gallery.md").write_text("\n".join(parts), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
