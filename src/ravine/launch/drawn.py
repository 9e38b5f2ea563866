"""What runs with views are trained on: features of drawn views of their training examples, shared by all runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ravine.backbones.assembled import facts_of
from ravine.backbones.kinds import weights_unchanged
from ravine.data import Dataset, Examples
from ravine.data.dataset import Views
from ravine.data.parts import PartOf
from ravine.features.extract import batch_size
from ravine.features.features import Extracting, Features, quick
from ravine.features.head import Standardized, structure_of_body
from ravine.features.views import Drawing, views_of
from ravine.launch.frozen import body_of, is_wide
from ravine.messages import count
from ravine.nn.spec import Backbone
from ravine.nn.standard import standardized
from ravine.study import Recipe, Run, content_id
from ravine.study.augment import num_views
from ravine.times import duration

Body = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """The features of views, as far as they were asked for.

    Args:
        search: the study file's folder.
        device: what computes them.
    """

    search: Path | None
    device: torch.device
    _known: dict[str, Features] = field(default_factory=dict, init=False, repr=False)
    _beside: dict[str, Dataset] = field(default_factory=dict, init=False, repr=False)
    _bodies: dict[str, Body] = field(default_factory=dict, init=False, repr=False)

    def events(
        self, spec: Backbone, recipe: Recipe, part: Callable[[], Dataset]
    ) -> Iterator[Extracting | Features]:
        """Progress, and the features of the views that runs of a recipe have; nothing where they have none.

        Args:
            spec: of the model.
            recipe: of the runs.
            part: the examples that the runs learn from.
        """
        drawing, name = Drawing.of(recipe), _name(recipe)
        if drawing is None:
            return
        if name not in self._known:
            data = part()

            def body() -> Body:
                weights_unchanged([spec], self.search).finish()  # as in `Frozen.events`
                return self._body(spec, recipe, data)

            for event in views_of(recipe.model, data, drawing, self.device, body, wide=is_wide(recipe)):
                if isinstance(event, Features):
                    self._known[name] = event
                else:
                    yield event
        yield self._known[name]

    def beside(
        self, scaled: Standardized, spec: Backbone, recipe: Recipe, part: Callable[[], Dataset]
    ) -> Dataset:
        """What runs of a recipe learn from: features, with their views, computed when a run is trained on them.

        Args:
            scaled: the features of the examples as they are, at the scale of the training part, which views get too.
            spec, recipe, part: as for `events`.
        """
        drawing, name = Drawing.of(recipe), _name(recipe)
        if drawing is None:
            return scaled.data
        if name not in self._beside:
            y, weights = scaled.data.train.y, scaled.data.train.weights

            def load() -> Examples:
                for _ in self.events(spec, recipe, part):
                    pass
                x = standardized(self._known[name].arrays["train"], scaled.mean, scaled.deviation)
                rows = np.arange(len(x)) % len(y)
                return Examples(x=x, y=y[rows], weights=None if weights is None else weights[rows])

            self._beside[name] = replace(scaled.data, views=Views(num=drawing.num, load=load))
        return self._beside[name]

    def lines(self) -> list[str]:
        """What was computed or read, for people."""
        found = list(self._known.values())
        if not found:
            return []
        num, size = sum(each.num_examples for each in found), sum(each.size for each in found)
        made = [each for each in found if not each.hit]
        if made:
            rate = sum(each.num_examples for each in made) / sum(each.seconds for each in made)
            how = f"computed in {duration(sum(each.seconds for each in made))} ({rate:,.0f} a second)"
            how = how if len(made) == len(found) else f"{len(made)} of them {how}, the others from the cache"
        else:
            how = "from the cache"
        sets = count(len(found), "set")
        notes = dict.fromkeys(f"! {each.kept.note}" for each in found if each.kept.note)
        return [f"features of views: {sets}, {count(num, 'view')}, {size / 1e6:,.1f} MB, {how}", *notes]

    def cost_lines(
        self, runs: Sequence[Run], data: Dataset, backbone: Callable[[Recipe], Backbone]
    ) -> list[str]:
        """What it takes to compute the views of some runs, for people; nothing where they have none.

        Args:
            runs: of a study.
            data: its data set; its pixels don't matter.
            backbone: the specification of a recipe's model.
        """
        recipes = {
            _name(each): each for run in runs for each in run.recipe.chain if Drawing.of(each) is not None
        }
        if not recipes:
            return []
        num, size, seconds, pace = 0, 0, 0.0, dict[str, float]()
        for recipe in recipes.values():
            part = None if recipe.part is None else PartOf.of(recipe.part)
            examples = len(data.train) if part is None else part.num_train * len(data.classes)
            views, spec = num_views(recipe.augment) * examples, backbone(recipe)
            body = _body_name(recipe)
            if body not in pace:
                pace[body] = self._seconds(self._body(spec, recipe, data), data.input_shape)
            num += views
            size += (
                (8 if is_wide(recipe) else 4) * views * facts_of(spec, data.input_shape, self.search).width
            )
            seconds += views * pace[body]
        sets = "" if len(recipes) == 1 else f" in {len(recipes)} sets"
        return [
            f"views: {count(num, 'view')}{sets} go through the frozen network once: about {duration(seconds)} on "
            f"an idle machine, {size / 1e6:,.1f} MB; what is in the cache is not computed again"
        ]

    def _seconds(self, body: Body, shape: tuple[int, ...]) -> float:
        """About how many seconds an example takes, where each core carries batches.

        On a processor it is the time that one thread works: what else the machine does makes no difference.
        """
        size, threads = batch_size(shape), torch.get_num_threads()
        clock, cores = (time.thread_time, threads) if self.device.type == "cpu" else (time.perf_counter, 1)
        x = torch.zeros((size, *shape), device=self.device)
        torch.set_num_threads(1)
        try:
            with torch.inference_mode():
                body(x).cpu()  # prepares the next one
                began = clock()
                body(x).cpu()
                return (clock() - began) / size / cores
        finally:
            torch.set_num_threads(threads)

    def _body(self, spec: Backbone, recipe: Recipe, data: Dataset) -> Body:
        """The network without its head, made once for all views."""
        name, wide = _body_name(recipe), is_wide(recipe)
        if name not in self._bodies:
            body = body_of(spec, data, self.search, self.device, wide=wide)
            self._bodies[name] = quick(body, data, self.device, wide=wide)
        return self._bodies[name]


def views_label(recipe: Recipe, spec: Backbone) -> str:
    """What the views of a recipe's runs are called, for people; empty where they have none."""
    drawing = Drawing.of(recipe)
    if drawing is None:
        return ""
    part = "" if recipe.part is None else f", n = {recipe.part['per_class']}, draw {recipe.part['draw']}"
    return f"{spec.weights}, {drawing.words}{part}"


def _body_name(recipe: Recipe) -> str:
    return content_id({"body": structure_of_body(recipe.model), "wide": is_wide(recipe)})


def _name(recipe: Recipe) -> str:
    drawing = Drawing.of(recipe)
    return content_id(
        {
            "body": _body_name(recipe),
            "part": recipe.part,
            "views": None if drawing is None else drawing.content(),
        }
    )
