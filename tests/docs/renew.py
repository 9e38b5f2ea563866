"""Write what commands print today into a page: python tests/docs/renew.py docs/start/first-study.md ...

Each block titled Output gets the output of the block before it. One with a line `...` is left as it is.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from loosely import SOMETIMES
from page_blocks import blocks
from page_runs import Page


def renew(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        page = Page(Path(folder).resolve(), slow=True)
        for block in blocks(path):
            if block.title != "Output":
                page.run(block)
            elif page.printed is not None and "..." not in block.text.split():
                before = f'```text title="Output"\n{block.text}```'
                assert text.count(before) == 1 or not block.text.strip(), f"{path}:{block.line}"
                lines = [line.rstrip() for line in page.printed.strip().splitlines()]
                printed = "\n".join(line for line in lines if not SOMETIMES.match(line) or not line)
                text = text.replace(before, f'```text title="Output"\n{printed}\n```', 1)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        renew(Path(name).resolve())
