"""What a Python program calls to see what training sees."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ravine.api.studies import read_any
from ravine.errors import InputError
from ravine.host_memory import check_address_space
from ravine.study import Study

if TYPE_CHECKING:
    from ravine.launch.seen import Seen


def seen(
    study: Study | Path | str,
    *,
    seed: int = 0,
    example: int = 0,
    epochs: int = 8,
    device: str = "auto",
    out: Path | str | None = None,
    overrides: Sequence[str] = (),
    trust: Sequence[str] = (),
    command: str = "",
) -> Seen:
    """What training sees of one example of a study with ``augment``, epoch by epoch, for each of its settings.

    These are the batches of training themselves, bit for bit on the same device; with mixing, of the step in whose
    batch the example is. Nothing is trained.

    Args:
        study: the study, or its file.
        seed: of the run; any, whether the study trains it or not.
        example: its number in the training part, from 0.
        epochs: how many are looked at, or as many as a run has.
        device: "auto", "cpu", "cuda" or "mps".
        out: also write a page (.html) or a picture (.png).
        overrides: fields of a study file replaced, each "key=value" with a TOML value.
        trust: as in `run`.
        command: what makes the page again, shown on it.

    Returns:
        ``clean``, the example as it is, and ``settings``: for each setting its ``strengths``, and ``looks``, with what
        training sees of the example in each epoch.

    Raises:
        InputError: one line that says what is wrong.

    Example:
        >>> study = Study(name="turned", data="digits", model="mlp", epochs=5, seeds=1, rules=["adam"],
        ...     augment={"rotate": [0, 15], "cutout": 0.25})
        >>> found = seen(study, example=17, epochs=3)
        >>> [setting.words for setting in found.settings], len(found.settings[0].looks)
        (['cutout 0.25', 'rotate 15, cutout 0.25'], 3)
    """
    check_address_space()
    from ravine.launch.seen import seen as look
    from ravine.launch.subject import Subject
    from ravine.report.page import check_page, save

    if out is not None and Path(out).suffix.lower() != ".png":
        if Path(out).suffix.lower() not in (".html", ".htm"):
            raise InputError(f"--out {out}: must end in .html or .png")
        check_page(out, "--out")
    read, _, search = read_any(study, overrides, trust)
    found = look(Subject.of(read, search=search, device=device), seed=seed, example=example, epochs=epochs)
    if out is not None:
        from ravine.report.seen import page

        if Path(out).suffix.lower() == ".png":
            from ravine.report.seen_picture import picture

            save(picture(found), out)
        else:
            save(page(found, command), out)
    return found
