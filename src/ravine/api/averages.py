"""What a Python program calls to make averages of the weights out of what finished runs stored."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ravine.api.metric import metric_for
from ravine.api.studies import stored_study
from ravine.averages.asked import asked
from ravine.ensembles.members import winner_of
from ravine.host_memory import check_address_space
from ravine.outcomes import Results
from ravine.outcomes.folds import check_no_folds
from ravine.outcomes.lengths import Lengths, lengths
from ravine.outcomes.metric import by_metric
from ravine.outcomes.runs import validation_metric
from ravine.store import RunRecord, Store
from ravine.study import Study

if TYPE_CHECKING:
    from ravine.averages.findings import Made


def average(
    study: Results | Study | Path | str,
    *,
    run: str | None = None,
    ema: float | None = None,
    tail: float | None = None,
    width: float | None = None,
    last: int | None = None,
    keep: bool = False,
    store: Path | str = "runs",
    device: str = "auto",
    trust: Sequence[str] = (),
) -> Made:
    """Make an average of the weights of a finished run, out of what the run stored along its way.

    Its profile, by how much the weights of each step count, is the closest one that the run's bank and its kept weights
    allow, exact step by step. Nothing is trained. It is evaluated on validation data, beside the
    run's last weights; BatchNorm's statistics are estimated again from all training examples.

    Args:
        study: the results of a study, its name in the store, its file, or the `Study` itself.
        run: id of the run, or its beginning; None: of the config with the best mean validation score the seed that is
            best on validation.
        ema: decay of an exponential moving average, debiased.
        tail: the part of the run, up to 1, whose last steps are averaged, each counting as much.
        width: relative width of a power average (Karras et al., 2024), at most 0.2887, that of the mean of all steps.
        last: how many of the kept weights are averaged, the run's end among them.
        keep: store it beside the run, as averages are that training moved along, under a name such as "made ema 0.999".
            Then it may be a member of an ensemble, and be exported. Otherwise nothing is stored.
        store: where the study is, unless results are given.
        device: where it is evaluated: "auto", "cpu", "cuda" or "mps".
        trust: as in `run`.

    Returns:
        The average: ``weights``, ``scores``, ``error`` of its profile. It prints as a table.

    Raises:
        InputError: one line that says what is wrong, or what to keep next time where the profile would be off by more
            than 5 %.

    Example:
        >>> import tempfile, ravine
        >>> study = ravine.Study(name="bank", data="iris", model="mlp", epochs=20, seeds=1, rules=["adam"],
        ...     averages={"bank": True})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = ravine.run(study, store=folder, quiet=True)
        ...     found = average(study, store=folder, tail=0.25)
        >>> found.average, found.error < 0.01
        ('tail 0.25', True)
    """
    wanted = asked(ema=ema, tail=tail, width=width, last=last)
    opened, name, find = stored_study(study, store, trust)
    record = _run(opened, name, run, study)
    read, search = find()
    check_address_space()
    from ravine.averages.made import make

    return make(read, opened, record, wanted, search=search, device=device, keep=keep)


def average_lengths(
    study: Results | Study | Path | str,
    *,
    store: Path | str = "runs",
    device: str = "auto",
    trust: Sequence[str] = (),
    quiet: bool = False,
) -> tuple[Lengths, ...]:
    """Evaluate averages of different lengths of each rule's chosen config, and store their validation scores.

    The report draws them. The runs need a bank.

    Args:
        study: the results of a study, its name in the store, its file, or the `Study` itself.
        store: where the study is, unless results are given.
        device: "auto", "cpu", "cuda" or "mps".
        trust: as in `run`.
        quiet: show no progress.

    Returns:
        Scores by relative width, an entry for each rule.

    Raises:
        InputError: one line that says what is wrong.
    """
    opened, name, find = stored_study(study, store, trust)
    by = metric_for(opened, name, None, study)
    results = study if isinstance(study, Results) else Results.load(opened, name, metric=by)
    read, search = find()
    check_address_space()
    from rich.console import Console

    from ravine.averages.lengths import Measuring, measure
    from ravine.report.watch import follow

    events = measure(results, read, opened, search=search, device=device)
    follow(events, Measuring, Console(file=sys.stderr, quiet=quiet), "averaging")
    return lengths(Results.load(opened, name, metric=by), validation_metric(results.labels.task))


def _run(store: Store, name: str, run: str | None, given: Results | Study | Path | str) -> RunRecord:
    """A run by the beginning of its id, or the best one of the winner."""
    from ravine.landscapes.choice import chosen_runs

    records = store.runs(name)
    check_no_folds(records, name)
    if run is not None:
        return chosen_runs(records, [run], name)[0]
    study, metric = store.study(name), metric_for(store, name, None, given)
    valued, column = by_metric(store, study, store.labels.of(study.data_fingerprint), records, metric)
    return winner_of(valued, column, name)[0]
