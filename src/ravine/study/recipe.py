"""A recipe and a run: frozen, torch-free data with an id that is a hash of its content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import MISSING, dataclass, fields, replace
from functools import cached_property
from typing import Any

from ravine.rules import structure
from ravine.rules.registry import AROUND
from ravine.study.augment import AUGMENT, num_views, techniques

NUMERICS = 1
"""Raised when a change makes every recipe end in other weights, so that stored runs are not taken for it.

A change that concerns some models or rules only is marked in what is theirs (a key of the model's structure, say): the
others keep their runs.
"""
_FIRST = (
    "data",
    "model",
    "rule",
    "hypers",
    "exclude",
    "schedule",
    "steps",
    "batch_size",
    "evaluate_every",
    "full_batch",
)
MARKS = ("rates", "dropout_at", "activations")
"""Keys of a recipe's model that are no part of what the user declares: see `ravine.study.model.marks_of`, and
`ravine.study.boundary`."""
_ON = {"augment.mix_p": 1.0, "layer_decay": 1.0}  # hypers whose default is not 0
_FACTORS = ("label_smoothing",)  # those whose names have no dot
_FIRST_HYPERS = ("weight_decay", "decoupled_weight_decay", "l1", "max_norm", "model.dropout")


def lasting(
    content: Mapping[str, Any], first: Collection[str], defaults: Mapping[str, Any]
) -> dict[str, Any]:
    """What of some content is hashed: a key that came later is there only where it is not its default.

    So a run that does not use what is new has the id that it had before there was any such choice.

    Args:
        content: all keys with their values.
        first: the keys that have been there from the first: they are always hashed.
        defaults: of the others.

    Example:
        >>> lasting({"steps": 5, "average": "none", "swap": 2}, ["steps"], {"average": "none", "swap": 0})
        {'steps': 5, 'swap': 2}
    """
    return {
        key: value
        for key, value in content.items()
        if key in first or key not in defaults or value != defaults[key]
    }


def is_factor(name: str) -> bool:
    """Whether a hyper is none of a rule, but of a part of the study beside it; 0 is off.

    Example:
        >>> [is_factor(name) for name in ("lr", "weight_decay", "model.dropout", "label_smoothing")]
        [False, False, True, True]
    """
    return "." in name or name in _FACTORS


def lasting_hypers(hypers: Mapping[str, float]) -> dict[str, float]:
    """A recipe's hypers: those around a rule or beside it that came later are among them only where they are not off.

    Example:
        >>> lasting_hypers({"lr": 0.1, "model.dropout": 0.0, "noise": 0.0})
        {'lr': 0.1, 'model.dropout': 0.0}
    """
    beside = [name for name in hypers if name in AROUND or is_factor(name)]
    return lasting(hypers, _FIRST_HYPERS, {**dict.fromkeys(beside, 0.0), **_ON})


def content_id(content: Mapping[str, Any]) -> str:
    """The first 16 hex digits of the SHA-256 of canonical JSON.

    Example:
        >>> content_id({"b": 1, "a": 2}) == content_id({"a": 2, "b": 1})
        True
    """
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All that decides how a network is trained, but for the seed.

    Args:
        data: fingerprint of the data set.
        model: the model's specification without its numeric hypers, and marks (`study.model.MARKS`).
        rule: kind of the update rule.
        hypers: every number of the recipe: the rule's (lr included), weight decay, ``model.dropout``.
        exclude: pattern of parameter names that weight decay leaves alone; None: biases and norms.
        schedule: the schedule's specification.
        steps: number of updates.
        batch_size: examples in a minibatch.
        evaluate_every: steps between two evaluations.
        full_batch: every batch is the whole training set, in its own order.
        augment: how examples are augmented beside strengths, which are hypers; None: as by default.
        stop: of a run with a ``stop.patience``, what else decides when it stops; None: the defaults.
        before: of a run that goes on from another's end, the content of that one's recipe; None: it begins anew.
            Steps, schedule and hypers are those of what comes after it.
        train: which parameters are trained: "all", "head", "from:K" of the model's blocks, or "match:REGEX" of names.
        part: which part of the training set is used, where it is not all of it.
        precision: "float32", "float64" or "bfloat16". A module whose own parameters are float64 is trained in float64
            whatever is said here.
        loss: what is made small, beside its numbers, which are hypers; None: the default of the data's task.
    """

    data: str
    model: Mapping[str, Any]
    rule: str
    hypers: Mapping[str, float]
    exclude: str | None
    schedule: Mapping[str, Any]
    steps: int
    batch_size: int
    evaluate_every: int
    full_batch: bool = False
    augment: Mapping[str, Any] | None = None
    stop: Mapping[str, Any] | None = None
    before: Mapping[str, Any] | None = None
    train: str = "all"
    part: Mapping[str, Any] | None = None
    precision: str = "float32"
    loss: Mapping[str, Any] | None = None

    @cached_property
    def parent(self) -> Recipe | None:
        """The recipe of the run that this one goes on from."""
        return None if self.before is None else Recipe.of(self.before)

    @cached_property
    def chain(self) -> tuple[Recipe, ...]:
        """The recipes of all phases, the first one first, this one last."""
        return (*(self.parent.chain if self.parent is not None else ()), self)

    @cached_property
    def first_step(self) -> int:
        """How many steps all phases before this one have."""
        return sum(each.steps for each in self.chain[:-1])

    def content(self) -> dict[str, Any]:
        """The recipe as plain JSON data: of fields with a default that came later, those that differ from it."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        found |= {
            "model": dict(self.model),
            "hypers": {name: float(value) for name, value in self.hypers.items()},
            "schedule": dict(self.schedule),
        }
        defaults = {field.name: field.default for field in fields(self) if field.default is not MISSING}
        return {**lasting(found, _FIRST, defaults), "numerics": NUMERICS}

    @staticmethod
    def of(content: Mapping[str, Any]) -> Recipe:
        """The recipe that a store kept as JSON data."""
        return Recipe(**{name: value for name, value in content.items() if name != "numerics"})

    @cached_property
    def id(self) -> str:
        """Hash of the content: 16 hex digits."""
        return content_id(self.content())

    @cached_property
    def structure(self) -> str:
        """Hash of what two runs that share one program have in common: all but numbers, rule, schedule.

        Of the phases before, that is which parameters were trained for how many steps. Rules that search have programs
        of their own. Whether a second gradient is taken counts, how far away does not.
        """
        content = self.content()
        for varies in ("rule", "hypers", "schedule"):
            del content[varies]
        if self.before is not None:
            content["before"] = [[each.train, each.steps] for each in self.chain[:-1]]
        content["model"] = {key: value for key, value in self.model.items() if key != "dropout_at"}
        content |= structure(self.rule, self.hypers)
        if num_views(self.augment):  # runs of other strengths have other features
            content["drawn"] = {
                name: value for name, value in self.hypers.items() if name.startswith(AUGMENT)
            }
        return content_id(content)

    @cached_property
    def together(self) -> str:
        """Hash of what runs that can be trained as one cohort have in common: their structure, whatever fold is theirs.

        Of runs whose examples are augmented the fold counts: what changes an example knows of one scale.
        """
        if not self.part or "fold" not in self.part or techniques([self.hypers]):
            return self.structure
        return replace(self, part={}).structure


@dataclass(frozen=True, kw_only=True)
class Run:
    """A recipe with a seed, and what its study calls it.

    Args:
        recipe: how the network is trained.
        seed: decides initial weights, batch order and every mask.
        label: the rule's name in the study.
        chosen: the values that the study chose for it (lr and whatever else varies), for people to read.
    """

    recipe: Recipe
    seed: int
    label: str
    chosen: Mapping[str, float | str]

    @cached_property
    def id(self) -> str:
        """Hash of recipe and seed: 16 hex digits."""
        return content_id({"recipe": self.recipe.id, "seed": self.seed})
