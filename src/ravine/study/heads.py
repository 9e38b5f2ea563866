"""Whether the examples of runs that train a head alone, on features of a frozen network, can be augmented."""

from __future__ import annotations

from collections.abc import Sequence

from ravine.messages import wrong
from ravine.study.augment import AUGMENT, VIEWS, Augmentation, num_views, techniques
from ravine.study.boundary import heads_alone
from ravine.study.recipe import Recipe, Run


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
