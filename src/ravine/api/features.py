"""What a Python program calls for the features of a study's frozen bodies."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ravine.api.studies import read_any
from ravine.errors import StudyError
from ravine.host_memory import check_address_space
from ravine.store import Store
from ravine.study import Study
from ravine.study.naming import naming

if TYPE_CHECKING:
    from ravine.features.features import Features
    from ravine.launch.optima import HeadGaps


def features(
    study: Study | Path | str,
    *,
    device: str = "auto",
    overrides: Sequence[str] = (),
    trust: Sequence[str] = (),
    quiet: bool = False,
) -> dict[str, Features]:
    """Compute what each frozen body of a study makes of its data, or read it from the cache; nothing is trained.

    A later `run` finds them. They are kept in the user's cache folder under all that they depend on: the weights'
    tensors, the pixels, the preprocessing, the cut, and what computes them.

    Args:
        study: the study, or its file.
        device: "auto", "cpu", "cuda" or "mps".
        overrides: fields of a study file replaced, each "key=value" with a TOML value.
        trust: as in `run`.
        quiet: show no progress.

    Returns:
        For each backbone, by its label, its features: ``arrays``, (N, D) float32 of train, validation and test, as they
        come out of the body; ``hit``, whether they were kept already; ``seconds``, ``kept.size`` in bytes, and ``key``.

    Raises:
        InputError: one line that says what is wrong.
    """
    check_address_space()
    from rich.console import Console

    from ravine.features.features import Extracting
    from ravine.launch.subject import Subject
    from ravine.report.watch import follow

    read, _, search = read_any(study, overrides, trust)
    subject = Subject.of(read, search=search, device=device)
    console = Console(file=sys.stderr, quiet=quiet)
    with naming(read.origin):
        found: dict[str, Features] = {
            label: follow(events, Extracting, console, "features") for label, events in subject.all_features()
        }
        if not found:
            raise StudyError(
                'model: none is a backbone with weights, so nothing is frozen; write model = { kind = "backbone", '
                'weights = "builtin:efficientnet-lite0" }, for example'
            )
    return found


def optimum(
    study: Study | Path | str,
    *,
    store: Path | str = "runs",
    device: str = "auto",
    overrides: Sequence[str] = (),
    trust: Sequence[str] = (),
    quiet: bool = False,
) -> HeadGaps:
    """Measure how far the trained linear heads of a study are from the best head, and store what was found.

    The loss of a linear head, penalty included, is convex; L-BFGS finds its minimum in float64. The report draws how
    far each run is from it. What the store has already is not measured again.

    Args:
        study: the study, or its file.
        store: where its runs are.
        device: "auto", "cpu", "cuda" or "mps".
        overrides: fields of a study file replaced, each "key=value" with a TOML value.
        trust: as in `run`.
        quiet: show no progress.

    Returns:
        ``gaps``, one `HeadGap` for each run that trained a linear head alone: ``loss``, ``optimum``, the difference
        ``gap``; on a ladder its ``per_class`` and ``draw`` too. ``left_out``: how many finished runs trained more.

    Raises:
        InputError: one line that says what is wrong.
    """
    read, _, search = read_any(study, overrides, trust)
    opened = Store(store, create=False)
    check_address_space()
    from rich.console import Console

    from ravine.launch.optima import Measuring, measure
    from ravine.report.watch import follow

    events = measure(read, opened, search=search, device=device)
    found: HeadGaps = follow(events, Measuring, Console(file=sys.stderr, quiet=quiet), "finding optima")
    return found
