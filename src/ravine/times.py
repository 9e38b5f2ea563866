"""Time spans and moments, for people: one format of each."""

from __future__ import annotations

import math
import re
from numbers import Real

UNKNOWN = "–"
_UNITS = {"": 1.0, "s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_SPAN = re.compile(r"\s*([0-9]+\.?[0-9]*|\.[0-9]+)\s*(s|sec|m|min|h|)\s*")


def duration(seconds: float | None) -> str:
    """A time span in words; a dash for None or a number that is not finite.

    Example:
        >>> duration(0.85), duration(4.9), duration(200), duration(7500)
        ('850 ms', '4.9 s', '3 min 20 s', '2 h 5 min')
    """
    if seconds is None or not math.isfinite(seconds):
        return UNKNOWN
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def moment(iso: str) -> str:
    """A moment as the store records it (ISO, UTC), to the minute.

    Example:
        >>> moment("2026-11-29T01:52:33.123456+00:00")
        '2026-11-29 01:52 UTC'
    """
    return f"{iso[:16].replace('T', ' ')} UTC"


def seconds_of(span: object) -> float | None:
    """The seconds of a time span as a person writes it: a number of them, or a text with a unit; None if it is none.

    Example:
        >>> seconds_of("60s"), seconds_of("1.5 min"), seconds_of(10), seconds_of("soon"), seconds_of(0)
        (60.0, 90.0, 10.0, None, None)
    """
    if isinstance(span, str):
        found = _SPAN.fullmatch(span)
        if found is None:
            return None
        seconds = float(found[1]) * _UNITS[found[2]]
    elif isinstance(span, Real) and not isinstance(span, bool):
        seconds = float(span)
    else:
        return None
    return seconds if 0.0 < seconds < math.inf else None
