"""Whether a command printed what a page says it does, apart from what depends on the machine."""

from __future__ import annotations

import re
from collections import Counter

_HEX = re.compile(r"(?<![\w.])(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{4,16}\b")
_NUMBER = re.compile(r"(?<![\w#])[-+−]?\d[\d,.:]*(?:e[-+]?\d+)?(?:-\d\d-\d\d)?")
_TIME = re.compile(r"# (?:ms|s|min|h)\b(?: # (?:ms|s|min|h)\b)*")
SOMETIMES = re.compile(r"\s*(?:expected time|\.\.\.$|$)")  # lines of a slow machine alone, and none
_RULE = re.compile(r"[─━-]{3,}")


def masked(line: str) -> str:
    """A line without its numbers, run ids, lengths of time and widths of columns.

    Example:
        >>> masked("3a74a674  adam   0.003162   2  98.33 %  done")
        '# adam # # # % done'
        >>> masked("  time     10.8 s, native on cpu") == masked("  time     1 min 2 s, native on cpu")
        True
    """
    numbers = _NUMBER.sub("#", _HEX.sub("#", _RULE.sub("---", line)))
    return _TIME.sub("# s", " ".join(numbers.split()))


def missing(expected: str, actual: str, *, share: float = 1.0) -> list[str]:
    """Lines that differ, in either direction; none where the output is what was expected.

    Lines may come in another order, since a ranking depends on the last digit. A line `...` in what is expected
    allows any others.

    Args:
        expected: what the page says.
        actual: what was printed.
        share: how many of the expected lines must be there.

    Example:
        >>> missing("a 1\\n...\\nb 2", "b 7\\nx\\na 3")
        []
        >>> missing("a 1\\nb 2", "b 7\\nx\\na 3")
        ['+ x']
        >>> missing("a 1\\nc", "a 3")
        ['- c']
    """
    wanted, found = (
        Counter(masked(line) for line in text.splitlines() if not SOMETIMES.match(line))
        for text in (expected, actual)
    )
    is_open = "..." in expected.split()
    absent = wanted - found
    if share < 1.0:
        return (
            []
            if absent.total() <= (1 - share) * wanted.total()
            else [f"- {line}" for line in absent.elements()]
        )
    more = Counter() if is_open else found - wanted
    return [f"- {line}" for line in absent.elements()] + [f"+ {line}" for line in more.elements()]
