"""What a Python program calls to look at runs after training: how sharp their minima are, and what lies around them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ravine.api.studies import name_of, study_named
from ravine.host_memory import check_address_space
from ravine.outcomes import Results
from ravine.outcomes.ladder import check_no_ladder
from ravine.report.findings import Sharpnesses
from ravine.store import Store
from ravine.study import Study

if TYPE_CHECKING:
    from ravine.landscapes.scenes import Landscape


def sharpness(
    study: Study | Path | str,
    *,
    store: Path | str = "runs",
    runs: Sequence[str] | None = None,
    rho: float = 0.05,
    examples: int = 10_000,
    probes: int = 16,
    device: str = "auto",
    trust: Sequence[str] = (),
    quiet: bool = False,
) -> Sharpnesses:
    """Measure how sharp the minima are in which runs of a study ended, and store what was found.

    The ends of the Hessian's spectrum (Lanczos), its trace (Hutchinson), and the rise of the loss in a ball around the
    weights (Foret et al., 2021), on training data, in eval mode, without penalties on weights. What the store has
    already with the same settings is not measured again.

    Args:
        study: name of a study in the store; its file, or the `Study` itself, where the store's text is not enough.
        store: where it is kept.
        runs: ids of runs, or their beginnings; None: all that are done.
        rho: radius of the ball.
        examples: training examples that are looked at, at most: the first ones.
        probes: random vectors for the trace, at least 2.
        device: "auto", "cpu", "cuda" or "mps".
        trust: as in `run`.
        quiet: show no progress.

    Returns:
        What was found, one `Sharpness` per run.

    Raises:
        InputError: one line that says what is wrong.

    Example:
        >>> import tempfile, ravine
        >>> study = ravine.Study(name="flat", data="iris", model="mlp", epochs=5, seeds=1, rules=["adam"])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = ravine.run(study, store=folder, quiet=True)
        ...     (found,) = sharpness(study, store=folder, quiet=True)
        >>> found.top[0] > found.lowest and found.rise > 0
        True
    """
    opened = Store(store, create=False)
    check_address_space()
    from ravine.landscapes.choice import chosen_runs
    from ravine.landscapes.findings import Measuring, Settings
    from ravine.landscapes.sharpness import measure

    settings = Settings(rho=rho, examples=examples, probes=probes)
    settings.check()
    name = name_of(study)
    records = chosen_runs(opened.runs(name), runs, name)
    check_no_ladder(records, name)
    read, search = study_named(opened, study, trust)
    from rich.console import Console

    from ravine.report.watch import follow

    events = measure(read, opened, records, settings, search=search, device=device)
    found = follow(events, Measuring, Console(file=sys.stderr, quiet=quiet), "measuring sharpness")
    return Sharpnesses(found, {record.id: record for record in records})


def landscape(
    study: Study | Path | str,
    *,
    store: Path | str = "runs",
    runs: Sequence[str] | None = None,
    around: Sequence[str] | None = None,
    between: Sequence[str] | None = None,
    points: int = 51,
    reach: float = 1.0,
    examples: int = 10_000,
    seed: int = 0,
    device: str = "auto",
    trust: Sequence[str] = (),
    out: Path | str | None = None,
    command: str = "ravine.landscape(...)",
    quiet: bool = False,
) -> Landscape:
    """Look at the loss around runs of a study: their paths in a plane, maps about single runs, lines between them.

    Args:
        study: name of a study in the store; its file, or the `Study` itself, where the store's text is not enough.
        store: where it is kept.
        runs: ids of the runs whose paths are drawn, or their beginnings; None: a run of each rule's chosen config, and
            with few rules further seeds of the best. Paths need `keep` in the study.
        around: about which runs the loss is mapped along filter-normalized random directions (Li et al., 2018); None:
            the first.
        between: two runs between which the loss is taken; None: the first, and each of the others.
        points: of a grid along each axis.
        reach: how far a map about a run goes: at 1 a direction is as long as the weights of its filter.
        examples: training examples that are looked at, at most: the first ones.
        seed: of the random directions.
        device: "auto", "cpu", "cuda" or "mps".
        trust: as in `run`.
        out: a page (.html) or a picture of the paths (.svg, .png) to write; None: none.
        command: that makes it again, as the page shows it.
        quiet: show no progress.

    Returns:
        All numbers: ``plane``, ``around`` and ``lines``.

    Raises:
        InputError: one line that says what is wrong.

    Example:
        >>> import tempfile, ravine
        >>> study = ravine.Study(name="paths", data="iris", model="mlp", epochs=5, seeds=2, rules=["adam"],
        ...     keep={"every": "epoch"})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = ravine.run(study, store=folder, quiet=True)
        ...     found = landscape(study, store=folder, points=9, quiet=True)
        >>> found.plane.losses.shape, len(found.plane.routes), found.lines[0].barrier >= 0
        ((9, 9), 2, True)
    """
    check_address_space()
    from ravine.landscapes.scenes import Looking

    looking = Looking(points=points, reach=reach, examples=examples, seed=seed)
    looking.check()
    from ravine.report.landscape import check_out, select, write

    if out is not None:
        check_out(out)
    opened = Store(store, create=False)
    name = name_of(study)
    wanted = select(Results.load(opened, name), runs, around, between)
    read, search = study_named(opened, study, trust)
    from rich.console import Console

    from ravine.landscapes.landscape import Looked, look
    from ravine.report.watch import follow

    events = look(read, opened, wanted, looking, search=search, device=device)
    found: Landscape = follow(events, Looked, Console(file=sys.stderr, quiet=quiet), "looking")
    if out is not None:
        write(found, out, command)
    return found
