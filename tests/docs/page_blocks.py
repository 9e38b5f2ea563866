"""The code blocks of a Markdown page, and what the page says about how they are tested.

A comment in front of a fence says what is special about it:

    <!-- test: slow -->               takes more than five seconds: run by scripts/test --all
    <!-- test: no-run, the reason --> not run
    <!-- test: needs MODULE ... -->   slow, and run where these modules are installed
    <!-- test: exit 2 -->             the command ends with this exit code
    <!-- test: varies -->             of the expected lines, half must be there: their words depend on the machine

The same comment at the top of a page, with `page` in front (`<!-- test: page slow -->`), is about all of its blocks.
The first line of a fence may have a title: a file name, under which the block is written to the page's folder
(`title="flowers.toml"`), or `title="Output"`, what the block before it prints.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[2]
LANGUAGES = {"", "python", "toml", "sh", "text", "json", "sql"}
COMMAND = re.compile(r"^ {4,}(?:\$ )?(?:ravine|python|pip|git|scripts/\w+) ", re.MULTILINE)
_FENCE = re.compile(
    r"(?:^<!-- test: (?P<mark>[^\n]+?) -->\n)?^```(?P<head>[^\n`]*)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
_PAGE = re.compile(r"^<!-- test: page (.+?) -->$", re.MULTILINE)
_MARK = re.compile(r"slow|varies|needs \w+(?: \w+)*|no-run, .{8,}|exit \d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block.

    Args:
        page: path of its page, from the root.
        line: of its fence.
        language: after the fence.
        title: a file name, "Output" or nothing.
        marks: how it is tested.
        text: what it says.
    """

    page: str
    line: int
    language: str
    title: str = ""
    marks: tuple[str, ...] = field(default=())
    text: str

    @property
    def is_slow(self) -> bool:
        return "slow" in self.marks or any(mark.startswith("needs ") for mark in self.marks)

    @property
    def is_run(self) -> bool:
        """Whether the page wants it to be run, and what it needs is installed."""
        needed = [mark.split()[1:] for mark in self.marks if mark.startswith("needs ")]
        lacking = [module for modules in needed for module in modules if find_spec(module) is None]
        return not lacking and not any(mark.startswith("no-run") for mark in self.marks)

    @property
    def exit_code(self) -> int:
        return next((int(mark.removeprefix("exit ")) for mark in self.marks if mark.startswith("exit ")), 0)


def pages() -> list[Path]:
    """Every page of the site."""
    return sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").glob("*.md")])


def blocks(path: Path) -> list[Block]:
    """The fenced blocks of a page, in order.

    Raises:
        ValueError: a mark or a language that does not exist; says where.
    """
    text = path.read_text(encoding="utf-8")
    page = str(path.relative_to(ROOT))
    everywhere = tuple(_PAGE.findall(text))
    found = []
    for match in _FENCE.finditer(text):
        line = text.count("\n", 0, match.start("head")) + 1
        language, _, options = match["head"].strip().partition(" ")
        title = re.fullmatch(r'title="([^"]+)"', options.strip())
        marks = (*everywhere, *([match["mark"]] if match["mark"] else []))
        where = f"{page}:{line}"
        if language not in LANGUAGES:
            raise ValueError(f"{where}: language {language!r} must be one of {sorted(LANGUAGES)}")
        if options and not title:
            raise ValueError(f'{where}: {options!r} must be title="..."')
        for mark in marks:
            if not _MARK.fullmatch(mark):
                raise ValueError(f"{where}: no such mark: {mark!r}")
        found.append(
            Block(
                page=page,
                line=line,
                language=language,
                title=title[1] if title else "",
                marks=marks,
                text=match["text"],
            )
        )
    return found
