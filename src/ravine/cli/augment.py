"""The verb that shows what training sees. Its docstring and signature are its help."""

from __future__ import annotations

import shlex
from pathlib import Path

from ravine.backends import DeviceName
from ravine.cli.options import File, Set, StudyFile, Trust
from ravine.cli.output import prints_to_stderr, put, put_grids, put_json


def augment(
    study: StudyFile,
    /,
    seed: int = 0,
    example: int = 0,
    epochs: int = 8,
    device: DeviceName = "auto",
    set: Set = (),
    trust: Trust = (),
    out: File = None,
    json: bool = False,
) -> None:
    """Show what training sees of one example, epoch by epoch; nothing is trained.

    Args:
        study: A study file (TOML) with augment.
        seed: Seed of the run.
        example: Number of the example in the training part, from 0.
        epochs: Number of epochs, at most.
        device: Where batches are made; auto uses CUDA if available.
        set: Change a field of the study, such as `--set augment.rotate=15`. Can be repeated.
        trust: An installed package whose functions may build the model. Can be repeated.
        out: A page (.html) or a picture (.png) (default: augment.html for pictures; a table's rows are printed).
        json: Print all numbers as one JSON object; write a page only if --out is given.
    """
    from ravine.api.augmentation import seen
    from ravine.report import page
    from ravine.report import seen as shown

    words = ["ravine", "augment", str(study), "--seed", str(seed), "--example", str(example)]
    words += ["--epochs", str(epochs)] * (epochs != 8)
    words += [word for each in set for word in ("--set", each)]
    words += [word for each in trust for word in ("--trust", each)]
    words += ["--out", str(out)] * (out is not None)
    command = shlex.join(words)
    with prints_to_stderr():
        found = seen(
            study,
            seed=seed,
            example=example,
            epochs=epochs,
            device=device,
            out=out,
            overrides=set,
            trust=trust,
            command=command,
        )
    if json:
        put_json(shown.content(found))
        return
    if not found.is_picture:
        put_grids([shown.grid(found)])
    else:
        put(shown.heading(found))
        if out is None:
            out = Path("augment.html")
            page.save(shown.page(found, command), out)
    if out is not None:
        put(f"{'picture' if out.suffix.lower() == '.png' else 'page'}: {out}")
