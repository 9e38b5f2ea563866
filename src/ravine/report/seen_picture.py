"""What training sees of an example as one picture, for slides and papers."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ravine.errors import InputError
from ravine.launch.seen import Seen, Setting
from ravine.report.pixels import pixels
from ravine.report.seen import answer_of, heading

_SIDE = 96  # pixels of a picture's longer side, at least
_GAP, _LINE, _MARGIN = 14, 17, 20
_WIDEST = 200  # of words under a picture; longer ones are cut short
_FONTS = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "LiberationSans-Regular.ttf",
    "Arial Unicode.ttf",
    "arial.ttf",
)
_INK, _MUTED = "#1f2429", "#5c6670"
_FINER = 2  # the picture has so many pixels for each of these


def picture(found: Seen) -> bytes:
    """A PNG: a row of each setting, a column of each epoch.

    Raises:
        InputError: Pillow is missing, or the example is no picture.
    """
    if not found.is_picture:
        raise InputError("--out: an example here is a row of a table, and no picture; write a page (.html)")
    try:
        from PIL import Image, ImageDraw
    except ImportError:
        raise InputError("a PNG needs Pillow: pip install 'ravine[images]'; a page needs nothing") from None
    height, width = map(int, found.clean.shape[1:])
    larger = max(1, round(_SIDE / max(height, width)))
    answers = [found.answer, *(answer_of(look) for setting in found.settings for look in setting.looks)]
    font, drawable = _font("".join([heading(found), *answers]))

    def long(words: str) -> float:
        return float(font.getlength(drawable(words))) / _FINER

    wide = max(width * larger, 84, *(min(_WIDEST, math.ceil(long(words))) for words in answers))
    high = height * larger
    label = _GAP + math.ceil(
        max(long(words) for setting in found.settings for words in _strengths(setting) or [""])
    )
    columns = 1 + max(len(setting.looks) for setting in found.settings)
    mixes = any(look.partner is not None for setting in found.settings for look in setting.looks)
    below = _LINE * (1 + mixes) + 6
    tall = [max(high + below, _LINE * len(setting.strengths)) + _GAP for setting in found.settings]
    across = max(label + columns * (wide + _GAP), math.ceil(long(heading(found))))
    size = (2 * _MARGIN + across, 2 * _MARGIN + 3 * _LINE + sum(tall))
    image = Image.new("RGB", (size[0] * _FINER, size[1] * _FINER), "#fff")
    draw = ImageDraw.Draw(image)

    def write(x: float, y: float, words: str, colour: str = _INK) -> None:
        draw.text((x * _FINER, y * _FINER), drawable(words), fill=colour, font=font)

    def column(number: int) -> int:
        return _MARGIN + label + number * (wide + _GAP)

    def fitting(words: str) -> str:
        while long(words) > wide:
            words = f"{words.rstrip('…')[:-1]}…"
        return words

    write(_MARGIN, _MARGIN, heading(found))
    y = _MARGIN + 2 * _LINE
    for number in range(columns):
        write(column(number), y - 4, "as it is" if number == 0 else f"epoch {number - 1}", _MUTED)
    y += _LINE + 4
    for setting, far in zip(found.settings, tall, strict=True):
        for line, words in enumerate(_strengths(setting)):
            write(_MARGIN, y + line * _LINE, words)
        shown: list[tuple[np.ndarray | None, str, str]] = [(found.clean, found.answer, "")]
        for look in setting.looks:  # the font has no Greek letters
            mixed = "" if look.partner is None else f"lambda {look.share:.2f}"
            shown.append((look.x, answer_of(look), mixed))
        for number, (x, answer, mixture) in enumerate(shown):
            left = column(number)
            if x is None:
                write(left, y + high / 2, answer, _MUTED)
                continue
            bytes_HWC = pixels(found.data, x, found.clean)
            one = Image.fromarray(bytes_HWC if bytes_HWC.shape[-1] == 3 else bytes_HWC[..., 0])
            large = one.resize((width * larger * _FINER, high * _FINER), Image.Resampling.NEAREST)
            image.paste(large.convert("RGB"), (left * _FINER, y * _FINER))
            write(left, y + high + 3, fitting(answer))
            write(left, y + high + 3 + _LINE, mixture, _MUTED)
        y += far
    written = io.BytesIO()
    image.save(written, "PNG")
    return written.getvalue()


def _font(words: str) -> tuple[Any, Callable[[str], str]]:
    """A font that has all letters of some words: Pillow's own, or one of the machine's.

    Returns:
        The font, and what makes words drawable with it: where no font has all letters, those that Pillow's own lacks
        are written out, such as \\xe4.
    """
    from PIL import ImageFont

    size = 13 * _FINER
    own = ImageFont.load_default(size)
    if not (lacks := _lacking(own, words)):
        return own, str
    for name in _FONTS:
        try:
            font = ImageFont.truetype(name, size)
        except OSError:
            continue
        if not _lacking(font, words):
            return font, str
    escaped = str.maketrans({letter: letter.encode("ascii", "backslashreplace").decode() for letter in lacks})
    return own, lambda words: words.translate(escaped)


def _lacking(font: Any, words: str) -> set[str]:
    """The letters that a font draws as it draws one that no font has."""
    nothing = bytes(font.getmask("\uffff"))
    return {letter for letter in words if not letter.isascii() and bytes(font.getmask(letter)) == nothing}


def _strengths(setting: Setting) -> list[str]:
    return [f"{name} {value:g}" for name, value in setting.strengths.items()]
