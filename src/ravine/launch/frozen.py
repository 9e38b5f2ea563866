"""What runs with a frozen body are trained on: its features, computed once for all runs of a study."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ravine import rng
from ravine.backbones.assembled import Assembled, assembled, facts_of
from ravine.cached import Kept
from ravine.data import Dataset
from ravine.engine.network import Network
from ravine.errors import StoreError
from ravine.features.features import SPLITS, Extracting, Features, features_of
from ravine.features.head import Standardized, on_features, structure_of_body
from ravine.messages import count
from ravine.nn.spec import Backbone
from ravine.nn.stochastic import buffer_name, kinds_of
from ravine.study import Recipe, Run, content_id
from ravine.times import duration


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """The features of a study's frozen bodies, as far as they were asked for.

    Args:
        data: the study's data set.
        search: the study file's folder.
        device: what computes them.
        blank: compute none, but give zeros.
    """

    data: Dataset
    search: Path | None
    device: torch.device
    blank: bool = False
    _known: dict[str, Features] = field(default_factory=dict, init=False, repr=False)
    _scaled: dict[str, Standardized] = field(default_factory=dict, init=False, repr=False)

    def compute(self, spec: Backbone, recipe: Recipe) -> Iterator[Extracting]:
        """Compute the features that runs of a recipe learn from, or read them, unless it has been done.

        Yields:
            Progress, where they are computed.
        """
        name = self._name(recipe)
        if name in self._known:
            return
        for event in self.events(spec, recipe.model):
            if isinstance(event, Features):
                self._known[name] = event
            else:
                yield event

    def features(self, spec: Backbone, recipe: Recipe) -> Features:
        """The features that runs of a recipe learn from, as they come out of the body."""
        for _ in self.compute(spec, recipe):
            pass
        return self._known[self._name(recipe)]

    def standardized(
        self, spec: Backbone, recipe: Recipe, part_of: Callable[[Dataset], Dataset]
    ) -> Standardized:
        """What runs of a recipe learn from: features at the scale of their training part.

        Args:
            spec: of the model.
            recipe: of the runs.
            part_of: the recipe's part of a data set.
        """
        name = content_id({"body": self._name(recipe), "part": recipe.part})
        if name not in self._scaled:
            features = self.features(spec, recipe).data(self.data)
            self._scaled[name] = Standardized.of(part_of(features))
        return self._scaled[name]

    def lines(self) -> list[str]:
        """What was computed or read, for people."""
        return [line for each in self._known.values() for line in lines_of(each)]

    def events(self, spec: Backbone, model: Mapping[str, Any]) -> Iterator[Extracting | Features]:
        """Progress, and the features of a body; see `features_of`.

        Args:
            spec: of the model.
            model: what a recipe says of it.
        """
        if self.blank:
            width = facts_of(spec, self.data.input_shape, self.search).width
            arrays = {name: np.zeros((len(getattr(self.data, name)), width), np.float32) for name in SPLITS}
            yield Features(arrays=arrays, key={}, hit=True, seconds=0.0, kept=Kept())
            return
        yield from features_of(
            model, self.data, self.device, lambda: body_of(spec, self.data, self.search, self.device)
        )

    @staticmethod
    def _name(recipe: Recipe) -> str:
        return content_id(structure_of_body(recipe.model))


def body_of(
    spec: Backbone, data: Dataset, search: Path | None, device: torch.device
) -> Callable[[Tensor], Tensor]:
    """A network without its head, in eval mode: (B, ...) -> (B, D)."""
    return whole_of(spec, data, search).to(device).eval().features


def whole_of(spec: Backbone, data: Dataset, search: Path | None) -> Assembled:
    """A whole network; the numbers of its head don't matter."""
    with rng.keyed_init(0):
        return assembled(spec, data.input_shape, data.num_outputs, search=search)


def frozen_tensors(module: Assembled) -> dict[str, np.ndarray]:
    """The tensors of a network's body, by their names in the whole."""
    supplied = {buffer_name(name, each) for name in kinds_of(module) for each in ("rate", "key")}
    named = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    return {
        name: each.detach().cpu().numpy()
        for name, each in named.items()
        if name.startswith("body.") and name not in supplied
    }


def head_network(scaled: Standardized, spec: Backbone, rates: Sequence[str], device: torch.device) -> Network:
    """The network of runs that learn from features: the head alone."""

    def head() -> nn.Module:
        return scaled.network(spec.head, rates)

    data = scaled.data
    return Network.of(head, data.input_shape, data.num_outputs, device=device, rates=rates)


def check_alike(runs: Sequence[Run]) -> None:
    """Refuse to take runs with a head alone and runs with a whole network for one.

    Raises:
        StoreError: some runs are of the one kind, and others of the other.
    """
    first, *others = runs
    for other in others:
        if on_features(other.recipe) != on_features(first.recipe):
            raise StoreError(
                f"runs {first.id} and {other.id}: one trained its head alone, the other the whole network; give runs "
                "of one kind"
            )


def lines_of(features: Features) -> list[str]:
    """What was computed or read, for people."""
    if not features.key:
        return []
    what = f"features: {count(features.num_examples, 'example')}, {features.width:,} numbers each"
    size = f"{features.size / 1e6:,.1f} MB"
    if features.hit:
        found = f"{what}, {size}, from the cache"
    else:
        found = f"{what}, {size}, computed in {duration(features.seconds)} ({features.rate:,.0f} a second)"
    return [found, *([f"! {features.kept.note}"] if features.kept.note else [])]
