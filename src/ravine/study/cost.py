"""What the runs of a ladder, or of folds, take: how many examples, and which runs learn without the network."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ravine.messages import count
from ravine.study.boundary import HEAD, boundary_of
from ravine.study.folds import fold_lines
from ravine.study.ladder import Ladder, in_words
from ravine.study.recipe import Recipe, Run
from ravine.study.spec import Study

_WHOLE, _LAST, _FEATURES, _OTHERS = "of the whole network", "of its last blocks", "on features", "without it"


def cost_lines(study: Study, runs: Sequence[Run], num_test: int) -> list[str]:
    """What the runs of a ladder or of folds take, for people; nothing for other studies.

    Args:
        study: the study.
        runs: its runs; those that they go on from count too, each once.
        num_test: test examples.
    """
    ladder = study.ladder
    if ladder is None:
        return fold_lines(study.data, runs)
    groups: dict[str, dict[tuple[str, int], Recipe]] = {}
    for run in runs:
        for recipe in run.recipe.chain:
            groups.setdefault(_kind(recipe), {})[recipe.id, run.seed] = recipe
    if groups.keys() == {_OTHERS}:  # no model has learned elsewhere
        return [f"{in_words(ladder)}: training takes {_examples(ladder, groups[_OTHERS].values(), num_test)}"]
    lines = [in_words(ladder)]
    for kind in (_WHOLE, _LAST):
        if kind in groups:
            words = _examples(ladder, groups[kind].values(), num_test, "it" if kind == _WHOLE else "them")
            lines.append(f"{count(len(groups[kind]), 'run')} {kind}: training takes {words}")
    if _FEATURES in groups:
        num = count(len(groups[_FEATURES]), "run")
        lines.append(f"{num} {_FEATURES}, for which each example goes through the network once")
    if _OTHERS in groups:
        lines.append(f"{count(len(groups[_OTHERS]), 'run')} of other models, on the examples themselves")
    return lines


def _kind(recipe: Recipe) -> str:
    """What a run of a recipe takes its examples through."""
    if recipe.model.get("kind") != "backbone":
        return _OTHERS
    boundary = boundary_of(recipe)
    if not boundary:
        return _WHOLE
    return _FEATURES if boundary == (HEAD,) else _LAST


def _examples(ladder: Ladder, recipes: Collection[Recipe], num_test: int, what: str = "the network") -> str:
    """How many examples go through a network, in training and in the test."""
    total = sum(recipe.steps * recipe.batch_size for recipe in recipes)
    most = sum(
        recipe.steps * recipe.batch_size
        for recipe in recipes
        if recipe.part is not None and recipe.part["per_class"] == ladder.per_class[-1]
    )
    share = f", {most / total:.0%} of them at n = {ladder.per_class[-1]}" if len(ladder.per_class) > 1 else ""
    return f"{total:,} examples through {what}{share}, and the test {len(recipes) * num_test:,}"
