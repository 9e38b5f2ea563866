"""Where the frozen part of a run's network ends, and so what the run is trained on.

The frozen part is carried through once for all runs; what is trained is what comes after it. Where a head alone is
trained, that is the head, on features. Where more is, it is the last blocks, on the activations before them, and the
recipe says so: the folded norms of the frozen part round otherwise than a whole network does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ravine.nn.spec import MATCH
from ravine.study.augment import techniques
from ravine.study.phases import FROM
from ravine.study.recipe import Recipe

ACTIVATIONS = "activations"
"""The mark of a recipe's model whose runs are trained on activations, where the network can be cut there."""
CACHED = "cached"
HEAD = "head"
_WHOLE = ("all", f"{FROM}0")


def boundary_mark(
    model: Mapping[str, Any], trained: Sequence[str], hypers: Mapping[str, float]
) -> dict[str, str]:
    """The mark of a run that is trained on activations, one of `ravine.study.recipe.MARKS`; else nothing.

    So is a run with a body that has learned elsewhere, none of whose phases trains the body's beginning, whose pictures
    are the same in every epoch, and whose rates are for no layer of the body.

    Args:
        model: what its recipe says of it.
        trained: what each of its phases trains.
        hypers: of the recipe.

    Example:
        >>> body = {"kind": "backbone", "weights": "ab"}
        >>> boundary_mark(body, ["head", "from:5"], {"lr": 0.1})
        {'activations': 'cached'}
        >>> boundary_mark(body, ["from:5", "all"], {}), boundary_mark(body, ["head"], {})
        ({}, {})
    """
    rests = rests_in(model, trained) and any(each != HEAD for each in trained)
    fixed = not techniques([hypers]) and not _rated(hypers)
    return {ACTIVATIONS: CACHED} if rests and fixed else {}


def rests_in(model: Mapping[str, Any], trained: Sequence[str]) -> bool:
    """Whether a part of a body that has learned elsewhere may be the same in all runs with such phases."""
    learned = model.get("kind") == "backbone" and model.get("weights") is not None
    return learned and not any(each in _WHOLE for each in trained)


def _rated(hypers: Mapping[str, float]) -> bool:
    """Whether a rate may be for a layer of the body."""
    return any(value and name.startswith(f"model.{MATCH}") for name, value in hypers.items())


def heads_alone(model: Mapping[str, Any], trained: Sequence[str], hypers: Mapping[str, float]) -> bool:
    """Whether a run learns from features computed once: its body has learned elsewhere, and no phase trains it.

    Args:
        model: what its recipe says of the model.
        trained: what each of its phases trains.
        hypers: of its recipe.

    Example:
        >>> heads_alone({"kind": "backbone", "weights": "ab"}, ["head"], {"lr": 0.1})
        True
        >>> heads_alone({"kind": "backbone", "weights": "ab"}, ["head", "all"], {"lr": 0.1})
        False
    """
    return rests_in(model, trained) and all(each == HEAD for each in trained) and not _rated(hypers)


def boundary_of(recipe: Recipe) -> tuple[str, ...]:
    """What two runs with one body have in common whose frozen part ends at the same place.

    Returns:
        ("head",) where it ends before the head; if the run is trained on activations, what its phases train besides
        the head; () where everything is trained, or the frozen part is carried through at each step.

    Example:
        >>> base = dict(data="d", rule="sgd", hypers={"lr": 0.1}, exclude=None, schedule={}, steps=1, batch_size=1,
        ...             evaluate_every=1, model={"kind": "backbone", "weights": "ab"})
        >>> boundary_of(Recipe(**base, train="head")), boundary_of(Recipe(**base, train="from:5"))
        (('head',), ())
    """
    trained = [each.train for each in recipe.chain]
    if heads_alone(recipe.model, trained, recipe.hypers):
        return (HEAD,)
    if ACTIVATIONS not in recipe.model:
        return ()
    return tuple(sorted({each for each in trained if each != HEAD}))
