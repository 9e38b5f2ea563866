"""The verb that shows what runs get wrong."""

from __future__ import annotations

from typing import Annotated, Literal

from ravine.cli.options import Compare, Shown, Store, StudyOrFile, Trust
from ravine.cli.output import prints_to_stderr, put_grids, put_json


def mistakes(
    study: StudyOrFile,
    /,
    store: Store = "runs",
    rule: Annotated[str | None, Shown("NAME")] = None,
    split: Literal["validation", "test"] | None = None,
    num: int = 20,
    compare: Compare = None,
    trust: Trust = (),
    json: bool = False,
) -> None:
    """Show what runs get wrong: which classes they confuse, each class, and the examples that are hard for most runs.

    Args:
        study: Name of a study in the store, or its file.
        store: Folder of the store.
        rule: Whose chosen config is looked at, and whose runs (default: the best rule, and all runs).
        split: validation, or test for the runs of the config that validation has chosen (default: validation, with
            folds test).
        num: Number of the hardest examples.
        compare: Look at the levels of this factor: rule, model, dropout, or any other that varies (default: what the
            study says).
        trust: An installed package whose functions may build the model. Can be repeated.
        json: Print one JSON object.
    """
    from ravine.api.mistakes import mistakes as looked_at

    with prints_to_stderr():
        found = looked_at(study, store=store, rule=rule, split=split, num=num, compare=compare, trust=trust)
    if json:
        put_json(found.json())
    else:
        put_grids(found.grids())
