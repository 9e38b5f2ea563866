"""Update rules: the interface in `base`, a file for each, all in `registry`, penalties in `regularize`."""

from __future__ import annotations

from ravine.rules.base import DEPLOYED, Evaluation, Hypers, Rule, Search, State, TorchForm
from ravine.rules.hyper import Hyper, fill
from ravine.rules.registry import (
    KINDS,
    RULES,
    SEARCHING,
    hyper_names,
    hypers,
    preset,
    rule,
    shaped,
    structure,
)
from ravine.rules.regularize import REGULARIZERS, decays, regularize

__all__ = [
    "DEPLOYED",
    "KINDS",
    "REGULARIZERS",
    "RULES",
    "SEARCHING",
    "Evaluation",
    "Hyper",
    "Hypers",
    "Rule",
    "Search",
    "State",
    "TorchForm",
    "decays",
    "fill",
    "hyper_names",
    "hypers",
    "preset",
    "regularize",
    "rule",
    "shaped",
    "structure",
]
