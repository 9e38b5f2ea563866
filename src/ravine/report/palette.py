"""How rules look: colour, marker and dash, never colour alone.

The colours are Okabe and Ito's, which differ for every common kind of colour blindness, without their
yellow (too pale for a line on white). Markers differ inside a round of seven; the second round has open
markers and dashed lines, so that twelve rules stay apart, in grey print too.

Source: M. Okabe and K. Ito, Color Universal Design, 2008.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#3B3F46")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "cross", "star")
DASHES = ("solid", "dash", "dot")

# Low, good, high and too high: ordered, so blue to red, and the dashes tell them apart in grey.
REGIME_COLOURS = {"low": "#56B4E9", "good": "#009E73", "high": "#E69F00", "too high": "#D55E00"}
REGIME_DASHES = {"low": "dot", "good": "solid", "high": "dash", "too high": "dashdot"}
REGIME_SYMBOLS = {"low": "circle", "good": "diamond", "high": "square", "too high": "cross"}

# The same markers drawn by hand for the legend's chips, in a box of 24 x 12 with its centre at (12, 6).
_GLYPHS = {
    "circle": '<circle cx="12" cy="6" r="3.6"/>',
    "square": '<rect x="8.6" y="2.6" width="6.8" height="6.8"/>',
    "diamond": '<path d="M12 1.2 16.8 6 12 10.8 7.2 6Z"/>',
    "triangle-up": '<path d="M12 1.6 16.5 9.6 7.5 9.6Z"/>',
    "triangle-down": '<path d="M12 10.4 7.5 2.4 16.5 2.4Z"/>',
    "cross": '<path d="M10.3 1.5h3.4v2.8h2.8v3.4h-2.8v2.8h-3.4V7.7H7.5V4.3h2.8Z"/>',
    "star": '<path d="m12 .8 1.5 3.2 3.5.4-2.6 2.3.7 3.5L12 8.5l-3.1 1.7.7-3.5L7 4.4l3.5-.4Z"/>',
}
_STROKES = {"solid": "", "dash": "5 2.5", "dot": "1.6 2", "dashdot": "5 2 1.6 2"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How one rule is drawn everywhere in a report."""

    colour: str
    symbol: str
    dash: str

    def soft(self, opacity: float) -> str:
        """The colour with an opacity between 0 and 1, as CSS."""
        red, green, blue = (int(self.colour[i : i + 2], 16) for i in (1, 3, 5))
        return f"rgba({red},{green},{blue},{opacity:g})"

    def swatch(self) -> str:
        """The line and marker as a small SVG, for legends and tables."""
        shape, _, is_open = self.symbol.partition("-open")
        fill = "#fff" if is_open or self.symbol.endswith("-open") else self.colour
        dash = _STROKES[self.dash]
        return (
            '<svg class="swatch" viewBox="0 0 24 12" width="24" height="12" aria-hidden="true">'
            f'<path d="M0 6H24" stroke="{self.colour}" stroke-width="2"'
            + (f' stroke-dasharray="{dash}"' if dash else "")
            + f'/><g fill="{fill}" stroke="{self.colour}" stroke-width="1.2">{_GLYPHS[shape]}</g></svg>'
        )


def look(index: int) -> Look:
    """The look of the rule at this place of a study, from 0; after 21 rules they begin again.

    Example:
        >>> look(0)
        Look(colour='#0072B2', symbol='circle', dash='solid')
        >>> look(8)
        Look(colour='#D55E00', symbol='square-open', dash='dash')
    """
    lap, place = divmod(index, len(COLOURS))
    lap %= len(DASHES)
    # The third lap shifts the markers against the colours: no pair of a colour and a marker comes twice.
    symbol = SYMBOLS[(place + (3 if lap == 2 else 0)) % len(SYMBOLS)]
    return Look(colour=COLOURS[place], symbol=symbol + ("-open" if lap == 1 else ""), dash=DASHES[lap])


def looks(rules: Iterable[str]) -> dict[str, Look]:
    """A look for every rule, by its place among them."""
    return {rule: look(i) for i, rule in enumerate(dict.fromkeys(rules))}


def regime_look(name: str) -> Look:
    """The look of ``low``, ``good``, ``high`` or ``too high``."""
    return Look(colour=REGIME_COLOURS[name], symbol=REGIME_SYMBOLS[name], dash=REGIME_DASHES[name])
