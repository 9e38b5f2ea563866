"""Colour of a picture in an order of its own, clamped after each step, as machine code: see `ravine.augment.colour`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ravine.augment.colour import GREY, ORDERS, STEPS
from ravine.augment.native.changing import each_pixel, means
from ravine.augment.native.frame import Frame, Number
from ravine.augment.native.lanes import Lanes
from ravine.native.code import Code

Pixels = Sequence[str]
Step = Callable[[Pixels], Sequence[str]]
_TABLE = "@orders"


def write_clamped(code: Code, frame: Frame, number: Number, at: str, scale: Mapping[str, str]) -> None:
    """Change the colours of one picture in its order.

    Args:
        code: the function.
        frame: of the pictures.
        number: of the picture's plan.
        at: where it lies.
        scale: where "mean" and "deviation" of the channels lie.
    """
    lanes, channels = Lanes(code), range(frame.channels)
    with lanes.only_if(code.value(f"fcmp ogt float {number('coloured')}, {lanes.number(0.0, 1)}")):
        mean, deviation = (
            [lanes.splat(code.value(f"load float, ptr {lanes.float_at(scale[name], i)}")) for i in channels]
            for name in ("mean", "deviation")
        )

        def to_pixels(planes: Pixels) -> list[str]:
            both = zip(planes, deviation, mean, strict=True)
            return [lanes.f("add", lanes.f("mul", plane, factor), offset) for plane, factor, offset in both]

        def to_numbers(planes: Pixels) -> list[str]:
            noise = [lanes.splat(number(f"noise_{i}")) for i in channels] if "noise_0" in frame.has else None
            if noise is not None:
                planes = [lanes.f("add", plane, each) for plane, each in zip(planes, noise, strict=True)]
            both = zip(planes, mean, deviation, strict=True)
            return [lanes.f("div", lanes.f("sub", plane, offset), factor) for plane, offset, factor in both]

        each_pixel(code, frame, at, to_pixels)
        if "order" in frame.has:
            _in_order(code, frame, number, at)
        each_pixel(code, frame, at, to_numbers)


def _in_order(code: Code, frame: Frame, number: Number, at: str) -> None:
    lanes = Lanes(code)
    flat = [step for order in ORDERS for step in order]
    table = ", ".join(f"i8 {step}" for step in flat)
    code.declared.add(f"{_TABLE} = internal constant [{len(flat)} x i8] [{table}]")
    order = code.value(f"fptosi float {number('order')} to i64")
    row = code.value(f"mul i64 {order}, {len(STEPS)}")
    with code.loop(len(STEPS)) as stage:
        place = code.value(f"add i64 {row}, {stage}")
        step = code.value(f"load i8, ptr {code.value(f'getelementptr i8, ptr {_TABLE}, i64 {place}')}")
        for i, name in enumerate(STEPS):
            if name not in frame.has:
                continue
            now = code.value(f"icmp eq i8 {step}, {i}")
            active = code.value(f"fcmp ogt float {number(f'active_{name}')}, {lanes.number(0.0, 1)}")
            with lanes.only_if(code.value(f"and i1 {now}, {active}")):
                made = _STEPS[name](code, frame, lanes.splat(number(name)), at)
                each_pixel(code, frame, at, _clamped(lanes, made))


def _clamped(lanes: Lanes, step: Step) -> Step:
    return lambda planes: [lanes.least(lanes.most(each, 0.0), 1.0) for each in step(planes)]


def _brightness(code: Code, _frame: Frame, factor: str, _at: str) -> Step:
    lanes = Lanes(code)
    return lambda planes: [lanes.f("mul", plane, factor) for plane in planes]


def _towards(lanes: Lanes, planes: Pixels, factor: str, other: str) -> list[str]:
    """``factor pixel + other``."""
    return [lanes.f("add", lanes.f("mul", plane, factor), other) for plane in planes]


def _contrast(code: Code, frame: Frame, factor: str, at: str) -> Step:
    lanes = Lanes(code)
    found = [lanes.splat(mean) for mean in means(code, frame, at)]
    other = lanes.f("mul", lanes.f("sub", 1.0, factor), _grey(lanes, found))
    return lambda planes: _towards(lanes, planes, factor, other)


def _saturation(code: Code, _frame: Frame, factor: str, _at: str) -> Step:
    lanes = Lanes(code)
    rest = lanes.f("sub", 1.0, factor)
    return lambda planes: _towards(lanes, planes, factor, lanes.f("mul", rest, _grey(lanes, planes)))


def _grey(lanes: Lanes, planes: Pixels) -> str:
    if len(planes) == 1:
        return planes[0]
    first, *others = (lanes.f("mul", weight, plane) for weight, plane in zip(GREY, planes, strict=True))
    for other in others:
        first = lanes.f("add", first, other)
    return first


def _hue(code: Code, _frame: Frame, turns: str, _at: str) -> Step:
    """HSV's hue turned, value and saturation kept."""
    lanes = Lanes(code)
    f, shift = lanes.f, lanes.f("mul", turns, 6.0)

    def step(planes: Pixels) -> list[str]:
        red, green, blue = planes
        top = lanes.most(lanes.most(red, green), blue)
        bottom = lanes.least(lanes.least(red, green), blue)
        width = f("sub", top, bottom)
        has_hue = lanes.compare("ogt", width, 0.0)
        safe = lanes.select(has_hue, width, lanes.number(1.0))
        of_red, of_green, of_blue = (
            f("div", f("sub", one, two), safe) for one, two in ((green, blue), (blue, red), (red, green))
        )
        sixths = lanes.select(
            lanes.compare("oeq", top, green), f("add", of_green, 2.0), f("add", of_blue, 4.0)
        )
        sixths = f("add", lanes.select(lanes.compare("oeq", top, red), of_red, sixths), shift)
        parts = []
        for n, plane in zip((5.0, 3.0, 1.0), planes, strict=True):
            k = f("add", sixths, n)
            k = f("sub", k, f("mul", lanes.unary("floor", f("mul", k, 1 / 6)), 6.0))
            part = lanes.least(lanes.most(lanes.least(k, f("sub", 4.0, k)), 0.0), 1.0)
            parts.append(lanes.select(has_hue, f("sub", top, f("mul", width, part)), plane))
        return parts

    return step


_STEPS: Mapping[str, Callable[[Code, Frame, str, str], Step]] = {
    "brightness": _brightness,
    "contrast": _contrast,
    "saturation": _saturation,
    "hue": _hue,
}
