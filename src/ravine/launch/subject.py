"""A study's data and its models, on a device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path

import torch

from ravine.backbones.assembled import facts_of
from ravine.backbones.kinds import weights_unchanged
from ravine.data import Dataset
from ravine.data.counts import counted
from ravine.data.deal_folds import FoldOf
from ravine.data.parts import PartOf, part_of
from ravine.engine.device import find_device
from ravine.engine.network import Network
from ravine.errors import StoreError
from ravine.features.features import Extracting, Features
from ravine.features.head import Standardized, on_features, structure_of_body
from ravine.launch.drawn import Drawn, views_label
from ravine.launch.frozen import (
    Frozen,
    Learned,
    check_alike,
    frozen_tensors,
    is_wide,
    label_of,
    network_on,
    whole_of,
)
from ravine.launch.models import check_same_model, model_of, without_marks
from ravine.launch.progress import Preparing
from ravine.messages import wrong
from ravine.nn.spec import Backbone
from ravine.rules.registry import layered
from ravine.store import RunRecord, Store, body_id
from ravine.study import Recipe, Run, Study, content_id, runs_of
from ravine.study.augment import num_views
from ravine.study.boundary import ACTIVATIONS, boundary_of, rests_in
from ravine.study.loss import is_poisson
from ravine.study.model import Model, structure_of
from ravine.study.naming import naming
from ravine.study.precision import FLOAT64, modules_in_float32
from ravine.study.reading import read_data
from ravine.study.variants import naming_variant
from ravine.verification import Verification


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A study's data and models, put together in one way for all who train its runs or look at them.

    Args:
        study: the study.
        data: its data set.
        search: the study file's folder, where data and a user's module are looked for.
        device: the device of its networks.
        blank: whether it is only looked at: no features are computed, and zeros take their place.

    Attributes:
        frozen: what frozen bodies make of the data, as far as runs need it.
        drawn: likewise, what they make of drawn views.
    """

    study: Study
    data: Dataset
    search: Path | None
    device: torch.device
    blank: bool = False
    frozen: Frozen = field(init=False, repr=False, compare=False)
    drawn: Drawn = field(init=False, repr=False, compare=False)
    _networks: dict[str, Network] = field(default_factory=dict, init=False, repr=False, compare=False)
    _weights: list[Verification] = field(default_factory=list, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        bodies = {label_of(each) for each in self.study.models if isinstance(each, Backbone) and each.weights}
        frozen = Frozen(
            data=self.data,
            search=self.search,
            device=self.device,
            blank=self.blank,
            several=len(bodies) > 1,
        )
        object.__setattr__(self, "frozen", frozen)
        object.__setattr__(self, "drawn", Drawn(search=self.search, device=self.device))

    @staticmethod
    def of(
        study: Study, *, data: Dataset | None = None, search: Path | None = None, device: str = "auto"
    ) -> Subject:
        """The subject of a study.

        Args:
            study: the study.
            data: its data set, where it has been read already.
            search: the study file's folder.
            device: "auto", "cpu", "cuda" or "mps".

        Raises:
            InputError: there is no such device, or the data cannot be read.
        """
        where = find_device(device)
        with naming(study.origin):
            found = read_data(study, search) if data is None else data
        return Subject(study=study, data=found, search=search, device=where)

    def runs(self) -> list[Run]:
        """All runs of the study, in its order; of a staged study, those of the first stage."""
        return runs_of(self.study, self.data, self.search)

    def data_of(self, runs: Sequence[Run], *, whole: bool = False) -> Dataset:
        """What runs of one model are trained and evaluated on; the study's data set, or what is made of it.

        Args:
            runs: of one structure.
            whole: take the examples themselves, for the `network` that is whole.
        """
        found = self._data_of(runs, whole=whole)
        return counted(found) if is_poisson(runs[0].recipe.loss) else found

    def _data_of(self, runs: Sequence[Run], *, whole: bool) -> Dataset:
        recipe, learned = runs[0].recipe, None if whole else self._learned(runs)
        if learned is None:
            return self._part(self.data, recipe)
        if self.blank or not isinstance(learned, Standardized):  # only heads have views
            return learned.data
        return self.drawn.beside(
            learned, self._backbone(recipe), recipe, lambda: self._part(self.data, recipe)
        )

    def data_of_cohort(self, runs: Sequence[Run]) -> Dataset:
        """What the runs of a cohort are trained on: where they are of several folds, the data set that has these.

        Args:
            runs: of a cohort.
        """
        if len({content_id(run.recipe.part or {}) for run in runs}) == 1:
            return self.data_of(runs)
        return counted(self.data) if is_poisson(runs[0].recipe.loss) else self.data

    def begin_verifying(self) -> None:
        """Begin to see, beside other work, whether what was taken out of the cache is still that of the files."""
        self.data.begin_verifying()
        if not self._weights:
            backbones = [each for each in self.study.models if isinstance(each, Backbone)]
            self._weights.append(weights_unchanged(backbones, self.search))
        self._weights[0].start()

    def unchanged(self) -> None:
        """Wait until that is known.

        Raises:
            InputError: a file has changed.
        """
        self.data.unchanged()
        for each in self._weights:
            each.finish()

    def prepare(self, runs: Sequence[Run]) -> Iterator[Preparing]:
        """Compute what frozen parts make of the data for some runs; `data_of` does so too, without progress.

        Yields:
            Progress.
        """
        for same in by_structure(runs):
            recipe = same[0].recipe
            spec = self._backbone(recipe) if boundary_of(recipe) else None
            if spec is not None and self.frozen.shares(spec, recipe):
                for event in self.frozen.compute(spec, recipe):
                    yield Preparing(done=event.done, all=event.all, about="features")
                for each in self._views(spec, recipe):
                    if isinstance(each, Extracting):
                        yield Preparing(done=each.done, all=each.all, about=each.about)

    def all_features(self) -> Iterator[tuple[str, Iterator[Extracting | Features]]]:
        """What each body with weights makes of the data, by what it is called; see `features_of`.

        That is features, the activations that some phase of the study's runs learns from, and features of views.
        """
        known: set[str] = set()
        for part in self.study.parts:
            spec, wide = part.model, part.study.precision == FLOAT64
            if isinstance(spec, Backbone) and spec.weights is not None:
                model = structure_of(spec, self.search)
                body = content_id({"body": structure_of_body(model), "wide": wide})
                if body not in known:
                    known.add(body)
                    yield label_of(spec) + _in_words(wide), self.frozen.events(spec, model, wide=wide)
        for recipe in {each.structure: each for run in self.runs() for each in run.recipe.chain}.values():
            if ACTIVATIONS in recipe.model:
                spec = self._backbone(recipe)
                parts = self.frozen.parts_of(spec, recipe)
                wide = is_wide(recipe)
                label = "" if parts is None else f"{spec.weights}, before {parts.name}{_in_words(wide)}"
                if parts is not None and label not in known:
                    known.add(label)
                    yield label, self.frozen.events(spec, recipe.model, parts, wide=wide)
            if num_views(recipe.augment):
                spec = self._backbone(recipe)
                if (label := views_label(recipe, spec) + _in_words(is_wide(recipe))) not in known:
                    known.add(label)
                    yield label, self._views(spec, recipe)

    def features_lines(self) -> list[str]:
        """What features were computed or read, for people."""
        return [*self.frozen.lines(), *self.drawn.lines()]

    def views_lines(self, runs: Sequence[Run]) -> list[str]:
        """What the views of some runs take to compute, for people."""
        return self.drawn.cost_lines(runs, self.data, self._backbone)

    def keep_bodies(self, store: Store, runs: Sequence[Run]) -> None:
        """Store the bodies of which those runs have a part in common, once each."""
        models = {
            body_id(run.recipe.model): run.recipe
            for run in runs
            if rests_in(run.recipe.model, [each.train for each in run.recipe.chain])
        }
        for recipe in models.values():
            if not store.bodies.has(recipe.model):
                whole = whole_of(self._backbone(recipe), self.data, self.search)
                store.bodies.put(recipe.model, frozen_tensors(whole))

    def _learned(self, runs: Sequence[Run]) -> Learned | None:
        """What runs learn from that share it; None: they learn from the examples themselves."""
        recipe = runs[0].recipe
        if not boundary_of(recipe) or not self.frozen.shares(self._backbone(recipe), recipe):
            return None
        return self.frozen.learned(self._backbone(recipe), recipe, lambda data: self._part(data, recipe))

    def _views(self, spec: Backbone, recipe: Recipe) -> Iterator[Extracting | Features]:
        return self.drawn.events(spec, recipe, lambda: self._part(self.data, recipe))

    @staticmethod
    def _part(data: Dataset, recipe: Recipe) -> Dataset:
        """The part of a data set that a recipe's runs learn from."""
        if recipe.part is None:
            return data
        if data.folds is not None:
            return data.folds.of(FoldOf.of(recipe.part))
        return part_of(data, PartOf.of(recipe.part))

    def _backbone(self, recipe: Recipe) -> Backbone:
        spec = model_of(self.study, recipe.model, self.search)
        assert isinstance(spec, Backbone), "what has features is a backbone"
        return spec

    def network(self, runs: Sequence[Run], *, whole: bool = False) -> Network:
        """The network of runs of one structure; a built-in model has the layers whose rate is above 0 in some run.

        Args:
            runs: of one structure.
            whole: with the frozen part, where runs learn from what that makes of the data.

        Raises:
            ModelError: the model cannot be built, or does not fit the data.
        """
        first, *others = runs
        for other in others:
            if without_marks(other.recipe.model) != without_marks(first.recipe.model):
                raise StoreError(
                    f"runs {first.id} and {other.id} have different models, so there is no network of both; give "
                    "runs of one model"
                )
        check_alike(runs)
        spec = model_of(self.study, first.recipe.model, self.search)
        if not isinstance(spec, Backbone) or not (spec.target is None or spec.is_built_in):
            # A module of the user's may remember what it was used for.
            return self._network(spec, runs, whole=whole)
        # Those that learn from features have their scale.
        learned = not whole and self._learned(runs) is not None
        structure = first.recipe.structure if learned else ""
        kind = {"phases": _phases_of(runs), "rates": rates_of(runs), "learned": structure}
        if first.recipe.precision != "float32":
            kind["precision"] = first.recipe.precision
        name = content_id({"model": first.recipe.model, **kind})
        if name not in self._networks:
            found = self._network(spec, runs, whole=whole)
            self._networks[name] = replace(found, name=name) if spec.is_built_in else found
        return self._networks[name]

    def _network(self, spec: Model, runs: Sequence[Run], *, whole: bool) -> Network:
        learned, first = None if whole else self._learned(runs), runs[0]
        with naming_variant(self.study.variants, {run.chosen.get("variant") for run in runs}):
            if learned is not None:
                assert isinstance(spec, Backbone), "what has features is a backbone"
                notes = facts_of(spec, self.data.input_shape, self.search).notes
                network = network_on(learned, spec, rates_of(runs), self.device, first.recipe.precision)
                network = replace(network, remark="; ".join(filter(None, (network.remark, *notes))))
                return network if on_features(first.recipe) else in_phase_of(network, runs)
            network = Network.of(
                spec,
                self.data.input_shape,
                self.data.num_outputs,
                device=self.device,
                rates=rates_of(runs),
                search=self.search,
                precision=first.recipe.precision,
            )
            self._check_precision(spec, network)
            return in_phase_of(network, runs)

    def check_precision(self, runs: Sequence[Run]) -> None:
        """Refuse float32 where it is asked for and a module's own parameters are float64, to be trained or known.

        Raises:
            StudyError: see above.
        """
        asked = modules_in_float32(self.study.parts)
        for same in by_structure(runs) if asked else ():
            if model_of(self.study, same[0].recipe.model, self.search) in asked:
                self.network(same)

    def _check_precision(self, spec: Model, network: Network) -> None:
        if network.precision == FLOAT64 and spec in modules_in_float32(self.study.parts):
            words = f"the parameters of {type(network.module).__name__} are float64; leave the key out, or .double()"
            raise wrong("precision", "float32", words)

    def check_same(self, records: Sequence[RunRecord]) -> None:
        """Refuse to look at stored runs with other data or another model than they were trained with.

        Raises:
            StoreError: data or model have changed.
        """
        for record in records:
            fingerprint = Recipe.of(record.recipe).data
            if self.data.fingerprint != fingerprint:
                raise StoreError(
                    f"run {record.id} was trained on other data than this study's {self.data.name} is now "
                    f"(fingerprint {fingerprint[:8]}, now {self.data.fingerprint[:8]})"
                )
        check_same_model(self.study, self.search, records)


def _in_words(wide: bool) -> str:
    return ", float64" if wide else ""


def rates_of(runs: Sequence[Run]) -> tuple[str, ...]:
    """The names of the rates of runs of one structure: those above 0 in some run, then all that their recipes mark."""
    above = {
        name.removeprefix("model.")
        for run in runs
        for name, value in run.recipe.hypers.items()
        if name.startswith("model.") and value > 0.0
    }
    marked = runs[0].recipe.model.get("rates", ()) if runs else ()
    return (*sorted(above - set(marked)), *marked)


def in_phase_of(network: Network, runs: Sequence[Run]) -> Network:
    """A network as some runs train it in their last phase; where they differ in that, all of it is trained."""
    phases = _phases_of(runs)
    if len(phases) > 1:
        return network
    [(chain, has_layers)] = phases
    return network.in_phase(chain, layered=has_layers)


def _phases_of(runs: Sequence[Run]) -> list[tuple[tuple[tuple[str, int], ...], bool]]:
    """What each phase of some runs trains, with its steps, and whether blocks have learning rates of their own."""
    return sorted(
        {
            (tuple((each.train, each.steps) for each in run.recipe.chain), layered(run.recipe.hypers))
            for run in runs
        }
    )


def by_structure(runs: Sequence[Run]) -> Iterator[list[Run]]:
    """Groups of runs with the same structure, and so with the same network."""
    ordered = sorted(runs, key=lambda run: run.recipe.structure)
    for _, members in groupby(ordered, key=lambda run: run.recipe.structure):
        yield list(members)


def by_model(records: Sequence[RunRecord]) -> Iterator[list[RunRecord]]:
    """Groups of stored runs with the same model and the same frozen part, each in the order given."""
    groups: dict[str, list[RunRecord]] = {}
    for record in records:
        frozen = list(boundary_of(Recipe.of(record.recipe)))
        key = content_id({"model": without_marks(record.recipe["model"]), "frozen": frozen})
        groups.setdefault(key, []).append(record)
    yield from groups.values()


def stored_run(record: RunRecord) -> Run:
    """A run as the store has it."""
    return Run(recipe=Recipe.of(record.recipe), seed=record.seed, label=record.rule, chosen=record.hypers)
