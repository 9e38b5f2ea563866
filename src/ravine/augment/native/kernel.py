"""The pixels of pictures, one after another, out of the numbers of their plans: one function for a structure.

Shapes: B pictures at once, P number of a plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from ravine.augment.native.changing import write_colour, write_cut
from ravine.augment.native.clamped import write_clamped
from ravine.augment.native.frame import Frame
from ravine.augment.native.lanes import Lanes
from ravine.augment.native.reading import write_border, write_reading
from ravine.native.code import Code
from ravine.native.function import Function
from ravine.native.machine import Library, library_of, machine

_NAME = "pictures"


def pictures_function(frame: Frame, names: tuple[str, ...], num: int, places: Mapping[str, int]) -> Function:
    """The function that makes pictures.

    Args:
        frame: of the pictures.
        names: of the numbers of a plan, in order: it lies in memory as (P, B).
        num: B.
        places: numbers of the inputs "source", "rows", "plan", "pictures", "skip" (of the first, which are not made)
            and, of the channels, "outside", "cut", "mean" and "deviation", in the table.
    """
    library = _library(frame, names, num, tuple(sorted(places.items())))
    scratch = 16 * frame.padded * frame.groups if frame.bends else 0
    return Function(library=library, address=library.address(_NAME), scratch=scratch)


@lru_cache(maxsize=64)
def _library(frame: Frame, names: tuple[str, ...], num: int, places: tuple[tuple[str, int], ...]) -> Library:
    code = Code(machine().lanes)
    lanes = Lanes(code)
    inputs = lanes.inputs(places)
    if frame.bends:
        write_border(code, frame, "%scratch", inputs["outside"])
    rows = inputs["rows"]
    skip = code.value(f"load i64, ptr {inputs['skip']}")
    with code.loop(num, start=skip) as picture:
        row = code.value(f"load i64, ptr {code.value(f'getelementptr i64, ptr {rows}, i64 {picture}')}")
        source = lanes.float_at(inputs["source"], code.value(f"mul i64 {row}, {frame.size}"))
        target = lanes.float_at(inputs["pictures"], code.value(f"mul i64 {picture}, {frame.size}"))
        number = lanes.column(inputs["plan"], names, picture, num).__getitem__
        write_reading(code, frame, number, source, target, "%scratch", inputs["outside"])
        if "offset_0" in frame.has:
            write_colour(code, frame, number, target)
        elif "coloured" in frame.has:
            write_clamped(code, frame, number, target, inputs)
        if "cut_top" in frame.has:
            write_cut(code, frame, number, target, inputs["cut"])
    text = code.function(f"void @{_NAME}(ptr %inputs, ptr %scratch)")
    return library_of("\n".join([*sorted(code.declared), text]))
