"""A batch of one run, augmented: pure tensor code, for a trace, under vmap over seeds and strengths, or as it is.

Pictures: geometry, colour, cutout, mix; tables: cells, noise, mix.

Shapes: N example of the source, B batch, C channel, H W space, D column, K class.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ravine.augment.boxes import cut, drawn_cut
from ravine.augment.colour import coloured, drawn_colour
from ravine.augment.geometry import drawn_map, moved
from ravine.augment.mix import drawn_mixture, mixed, mixed_answers
from ravine.augment.numbers import Words, example_key
from ravine.augment.spec import GEOMETRY, MIXING, Augment
from ravine.augment.tables import changed

Strengths = Mapping[str, Tensor]


def augmented_batch(
    x: Tensor,
    y: Tensor,
    rows_B: Tensor,
    examples_B: Tensor,
    epoch: int | Tensor,
    seed: int | Tensor,
    strengths: Strengths,
    fixed: Mapping[str, Tensor],
    options: Augment,
    num_classes: int | None,
) -> tuple[Tensor, Tensor]:
    """Examples of a batch, changed at random, and their answers.

    What is drawn for an example is a function of the seed, the epoch and its number; with mixing, also of its batch.
    A technique that is not among the strengths is skipped; one of strength 0 leaves every bit. A higher strength
    scales the same draw.

    Args:
        x: the source, float32, standardized: (N, C, H, W) or (N, D).
        y: its answers: int64 classes, or float32 numbers.
        rows_B: the batch's rows of the source, int64.
        examples_B: the numbers that they draw by, int64 below 2^26; in training the rows.
        epoch: counted from 0; a number or int64, 0-d.
        seed: of the run; a number or int64, 0-d.
        strengths: float32, 0-d each, by name: see `ravine.augment.spec.STRENGTHS`.
        fixed: what is known of the training part, from `ravine.augment.fixed.fixed_of`; of a table "rows", the training
            rows, unless x is these.
        options: structure.
        num_classes: K; None for regression.

    Returns:
        x, float32 (B, ...), and y: as it is, (B,); with "mixup" or "cutmix" among the strengths float32 (B, K) for
        classification, mixed numbers (B,) for regression.
    """
    words = Words(example_key(seed, epoch), examples_B)
    answers = y.index_select(0, rows_B)
    if x.dim() == 4:
        found = _pictures(x, rows_B, words, strengths, fixed, options)
    else:
        found = changed(x, rows_B, examples_B, strengths, seed, epoch, fixed.get("rows", x))
    if not any(name in strengths for name in MIXING):
        return found, answers
    shape = (x.shape[-2], x.shape[-1]) if x.dim() == 4 else None
    mixture = drawn_mixture(words, strengths, len(rows_B), shape, options)
    others = answers.index_select(0, mixture.partner)
    return mixed(found, mixture), mixed_answers(answers, others, mixture, num_classes)


def _pictures(
    x: Tensor,
    rows_B: Tensor,
    words: Words,
    strengths: Strengths,
    fixed: Mapping[str, Tensor],
    options: Augment,
) -> Tensor:
    height, width = x.shape[-2:]
    geometry = [name for name in GEOMETRY if name in strengths]
    outside = fixed["average" if options.fill == "mean" else "black"]
    found = moved(x, rows_B, drawn_map(words, strengths, height, width), options.fill, outside, geometry)
    colours = drawn_colour(words, strengths, options.order)
    found = coloured(found, colours, strengths, fixed, options.order)
    if "cutout" in strengths:
        fill = fixed["average" if options.cutout_fill == "mean" else "black"]
        found = cut(found, drawn_cut(words, strengths["cutout"], (height, width), options.fit), fill)
    return found
