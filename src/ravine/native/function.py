"""A schedule as a function of two pointers: to a table of pointers to its inputs, and to scratch memory."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from ravine.native.code import Code
from ravine.native.expressions import Buffer
from ravine.native.loops import write_loops, write_reduction
from ravine.native.machine import Library, machine
from ravine.native.products import packing, write_product
from ravine.native.schedule import Loops, Product, Reduction, Schedule, read, written

_LINE = 64
_NAME = "work"


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A compiled function.

    Args:
        library: which keeps it alive.
        address: where its code begins.
        scratch: bytes of scratch memory that it needs.
    """

    library: Library
    address: int
    scratch: int


def compiled(schedule: Schedule) -> Function:
    """The function that does a schedule's work; the same work is compiled once."""
    text, scratch = _written(schedule)
    library = _library(text)
    return Function(library=library, address=library.address(_NAME), scratch=scratch)


@lru_cache(maxsize=256)
def _library(text: str) -> Library:
    return Library(text)


def _written(schedule: Schedule) -> tuple[str, int]:
    """A module with the function, and the bytes of scratch memory that it needs."""
    code = Code(machine().lanes)
    places, end = schedule.scratch()
    pointers: dict[Buffer, str] = {}
    for work in schedule.works:
        for buffer in (*written(work), *read(work)):
            if buffer in pointers:
                continue
            if buffer.source is not None:
                place = code.value(f"getelementptr inbounds ptr, ptr %inputs, i64 {buffer.source}")
                pointers[buffer] = code.value(f"load ptr, ptr {place}")
            elif buffer in places:
                pointers[buffer] = code.value(
                    f"getelementptr inbounds i8, ptr %scratch, i64 {places[buffer]}"
                )
    packed = max((packing(work) for work in schedule.works if isinstance(work, Product)), default=0)
    room = code.value(f"getelementptr inbounds i8, ptr %scratch, i64 {end}")
    for work in schedule.works:
        if isinstance(work, Loops):
            write_loops(code, work, pointers)
        elif isinstance(work, Reduction):
            write_reduction(code, work, pointers)
        else:
            write_product(code, work, pointers, room)
    text = code.function(f"void @{_NAME}(ptr %inputs, ptr %scratch)")
    return "\n".join([*sorted(code.declared), text]), end + -(-4 * packed // _LINE) * _LINE
