"""Colour and cutout of a picture in memory, as machine code: see `ravine.augment.colour` and `ravine.augment.boxes`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ravine.augment.native.frame import Frame, Number
from ravine.augment.native.lanes import Lanes
from ravine.native.code import Code


def write_colour(code: Code, frame: Frame, number: Number, at: str) -> None:
    """Change the colours of one picture in the fixed order: a matrix and an offset.

    Args:
        code: the function.
        frame: of the pictures.
        number: of the picture's plan.
        at: where it lies.
    """
    lanes, channels = Lanes(code), range(frame.channels)
    with lanes.only_if(code.value(f"fcmp ogt float {number('coloured')}, {lanes.number(0.0, 1)}")):
        offsets = [number(f"offset_{i}") for i in channels]
        if "base" in frame.has:
            grey = number("base")
            for i, mean in enumerate(means(code, frame, at)):
                grey = lanes.f("add", grey, lanes.f("mul", number(f"weight_{i}"), mean, 1), 1)
            offsets = [
                lanes.f("add", each, lanes.f("mul", number(f"lift_{i}"), grey, 1), 1)
                for i, each in enumerate(offsets)
            ]
        wide = [lanes.splat(each) for each in offsets]
        matrix = [[lanes.splat(number(f"matrix_{i}{j}")) for j in channels] for i in channels]

        def step(planes: Sequence[str]) -> list[str]:
            found = []
            for row, total in zip(matrix, wide, strict=True):
                for factor, plane in zip(row, planes, strict=True):
                    total = lanes.f("add", total, lanes.f("mul", factor, plane))
                found.append(total)
            return found

        each_pixel(code, frame, at, step)


def each_pixel(code: Code, frame: Frame, at: str, step: Callable[[Sequence[str]], Sequence[str]]) -> None:
    """Go over a picture's pixels: a function gets a vector of each channel and returns what takes their place."""
    lanes, plane = Lanes(code), frame.height * frame.width

    def some(start: str, mask: str | None) -> None:
        places = [
            lanes.float_at(at, code.value(f"add i64 {start}, {channel * plane}"))
            for channel in range(frame.channels)
        ]
        found = step([lanes.load(place, mask=mask) for place in places])
        for place, value in zip(places, found, strict=True):
            lanes.store(value, place, mask=mask)

    lanes.over(plane, some)


def means(code: Code, frame: Frame, at: str) -> list[str]:
    """The mean of each channel."""
    lanes, plane = Lanes(code), frame.height * frame.width
    totals = [code.place(lanes.floats) for _ in range(frame.channels)]
    for total in totals:
        code.do(f"store {lanes.floats} zeroinitializer, ptr {total}")

    def some(start: str, mask: str | None) -> None:
        for channel, total in enumerate(totals):
            place = lanes.float_at(at, code.value(f"add i64 {start}, {channel * plane}"))
            before = code.value(f"load {lanes.floats}, ptr {total}")
            code.do(
                f"store {lanes.floats} {lanes.f('add', before, lanes.load(place, mask=mask))}, ptr {total}"
            )

    lanes.over(plane, some)
    found = []
    for total in totals:
        whole = code.value(f"load {lanes.floats}, ptr {total}")
        # A sum of pairs, in an order that is said: reassociation by LLVM would be any.
        width = lanes.num
        while width > 1:
            half = width // 2
            low, high = (lanes.shuffle(whole, "poison", range(i, i + half), width) for i in (0, half))
            if half == 1:
                low, high = (code.value(f"extractelement <1 x float> {each}, i64 0") for each in (low, high))
            whole = lanes.f("add", low, high, half)
            width = half
        found.append(lanes.f("div", whole, float(plane), 1))
    return found


def write_cut(code: Code, frame: Frame, number: Number, at: str, fill: str) -> None:
    """Fill the box of one picture.

    Args:
        code, frame, number, at: as for `write_colour`.
        fill: where the channels' numbers lie.
    """
    write_box(code, frame, lambda name: number(f"cut_{name}"), at, fill, None)


def write_box(code: Code, frame: Frame, edge: Number, at: str, fill: str, other: str | None) -> None:
    """Overwrite a box of one picture, by numbers of its channels or by the same box of another picture.

    Args:
        code: the function.
        frame: of the pictures.
        edge: "top", "bottom", "left" and "right" of the box, as floats.
        at: where the picture lies.
        fill: where the channels' numbers lie.
        other: where another picture lies.
    """
    lanes, plane = Lanes(code), frame.height * frame.width
    top, bottom, left, right = (
        code.value(f"fptosi float {edge(name)} to i64") for name in ("top", "bottom", "left", "right")
    )
    low, high = (lanes.splat(code.value(f"trunc i64 {each} to i32"), "i32") for each in (left, right))
    for channel in range(frame.channels):
        value = "poison"
        if other is None:
            value = lanes.splat(code.value(f"load float, ptr {lanes.float_at(fill, channel)}"))
        with code.loop(bottom, start=top) as i, code.loop(right, lanes.num, start=left) as j:
            row = code.value(f"mul i64 {i}, {frame.width}")
            place = code.value(f"add i64 {code.value(f'add i64 {row}, {j}')}, {channel * plane}")
            here = lanes.i("add", lanes.splat(code.value(f"trunc i64 {j} to i32"), "i32"), lanes.steps())
            mask = lanes.between(here, low, high)
            found = value if other is None else lanes.load(lanes.float_at(other, place), mask=mask)
            lanes.store(found, lanes.float_at(at, place), mask=mask)
