"""A schedule as a function of two pointers: to a table of pointers to its inputs, and to scratch memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from ravine.native.code import Code, whole_lines
from ravine.native.expressions import Buffer
from ravine.native.gates import guards, zeros
from ravine.native.loops import write_loops, write_reduction, write_scatter
from ravine.native.machine import Library, machine
from ravine.native.packing import packing
from ravine.native.products import write_product
from ravine.native.schedule import Loops, Product, Reduction, Scatter, Schedule, Work, read, written
from ravine.native.tensors import Unsupported

_NAME = "work"
_LANES = 8  # at most, of loops of any length: what waits for memory was up to a tenth slower with 16


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


def function_of(content: bytes, scratch: int) -> Function:
    """The function of an object file.

    Args:
        content: of `written_out`, compiled.
        scratch: bytes of scratch memory that it needs.
    """
    library = _library(content)
    return Function(library=library, address=library.address(_NAME), scratch=scratch)


@lru_cache(maxsize=256)
def _library(content: bytes) -> Library:
    return Library(content)


def written_out(schedule: Schedule, length: tuple[int, int] | None = None) -> tuple[str, int]:
    """A module with a function that does a schedule's work, and the bytes of scratch memory that it needs.

    Each piece of work is a function of its own: pieces that differ in nothing but their memory are compiled once.

    Args:
        schedule: what is to be done.
        length: a size, and the number of an input. Loops of this size go as far as the integer in that input
            says; there must be no others that have any size.

    Raises:
        Unsupported: other work than loops over that size.
    """
    code = Code(machine().lanes)
    guarded = guards(schedule.works) if length is None else [[] for _ in schedule.works]
    last_use = {guard.gate: number for number, own in enumerate(guarded) for guard in own}
    places, end = schedule.scratch(last_use)
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
    packed = [packing(work) for work in schedule.works if isinstance(work, Product)]
    room_size = max((each.size + each.left_size for each in packed), default=0)
    room = code.value(f"getelementptr inbounds i8, ptr %scratch, i64 {end}")
    count = None
    if length is not None:
        size, number = length
        if any(not isinstance(work, Loops) or work.sizes not in ((), (size,)) for work in schedule.works):
            raise Unsupported("more than one pass over numbers side by side")
        place = code.value(f"getelementptr inbounds ptr, ptr %inputs, i64 {number}")
        count = code.value(f"load i64, ptr {code.value(f'load ptr, ptr {place}')}")
    names: dict[str, str] = {}
    declared: set[str] = set()

    def call(work: Work) -> None:
        buffers = [each for each in dict.fromkeys((*written(work), *read(work))) if each in pointers]
        piece = _piece(work, buffers, count is not None)
        declared.update(piece.declared)
        parameters = [*(f"ptr %b{i}" for i in range(len(buffers))), "ptr %room", "i64 %length"]
        body = piece.function(f"void @NAME({', '.join(parameters)}) noinline")
        name = names.setdefault(body, f"piece{len(names)}")
        given = [*(f"ptr {pointers[buffer]}" for buffer in buffers), f"ptr {room}", f"i64 {count or 0}"]
        code.do(f"call void @{name}({', '.join(given)})")

    for work, own in zip(schedule.works, guarded, strict=True):
        after = code.label("after")
        for action in ("skip", "zero"):
            for guard in own:
                if guard.action != action:
                    continue
                closed, otherwise = code.label("closed"), code.label("open")
                value = code.load(pointers[guard.gate], "0", "i1")
                labels = (closed, otherwise) if guard.closed else (otherwise, closed)
                code.do(f"br i1 {value}, label %{labels[0]}, label %{labels[1]}")
                code.begin(closed)
                nothing = zeros(schedule.pool, work) if action == "zero" else None
                if nothing is not None:
                    call(nothing)
                code.do(f"br label %{after}")
                code.begin(otherwise)
        call(work)
        if own:
            code.do(f"br label %{after}")
            code.begin(after)
    pieces = [body.replace("void @NAME(", f"internal void @{name}(", 1) for body, name in names.items()]
    text = code.function(f"void @{_NAME}(ptr %inputs, ptr %scratch)")
    return "\n".join([*sorted(declared), *pieces, text]), end + whole_lines(4 * room_size)


def _piece(work: Work, buffers: Sequence[Buffer], of_any_length: bool) -> Code:
    """One piece of work; its buffers, room for packing and the length of loops of any length are parameters."""
    code = Code(min(machine().lanes, _LANES) if of_any_length else machine().lanes)
    pointers = {buffer: f"%b{i}" for i, buffer in enumerate(buffers)}
    if isinstance(work, Loops):
        write_loops(code, work, pointers, "%length" if of_any_length and work.sizes else None)
    elif isinstance(work, Reduction):
        write_reduction(code, work, pointers)
    elif isinstance(work, Scatter):
        write_scatter(code, work, pointers)
    else:
        write_product(code, work, pointers, "%room")
    return code
