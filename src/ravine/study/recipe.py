"""A recipe and a run: frozen, torch-free data with an id that is a hash of its content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ravine.rules import structure

NUMERICS = 1
"""Raised when a change makes a recipe end in other weights, so that stored runs are not taken for it."""


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
        model: the model's specification without its numeric hypers.
        rule: kind of the update rule.
        hypers: every number of the recipe: the rule's (lr included), weight decay, ``model.dropout``.
        exclude: pattern of parameter names that weight decay leaves alone; None: biases and norms.
        schedule: the schedule's specification.
        steps: number of updates.
        batch_size: examples in a minibatch.
        evaluate_every: steps between two evaluations.
        full_batch: every batch is the whole training set, in its own order.
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

    def content(self) -> dict[str, Any]:
        """The recipe as plain JSON data."""
        return {
            "data": self.data,
            "model": dict(self.model),
            "rule": self.rule,
            "hypers": {name: float(value) for name, value in self.hypers.items()},
            "exclude": self.exclude,
            "schedule": dict(self.schedule),
            "steps": self.steps,
            "batch_size": self.batch_size,
            "evaluate_every": self.evaluate_every,
            "full_batch": self.full_batch,
            "numerics": NUMERICS,
        }

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

        Rules that search have programs of their own. Whether a second gradient is taken counts, how far away does not.
        """
        content = self.content()
        for varies in ("rule", "hypers", "schedule"):
            del content[varies]
        content |= structure(self.rule, self.hypers)
        return content_id(content)


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
