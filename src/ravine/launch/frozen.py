"""What runs with a frozen part are trained on: what it makes of the data, computed once for all runs of a study."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from ravine import rng
from ravine.backbones.assembled import Assembled, assembled, facts_of
from ravine.backbones.kinds import weights_unchanged
from ravine.backbones.split import Parts, split
from ravine.cached import Kept
from ravine.data import Dataset
from ravine.engine.device import moved
from ravine.engine.network import Network
from ravine.engine.trainable import blocks_of, trained_names
from ravine.errors import StoreError
from ravine.features.after import MOST_BYTES, Activations, num_bytes
from ravine.features.features import SPLITS, Extracting, Features, features_of
from ravine.features.head import Standardized, on_features, structure_of_body
from ravine.messages import count
from ravine.nn.spec import Backbone
from ravine.nn.stochastic import buffer_name, kinds_of
from ravine.study import Recipe, Run, content_id
from ravine.study.boundary import HEAD, boundary_of
from ravine.study.precision import FLOAT64
from ravine.times import duration

Module = TypeVar("Module", bound=nn.Module)
Learned: TypeAlias = Standardized | Activations
"""What runs learn from in the place of examples, with the network that does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """What a study's frozen bodies make of its data, as far as it was asked for.

    Args:
        data: the study's data set.
        search: the study file's folder.
        device: what computes it.
        blank: compute nothing, but give zeros.
        several: whether the study has several bodies, so that each line names its own.
    """

    data: Dataset
    search: Path | None
    device: torch.device
    blank: bool = False
    several: bool = False
    _known: dict[str, Features] = field(default_factory=dict, init=False, repr=False)
    _learned: dict[str, Learned] = field(default_factory=dict, init=False, repr=False)
    _parts: dict[str, Parts | None] = field(default_factory=dict, init=False, repr=False)
    _labels: dict[str, str] = field(default_factory=dict, init=False, repr=False)
    _notes: dict[str, None] = field(default_factory=dict, init=False, repr=False)

    def shares(self, spec: Backbone, recipe: Recipe) -> bool:
        """Whether runs of a recipe learn from what their frozen part makes of the data, and not from the data.

        Raises:
            StudyError: a phase trains what is not there.
        """
        return on_features(recipe) or self.parts_of(spec, recipe) is not None

    def compute(self, spec: Backbone, recipe: Recipe) -> Iterator[Extracting]:
        """Compute what runs of a recipe learn from, or read it, unless it has been done.

        Yields:
            Progress, where it is computed.
        """
        parts = self.parts_of(spec, recipe)
        name = _name(recipe, parts)
        if name in self._known:
            return
        for event in self.events(spec, recipe.model, parts, wide=is_wide(recipe)):
            if isinstance(event, Features):
                self._known[name] = event
                self._labels[name] = label_of(spec) if self.several else ""
            else:
                yield event

    def features(self, spec: Backbone, recipe: Recipe) -> Features:
        """What runs of a recipe learn from, as it comes out of the frozen part."""
        for _ in self.compute(spec, recipe):
            pass
        return self._known[_name(recipe, self.parts_of(spec, recipe))]

    def learned(self, spec: Backbone, recipe: Recipe, part_of: Callable[[Dataset], Dataset]) -> Learned:
        """What runs of a recipe learn from that share it: features at the scale of their training part, or activations.

        Args:
            spec: of the model.
            recipe: of the runs.
            part_of: the recipe's part of a data set.
        """
        parts = self.parts_of(spec, recipe)
        name = content_id({"body": _name(recipe, parts), "part": recipe.part})
        if name not in self._learned:
            own = part_of(self.features(spec, recipe).data(self.data))
            if parts is None:
                self._learned[name] = Standardized.of(own)
            else:
                width = facts_of(spec, self.data.input_shape, self.search).width
                self._learned[name] = Activations(data=own, parts=parts, width=width)
        return self._learned[name]

    def lines(self) -> list[str]:
        """What was computed or read, for people."""
        found = (line for name, each in self._known.items() for line in lines_of(each, self._labels[name]))
        return [*self._notes, *found]

    def events(
        self, spec: Backbone, model: Mapping[str, Any], parts: Parts | None = None, *, wide: bool = False
    ) -> Iterator[Extracting | Features]:
        """Progress, and the features of a body; see `features_of`.

        Args:
            spec: of the model.
            model: what a recipe says of it.
            parts: of the body, where activations are wanted.
            wide: in float64.
        """
        if self.blank:
            shape = parts.shape if parts else (facts_of(spec, self.data.input_shape, self.search).width,)
            dtype = np.float64 if wide else np.float32
            arrays = {name: np.zeros((len(getattr(self.data, name)), *shape), dtype) for name in SPLITS}
            yield Features(arrays=arrays, key={}, hit=True, seconds=0.0, kept=Kept())
            return

        def body() -> Callable[[Tensor], Tensor]:
            weights_unchanged(
                [spec], self.search
            ).finish()  # or they would be kept under the hash of other ones
            if parts is None:
                return body_of(spec, self.data, self.search, self.device, wide=wide)
            return moved(widened(parts.before, wide), self.device)

        place = parts.name if parts else ""
        yield from features_of(model, self.data, self.device, body, place, wide=wide)

    def parts_of(self, spec: Backbone, recipe: Recipe) -> Parts | None:
        """The body in two parts, between which runs of a recipe learn from activations; None: they don't."""
        boundary = boundary_of(recipe)
        if not boundary or boundary == (HEAD,):
            return None
        model = {**structure_of_body(recipe.model), "norm": recipe.model.get("norm")}
        wide = is_wide(recipe)
        name = content_id({"model": model, "boundary": list(boundary), "wide": wide})
        if name not in self._parts:
            whole = whole_of(spec, self.data, self.search)
            numbered = blocks_of(whole)
            trained = {each for train in boundary for each in trained_names(whole, train, numbered)}
            parts = split(whole, trained, self.data.input_shape)
            if parts is not None and (size := num_bytes(parts, self.data, wide=wide)) > MOST_BYTES:
                self._notes[
                    f"! activations before {parts.name} would take {size / 1e9:,.1f} GB, and at most "
                    f"{MOST_BYTES / 1e9:.1f} are kept: the frozen part is computed at each step"
                ] = None
                parts = None
            self._parts[name] = parts
        return self._parts[name]


def _name(recipe: Recipe, parts: Parts | None) -> str:
    place = parts.name if parts else ""
    return content_id({"body": structure_of_body(recipe.model), "place": place, "wide": is_wide(recipe)})


def is_wide(recipe: Recipe) -> bool:
    """Whether what a recipe's runs learn from is float64, as their networks are."""
    return recipe.precision == FLOAT64


def widened(module: Module, wide: bool) -> Module:
    """A module in float64, where that is wanted."""
    return module.double() if wide else module


def body_of(
    spec: Backbone, data: Dataset, search: Path | None, device: torch.device, *, wide: bool = False
) -> Callable[[Tensor], Tensor]:
    """A network without its head, in eval mode: (B, ...) -> (B, D), wide: both in float64."""
    whole = widened(whole_of(spec, data, search), wide)
    moved(whole, device)
    return whole.eval().features


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


def network_on(
    learned: Learned, spec: Backbone, rates: Sequence[str], device: torch.device, precision: str
) -> Network:
    """The network of runs that learn from what their frozen part makes of the data: what comes after it."""

    def after() -> nn.Module:
        return learned.network(spec.head, rates)

    data = learned.data
    shape, num = data.input_shape, data.num_outputs
    return Network.of(after, shape, num, device=device, rates=rates, precision=precision)


def check_alike(runs: Sequence[Run]) -> None:
    """Refuse to take runs for one network whose frozen parts end at different places.

    Raises:
        StoreError: some runs are of the one kind, and others of the other.
    """
    first, *others = runs
    for other in others:
        if boundary_of(other.recipe) != boundary_of(first.recipe):
            one, two = (", ".join(boundary_of(each.recipe)) or "all" for each in (first, other))
            raise StoreError(
                f"runs {first.id} and {other.id}: one trained {one}, the other {two}, each with the rest frozen; give "
                "runs of one kind"
            )


def label_of(spec: Backbone) -> str:
    """What a body is called, for people: where its weights come from, and where it ends."""
    return f"{spec.weights}, cut {spec.cut}" if spec.cut else str(spec.weights)


def lines_of(features: Features, label: str = "") -> list[str]:
    """What was computed or read, for people.

    Args:
        features: what was.
        label: of the body, where there are several.
    """
    if not features.key:
        return []
    place = features.key.get("place")
    what = f"activations before {place}" if place else "features"
    what += f" of {label}" if label else ""
    what = f"{what}: {count(features.num_examples, 'example')}, {features.width:,} numbers each"
    size = f"{features.size / 1e6:,.1f} MB"
    if features.hit:
        found = f"{what}, {size}, from the cache"
    else:
        found = f"{what}, {size}, computed in {duration(features.seconds)} ({features.rate:,.0f} a second)"
    return [found, *([f"! {features.kept.note}"] if features.kept.note else [])]
