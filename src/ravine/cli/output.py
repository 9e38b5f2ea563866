"""Standard output as a terminal, a pipe or a file takes it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from ravine.errors import InputError

if TYPE_CHECKING:
    from ravine.grid import Grid

_WIDEST = 1000  # characters of a line that goes into a pipe


def prepare() -> None:
    """See that both streams are there and take every letter.

    A program that was started with a stream closed (`>&-`) has None in its place.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123
        elif isinstance(stream, io.TextIOWrapper):  # a letter that it lacks is no reason to fail
            stream.reconfigure(errors="backslashreplace")


def put(*parts: Any) -> None:
    """Print texts and rich renderables. A pipe gets whole lines without trailing spaces."""
    from rich.console import Console
    from rich.text import Text

    pipe = not sys.stdout.isatty()
    console = Console(
        highlight=False, emoji=False, width=_WIDEST if pipe and "COLUMNS" not in os.environ else None
    )
    with _in_one_line():
        with console.capture() if pipe else contextlib.nullcontext() as captured:
            for part in parts:
                # A text is a line, however long: a path in it can then be copied.
                console.print(Text(part) if isinstance(part, str) else part, soft_wrap=isinstance(part, str))
        if captured is not None:
            sys.stdout.writelines(f"{line.rstrip()}\n" for line in captured.get().splitlines())
        sys.stdout.flush()


def put_grids(grids: Iterable[Grid]) -> None:
    """Print tables, an empty line between them."""
    from ravine.report.terminal_grid import as_rich

    for number, grid in enumerate(grids):
        put(*([""] if number else []), as_rich(grid))


def prints_to_stderr() -> contextlib.redirect_stdout[Any]:
    """Within it, what a user's module prints goes to standard error: it is none of the results."""
    return contextlib.redirect_stdout(sys.stderr)


def put_json(value: Any) -> None:
    """Print one JSON object or array; letters that the stream lacks as JSON's escapes."""
    unicode = "utf" in (getattr(sys.stdout, "encoding", None) or "utf").lower()
    with _in_one_line():
        sys.stdout.write(json.dumps(value, indent=2, allow_nan=False, ensure_ascii=not unicode) + "\n")
        sys.stdout.flush()


def write_page(html: bytes) -> None:
    """Write a page: in UTF-8, as it says of itself, whatever the terminal's letters are."""
    with _in_one_line():
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.buffer.write(html)
        else:
            sys.stdout.write(html.decode())
        sys.stdout.flush()


@contextlib.contextmanager
def _in_one_line() -> Iterator[None]:
    """Within it, a failure to write becomes an error in one line."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise InputError(f"standard output: {error.strerror or error}") from None
