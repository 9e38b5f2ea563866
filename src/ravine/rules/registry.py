"""All rules by kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from ravine.errors import StudyError, choices
from ravine.rules.adagrad import ADAGRAD
from ravine.rules.adam import ADAM
from ravine.rules.adamw import ADAMW
from ravine.rules.base import Rule
from ravine.rules.bfgs import BFGS
from ravine.rules.clip import CLIPS
from ravine.rules.hyper import Hyper
from ravine.rules.lbfgs import LBFGS
from ravine.rules.lion import LION
from ravine.rules.momentum import MOMENTUM
from ravine.rules.muon import MUON
from ravine.rules.nadam import NADAM
from ravine.rules.nesterov import NESTEROV, NESTEROV_LOOKAHEAD, NESTEROV_TORCH
from ravine.rules.newton import NEWTON
from ravine.rules.regularize import REGULARIZERS
from ravine.rules.rmsprop import RMSPROP
from ravine.rules.sam import SAM_RADIUS
from ravine.rules.schedule_free_adamw import SCHEDULE_FREE_ADAMW
from ravine.rules.sgd import SGD

RULES: Mapping[str, Rule] = {
    rule.name: rule
    for rule in (
        SGD,
        MOMENTUM,
        NESTEROV,
        NESTEROV_LOOKAHEAD,
        NESTEROV_TORCH,
        ADAGRAD,
        RMSPROP,
        ADAM,
        ADAMW,
        NADAM,
        LION,
        MUON,
        SCHEDULE_FREE_ADAMW,
    )
}
"""Rules that need one gradient per step."""
SEARCHING: Mapping[str, Rule] = {rule.name: rule for rule in (LBFGS, BFGS, NEWTON)}
"""Rules that evaluate the loss several times per step: as rules, for studies only."""
KINDS: Mapping[str, Rule] = {**RULES, **SEARCHING}
OWN: dict[str, Rule] = {}
"""Users' own rules by kind. A kind includes a hash of the content (`ravine.rules.own`), so no kind changes its rule."""

NOISE = Hyper(
    about="standard deviation of what is added to each number of the gradient", default=0.0, log=True
)
LAYER_DECAY = Hyper(
    about="what each block's lr is of that of the block after it; the head has all of lr",
    default=1.0,
    low_open=True,
    high=1.0,
)
ANCHOR = Hyper(
    about="L2 penalty of the way from the weights that the model was made with; not of the head",
    default=0.0,
    log=True,
)
AROUND: Mapping[str, Hyper] = {
    **REGULARIZERS,
    **CLIPS,
    "sam_radius": SAM_RADIUS,
    "noise": NOISE,
    "layer_decay": LAYER_DECAY,
    "anchor": ANCHOR,
}
"""What may be set around any rule, unless the rule refuses it."""


def rule(kind: str) -> Rule:
    """The rule of that kind.

    Raises:
        StudyError: there is none.

    Example:
        >>> rule("adam").source
        'Kingma and Ba, 2015'
    """
    if kind in OWN:
        return OWN[kind]
    if "@" in kind:
        raise StudyError(
            f"rule {kind!r} is not one of ravine's: give the study that has it, or import its module and call "
            "ravine.Study with it"
        )
    if kind not in KINDS:
        raise StudyError(f"unknown rule '{kind}': {choices(kind, KINDS)}")
    return KINDS[kind]


def structure(kind: str, hypers: Mapping[str, float]) -> dict[str, object]:
    """What the runs of one program must share because of their rule; nothing if it takes one gradient per step.

    Args:
        kind: a rule.
        hypers: all numbers of a run.

    Example:
        >>> structure("adam", {"lr": 0.1}), structure("lbfgs", {"lr": 1.0, "history": 5.0})
        ({}, {'rule': 'lbfgs', 'history': 5.0})
    """
    named = None if "@" in kind else rule(kind)  # a rule of one's own does not search
    if named is not None and named.search is not None:
        return {"rule": kind, **{name: hypers[name] for name in named.search.structural}}
    sam = {"sam": True} if hypers.get("sam_radius") else {}
    return {**sam, **({"layered": True} if layered(hypers) else {})}


def layered(hypers: Mapping[str, float]) -> bool:
    """Whether the blocks of a run's model have learning rates of their own."""
    return hypers.get("layer_decay", 1.0) != 1.0


def shaped(kind: str, hypers: Mapping[str, float]) -> Rule:
    """The rule of that kind, with a state of the shape that a run's hypers decide."""
    named = rule(kind)
    shape = None if named.search is None else named.search.shaped
    return named if shape is None else shape(hypers)


def hypers(kind: str) -> dict[str, Hyper]:
    """All that may be set for a rule: its own hypers, then those of `AROUND` that it neither has nor refuses."""
    named = rule(kind)
    others = AROUND.keys() - named.hypers.keys() - named.refuses
    if named.scope == "run":
        others -= {"max_norm", "layer_decay"}  # which need parameters, or blocks, apart
    return {**named.all_hypers, **{name: hyper for name, hyper in AROUND.items() if name in others}}


def hyper_names(kind: str) -> tuple[str, ...]:
    """The names of `hypers`.

    Example:
        >>> hyper_names("sgd")[5:]
        ('clip_value', 'clip_norm', 'sam_radius', 'noise', 'layer_decay', 'anchor')
    """
    return tuple(hypers(kind))


def preset(kind: str, name: Literal["lecture", "torch"] = "lecture") -> tuple[str, dict[str, float]]:
    """The kind and the hypers with which a rule follows the lecture, or equals torch.optim to rounding.

    Nesterov's forms lead to ``nesterov_torch``: no hypers make them torch.optim's once lr changes.
    torch.optim also decays biases and norms: exclude "" (`decays`) for that.

    Args:
        kind: a rule.
        name: "lecture" or "torch".

    Returns:
        The kind, and every hyper that has a default. lr is among them only where the lecture gives it.

    Raises:
        StudyError: no such rule, or no such preset.

    Example:
        >>> preset("rmsprop", "torch")
        ('rmsprop', {'decay': 0.99, 'eps': 1e-08})
    """
    if name not in ("lecture", "torch"):
        raise StudyError(f"{kind}: unknown preset '{name}': {choices(name, ('lecture', 'torch'))}")
    named = rule(kind)
    if name == "torch" and named.torch.kind is not None:
        kind, named = named.torch.kind, rule(named.torch.kind)
    defaults = {key: hyper.default for key, hyper in named.all_hypers.items() if hyper.default is not None}
    return kind, {**defaults, **(named.torch.hypers if name == "torch" else {})}
