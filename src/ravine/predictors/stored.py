"""A predictor out of a study's stored runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from torch import nn

from ravine.data.counts import counted_preparation
from ravine.data.preparation import Preparation
from ravine.engine.device import find_device
from ravine.errors import StoreError
from ravine.launch.models import check_same_model, model_of
from ravine.metrics import Metric
from ravine.outcomes.member import Member
from ravine.predictors.bodies import KIND, Bodies, Tensors, lacks_body
from ravine.predictors.choice import Choice, chosen
from ravine.predictors.modules import built_in, check_source, module_of, named_model
from ravine.predictors.passes import Drawing
from ravine.predictors.predictor import Part, Predictor
from ravine.store import RunRecord, Store, StudyRecord, body_id, kind_of
from ravine.store.bodies import beside
from ravine.study import FindStudy
from ravine.study.boundary import ACTIVATIONS
from ravine.study.loss import is_poisson
from ravine.study.model import Model
from ravine.study.modes import Mode
from ravine.study.naming import naming
from ravine.study.reading import read_data
from ravine.study.views import check_views

UserModel = str | Callable[..., nn.Module]
"""A class or function that builds a network, or its name, ``"package.module:Name"``."""


def of_store(
    store: Store,
    study_name: str,
    what: str = "winner",
    *,
    find: FindStudy,
    model: UserModel | None = None,
    trust: Sequence[str] = (),
    device: str = "auto",
    mode: Mode | None = None,
    metric: Metric | None = None,
) -> Predictor:
    """A predictor out of a study's finished runs.

    Args:
        store: where the study is.
        study_name: its name.
        what: see `chosen`.
        find: gives the study: of a module of the user's, and of data that were stored without their preparation.
        model: builds the network, or its name, where it is a module of the user's; None: the study says it.
        trust: installed packages whose functions may build it.
        device: where members are evaluated: "auto", "cpu", "cuda" or "mps".
        mode: by which passes they predict; None: the mean pass.
        metric: what configs are compared by; None: what the study's text names.

    Raises:
        InputError: there is no such thing, or data or model are others than when the runs were trained.
    """
    choice = chosen(store, study_name, what, find=find, device=device, metric=metric)
    return predictor_of(choice, store, find=find, model=model, trust=trust, device=device, mode=mode)


def predictor_of(
    choice: Choice,
    store: Store,
    *,
    find: FindStudy,
    model: UserModel | None = None,
    trust: Sequence[str] = (),
    device: str = "auto",
    mode: Mode | None = None,
) -> Predictor:
    """The predictor that a choice describes. See `of_store`."""
    where = find_device(device)
    preparation = preparation_of(store, choice.study, find)
    rates = {is_poisson(choice.runs[each.run].recipe.get("loss")) for each in choice.members}
    if len(rates) > 1:
        raise StoreError(
            f"study {choice.study.name!r}: some of these runs predict the logarithm of a rate (loss poisson), others "
            "numbers; choose runs of one kind"
        )
    if rates == {True}:
        preparation = counted_preparation(preparation)
    if mode is not None and mode.views:
        check_views(mode.views, preparation.inputs.shape, "views")
    stored = [each for each in choice.members if each.name not in choice.weights]
    found = {
        each.name: (choice.runs[each.run], choice.weights[each.name])
        for each in choice.members
        if each.name in choice.weights
    }
    tensors = {**weights_of(store, stored), **_whole(store, found)}
    parts: list[Part] = []
    bodies: Bodies = {}
    for each in choice.members:
        own, search = model_of_run(choice.runs[each.run], find, model, trust)
        module = module_of(
            own,
            preparation.inputs.shape,
            preparation.num_outputs,
            tensors[each.name],
            search=search,
            device=where,
            where=f"run {each.run}",
            bodies=bodies,
        )
        drawing = None
        if mode is not None and mode.samples:
            run, own_tensors = choice.runs[each.run], tensors[each.name]
            drawing = Drawing(own, run, own_tensors, preparation, search=search, device=where)
        share = choice.pool.weights[each.name]
        parts.append(Part(name=each.name, share=share, model=module, drawing=drawing))
    return Predictor(
        preparation=preparation,
        members=tuple(parts),
        combine=choice.pool.combine,
        temperature=choice.temperature if mode is None else 1.0,  # it was fitted to mean passes
        mode=mode,
        metric=choice.metric,
    )


def weights_of(store: Store, members: Sequence[Member]) -> dict[str, Tensors]:
    """The weights of members, by name: tensors by name."""
    kinds: dict[str, list[Member]] = {}
    for each in members:
        assert each.step is None, "members along a run have no stored predictions to be chosen by"
        kinds.setdefault(kind_of(each.average, "weights") if each.average else "weights", []).append(each)
    found: dict[str, tuple[RunRecord, Tensors]] = {}
    for kind, some in kinds.items():
        stored = store.tensors_many(kind, [each.run for each in some])
        found |= {each.name: (store.run(each.run), stored[each.run]) for each in some}
    return _whole(store, found)


def _whole(store: Store, found: Mapping[str, tuple[RunRecord, Tensors]]) -> dict[str, Tensors]:
    """Tensors of runs; of those that store what comes after a frozen part, with their body's, which is read once."""
    bodies: dict[str, Tensors] = {}
    whole: dict[str, Tensors] = {}
    for name, (run, tensors) in found.items():
        model = run.recipe["model"]
        if model.get("kind") == KIND and (lacks_body(tensors) or ACTIVATIONS in model):
            key = body_id(model)
            if key not in bodies:
                bodies[key] = store.bodies.get(model)
            tensors = beside(bodies[key], tensors)
        whole[name] = tensors
    return whole


def preparation_of(store: Store, study: StudyRecord, find: FindStudy) -> Preparation:
    """What a study's data set did to raw values: as the store has it, else made again out of the data.

    Raises:
        InputError: the data cannot be read, or are others than when the runs were trained.
    """
    kept = store.preparations.of(study.name)
    if kept is not None:
        return Preparation.of(kept, f"study {study.name!r} in the store: preparation")
    found, search = find()
    with naming(found.origin):
        data = read_data(found, search)
    if data.fingerprint != study.data_fingerprint:
        raise StoreError(
            f"study {study.name!r} was trained on other data than its {data.name} is now (fingerprint "
            f"{study.data_fingerprint[:8]}, now {data.fingerprint[:8]})"
        )
    return data.known_preparation


def model_of_run(
    run: RunRecord, find: FindStudy, given: UserModel | None, trust: Sequence[str]
) -> tuple[Model, Path | None]:
    """The model of a run: a built-in one by its recipe, a module of the user's as it is given, or by its study."""
    structure = run.recipe["model"]
    if given is not None:
        named = named_model(given, structure, trust)
        check_source(named, structure, None, f"run {run.id}")
        return named, None
    model = built_in(structure)
    if model is not None:
        return model, None
    study, search = find()
    check_same_model(study, search, [run])
    return model_of(study, structure, search), search
