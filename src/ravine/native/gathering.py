"""The examples of a batch, copied side by side: for several runs that see the same one.

Rows of examples lie far apart, and reading them is most of what a step of a single layer takes; so runs of one seed
share the copy, and a second one that is turned round, (D, B), whose rows are columns of narrow products.

Shapes: B example, D feature.
"""

from __future__ import annotations

from functools import lru_cache

from ravine.native.code import BYTES, LINE, Code
from ravine.native.function import Function
from ravine.native.machine import Library, library_of, machine
from ravine.native.packing import pack

_AHEAD = 2  # rows that are fetched before they are copied


def gathering(places: tuple[int, int, int, int | None], num_rows: int, width: int) -> Function:
    """A function that copies examples.

    Args:
        places: numbers of its inputs: all examples (N, D), whole numbers that say which of them (B,), where they are
            copied to (B, D), and where turned round (D, B); None: nowhere.
        num_rows: B.
        width: D.
    """
    library = _library(places, num_rows, width)
    return Function(library=library, address=library.address("gather"), scratch=0)


@lru_cache(maxsize=16)
def _library(places: tuple[int, int, int, int | None], num_rows: int, width: int) -> Library:
    code = Code(machine().lanes)

    def pointer(number: int) -> str:
        return code.value(
            f"load ptr, ptr {code.value(f'getelementptr inbounds ptr, ptr %inputs, i64 {number}')}"
        )

    examples, rows, batch = (pointer(number) for number in places[:3])
    per_line = LINE // BYTES["f32"]

    def start(row: str) -> str:
        return code.address(examples, code.value(f"mul nsw i64 {row}, {width}"), "f32")

    with code.loop(num_rows) as b:
        later = code.value(f"add nuw nsw i64 {b}, {_AHEAD}")
        inside = code.value(f"icmp slt i64 {later}, {num_rows}")
        following = start(code.load(rows, code.value(f"select i1 {inside}, i64 {later}, i64 {b}"), "i64"))
        line, target = start(code.load(rows, b, "i64")), code.address(batch, _times(code, b, width), "f32")
        full = width // per_line * per_line
        if full:
            with code.loop(full, per_line) as d:
                code.prefetch(following, d, "f32", writes=False)
                for first in range(0, per_line, code.lanes):
                    place = code.value(f"add nuw nsw i64 {d}, {first}")
                    vector = code.load_vector(line, place, "f32", code.lanes)
                    code.store_vector(target, place, "f32", vector, code.lanes)
        for first in range(full, width, code.lanes):
            num = min(code.lanes, width - first)
            code.store_vector(target, str(first), "f32", code.load_vector(line, str(first), "f32", num), num)
    if places[3] is not None:
        pack(code, batch, (1, width), width, num_rows, pointer(places[3]))
    text = code.function("void @gather(ptr %inputs, ptr %scratch)")
    return library_of("\n".join([*sorted(code.declared), text]))


def _times(code: Code, counter: str, factor: int) -> str:
    return code.value(f"mul nsw i64 {counter}, {factor}")
