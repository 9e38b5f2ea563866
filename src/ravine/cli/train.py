"""The verbs that train or try: `run`, `lr`, `replay`, `check`. Docstrings and signatures are their help."""

from __future__ import annotations

import shlex
from pathlib import Path
from traceback import print_exception
from typing import Annotated

from ravine.backends import BackendName, DeviceName
from ravine.cli.options import File, RunId, Set, Shown, Store, StudyFile, Trust
from ravine.cli.output import prints_to_stderr, put, put_grids, put_json, write_page
from ravine.errors import InputError, StoreError
from ravine.messages import shown

_DATABASE = "ravine.db"  # of a store; the store itself takes a while to import
_MOST_DAMAGE = 100  # lines that `check` prints about a store


def run(
    study: StudyFile,
    /,
    store: Store = "runs",
    device: DeviceName = "auto",
    backend: BackendName = "auto",
    set: Set = (),
    trust: Trust = (),
    again_for: Annotated[str | None, Shown("averages")] = None,
    report: File = None,
    json: bool = False,
    quiet: bool = False,
    traceback: bool = False,
) -> None:
    """Train the runs that the store does not have yet, print the verdict and write the report.

    Args:
        study: A study file (TOML).
        store: Folder that keeps all runs; created if missing.
        device: Where to train; auto uses CUDA if available.
        backend: How to train; auto measures and chooses.
        set: Change a field of the study, such as `--set seeds=5`. Can be repeated.
        trust: An installed package whose functions may build the model. Can be repeated.
        again_for: Also train finished runs of each rule's best config again, for averages that the store lacks.
        report: Write the report to this file (default: NAME.html in the store's folder).
        json: Print the results as one JSON object, with a row per run under `table`.
        quiet: Do not show progress.
        traceback: Print the full traceback of an error in your own module.
    """
    if _changed_since(study, store):
        from ravine.ahead import load_pytorch

        load_pytorch()
    from ravine.api import run as api

    if report is not None:
        from ravine.report import page

        _check_report(report)
        page.check_page(report, "--report")
    with prints_to_stderr():
        try:
            results = api.run(
                study,
                store=store,
                device=device,
                backend=backend,
                overrides=set,
                trust=trust,
                again_for=again_for,
                quiet=quiet or json,
            )
        except InputError as error:
            if traceback and error.__cause__ is not None:
                print_exception(error.__cause__)
            raise
    from ravine.report import page, terminal, terminal_modes

    # First what was paid for: a report that cannot be written does not hide it.
    if json:
        put_json({**results.json(), **terminal_modes.modes_json(results)})
    else:
        put(terminal.verdict(results), *terminal_modes.modes(results), "")
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
    trust: Trust = (),
    out: File = None,
    json: bool = False,
    quiet: bool = False,
) -> None:
    """Find a usable range of learning rates for each rule; nothing is stored.

    Args:
        study: A study file (TOML). Its learning rates are ignored.
        low: Learning rate of the first step.
        high: Learning rate of the last step.
        steps: Number of steps.
        device: Where to train; auto uses CUDA if available.
        backend: How to train; auto measures and chooses.
        set: Change a field of the study, such as `--set seeds=5`. Can be repeated.
        trust: An installed package whose functions may build the model. Can be repeated.
        out: Write the curves to this HTML file; - is standard output.
        json: Print one JSON array.
        quiet: Do not show progress.
    """
    from ravine.api import run as api
    from ravine.report import page

    if json and out == Path("-"):
        raise InputError("--json and --out -: only one of them can go to standard output; give --out a file")
    if out not in (None, Path("-")):
        page.check_page(out, "--out")
    with prints_to_stderr():
        found = api.lr_range(
            study,
            device=device,
            backend=backend,
            low=low,
            high=high,
            num_steps=steps,
            overrides=set,
            trust=trust,
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
    words += [word for each in trust for word in ("--trust", each)]
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
    trust: Trust = (),
    json: bool = False,
    quiet: bool = False,
) -> None:
    """Train one stored run again, by itself, and compare it with the stored one.

    Args:
        run: Id of the run; its first 4 digits are enough if no other run has them.
        study: The study file, if the text in the store is not enough.
        store: Folder of the store.
        device: Where to train; auto uses CUDA if available.
        trust: An installed package whose functions may build the model. Can be repeated.
        json: Print one JSON object.
        quiet: Do not show progress.
    """
    from dataclasses import asdict

    from ravine.api import run as api
    from ravine.report import terminal

    with prints_to_stderr():
        found = api.replay(run, study=study, store=store, device=device, trust=trust, quiet=quiet or json)
    if json:
        put_json(asdict(found))
    else:
        put(terminal.replayed(found))


def check(
    study: Annotated[Path | None, Shown("STUDY.toml")] = None,
    /,
    store: Store = "runs",
    set: Set = (),
    trust: Trust = (),
    json: bool = False,
    quiet: bool = False,
) -> None:
    """Check a study file without training, or, without a file, check the store for damage.

    Pictures are decoded, so that broken ones are found and training need not decode them again; and those that are in
    two splits are named.

    Args:
        study: A study file (TOML): its keys, its data and its model. Every problem is a line.
        store: Folder of the store.
        set: Change a field of the study, such as `--set seeds=5`. Can be repeated.
        trust: An installed package whose functions may build the model. Can be repeated.
        json: Print one JSON object about the study, with all pictures that are in two splits.
        quiet: Do not show progress.
    """
    from ravine.messages import count, printable

    if study is not None:
        _check_study(study, set, trust, json, quiet)
        return
    if json:
        raise InputError("--json: needs a study file; a store is checked without it")
    from ravine.store import Store
    from ravine.times import moment

    with Store(store, create=False) as opened:
        damage, since = opened.check(), opened.digested_at
    put(*(printable(line) for line in damage[:_MOST_DAMAGE]))
    if len(damage) > _MOST_DAMAGE:
        put(f"and {len(damage) - _MOST_DAMAGE:,} more")
    if since is not None:
        put(f"{store}: its digests were made at {moment(since)}: damage from before then cannot be seen")
    if damage:
        raise StoreError(f"store {store!r}: {count(len(damage), 'fault')} found")
    put(f"{store}: sound")


def _check_study(study: Path, set: Set, trust: Trust, json: bool, quiet: bool) -> None:
    from ravine.api import problems as api
    from ravine.api.reading import duplicates
    from ravine.messages import count, printable
    from ravine.study.problems import summary

    found, remarks = None, []
    with prints_to_stderr():
        faults = api.faults(study, overrides=set, trust=trust)
        if not faults:
            try:
                found = duplicates(study, overrides=set, trust=trust, quiet=quiet or json)
                remarks = api.remarks(study, overrides=set, trust=trust)
            except InputError as error:  # of pictures that have been decoded only now
                faults = list(error.each or [error])
    lines = summary(faults) or ["sound", *remarks, *(found.lines() if found else ())]
    if json:
        about = {"problems": summary(faults), "remarks": remarks}
        put_json({**about, "duplicates": found.json() if found else None})
    else:
        put(*(f"{study}: {printable(line)}" for line in lines))
        if found is not None and found.copies:
            put_grids([found.grid()])
    if faults:
        raise InputError(f"{study}: {count(len(faults), 'problem')} found")


def _changed_since(study: Path, store: str) -> bool:
    """Whether a study's file is newer than its store, or has none: then there is something to train."""
    try:
        changed = study.stat().st_mtime_ns
        try:
            return changed > (Path(store) / _DATABASE).stat().st_mtime_ns
        except FileNotFoundError:
            return True
    except (OSError, ValueError):  # whoever reads it says why
        return False


def _check_report(path: Path) -> None:
    """See that a report can have this name, before anything is trained."""
    try:
        if not path.absolute().parent.is_dir():
            raise InputError(f"--report {path}: the folder {path.parent} does not exist")
        if path.is_dir():
            raise InputError(f"--report {path}: is a folder; name a file, such as {path / 'report.html'}")
    except (OSError, ValueError) as error:  # too long, forbidden
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"--report {shown(str(path))}: cannot be written: {reason}") from None
