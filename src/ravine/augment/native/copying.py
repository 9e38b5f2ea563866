"""Pictures that are shifted by whole pixels and perhaps mirrored, row by row, as machine code."""

from __future__ import annotations

from typing import final

from ravine.augment.native.frame import Frame, Number
from ravine.augment.native.lanes import Lanes
from ravine.native.code import Code


@final
class Copy:
    """A picture shifted by whole pixels, and perhaps mirrored.

    Args:
        code: the function.
        frame: of the pictures.
        number: of the picture's plan.
    """

    def __init__(self, code: Code, frame: Frame, number: Number) -> None:
        self._code, self._frame, self._number, self._lanes = code, frame, number, Lanes(code)

    def write(self, source: str, target: str, outside: str) -> None:
        """Copy it from one place in memory to another; the channels' numbers outside lie at a third."""
        code, number = self._code, self._number
        shift_x = shift_y = "0"
        if "shift_x" in self._frame.has:
            shift_x, shift_y = (
                code.value(f"fptosi float {number(name)} to i64") for name in ("shift_x", "shift_y")
            )
        if "mirrored" not in self._frame.has:
            self._rows(source, target, outside, shift_x, shift_y, mirrored=False)
            return
        mirrored = code.value(f"fcmp olt float {number('mirrored')}, {self._lanes.number(0.0, 1)}")
        with self._lanes.only_if(mirrored):
            self._rows(source, target, outside, shift_x, shift_y, mirrored=True)
        with self._lanes.only_if(code.value(f"xor i1 {mirrored}, true")):
            self._rows(source, target, outside, shift_x, shift_y, mirrored=False)

    def _rows(
        self, source: str, target: str, outside: str, shift_x: str, shift_y: str, *, mirrored: bool
    ) -> None:
        code, frame, lanes = self._code, self._frame, self._lanes
        height, width = frame.height, frame.width
        with code.loop(frame.channels) as channel:
            fill = lanes.splat(code.value(f"load float, ptr {lanes.float_at(outside, channel)}"))
            first = code.value(f"mul i64 {channel}, {height}")
            with code.loop(height) as i:
                y = code.value(f"add i64 {i}, {shift_y}")
                inside, row = self._row_of(y)
                at = code.value(f"mul i64 {code.value(f'add i64 {first}, {row}')}, {width}")
                row_at = lanes.float_at(source, at)
                to = code.value(f"mul i64 {code.value(f'add i64 {first}, {i}')}, {width}")
                to_at = lanes.float_at(target, to)
                full = width // lanes.num * lanes.num
                if full:
                    with code.loop(full, lanes.num) as j:
                        self._part(row_at, to_at, shift_x, inside, fill, j, lanes.num, mirrored=mirrored)
                if full < width:
                    self._part(
                        row_at, to_at, shift_x, inside, fill, str(full), width - full, mirrored=mirrored
                    )
                if frame.fill == "reflect" and shift_x != "0":
                    self._reflected(row_at, to_at, shift_x, mirrored=mirrored)

    def _row_of(self, y: str) -> tuple[str, str]:
        """Whether a row lies inside, and the row to read."""
        code, last = self._code, self._frame.height - 1
        above = code.value(f"icmp slt i64 {y}, 0")
        below = code.value(f"icmp sgt i64 {y}, {last}")
        if self._frame.fill == "reflect":
            up = code.value(f"sub i64 0, {y}")
            down = code.value(f"sub i64 {2 * last}, {y}")
            return "true", code.value(
                f"select i1 {above}, i64 {up}, i64 {code.value(f'select i1 {below}, i64 {down}, i64 {y}')}"
            )
        gone = code.value(f"or i1 {above}, {below}")
        return code.value(f"xor i1 {gone}, true"), code.value(f"select i1 {gone}, i64 0, i64 {y}")

    def _part(
        self, row_at: str, to_at: str, shift: str, inside: str, fill: str, j: str, num: int, *, mirrored: bool
    ) -> None:
        """Some neighbours of a row."""
        code, lanes, width = self._code, self._lanes, self._frame.width
        first = code.value(f"add i64 {j}, {shift}")
        if mirrored:
            last = code.value(f"sub i64 {width - lanes.num}, {j}")
            first = code.value(f"add i64 {last}, {shift}")
        places = lanes.i("add", lanes.splat(code.value(f"trunc i64 {first} to i32"), "i32"), lanes.steps())
        mask = lanes.between(places, lanes.integers(0), lanes.integers(width))
        mask = code.value(f"and {lanes.truth} {mask}, {lanes.splat(inside, 'i1')}")
        found = lanes.load(lanes.float_at(row_at, first), mask=mask, other=fill)
        if mirrored:
            found = lanes.shuffle(found, "poison", range(lanes.num)[::-1], lanes.num)
        lanes.store(found, lanes.float_at(to_at, j), mask=None if num == lanes.num else lanes.first(num))

    def _reflected(self, row_at: str, to_at: str, shift: str, *, mirrored: bool) -> None:
        """The pixels of a row that lie outside its source: as many as it is shifted by, at one of its ends."""
        code, lanes, width = self._code, self._lanes, self._frame.width
        left = code.value(f"icmp slt i64 {shift}, 0")
        many = code.value(f"select i1 {left}, i64 {code.value(f'sub i64 0, {shift}')}, i64 {shift}")
        begin = code.value(f"sub i64 {width}, {many}")
        start = code.value(
            f"select i1 {left}, i64 {begin if mirrored else 0}, i64 {0 if mirrored else begin}"
        )
        with code.loop(many, start="0") as k:
            j = code.value(f"add i64 {start}, {k}")
            from_j = code.value(f"sub i64 {width - 1}, {j}") if mirrored else j
            x = code.value(f"add i64 {from_j}, {shift}")
            back = code.value(f"sub i64 0, {x}")
            forth = code.value(f"sub i64 {2 * (width - 1)}, {x}")
            x = code.value(f"select i1 {left}, i64 {back}, i64 {forth}")
            pixel = code.value(f"load float, ptr {lanes.float_at(row_at, x)}")
            code.do(f"store float {pixel}, ptr {lanes.float_at(to_at, j)}")
