"""What a Python program calls to see why a rate, such as that of dropout, makes training take longer."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ravine.api.studies import name_of, study_named
from ravine.host_memory import check_address_space
from ravine.messages import positive, whole_number
from ravine.outcomes import Results
from ravine.outcomes.folds import check_no_folds
from ravine.store import Store
from ravine.study import Study

if TYPE_CHECKING:
    from ravine.landscapes.slowness import Slowness


def slowness(
    study: Study | Path | str,
    *,
    store: Path | str = "runs",
    rule: str | None = None,
    rate: str | None = None,
    loss: float | None = None,
    draws: int = 64,
    device: str = "auto",
    trust: Sequence[str] = (),
    out: Path | str | None = None,
    command: str = "ravine.slowness(...)",
    quiet: bool = False,
) -> Slowness:
    """See why training takes longer at higher rates of a stochastic layer, for a study that has tried several.

    Against the rate: the share of hidden units that get a gradient from an example, the variance of a minibatch's
    gradient over masks at fixed weights by its squared mean, and the steps to a validation loss.

    Args:
        study: name of a study in the store; its file, or the `Study` itself, where the store's text is not enough.
        store: where it is kept.
        rule: whose runs; None: of the best rule.
        rate: name of the rate, such as "dropout"; None: the one that varies.
        loss: validation loss to come to, in the target's own units; None: the lowest that every rate comes to.
        draws: masks for each rate, at least 2.
        device: "auto", "cpu", "cuda" or "mps".
        trust: as in `run`.
        out: a page (.html) to write; None: none.
        command: that makes it again, as the page shows it.
        quiet: show no progress.

    Returns:
        All numbers; ``print`` shows ``grid()``.

    Raises:
        InputError: one line that says what is wrong.

    Example:
        >>> import tempfile, ravine
        >>> study = ravine.Study(name="slow", data="iris", model={"kind": "mlp", "dropout": [0.0, 0.5]}, epochs=5,
        ...     seeds=1, rules=["adam"])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = ravine.run(study, store=folder, quiet=True)
        ...     found = slowness(study, store=folder, draws=8, quiet=True)
        >>> found.mean("noise", "start", 0.0) == 0.0 < found.mean("noise", "start", 0.5)
        True
    """
    whole_number("draws", draws, 2, 10_000)
    if loss is not None:
        positive("loss", loss)
    check_address_space()
    from ravine.report.page import check_page, figure_page, save

    if out is not None:
        check_page(out)
    opened = Store(store, create=False)
    name = name_of(study)
    results = Results.load(opened, name, compare="rule")  # levels of the rate would each have one value
    check_no_folds(results.runs, name)
    from ravine.landscapes.slowness import choose

    done = [record for record in results.runs if record.status == "done"]
    curves = opened.curves_of([record.id for record in done], ("validation_loss",))["validation_loss"]
    if rule is None:
        rules = dict.fromkeys(record.rule for record in done)
        rule = results.verdict.best if results.verdict.best in rules else next(iter(rules), "")
    chosen = choose(done, curves, name, rule=rule, rate=rate, loss=loss)
    read, search = study_named(opened, study, trust)
    from rich.console import Console

    from ravine.landscapes.findings import Measuring
    from ravine.landscapes.masks import measure
    from ravine.report.draw_slowness import draw_slowness
    from ravine.report.watch import follow

    events = measure(read, opened, chosen, draws=draws, search=search, device=device)
    found: Slowness = follow(events, Measuring, Console(file=sys.stderr, quiet=quiet), "measuring gradients")
    if out is not None:
        drawn = draw_slowness(found, command)
        save(figure_page([drawn], title=drawn.title, name=name), out)
    return found
