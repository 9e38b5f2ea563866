"""The arms of a ladder that have names: what is trained of a backbone, and what of it has learned elsewhere.

Each is the study with other phases, or another beginning. So it is a part of the study, as a variant is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from ravine.errors import StudyError, choices
from ravine.messages import lacking, wrong
from ravine.nn.spec import LITE0, RANDOM, Backbone
from ravine.study.block import RuleBlock
from ravine.study.phases import NOT_FOR_HEAD, Phase

ARM = "arm"
ARMS = {
    "head": "the head on features of the backbone",
    "all": "the study's phases: the head, then more",
    "scratch": "the same network, drawn by the seed and trained as a whole",
    "random": "the head on features of a body that was drawn at random and has learned nothing",
    "pixels": "a linear layer on the pixels",
}


def parse_arms(value: object) -> tuple[str, ...]:
    """Names of arms.

    Raises:
        StudyError: one line with the key, the value and what is allowed.

    Example:
        >>> parse_arms(["head", "all"])
        ('head', 'all')
    """
    if not isinstance(value, list | tuple):
        raise wrong("ladder.arms", value, f"must be a list of {', '.join(ARMS)}")
    for i, item in enumerate(value):
        if not isinstance(item, str) or item not in ARMS:
            raise wrong(f"ladder.arms.{i}", item, choices(item if isinstance(item, str) else "", tuple(ARMS)))
        if item in value[:i]:
            raise wrong(f"ladder.arms.{i}", item, "is there already")
    return tuple(value)


def check_arms(
    arms: Sequence[str], model: object, phases: Sequence[Phase], beside: dict[str, object]
) -> None:
    """See that a study has what its arms are made of.

    Args:
        arms: names of arms.
        model: of the study.
        phases: of the study.
        beside: values of keys that name arms too, empty where they are not given.

    Raises:
        StudyError: one line that names the key.
    """
    if not arms:
        return
    for key, value in beside.items():
        if value:
            raise StudyError(f"ladder.arms, {key}: only one of them", at=[("ladder", "arms"), (key,)])
    if not isinstance(model, Backbone) or model.weights is None:
        words = 'need one model that has learned elsewhere: model = { kind = "backbone", weights = "builtin:..." }'
        raise lacking("ladder.arms", f"{words}; arms of other studies are its [[variants]]")
    if "all" in arms and all(phase.train == "head" for phase in phases):
        raise lacking(
            "ladder.arms", '"all" needs a phase that trains more than the head, such as train = "all"'
        )


def changes_of(
    arm: str, model: Backbone, phases: Sequence[Phase], rules: Sequence[RuleBlock]
) -> dict[str, Any]:
    """The fields of a study that an arm replaces.

    Args:
        arm: its name.
        model: of the study.
        phases: of the study.
        rules: of the study.
    """
    if arm == "all":
        return {}
    rules = tuple(
        replace(block, hypers={name: v for name, v in block.hypers.items() if name not in NOT_FOR_HEAD})
        for block in rules
    )
    head = list(_head(phases))
    if arm == "head":
        return {"phases": head, "rules": rules}
    drawn = Backbone.of({**model.changed(), "weights": None, "target": _architecture(model)}).trusting(
        model.trust
    )
    if arm == "random":
        nothing = drawn.but(weights=f"{RANDOM}:0").trusting(model.trust)
        return {"model": nothing, "phases": head, "rules": rules}
    if arm == "scratch":
        whole = drawn.but(norm="adapt").trusting(model.trust)
        return {"model": whole, "phases": _joined(phases, "all"), "rules": rules}
    (only,) = _joined(head, "all")[:1]
    return {
        "model": {"kind": "mlp", "hidden": []},
        "rates": {},
        "phases": (),
        "epochs": only.epochs,
        "steps": only.steps,
        "rules": rules,
    }


def _head(phases: Sequence[Phase]) -> Iterator[Phase]:
    """The phases that train the head, the last of them at the rules' own learning rates."""
    found = [phase for phase in phases if phase.train == "head"] or _joined(phases, "head")
    yield from found[:-1]
    yield replace(found[-1], lr=None, lr_factor=1.0)


def _joined(phases: Sequence[Phase], train: str) -> list[Phase]:
    """Phases as one of the same length, at the rules' own learning rates; where lengths have two units, one by one."""
    if all(phase.epochs is not None for phase in phases):
        return [Phase(train=train, epochs=sum(phase.epochs or 0.0 for phase in phases))]
    if all(phase.steps is not None for phase in phases):
        return [Phase(train=train, steps=sum(phase.steps or 0 for phase in phases))]
    return [replace(phase, train=train, lr=None, lr_factor=1.0) for phase in phases]


def _architecture(model: Backbone) -> str:
    """Where a backbone's architecture comes from, without its weights."""
    source = (model.weights or "").partition(":")[0]
    if model.target is not None:
        return model.target
    return f"builtin:{LITE0}" if source in ("file", RANDOM) else str(model.weights)
