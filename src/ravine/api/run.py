"""What a Python program calls: run a study, read its results, train one run again."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from ravine.api.evaluating import evaluate_lacking
from ravine.api.reading import read_watched
from ravine.api.studies import read_any, study_of_run
from ravine.backends import check_backend, check_device
from ravine.data import Dataset
from ravine.errors import InputError
from ravine.host_memory import check_address_space
from ravine.launch.enter import enter_finished
from ravine.messages import lacking, shown
from ravine.report.plan import show_plan
from ravine.store import Store
from ravine.study import Study
from ravine.study.metric import MetricLike
from ravine.study.naming import naming
from ravine.study.trust import packages_of

if TYPE_CHECKING:
    from ravine.launch.replay import Replayed
    from ravine.outcomes import Results
    from ravine.report.findings import LrRanges


def run(
    study: Study | Path | str,
    *,
    store: Path | str = "runs",
    device: str = "auto",
    backend: str = "auto",
    overrides: Sequence[str] = (),
    trust: Sequence[str] = (),
    again_for: str | None = None,
    quiet: bool = False,
) -> Results:
    """Train the runs of a study that the store does not have yet, and judge.

    Called again after an interruption, it continues; finished runs are never trained again.

    Args:
        study: a `Study`, or the path of a study file.
        store: a folder, made if it is not there, or a database's address.
        device: "auto", "cpu", "cuda" or "mps".
        backend: "auto" (a planner chooses), "native", "fused", "serial", or on an accelerator "compiled".
        overrides: for a study file, texts such as "epochs=5".
        trust: installed packages of which any function may be the model's target: see docs/security.md.
        again_for: "averages": then train finished runs of each rule's best config once more, where the store lacks
            averages of them that the study keeps, and store these. A run that does not come out bit for bit as it is
            stored gets none, and a line says so.
        quiet: show no progress.

    Returns:
        The results: runs, curves, verdict.

    Raises:
        InputError: one line that says what is wrong: a `StudyError`, `DataError`, `ModelError` or `StoreError`, or
            plainly this for a device or backend that will not do.

    Example:
        >>> import tempfile
        >>> study = Study(name="two-rules", data="iris", model="mlp", epochs=2, seeds=1,
        ...     rules=[{"kind": "sgd", "lr": [0.01, 0.1]}, {"kind": "adam", "lr": 0.001}])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     results = run(study, store=folder, quiet=True)
        >>> len(results.runs)
        3
    """
    command, file = "ravine.run(study)", None
    if not isinstance(study, Study):
        file = str(study)
        command = _command(study, store, device, backend, overrides, trust, again_for)
    study, definition, search = read_any(study, overrides, trust)
    check_device(device)
    check_backend(backend)
    check_again(study, again_for)
    opened = Store(store)
    data = _train(
        study,
        opened,
        definition,
        search,
        device=device,
        backend=backend,
        command=command,
        file=file,
        quiet=quiet,
    )
    evaluate_lacking(study, opened, data, search, device=device, console=_console(quiet))
    from ravine.outcomes import Results

    metric = None if study.metric is None else study.metric.metric(search)
    results = replace(Results.load(opened, study.name, metric=metric), data=data)
    if again_for is None:
        return results
    check_address_space()
    from ravine.launch.again import again_for_averages
    from ravine.report.watch import watch

    events = again_for_averages(
        study, opened, results.chosen, search=search, device=device, command=command, file=file
    )
    ended = watch(
        events, _console(quiet), f"{study.name}, best configs", higher_is_better=not results.is_regression
    )
    for line in ended.lines:
        _console(False).print(Text(f"! {line}"), soft_wrap=True)
    return replace(Results.load(opened, study.name, metric=metric), data=data)


def check_again(study: Study, again_for: str | None) -> None:
    """Refuse to train again for something that does not exist, before anything is trained.

    Raises:
        InputError: it is no word that is known, or the study keeps no averages.
    """
    if again_for is None:
        return
    if again_for != "averages":
        raise InputError(f"again_for = {shown(again_for)}: must be 'averages'")
    if study.averages is None:
        with naming(study.origin):
            raise lacking(
                "averages", "missing: --again-for averages needs some, such as averages = { bank = true }"
            )


def _train(
    study: Study,
    opened: Store,
    definition: str,
    search: Path | None,
    *,
    device: str,
    backend: str,
    command: str,
    file: str | None,
    quiet: bool,
) -> Dataset:
    """Train the runs that the store lacks; returns the study's data."""
    console = _console(quiet)
    # PyTorch takes a second to import: it is not, where all runs have finished on whatever machine.
    if device in ("auto", "cpu") and opened.looks_finished(study.name):
        with naming(study.origin):
            data = read_watched(study, search, console)
        data.begin_verifying()
        planned = enter_finished(
            study, opened, definition=definition, data=data, search=search, command=command, file=file
        )
        if planned is not None:
            show_plan(planned, console, study.name)
            data.unchanged()
            return data
        check_address_space()
        from ravine.launch.launch import launch
    else:
        check_address_space()
        stopped = Event()
        with ThreadPoolExecutor(1) as beside:  # reads the data meanwhile
            reading = beside.submit(read_watched, study, search, console, stopped)
            try:
                from ravine.launch.launch import launch

                with naming(study.origin):
                    data = reading.result()
            except KeyboardInterrupt:
                stopped.set()
                raise
    from ravine.report.watch import watch

    events = launch(
        study,
        opened,
        data=data,
        definition=definition,
        search=search,
        device=device,
        backend=backend,
        command=command,
        file=file,
    )
    try:
        watch(events, console, study.name, higher_is_better=data.task != "regression")
    except KeyboardInterrupt as stopped:
        if not quiet:  # below a traceback, where nobody catches it
            stopped.add_note("ravine: what was trained is kept; the same call goes on from there")
        raise
    data.unchanged()
    return data


def lr_range(
    study: Study | Path | str,
    *,
    device: str = "auto",
    backend: str = "auto",
    low: float = 1e-6,
    high: float = 10.0,
    num_steps: int = 300,
    overrides: Sequence[str] = (),
    trust: Sequence[str] = (),
    quiet: bool = False,
) -> LrRanges:
    """Find a usable range of learning rates for each rule of a study, all rules and seeds at once; nothing is stored.

    The learning rate of every run grows by the same ratio from step to step, and the training loss is watched (Smith,
    2017). A rule is suggested the learning rate at which its loss has fallen by four fifths of the way to its lowest,
    and at most a tenth of the one from which what was learned is lost.

    Args:
        study: whose rules, model, data, batch size and seeds; its learning rates play no part.
        device: "auto", "cpu", "cuda" or "mps".
        backend: as in `run`.
        low: learning rate of the first step.
        high: of the last.
        num_steps: how many, at least 20.
        overrides: fields of a study file replaced, each "key=value" with a TOML value.
        trust: as in `run`.
        quiet: show no progress.

    Returns:
        A finding per rule, in the study's order: ``suggested``, ``low`` and ``high`` over seeds, ``lowest``,
        ``diverged``, and the curves ``lr`` (T,) and ``loss`` (seeds, T).

    Raises:
        InputError: one line that says what is wrong.

    Example:
        >>> study = Study(name="range", data="digits", model="mlp", seeds=2, epochs=1,
        ...     rules=[{"kind": "sgd", "lr": 0.1}, {"kind": "adam", "lr": 0.001}])
        >>> sgd, adam = lr_range(study, quiet=True)
        >>> adam.suggested < sgd.suggested < sgd.diverged
        True
    """
    check_address_space()
    from ravine.launch.lr_range import lr_range as test
    from ravine.report.findings import LrRanges
    from ravine.report.watch import watch_range

    study, _, search = read_any(study, overrides, trust)
    with naming(study.origin):
        data = read_watched(study, search, _console(quiet))
        data.unchanged()
    events = test(
        study,
        data=data,
        search=search,
        device=device,
        backend=backend,
        low=low,
        high=high,
        num_steps=num_steps,
    )
    return LrRanges(watch_range(events, _console(quiet)))


def results(
    name: str,
    *,
    store: Path | str = "runs",
    compare: str | None = None,
    metric: MetricLike | None = None,
) -> Results:
    """The results of a study in a store.

    Args:
        name: the study's name.
        store: the store's folder, or a database's address.
        compare: the factor whose levels are judged: "rule", "model", "dropout", or any other that varies; None: what
            the study says.
        metric: what configs are chosen by and what the verdict is about: a name such as "f1_macro", or a function of
            predictions and answers; None: what the study says. Nothing is trained for it.

    Raises:
        StoreError: no such store or study, or nothing has finished yet.
        StudyError: what is to be compared does not vary, or is a range; or the metric does not fit the data.
    """
    from ravine.api.metric import metric_for
    from ravine.outcomes import Results

    opened = Store(store, create=False)
    return Results.load(opened, name, compare=compare, metric=metric_for(opened, name, metric))


def replay(
    run_id: str,
    *,
    study: Study | Path | str | None = None,
    store: Path | str = "runs",
    device: str = "auto",
    trust: Sequence[str] = (),
    quiet: bool = False,
) -> Replayed:
    """Train one stored run again, alone and serially, and compare it with the stored one.

    Args:
        run_id: its id, or the beginning of it.
        study: a study that has the run, or its file; needed if it was made in Python from objects. By default the
            text in the store; data and modules are then looked for beside the file of its last launch, if that is in
            the working directory or below.
        store: where it is kept.
        device: "auto", "cpu", "cuda" or "mps".
        trust: as in `run`.
        quiet: show no progress.

    Raises:
        InputError: no such run, it has not finished, or its data or its model have changed.
    """
    opened = Store(store, create=False)
    record = opened.run(run_id)
    if study is None:
        study, search = study_of_run(opened, record.id, trust)
    else:
        study, _, search = read_any(study, trust=trust)
    from rich.progress import Progress

    check_address_space()
    from ravine.launch.replay import Replayed, replay

    console = _console(quiet)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(f"training run {record.id} alone", total=record.num_steps)
        for event in replay(study, opened, record.id, search=search, device=device):
            if isinstance(event, Replayed):
                return event
            bar.update(task, completed=event)
    raise AssertionError("a replay ends with a comparison")


def _console(quiet: bool) -> Console:
    """Where progress is shown."""
    return Console(file=sys.stderr, quiet=quiet)


def _command(
    path: Path | str,
    store: Path | str,
    device: str,
    backend: str,
    overrides: Sequence[str],
    trust: Sequence[str],
    again_for: str | None,
) -> str:
    """The command line that does the same."""
    words = ["ravine", "run", str(path)]
    for option, value, default in (
        ("store", store, "runs"),
        ("device", device, "auto"),
        ("backend", backend, "auto"),
    ):
        if str(value) != default:
            words += [f"--{option}", str(value)]
    for override in overrides:
        words += ["--set", override]
    for package in packages_of(trust):
        words += ["--trust", package]
    words += [] if again_for is None else ["--again-for", again_for]
    return shlex.join(words)
