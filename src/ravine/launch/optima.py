"""How far trained linear heads are from the best head: measured after training, and stored with the runs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ravine.engine.loss import LABEL_SMOOTHING
from ravine.errors import InputError
from ravine.features.head import on_features
from ravine.features.optimum import Convex
from ravine.launch.subject import Subject, stored_run
from ravine.outcomes.levels import label_of, varying
from ravine.outcomes.runs import OBJECTIVE, OPTIMUM, lr_of
from ravine.rules import rule
from ravine.rules.regularize import decays
from ravine.store import RunRecord, Store
from ravine.study import Recipe, Run, Study
from ravine.study.arms import ARM
from ravine.study.augment import num_views
from ravine.study.compare import MODEL, VARIANT
from ravine.study.naming import naming

_WEIGHT, _BIAS = "head.output.weight", "head.output.bias"
_DECIDES = (
    MODEL,
    VARIANT,
    ARM,
    LABEL_SMOOTHING,
)  # beside the penalty, which loss a run of a study makes small


@dataclass(frozen=True, slots=True, kw_only=True)
class Measuring:
    """How far it is.

    Args:
        done: optima that are found.
        all: how many there are.
    """

    done: int
    all: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadGap:
    """How far a trained head is from the best one.

    Args:
        run: its id.
        rule: what its study calls the rule.
        of: its model, variant, arm or label smoothing, where the study has several; else "".
        per_class, draw: the part of the training set that it learned from, on a ladder; else None.
        lr: its learning rate.
        seed: its seed.
        weight_decay: the penalty of the loss, ``weight_decay / 2 |W|^2``; decay beside the loss is no part of it.
        loss: of the head on its training examples, penalty included.
        optimum: the least that there is.
    """

    run: str
    rule: str
    of: str
    per_class: int | None
    draw: int | None
    lr: float
    seed: int
    weight_decay: float
    loss: float
    optimum: float

    @property
    def gap(self) -> float:
        """How much less the loss could be."""
        return self.loss - self.optimum

    def json(self) -> dict[str, Any]:
        """It as plain data."""
        return {**asdict(self), "gap": self.gap}


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadGaps:
    """What was found of a study.

    Args:
        gaps: run by run.
        left_out: how many finished runs train something else than a linear head on features, by what they are called.
    """

    gaps: tuple[HeadGap, ...]
    left_out: Mapping[str, int]


def measure(
    study: Study, store: Store, *, search: Path | None = None, device: str = "auto"
) -> Iterator[Measuring | HeadGaps]:
    """Measure how far the linear heads of a study are from the optimum of their loss; what is stored is not repeated.

    Args:
        study: the study.
        store: where its runs are.
        search: the study file's folder.
        device: "auto", "cpu", "cuda" or "mps".

    Yields:
        Progress, and at the end what was found.

    Raises:
        InputError: no run is a linear head, or the data are others than when they were trained.
    """
    store.check_writable()
    records = {record.id: record for record in store.runs(study.name) if record.status == "done"}
    groups: dict[str, list[Run]] = {}
    for run in map(stored_run, records.values()):
        if (loss := _loss_of(run.recipe)) is not None:
            groups.setdefault(json.dumps(loss), []).append(run)
    if not groups:
        with naming(study.origin):
            raise InputError(
                f'study {study.name!r} has no finished run that trained a linear head alone (train = "head", no '
                "hidden layer, no dropout, no l1 or max_norm), so there is no optimum to measure it by"
            )
    subject = Subject.of(study, search=search, device=device)
    with naming(study.origin):
        subject.check_same(list(records.values()))
    yield Measuring(done=0, all=len(groups))
    for number, runs in enumerate(groups.values(), start=1):
        lacking = [run for run in runs if OPTIMUM not in records[run.id].metrics]
        if lacking:
            store.averages.add({}, _measured(subject, store, lacking))
        yield Measuring(done=number, all=len(groups))
    ids = {run.id for runs in groups.values() for run in runs}
    again = {record.id: record for record in store.runs(study.name)}
    names = [name for name in varying(list(records.values())) if name in _DECIDES]
    others = Counter(_of(again[run], names) or again[run].rule for run in records if run not in ids)
    yield HeadGaps(
        gaps=tuple(_gap(again[run], _of(again[run], names)) for run in records if run in ids), left_out=others
    )


def _loss_of(recipe: Recipe) -> dict[str, object] | None:
    """What decides the loss that a run makes small, as plain data; None: it is none that has a known optimum."""
    hypers = recipe.hypers
    if not on_features(recipe) or recipe.model["head"]["hidden"] or num_views(recipe.augment):
        return None
    if recipe.loss is not None:  # its optimum is another one
        return None
    if any(
        value for name, value in hypers.items() if name.startswith("model.") or name in ("l1", "max_norm")
    ):
        return None
    return {
        "part": recipe.part,
        "body": {
            name: recipe.model.get(name) for name in ("architecture", "args", "weights", "cut", "input")
        },
        "penalty": penalty_of(recipe),
        "bias": decays(_BIAS, (2,), recipe.exclude),
        "smoothing": hypers.get(LABEL_SMOOTHING, 0.0),
    }


def penalty_of(recipe: Recipe) -> float:
    """The L2 penalty that is part of a run's loss: not the decay of a rule such as AdamW, which is beside it."""
    decoupled = "weight_decay" in rule(recipe.rule).hypers
    if decoupled or not decays(_WEIGHT, (2, 2), recipe.exclude):
        return 0.0
    return float(recipe.hypers.get("weight_decay", 0.0))


def _measured(subject: Subject, store: Store, runs: Sequence[Run]) -> dict[str, dict[str, float]]:
    """The loss of each head and the least, by run, as metrics; of runs whose loss is the same."""
    data = subject.data_of(runs)
    if data.task != "classification":
        what = "a regression" if data.task == "regression" else "a task of labels"
        raise InputError(f"{data.name}: is {what}; the optimum is that of a classifier's loss")
    recipe = runs[0].recipe
    convex = Convex(
        x_ND=data.train.x.astype(np.float64),
        y_N=np.asarray(data.train.y, dtype=np.int64),
        num_classes=data.num_outputs,
        weight_decay=penalty_of(recipe),
        smoothing=recipe.hypers.get(LABEL_SMOOTHING, 0.0),
        decays_bias=decays(_BIAS, (2,), recipe.exclude),
    )
    least = convex.least().loss
    weights = store.tensors_many("weights", [run.id for run in runs])
    return {
        run.id: {OBJECTIVE: convex.value(weights[run.id][_WEIGHT], weights[run.id][_BIAS]), OPTIMUM: least}
        for run in runs
    }


def _of(record: RunRecord, names: Sequence[str]) -> str:
    """What tells a run's loss from those of others, for people."""
    own = {**record.recipe["hypers"], **record.hypers}
    return label_of({name: own.get(name, 0.0) for name in names}) if names else ""


def _gap(record: RunRecord, of: str) -> HeadGap:
    part = record.recipe.get("part") or {}
    return HeadGap(
        run=record.id,
        rule=record.rule,
        of=of,
        per_class=part.get("per_class"),
        draw=part.get("draw"),
        lr=lr_of(record),
        seed=record.seed,
        weight_decay=penalty_of(Recipe.of(record.recipe)),
        loss=record.metrics[OBJECTIVE],
        optimum=record.metrics[OPTIMUM],
    )
