"""Pictures mixed with others of their batch, as machine code: see `ravine.augment.mix`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from ravine.augment.native.changing import write_box
from ravine.augment.native.frame import Frame
from ravine.augment.native.lanes import Lanes
from ravine.native.code import Code
from ravine.native.function import Function
from ravine.native.machine import Library, library_of, machine

_NAME = "mixing"


def mixing_function(frame: Frame, names: tuple[str, ...], num: int, places: Mapping[str, int]) -> Function:
    """The function that mixes pictures.

    Args:
        frame: of the pictures.
        names: of the numbers of a mixture, in order: "lam", "partner", "by_box" and, with cutmix, those of the box;
            they lie in memory as (P, B).
        num: B, how many pictures are made.
        places: numbers of the inputs "whole" (all pictures of the batch), "raw" (these), "mixture", "pictures", "skip"
            (of the first ones, which are not made).
    """
    library = _library(frame, names, num, tuple(sorted(places.items())))
    return Function(library=library, address=library.address(_NAME), scratch=0)


@lru_cache(maxsize=64)
def _library(frame: Frame, names: tuple[str, ...], num: int, places: tuple[tuple[str, int], ...]) -> Library:
    code = Code(machine().lanes)
    lanes = Lanes(code)
    inputs = lanes.inputs(places)
    skip = code.value(f"load i64, ptr {inputs['skip']}")
    with code.loop(num, start=skip) as picture:
        numbers = lanes.column(inputs["mixture"], names, picture, num)
        first = code.value(f"mul i64 {picture}, {frame.size}")
        own, target = (lanes.float_at(inputs[name], first) for name in ("raw", "pictures"))
        partner = code.value(f"fptosi float {numbers['partner']} to i64")
        other = lanes.float_at(inputs["whole"], code.value(f"mul i64 {partner}, {frame.size}"))
        keeps = code.value(f"fcmp oeq float {numbers['lam']}, {lanes.number(1.0, 1)}")
        if "top" in names:
            boxed = code.value(f"fcmp ogt float {numbers['by_box']}, {lanes.number(0.0, 1)}")
            keeps = code.value(f"or i1 {keeps}, {boxed}")
        with lanes.only_if(keeps):
            kind = "void @llvm.memcpy.p0.p0.i64"
            code.declared.add(f"declare {kind}(ptr, ptr, i64, i1)")
            code.do(f"call {kind}(ptr {target}, ptr {own}, i64 {4 * frame.size}, i1 false)")
            if "top" in names:
                write_box(code, frame, numbers.__getitem__, target, "", other)
        with lanes.only_if(code.value(f"xor i1 {keeps}, true")):
            _blend(code, frame.size, own, other, target, numbers["lam"])
    text = code.function(f"void @{_NAME}(ptr %inputs, ptr %scratch)")
    return library_of("\n".join([*sorted(code.declared), text]))


def _blend(code: Code, size: int, own: str, other: str, target: str, lam: str) -> None:
    """``lam own + (1 - lam) other``."""
    lanes = Lanes(code)
    share, rest = lanes.splat(lam), lanes.splat(lanes.f("sub", 1.0, lam, 1))

    def some(start: str, mask: str | None) -> None:
        one, two = (lanes.load(lanes.float_at(each, start), mask=mask) for each in (own, other))
        found = lanes.f("add", lanes.f("mul", share, one), lanes.f("mul", rest, two))
        lanes.store(found, lanes.float_at(target, start), mask=mask)

    lanes.over(size, some)
