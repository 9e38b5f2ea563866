"""Views of the training examples, each drawn once, and what a frozen network makes of them.

View v of an example is what a run of seed 0 would see of it in its epoch v: the draw depends on the example's number
and on v alone, so all runs with the same strengths share their views.

Shapes: N example, B batch, C channel, H W space, D feature.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ravine.augment.batch import augmented_batch
from ravine.augment.fixed import fixed_of
from ravine.augment.native.single import SingleBatch
from ravine.augment.spec import GEOMETRY, Augment
from ravine.cached import find, keep
from ravine.data import Dataset
from ravine.data.room import require
from ravine.features.extract import Floats, Rows, batch_size, extract
from ravine.features.features import Extracting, Features, check_finite, key_of
from ravine.messages import count
from ravine.native.tensors import Unsupported
from ravine.study import Recipe
from ravine.study.augment import AUGMENT, VIEWS, num_views, pixel_scale, techniques

VERSION = 1
"""Raised when views come out otherwise, so that none are taken that were computed before."""
SEED = 0
_KIND = "features"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """How the views of each example are drawn that runs of a recipe have.

    Args:
        num: of views.
        strengths: those above 0, by name.
        options: how they are drawn beside strengths.
    """

    num: int
    strengths: Mapping[str, float]
    options: Augment

    @staticmethod
    def of(recipe: Recipe) -> Drawing | None:
        """That of a recipe's runs; None: they see the examples themselves."""
        num = num_views(recipe.augment)
        if not num:
            return None
        strengths = {name: recipe.hypers[f"{AUGMENT}{name}"] for name in techniques([recipe.hypers])}
        return Drawing(num=num, strengths=strengths, options=Augment.of(recipe.augment))

    @property
    def words(self) -> str:
        """For people: ``8 views of flip 0.5, crop 4, fill reflect``."""
        strengths = [f"{name} {value:g}" for name, value in self.strengths.items()]
        options = [f"{name} {value}" for name, value in self.options.changed().items() if name != VIEWS]
        return f"{count(self.num, 'view')} of {', '.join(strengths + options)}"

    def content(self) -> dict[str, Any]:
        """All that the draws depend on beside the examples, as plain data."""
        options = {name: value for name, value in self.options.changed().items() if name != VIEWS}
        return {"version": VERSION, "seed": SEED, VIEWS: self.num, **self.strengths, **options}


def views_key(
    model: Mapping[str, Any], data: Dataset, drawing: Drawing, device: torch.device, *, wide: bool = False
) -> dict[str, Any]:
    """All that the features of views depend on, as plain data; see `key_of`.

    Args:
        model: what a recipe says of the model.
        data: whose training examples are drawn. A part of a data set has a fingerprint of its own.
        drawing: of the views.
        device: what computes them.
        wide: see `key_of`.
    """
    return {**key_of(model, data, device, wide=wide), "augment": drawing.content()}


def views_of(
    model: Mapping[str, Any],
    data: Dataset,
    drawing: Drawing,
    device: torch.device,
    network: Callable[[], Callable[[Tensor], Tensor]],
    *,
    wide: bool = False,
) -> Iterator[Extracting | Features]:
    """The features of the views of a training part, out of the cache or computed and kept there.

    Args:
        model: see `key_of`.
        data: the data set.
        drawing: of the views of each of its training examples.
        device: what computes them.
        network: makes what `extract` takes. It is called where nothing is kept.
        wide: see `key_of`.

    Yields:
        Progress, and at the end the features: of "train" alone, view after view, (views N, D).
    """
    began, key, size = (
        time.perf_counter(),
        views_key(model, data, drawing, device, wide=wide),
        len(data.train),
    )
    found = find(_KIND, key)
    if found.arrays is not None:
        seconds = time.perf_counter() - began
        yield Features(
            arrays=found.arrays, key=key, hit=True, seconds=seconds, kept=found, fed=data.input_shape
        )
        return
    total, about = drawing.num * size, f"features of {drawing.words}"
    yield Extracting(done=0, all=total, about=about)
    body, change = network(), changing(data, drawing)
    each = data.train.take(np.tile(np.arange(size), drawing.num))  # view after view
    x_ND: Floats | None = None
    for part, some in extract(body, each, device, change):
        if x_ND is None:
            require(float(total) * some[0].nbytes, f"features of {count(total, 'view')}")
            x_ND = np.empty((total, *some.shape[1:]), some.dtype)
        x_ND[part] = some
        yield Extracting(done=part.stop, all=total, about=about)
    assert x_ND is not None, "a data set has training examples"
    check_finite(x_ND, "drawn train")
    kept = keep(_KIND, key, {"train": x_ND})
    yield Features(
        arrays=kept.arrays or {"train": x_ND},
        key=key,
        hit=False,
        seconds=time.perf_counter() - began,
        kept=replace(kept, note="; ".join(filter(None, (found.note, kept.note)))),
        fed=data.input_shape,
    )


def changing(data: Dataset, drawing: Drawing) -> Callable[[Floats, Rows], Floats]:
    """What draws the views of a batch: (x, numbers of views) -> x; view v of example i is number v N + i.

    It makes the bits of training: in machine code where training does.

    Args:
        data: the data set.
        drawing: what is drawn; each batch has the `batch_size` of the data set.
    """
    size, num = batch_size(data.input_shape), len(data.train)
    draw = _of_one_view(size, data, drawing)

    def change(x: Floats, rows: Rows) -> Floats:
        found = np.empty(x.shape, np.float32)
        for view in np.unique(rows // num):
            which = rows // num == view
            found[which] = draw(torch.from_numpy(x), torch.from_numpy(rows % num), int(view)).numpy()[which]
        return found

    return change


def _of_one_view(size: int, data: Dataset, drawing: Drawing) -> Callable[[Tensor, Tensor, int], Tensor]:
    """What draws the same view of all examples of a batch: (x, their numbers, v) -> x."""
    strengths = {name: torch.tensor(value, dtype=torch.float32) for name, value in drawing.strengths.items()}
    fixed = _fixed(data, drawing)
    y_B, rows_B = torch.zeros(size), torch.arange(size)
    if len(data.input_shape) == 3:
        with suppress(Unsupported):
            channels, height, width = data.input_shape
            shape = (size, channels, height, width)
            single = SingleBatch(shape, tuple(strengths), fixed, drawing.options, None, 1)
            return lambda x, numbers_B, view: single(x, y_B, numbers_B, view, SEED, strengths)[0]

    def by_tensors(x: Tensor, numbers_B: Tensor, view: int) -> Tensor:
        given = (x, y_B, rows_B, numbers_B, view, SEED, strengths, fixed, drawing.options, None)
        return augmented_batch(*given)[0]

    return by_tensors


def _fixed(data: Dataset, drawing: Drawing) -> dict[str, Tensor]:
    """What the draws must know of the training part; where one picture says it all, the others are not read."""
    if len(data.input_shape) != 3:
        return {"rows": torch.tensor(data.train.x)}
    mean, deviation = pixel_scale(data) or ((), ())
    names, options = drawing.strengths, drawing.options
    by_all = (
        "pca" in names
        or ("cutout" in names and options.cutout_fill == "mean")
        or (options.fill == "mean" and any(name in GEOMETRY for name in names))
    )
    x = data.train.x if by_all else data.train.some(slice(1))
    return fixed_of(torch.tensor(x), names, mean=mean, deviation=deviation)
