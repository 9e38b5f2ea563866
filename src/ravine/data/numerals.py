"""How numbers are written in a text file: what is one, and what only looks like one."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# Spaces that people put between thousands, besides the plain one.
SPACES = "\u00a0\u2009\u202f"
CODES = frozenset({"USD", "EUR", "GBP", "CHF", "JPY", "CNY", "INR", "AUD", "CAD", "SEK", "NOK", "DKK", "PLN"})

_MARKS = {",": "commas", ".": "points", " ": "spaces", "'": "apostrophes"}
_POWER = r"([eE][+-]?[0-9]+)?"
_COMMA = re.compile(rf"[+-]?[0-9]*,[0-9]+{_POWER}")  # a decimal comma
_POINT = re.compile(rf"[+-]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]{{1,3}}(\.[0-9]{{3}})+(,[0-9]+)?){_POWER}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Numerals:
    """What numbers are written with.

    Args:
        decimal: a point or a comma.
        thousands: the separator of thousands; None: there is none.

    Example:
        >>> Numerals(decimal=",", thousands=".").plain("1.234,5"), Numerals().plain("1,5")
        ('1234.5', None)
    """

    decimal: str = "."
    thousands: str | None = None

    def plain(self, cell: str) -> str | None:
        """A number as Python writes it; None if the text is no number, or one written in another way."""
        text = cell.strip()
        if self.decimal == "." and self.thousands is None:
            return text if _is_plain(text) else None
        if self.thousands is not None:
            tidy = _spaces(text) if self.thousands == " " else text
            if self.thousands in tidy:
                if not _grouped(self.thousands, self.decimal).fullmatch(tidy):
                    return None
                text = tidy.replace(self.thousands, "")
        if self.decimal == ",":
            if "." in text or text.count(",") > 1:
                return None
            text = text.replace(",", ".")
        return text if _is_plain(text) else None

    def numbers(self, cells: npt.NDArray[np.str_]) -> npt.NDArray[np.float64] | None:
        """The cells as numbers, or None if one of them is none."""
        if self.decimal == "." and self.thousands is None:
            try:
                numbers = cells.astype(np.float64)
            except ValueError:
                return None
            # Python reads "1_0" as 10: no number here.
            return None if "_" in "".join(cells.tolist()) else numbers
        known: dict[str, float] = {}
        for cell in set(cells.tolist()):
            plain = self.plain(cell)
            if plain is None:
                return None
            known[cell] = float(plain)
        return np.array([known[cell] for cell in cells.tolist()], dtype=np.float64)

    def contradicts(self, cell: str) -> str | None:
        """Why a number cannot be read with these signs, though it looks like one; None if there is no doubt.

        A number that two conventions would read differently is never guessed at.
        """
        text = cell.strip()
        if self.plain(text) is not None:
            return None
        if self.decimal == "," and _POINT.fullmatch(text):
            if self.thousands == ".":
                return 'has a point that is not between thousands, but decimal = ","'
            return 'has a point, but decimal = ","; if points separate thousands, say thousands = "."'
        if self.decimal == "," and _grouped(",", ".").fullmatch(text):
            return 'has commas between thousands, but decimal = ","'
        if self.thousands == "," and (_COMMA.fullmatch(text) or _grouped(",", ".").fullmatch(text)):
            return 'has a comma that is not between thousands, but thousands = ","'
        return None


def looks_like(cells: Iterable[str]) -> dict[str, str]:
    """Texts that are a number with something more, and what it is: a comma, groups, a currency, a percent sign.

    Example:
        >>> looks_like(["$3", "1,5", "tea", "7"])
        {'$3': 'currency', '1,5': 'comma'}
    """
    found = {}
    for cell in cells:
        text, sign = _without_sign(cell.strip())
        if _is_plain(text):
            kind = sign
        elif _styles(text):
            kind = sign or "comma"
        else:
            continue
        if kind:
            found[cell] = kind
    return found


def advice(numbers: Iterable[str], plain: Iterable[str]) -> str:
    """What the commas, points or spaces of a column's numbers are, and how to say so.

    Args:
        numbers: texts that `looks_like` finds a comma or groups in.
        plain: the other numbers of the column, which Python reads as they are.

    Example:
        >>> advice(["1,001"], ["3.5"])
        'is a number with commas between thousands; say thousands = ","'
        >>> advice(["1,001"], ["3"])
        'can be read in two ways; say decimal = "," or thousands = ","'
    """
    cells = [text.strip() for text in numbers]
    pointed = [text for text in plain if "." in text]
    styles = set().union(*map(_styles, cells))
    if pointed and (",", None) in styles:  # those points may be between thousands
        styles.add((",", "."))
    common = {
        style
        for style in styles
        if all(
            Numerals(decimal=style[0], thousands=style[1]).plain(text) is not None
            for text in (*cells, *pointed)
        )
    }
    ways = " or ".join(_keys(*style) for style in sorted(common, key=str))
    if len(common) == 1:
        ((_, thousands),) = common
        what = f"{_MARKS[thousands]} between thousands" if thousands else "a decimal comma"
        return f"is a number with {what}; say {ways}"
    if common:
        return f"can be read in two ways; say {ways}"
    return "is a number, but those of the column are not all written in one way; write them alike"


def _keys(decimal: str, thousands: str | None) -> str:
    keys = [f'decimal = "{decimal}"'] if decimal != "." else []
    keys += [f'thousands = "{thousands}"'] if thousands else []
    return ", ".join(keys)


def _styles(text: str) -> set[tuple[str, str | None]]:
    """Every pair of a decimal sign and a sign between thousands with which a text is a number."""
    styles: set[tuple[str, str | None]] = set()
    if _COMMA.fullmatch(text):
        styles.add((",", None))
    for thousands in (",", ".", " ", "'"):
        tidy = _spaces(text) if thousands == " " else text
        for decimal in {".", ","} - {thousands}:
            if thousands in tidy and _grouped(thousands, decimal).fullmatch(tidy):
                both = decimal in tidy
                # Without a fraction the decimal sign of spaces and apostrophes is not known: a point.
                if both or decimal == "." or thousands == ".":
                    styles.add((decimal, thousands))
    return styles


def _grouped(thousands: str, decimal: str) -> re.Pattern[str]:
    """Groups of three digits, or, as in India, of two with three at the end; none begins with a zero."""
    sign, point = re.escape(thousands), re.escape(decimal)
    groups = rf"[1-9][0-9]{{0,2}}({sign}[0-9]{{3}})+|[1-9][0-9]?({sign}[0-9]{{2}})+{sign}[0-9]{{3}}"
    return re.compile(rf"[+-]?({groups})({point}[0-9]+)?{_POWER}")


def _spaces(text: str) -> str:
    return text.translate(dict.fromkeys(map(ord, SPACES), " "))


def _without_sign(text: str) -> tuple[str, str]:
    """A text without its currency or percent sign, and which of the two it had."""
    minus = text[:1] if text[:1] in ("-", "+") else ""
    body = text[len(minus) :].strip()
    if body[-1:] == "%":
        return minus + body[:-1].strip(), "percent"
    for length in (1, 3):
        for sign, rest in ((body[:length], body[length:]), (body[-length:], body[:-length])):
            if sign in CODES or (length == 1 and sign and unicodedata.category(sign) == "Sc"):
                return minus + rest.strip(), "currency"
    return text, ""


def _is_plain(text: str) -> bool:
    if "_" in text:
        return False
    try:
        float(text)
    except ValueError:
        return False
    return True
