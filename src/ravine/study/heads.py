"""Which runs train a head alone, on features of a frozen network, and whether their examples can be augmented."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ravine.messages import wrong
from ravine.study.augment import AUGMENT, VIEWS, Augmentation, num_views, techniques
from ravine.study.boundary import HEAD, rated, rests_in
from ravine.study.recipe import Recipe, Run


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
    return rests_in(model, trained) and all(each == HEAD for each in trained) and not rated(hypers)


def check_views(recipe: Recipe) -> None:
    """See that the heads of a recipe's phases can be trained on augmented examples, where it has some.

    Raises:
        StudyError: a head learns from features, and nothing says how often an example is drawn.
    """
    trained = [each.train for each in recipe.chain]
    for number, each in enumerate(recipe.chain):
        changing = techniques([each.hypers])
        if not changing or not heads_alone(each.model, trained[: number + 1], each.hypers):
            continue
        if not num_views(each.augment):
            name = f"{AUGMENT}{changing[0]}"
            words = (
                "a head learns from features that are computed once, so no example changes from epoch to epoch; write "
                f'{VIEWS} = 8 in augment for eight draws of each, leave augment out, or train = "all"'
            )
            raise wrong(name, each.hypers[name], words)
        if each.full_batch:
            words = f"each epoch has other examples with {AUGMENT}{VIEWS}; give a number of examples"
            raise wrong("batch_size", "full", words)


def check_views_used(runs: Sequence[Run], augment: Sequence[Augmentation | None]) -> None:
    """See that some run has views, where a study asks for them and changes examples at all.

    Args:
        runs: all runs of the study.
        augment: what its parts say of augmentation.

    Raises:
        StudyError: no phase trains a head alone.
    """
    asked = next((each.options.views for each in augment if each is not None and each.options.views), None)
    if asked is None:
        return
    changing = [each for run in runs for each in run.recipe.chain if techniques([each.hypers])]
    if changing and not any(num_views(each.augment) for each in changing):
        words = (
            "is for heads on a frozen network, and no phase trains a head alone: other runs draw anew in each epoch; "
            "leave it out"
        )
        raise wrong(f"{AUGMENT}{VIEWS}", asked, words)
