"""The verbs that train or try: `run`, `lr`, `replay`, `check`. Docstrings and signatures are their help."""

from __future__ import annotations

import shlex
import sys
from contextlib import redirect_stdout
from pathlib import Path
from traceback import print_exception
from typing import Annotated

from ravine.backends import BackendName, DeviceName
from ravine.cli.options import File, RunId, Set, Shown, Store, StudyFile
from ravine.cli.output import put, put_json, write_page
from ravine.errors import InputError, StoreError


def run(
    study: StudyFile,
    /,
    store: Store = "runs",
    device: DeviceName = "auto",
    backend: BackendName = "auto",
    set: Set = (),
    report: File = None,
    json: bool = False,
    quiet: bool = False,
    traceback: bool = False,
) -> None:
    """Train the runs of a study that the store does not have yet, print the verdict and write the report.

    Args:
        study: A study file (TOML).
        store: Folder that keeps everything; made if it is not there.
        device: auto, cpu, cuda or mps.
        backend: auto lets a planner choose among native, fused, compiled and serial.
        set: Replace one field of the study, such as `--set seeds=5`; may be given several times.
        report: Where to write the report (default: NAME.html in the store's folder).
        json: Print the results as one JSON object.
        quiet: Show no progress.
        traceback: Show all of an exception in a module of yours, and not only its line.
    """
    from ravine.api import run as api

    if report is not None and not report.absolute().parent.is_dir():
        raise InputError(f"--report {report}: there is no folder {report.parent}; it must be there already")
    if report is not None and report.is_dir():
        raise InputError(
            f"--report {report}: is a folder; it must be a file, such as {report / 'report.html'}"
        )
    with redirect_stdout(sys.stderr):  # what a user's module prints is none of the results
        try:
            results = api.run(
                study, store=store, device=device, backend=backend, overrides=set, quiet=quiet or json
            )
        except InputError as error:
            if traceback and error.__cause__ is not None:
                print_exception(error.__cause__)
            raise
    from ravine.report import page, terminal

    # First what was paid for: a report that cannot be written does not hide it.
    if json:
        put_json(results.json())
    else:
        put(terminal.verdict(results), "")
    written = page.write(results, report or Path(results.source.folder) / f"{results.name}.html")
    if not json:
        put(f"report: {written}")
    results.source.close()


def lr(
    study: StudyFile,
    /,
    low: float = 1e-6,
    high: float = 10.0,
    steps: int = 300,
    device: DeviceName = "auto",
    backend: BackendName = "auto",
    set: Set = (),
    out: File = None,
    json: bool = False,
    quiet: bool = False,
) -> None:
    """Test which learning rates each rule of a study can do with; nothing is stored.

    Args:
        study: A study file (TOML). Its rules, model, data, batch size and seeds count, its learning rates do not.
        low: Learning rate of the first step.
        high: Learning rate of the last step.
        steps: How many steps.
        device: auto, cpu, cuda or mps.
        backend: auto lets a planner choose among native, fused, compiled and serial.
        set: Replace one field of the study, such as `--set seeds=5`; may be given several times.
        out: Write the curves as an HTML page to this file, or - for standard output.
        json: Print one JSON array.
        quiet: Show no progress.
    """
    from ravine.api import run as api
    from ravine.report import page

    if json and out == Path("-"):
        raise InputError("--json and --out -: standard output takes one of them; give --out a file")
    with redirect_stdout(sys.stderr):
        found = api.lr_range(
            study,
            device=device,
            backend=backend,
            low=low,
            high=high,
            num_steps=steps,
            overrides=set,
            quiet=quiet or json,
        )
    if json:
        names = ("rule", "hypers", "suggested", "low", "high", "lowest", "diverged", "why_not")
        put_json([{name: getattr(each, name) for name in names} for each in found])
    elif out != Path("-"):
        put(str(found))
    if out is None:
        return
    words = ["ravine", "lr", str(study), "--low", f"{low:g}", "--high", f"{high:g}", "--steps", str(steps)]
    words += [word for each in set for word in ("--set", each)]
    html = page.range_test(found, study.stem, shlex.join([*words, "--out", str(out)]))
    if out == Path("-"):
        write_page(html)
        return
    page.save(html, out)
    if not json:
        put(f"page: {out}")


def replay(
    run: RunId,
    /,
    study: Annotated[Path | None, Shown("STUDY.toml")] = None,
    store: Store = "runs",
    device: DeviceName = "auto",
    json: bool = False,
    quiet: bool = False,
) -> None:
    """Train one stored run again, alone and serially, and print how far it is from the stored one.

    Args:
        run: Id of a run (its first 4 digits or more).
        study: The study file, where the text kept in the store is not enough.
        store: Folder that keeps everything.
        device: auto, cpu, cuda or mps.
        json: Print one JSON object.
        quiet: Show no progress.
    """
    from dataclasses import asdict

    from ravine.api import run as api
    from ravine.report import terminal

    with redirect_stdout(sys.stderr):
        found = api.replay(run, study=study, store=store, device=device, quiet=quiet or json)
    if json:
        put_json(asdict(found))
    else:
        put(terminal.replayed(found))


def check(
    study: Annotated[Path | None, Shown("STUDY.toml")] = None,
    /,
    store: Store = "runs",
    set: Set = (),
) -> None:
    """Say everything that is wrong with a study file, without training; without one, what is damaged in a store.

    Args:
        study: A study file (TOML). Its keys, its data and its model are tried.
        store: Folder that keeps everything.
        set: Replace one field of the study, such as `--set seeds=5`; may be given several times.
    """
    if study is not None:
        from ravine.api import run as api

        with redirect_stdout(sys.stderr):
            lines = api.problems(study, overrides=set)
            room = None if lines else api.kept_room(study, overrides=set)
        put(*(lines or [f"{study}: sound", *([] if room is None else [f"{study}: {room}"])]))
        if lines:
            raise InputError(f"{study}: {len(lines)} problem{'s' * (len(lines) > 1)} found")
        return
    from ravine.store import Store

    with Store(store, create=False) as opened:
        faults = opened.check()
    for fault in faults:
        put(fault)
    if faults:
        raise StoreError(f"store {store!r}: {len(faults)} faults found")
    put(f"{store}: sound")
