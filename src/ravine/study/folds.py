"""The folds of a study's data: which there are, and what does not go with them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from ravine.data import Dataset, DataSpec
from ravine.data.deal_folds import FoldOf
from ravine.errors import StudyError
from ravine.messages import count
from ravine.nn.spec import Backbone
from ravine.study.model import Model
from ravine.study.recipe import Run

FOLD, REPEAT = "fold", "repeat"  # what a run of a study with folds has among its chosen values
_AT = ("data", "split", "folds")


def folds_in(data: DataSpec | Dataset) -> tuple[FoldOf, ...]:
    """The folds of a study's data, those of one repeat after those of another; () where there are none.

    Example:
        >>> from ravine.data import parse_data
        >>> len(folds_in(parse_data({"kind": "iris", "split": {"folds": 5, "repeats": 2}})))
        10
    """
    if isinstance(data, Dataset):
        return () if data.folds is None else tuple(data.folds.sizes)
    return () if data.split is None else data.split.parts


def check_folds(data: DataSpec | Dataset, models: Collection[Model], beside: Mapping[str, object]) -> None:
    """See that folds are not given beside what their runs cannot have.

    Args:
        data: of a study.
        models: its models.
        beside: values of other keys, None or empty where they are not given.

    Raises:
        StudyError: one line that names the key.
    """
    if not folds_in(data):
        return
    for key, value in beside.items():
        if value:
            raise StudyError(f"data.split.folds, {key}: only one of them; {_WHY[key]}", at=[_AT, (key,)])
    if any(isinstance(model, Backbone) for model in models):
        raise StudyError(
            "data.split.folds, model: a backbone's features are of one split into training, validation and test; leave "
            "folds out",
            at=[_AT, ("model",)],
        )


_WHY = {
    "ladder": "a ladder draws its parts out of one training split; leave folds out to see how many examples it takes",
    "tune": "a second stage goes on from one winner, and each fold has its own; leave tune out, and make what it would "
    "try part of the grid",
    "keep": "weights along the way are compared on one validation split; leave folds out to look at them",
    "averages": "averages are compared on one validation split; leave folds out to find one",
    "test_time": "modes are compared on one test split; leave folds out to compare them",
}


def fold_lines(data: DataSpec | Dataset, runs: Sequence[Run]) -> list[str]:
    """What the runs of a study with folds take, for people; nothing for other studies."""
    parts = folds_in(data)
    if not parts:
        return []
    each = count(len(runs) // len(parts), "run")
    examples = sum(recipe.steps * recipe.batch_size for run in runs for recipe in run.recipe.chain)
    return [
        f"{in_words(data)} x {each} = {len(runs):,} runs: training takes {examples:,} examples through the network"
    ]


def in_words(data: DataSpec | Dataset) -> str:
    """How many folds there are, for people.

    Example:
        >>> from ravine.data import parse_data
        >>> in_words(parse_data({"kind": "iris", "split": {"folds": 5, "repeats": 2}}))
        '5 folds x 2 repeats'
    """
    parts = folds_in(data)
    repeats = 1 + max(part.repeat for part in parts)
    return f"{len(parts) // repeats} folds" + (f" x {repeats} repeats" if repeats > 1 else "")
