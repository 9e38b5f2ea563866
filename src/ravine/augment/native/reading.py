"""Pictures read through their maps, as machine code: see `ravine.augment.geometry` for what a map is.

A map that moves pixels to pixels is copied row by row. For any other one, a picture is first laid out with up to four
channels of a pixel side by side and a border around it, so that a pixel of the result is made of two loads of two
neighbours each, whatever the map, and without a question of what lies outside.

Shapes: C channel, H W space.
"""

from __future__ import annotations

from collections.abc import Mapping

from ravine.augment.native.copying import Copy
from ravine.augment.native.frame import Frame, Number
from ravine.augment.native.lanes import FOUR, Lanes
from ravine.native.code import Code


def write_border(code: Code, frame: Frame, padded: str, outside: str) -> None:
    """Fill the memory of padded pictures with what lies outside; the inner pixels are overwritten."""
    lanes = Lanes(code)
    for group in range(frame.groups):
        value = "zeroinitializer"
        if frame.fill != "reflect":
            for i in range(min(4, frame.channels - 4 * group)):
                one = code.value(f"load float, ptr {lanes.float_at(outside, 4 * group + i)}")
                value = code.value(f"insertelement {FOUR} {value}, float {one}, i64 {i}")
        with code.loop(frame.padded) as place:
            at = code.value(f"add i64 {place}, {group * frame.padded}")
            code.do(f"store {FOUR} {value}, ptr {_pixel(code, padded, at)}, align 16")


def write_reading(
    code: Code, frame: Frame, number: Number, source: str, target: str, padded: str, outside: str
) -> None:
    """One picture, read from one place in memory into another.

    Args:
        code: the function.
        frame: of the pictures.
        number: of the picture's plan.
        source, target: where it lies, and where to write it.
        padded: memory for a picture with its border, see `write_border`.
        outside: where the channels' numbers outside lie.
    """
    moves = frame.has & {"mirrored", "shift_x"}
    if not frame.bends and not moves:
        kind = "void @llvm.memcpy.p0.p0.i64"
        code.declared.add(f"declare {kind}(ptr, ptr, i64, i1)")
        code.do(f"call {kind}(ptr {target}, ptr {source}, i64 {4 * frame.size}, i1 false)")
        return
    if not frame.bends:
        Copy(code, frame, number).write(source, target, outside)
        return
    still = {"xx": 1.0, "xy": 0.0, "yx": 0.0, "yy": 1.0, "lens": 0.0, "move_x": 0.0, "move_y": 0.0}
    whole = "true"
    for name, value in still.items():
        if name in frame.has:
            same = code.value(f"fcmp oeq float {number(name)}, {Lanes(code).number(value, 1)}")
            whole = code.value(f"and i1 {whole}, {same}")
    lanes = Lanes(code)
    with lanes.only_if(whole):
        Copy(code, frame, number).write(source, target, outside)
    with lanes.only_if(code.value(f"xor i1 {whole}, true")):
        _interleave(code, frame, source, padded)
        _Read(code, frame, number).write(padded, target)


def _pixel(code: Code, base: str, place: str) -> str:
    return code.value(f"getelementptr {FOUR}, ptr {base}, i64 {place}")


def _interleave(code: Code, frame: Frame, source: str, padded: str) -> None:
    """Lay out a picture with up to four channels of a pixel side by side, inside its border."""
    lanes, width = Lanes(code), frame.width
    plane = frame.height * width
    for group in range(frame.groups):
        channels = range(4 * group, min(4 * group + 4, frame.channels))
        with code.loop(frame.height) as i:
            row = code.value(f"mul i64 {i}, {width}")
            to = code.value(f"mul i64 {i}, {frame.wide}")
            to = code.value(f"add i64 {to}, {group * frame.padded + frame.wide + 1}")

            def four(j: str, num: int, row: str = row, to: str = to, channels: range = channels) -> None:
                place = code.value(f"add i64 {row}, {j}")
                mask = lanes.first(num, of=4) if num < 4 else None
                planes = [
                    lanes.load(lanes.float_at(source, code.value(f"add i64 {place}, {c * plane}")), 4, mask)
                    for c in channels
                ]
                planes += ["zeroinitializer"] * (4 - len(planes))
                for k, pixel in enumerate(lanes.transposed(planes)[:num]):
                    at = code.value(f"add i64 {to}, {code.value(f'add i64 {j}, {k}')}")
                    code.do(f"store {FOUR} {pixel}, ptr {_pixel(code, padded, at)}, align 16")

            if width >= 4:
                with code.loop(width // 4 * 4, 4) as j:
                    four(j, 4)
            if width % 4:
                four(str(width // 4 * 4), width % 4)


class _Read:
    """A picture read between pixels, as many at once as a vector has lanes."""

    def __init__(self, code: Code, frame: Frame, number: Number) -> None:
        self._code, self._frame, self._lanes = code, frame, Lanes(code)
        names = ("mirrored", "shift_x", "shift_y", "lens", "move_x", "move_y", "xx", "xy", "yx", "yy")
        self._numbers: Mapping[str, str] = {
            name: self._lanes.splat(number(name)) for name in names if name in frame.has
        }
        self._place = code.place(self._lanes.whole)
        self._parts = [code.place(self._lanes.floats) for _ in range(2)]

    def write(self, padded: str, target: str) -> None:
        code, frame, lanes = self._code, self._frame, self._lanes
        with code.loop(frame.height) as i:
            down = lanes.splat(code.value(f"sitofp i64 {i} to float"))
            y = lanes.f("sub", down, (frame.height - 1) / 2)
            row = code.value(f"mul i64 {i}, {frame.width}")
            full = frame.width // lanes.num * lanes.num
            if full:
                with code.loop(full, lanes.num) as j:
                    self._some(padded, target, row, y, j, lanes.num)
            if full < frame.width:
                self._some(padded, target, row, y, str(full), frame.width - full)

    def _some(self, padded: str, target: str, row: str, y: str, j: str, num: int) -> None:
        """Some neighbours of a row of the result."""
        code, frame, lanes = self._code, self._frame, self._lanes
        here = lanes.i("add", lanes.splat(code.value(f"trunc i64 {j} to i32"), "i32"), lanes.steps())
        across = code.value(f"sitofp {lanes.whole} {here} to {lanes.floats}")
        x = lanes.f("sub", across, (frame.width - 1) / 2)
        x, y = self._source(x, y)
        first_x, part_x = self._axis(x, frame.width)
        first_y, part_y = self._axis(y, frame.height)
        place = lanes.i("mul", first_y, lanes.integers(frame.wide))
        place = lanes.i("add", lanes.i("add", place, first_x), lanes.integers(frame.wide + 1))
        code.do(f"store {lanes.whole} {place}, ptr {self._place}")
        for part, at in zip((part_x, part_y), self._parts, strict=True):
            code.do(f"store {lanes.floats} {part}, ptr {at}")
        begin = code.value(f"add i64 {row}, {j}")
        if num >= 4:
            with code.loop(num // 4 * 4, 4) as k:
                self._four(padded, target, begin, k, 4)
        if num % 4:
            self._four(padded, target, begin, str(num // 4 * 4), num % 4)

    def _source(self, x: str, y: str) -> tuple[str, str]:
        """Where pixels lie in the source: the operations of `ravine.augment.geometry.source_of`, in its order."""
        f, given, frame = self._lanes.f, self._numbers, self._frame
        middle_x, middle_y = (frame.width - 1) / 2, (frame.height - 1) / 2
        if "mirrored" in given:
            x = f("mul", x, given["mirrored"])
        if "shift_x" in given:
            x, y = f("add", x, given["shift_x"]), f("add", y, given["shift_y"])
        if "lens" in given:
            half_diagonal = max(middle_x**2 + middle_y**2, 1.0)
            radius = f("mul", f("add", f("mul", x, x), f("mul", y, y)), 1 / half_diagonal)
            factor = f("add", f("mul", given["lens"], radius), 1.0)
            x, y = f("mul", x, factor), f("mul", y, factor)
        if "move_x" in given:
            x, y = f("sub", x, given["move_x"]), f("sub", y, given["move_y"])
        if "xx" in given:
            x, y = (
                f("add", f("mul", given[f"{axis}x"], x), f("mul", given[f"{axis}y"], y))
                for axis in ("x", "y")
            )
        return f("add", x, middle_x), f("add", y, middle_y)

    def _axis(self, place: str, size: int) -> tuple[str, str]:
        """The pixel at or before a place, and the part of the way to the next one."""
        code, lanes = self._code, self._lanes
        if self._frame.fill == "reflect" and size == 1:
            return lanes.integers(0), lanes.number(0.0)
        if self._frame.fill == "reflect":
            period = 2.0 * (size - 1)
            place = lanes.unary("fabs", place)
            turns = lanes.unary("floor", lanes.f("mul", place, 1 / period))
            place = lanes.f("sub", place, lanes.f("mul", turns, period))
            place = lanes.least(place, lanes.f("sub", period, place))
            place = lanes.least(lanes.most(place, 0.0), size - 1.0)
        else:
            place = lanes.least(lanes.most(place, -1.0), float(size))
        first = lanes.unary("floor", place)
        return code.value(f"fptosi {lanes.floats} {first} to {lanes.whole}"), lanes.f("sub", place, first)

    def _four(self, padded: str, target: str, begin: str, k: str, num: int) -> None:
        """Four pixels of a row, or the last ones, of all channels."""
        code, lanes, frame = self._code, self._lanes, self._frame
        plane = frame.height * frame.width
        mask = lanes.first(num, of=4) if num < 4 else None
        at = []
        for n in range(num):
            nth = code.value(f"add i64 {k}, {n}")
            place = code.value(
                f"load i32, ptr {code.value(f'getelementptr i32, ptr {self._place}, i64 {nth}')}"
            )
            parts = [code.value(f"load float, ptr {lanes.float_at(part, nth)}") for part in self._parts]
            at.append((code.value(f"zext i32 {place} to i64"), *parts))
        start = code.value(f"add i64 {begin}, {k}")
        for group in range(frame.groups):
            pixels = [self._pixel(padded, group, *each) for each in at]
            pixels += ["zeroinitializer"] * (4 - num)
            for channel, values in enumerate(lanes.transposed(pixels), 4 * group):
                if channel < frame.channels:
                    to = code.value(f"add i64 {start}, {channel * plane}")
                    lanes.store(values, lanes.float_at(target, to), 4, mask)

    def _pixel(self, padded: str, group: int, place: str, part_x: str, part_y: str) -> str:
        code, lanes, frame = self._code, self._lanes, self._frame
        place = code.value(f"add i64 {place}, {group * frame.padded}") if group else place
        upper = lanes.load(_pixel(code, padded, place), 8)
        below = code.value(f"add i64 {place}, {frame.wide}")
        lower = lanes.load(_pixel(code, padded, below), 8)
        down = lanes.f("mul", lanes.splat(part_y, num=8), lanes.f("sub", lower, upper, 8), 8)
        both = lanes.f("add", upper, down, 8)
        left, right = (lanes.shuffle(both, "poison", range(at, at + 4), 8) for at in (0, 4))
        along = lanes.f("mul", lanes.splat(part_x, num=4), lanes.f("sub", right, left, 4), 4)
        return lanes.f("add", left, along, 4)
