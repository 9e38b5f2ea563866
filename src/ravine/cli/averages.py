"""The verb that makes averages of the weights out of what finished runs stored."""

from __future__ import annotations

from typing import Annotated

from ravine.backends import DeviceName
from ravine.cli.options import Shown, Store, StudyOrFile, Trust
from ravine.cli.output import prints_to_stderr, put_grids, put_json
from ravine.errors import InputError


def average(
    study: StudyOrFile,
    /,
    run: Annotated[str | None, Shown("RUN")] = None,
    ema: Annotated[float | None, Shown("DECAY")] = None,
    tail: Annotated[float | None, Shown("PART")] = None,
    width: Annotated[float | None, Shown("WIDTH")] = None,
    last: int | None = None,
    keep: bool = False,
    lengths: bool = False,
    store: Store = "runs",
    device: DeviceName = "auto",
    trust: Trust = (),
    json: bool = False,
) -> None:
    """Make an average of the weights of a finished run out of what it stored, and score it on validation.

    Args:
        study: Name of a study in the store, or its file if the text in the store is not enough.
        run: Id of the run, or its beginning; by default the best seed of the best config.
        ema: Exponential moving average with this decay, such as 0.999.
        tail: Mean over this last part of the run, such as 0.25.
        width: Power average of this relative width, such as 0.15.
        last: Mean of the last N kept weights, the end of the run among them.
        keep: Store it beside the run, for ensembles, `export` and `predict`.
        lengths: Score averages of many lengths of each rule's chosen config, and store the scores for the report.
        store: Folder of the store.
        device: Where to evaluate; auto uses CUDA if available.
        trust: An installed package whose functions may build the model. Can be repeated.
        json: Print one JSON object.
    """
    from ravine.api import averages as api

    given = {"run": run, "ema": ema, "tail": tail, "width": width, "last": last, "keep": keep or None}
    if lengths:
        beside = [f"--{name}" for name, value in given.items() if value is not None]
        if beside:
            raise InputError(f"--lengths, {beside[0]}: only one of them at a time")
        with prints_to_stderr():
            rows = api.average_lengths(study, store=store, device=device, trust=trust)
        if json:
            put_json({"lengths": [row.json() for row in rows]})
            return
        from ravine.outcomes.lengths import lengths_grid

        put_grids([lengths_grid(rows)])
        return
    with prints_to_stderr():
        made = api.average(
            study,
            run=run,
            ema=ema,
            tail=tail,
            width=width,
            last=last,
            keep=keep,
            store=store,
            device=device,
            trust=trust,
        )
    if json:
        put_json(made.json())
    else:
        put_grids([made.grid()])
