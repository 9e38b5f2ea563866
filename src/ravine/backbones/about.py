"""A backbone in words: what a check of a study says of it."""

from __future__ import annotations

from pathlib import Path

from ravine import rng
from ravine.backbones.assembled import assembled, facts_of
from ravine.backbones.blocks import blocks
from ravine.backbones.kinds import sheet
from ravine.data.sheet import Sheet
from ravine.messages import count
from ravine.nn.spec import RANDOM, Backbone

_NORMS = {
    "frozen": "BatchNorms frozen",
    "affine": "BatchNorms with frozen statistics",
    "adapt": "BatchNorms as usual",
}


def about(
    spec: Backbone, input_shape: tuple[int, ...], num_outputs: int, search: Path | None = None
) -> list[str]:
    """What a reader should see before a backbone is trained: its parts, where it was cut, and what it is fed.

    Args:
        spec: the backbone.
        input_shape: of one example.
        num_outputs: K.
        search: the study's folder.

    Raises:
        ModelError: see `assembled`.
    """
    with rng.keyed_init(0):
        module = assembled(spec, input_shape, num_outputs, search=search)
    facts = facts_of(spec, input_shape, search)
    body, head = (sum(p.numel() for p in part.parameters()) for part in (module.body, module.head))
    guessed = "" if spec.cut is not None else ", the last linear layer; cut = says another"
    widths = " -> ".join(map(str, (facts.width, *spec.head.hidden, num_outputs)))
    learned = "drawn by the seed: no weights" if spec.weights is None else f"weights of {spec.weights}"
    if (spec.weights or "").startswith(f"{RANDOM}:"):
        learned = f"drawn by a number, {spec.weights}: it has learned nothing"
    num = len(blocks(module))
    first_and_last = "from:0" if num == 1 else f"from:0 to from:{num - 1}"
    numbered = f"{count(body, 'parameter')} in {count(num, 'block')} ({first_and_last})"
    return [
        f"backbone: {numbered}, {learned}, {_NORMS[spec.norm]}",
        f"head: {widths}, {count(head, 'parameter')}, in the place of {facts.cut.name!r}{guessed}",
        fed(sheet(spec, search), input_shape),
    ]


def fed(found: Sheet | None, input_shape: tuple[int, ...]) -> str:
    """How pictures come to a network, in a line.

    Args:
        found: the sheet; None: nothing is known.
        input_shape: of one example.

    Example:
        >>> print(fed(Sheet(crop=0.875, mean=(0.5,) * 3, std=(0.5,) * 3), (3, 224, 224)))
        pictures: scaled to cover 256 x 256 (bicubic, antialiased), middle 224 x 224, RGB, (v/255 - 0.5) / 0.5: -1 to 1
    """
    if found is None:
        return (
            "pictures: nothing is known of how this network wants them, so they are scaled as all data are; input = "
            "{ mean = ..., std = ... } says it"
        )
    sized = found.at((input_shape[-2], input_shape[-1])) if len(input_shape) == 3 else found
    if sized.size is None or sized.scaled is None:  # of no pictures: refused elsewhere
        return "pictures: none"
    height, width = sized.scaled
    way = "scaled to cover" if sized.resize == "cover" else "squashed to"
    middle = "" if sized.scaled == sized.size else f", middle {sized.size[0]} x {sized.size[1]}"
    low, high = sized.values
    value = (
        "v/255"
        if (sized.low, sized.high) == (0.0, 1.0)
        else f"{sized.low:g} + v/255 {sized.high - sized.low:g}"
    )
    if set(sized.mean) == {0.0} and set(sized.std) == {1.0}:
        formula = value
    else:
        formula = f"({value} - {_each(sized.mean)}) / {_each(sized.std)}"
    return (
        f"pictures: {way} {height} x {width} ({sized.interpolation}, antialiased){middle}, {sized.channels.upper()}, "
        f"{formula}: {low:.4g} to {high:.4g}"
    )


def _each(numbers: tuple[float, ...]) -> str:
    return f"{numbers[0]:g}" if len(set(numbers)) == 1 else f"[{', '.join(f'{x:g}' for x in numbers)}]"
