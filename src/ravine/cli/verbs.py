"""The verbs of the command line. Each one's docstring and signature are its help text."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from traceback import print_exception
from typing import Annotated, Any

from tyro.conf import Positional, UseAppendAction, arg

from ravine.backends import BackendName, DeviceName
from ravine.cli.output import put, put_json, write_page
from ravine.errors import InputError, StoreError

Set = Annotated[UseAppendAction[tuple[str, ...]], arg(name="set", metavar="KEY=VALUE")]


def run(
    study: Annotated[Positional[Path], arg(metavar="STUDY.toml")],
    /,
    store: str = "runs",
    device: DeviceName = "auto",
    backend: BackendName = "auto",
    overrides: Set = (),
    report: Path | None = None,
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
        overrides: Replace one field of the study; may be given several times.
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
                study, store=store, device=device, backend=backend, overrides=overrides, quiet=quiet or json
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
    study: Annotated[Positional[Path], arg(metavar="STUDY.toml")],
    /,
    low: float = 1e-6,
    high: float = 10.0,
    steps: int = 300,
    device: DeviceName = "auto",
    backend: BackendName = "auto",
    overrides: Set = (),
    out: Path | None = None,
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
        overrides: Replace one field of the study; may be given several times.
        out: Write the curves as an HTML page to this file, or - for standard output.
        json: Print one JSON array.
        quiet: Show no progress.
    """
    from ravine.api import run as api
    from ravine.report import page, terminal

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
            overrides=overrides,
            quiet=quiet or json,
        )
    if json:
        names = ("rule", "hypers", "suggested", "low", "high", "lowest", "diverged", "why_not")
        put_json([{name: getattr(each, name) for name in names} for each in found])
    elif out != Path("-"):
        put(terminal.lr_range(found))
    if out is None:
        return
    words = ["ravine", "lr", str(study), "--low", f"{low:g}", "--high", f"{high:g}", "--steps", str(steps)]
    words += [word for each in overrides for word in ("--set", each)]
    html = page.range_test(found, study.stem, shlex.join([*words, "--out", str(out)]))
    if out == Path("-"):
        write_page(html)
        return
    page.save(html, out)
    if not json:
        put(f"page: {out}")


def list_studies(store: str = "runs", json: bool = False) -> None:
    """List the studies of a store.

    Args:
        store: Folder that keeps everything.
        json: Print one JSON array.
    """
    from ravine.store import Store

    with Store(store, create=False) as opened:
        found = [(record, opened.runs(record.name)) for record in opened.studies()]
    if json:
        put_json([_study_json(record, runs) for record, runs in found])
        return
    from ravine.report import terminal

    put(terminal.studies(found))


def show(
    name: Annotated[Positional[str], arg(metavar="STUDY|RUN")], /, store: str = "runs", json: bool = False
) -> None:
    """Show a study or a run.

    Args:
        name: Name of a study, or the id of a run (its first 4 digits or more).
        store: Folder that keeps everything.
        json: Print one JSON object.
    """
    from ravine.outcomes import Results
    from ravine.report import terminal
    from ravine.store import Store

    with Store(store, create=False) as opened:
        names = [record.name for record in opened.studies()]
        if name not in names and re.fullmatch("[0-9a-f]{4,16}", name):
            found = opened.run(name)
            holding = [each for each in names if any(run.id == found.id for run in opened.runs(each))]
            if json:
                put_json(_run_json(found, holding))
            else:
                put(terminal.run(found, holding))
            return
        record, runs = opened.study(name), opened.runs(name)
        holder = opened.holder(name)
        so_far = {
            metric: opened.latest([run.id for run in runs if run.status == "running"], metric)
            for metric in ("validation_accuracy", "validation_loss")
        }
        if not any(run.status in ("done", "diverged") for run in runs):
            if json:
                put_json({**_study_json(record, runs), "holder": holder, "so_far": so_far})
            else:
                put(terminal.unfinished(record, runs, holder), "", terminal.runs(runs, so_far, limit=20))
            return
        results = Results.load(opened, name)
        if json:
            put_json({**results.json(), "holder": holder, "so_far": so_far, "table": results.table()})
        else:
            put(terminal.study(results, holder), "", terminal.runs(results.runs, so_far, limit=20))


def report(
    study: Annotated[Positional[str], arg(metavar="STUDY")],
    /,
    store: str = "runs",
    figure: str | None = None,
    out: Path | None = None,
) -> None:
    """Write the report of a study, or one figure of it, as an HTML file.

    Args:
        study: Name of a study in the store.
        store: Folder that keeps everything.
        figure: lr, curves, regimes, gap, sharpness or budget: that figure alone.
        out: The file, or - for standard output (default: NAME.html or NAME-FIGURE.html in the store's folder).
    """
    from ravine.outcomes import Results
    from ravine.report import page
    from ravine.store import Store

    with Store(store, create=False) as opened:
        results = Results.load(opened, study)
        if out == Path("-"):
            write_page(page.figure(results, figure) if figure else page.report(results))
            return
        default = Path(opened.folder) / (f"{study}-{figure}.html" if figure else f"{study}.html")
        put(f"report: {page.write(results, out or default, figure_name=figure)}")


def replay(
    run: Annotated[Positional[str], arg(metavar="RUN")],
    /,
    study: Path | None = None,
    store: str = "runs",
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
    study: Annotated[Positional[Path | None], arg(metavar="STUDY.toml")] = None,
    /,
    store: str = "runs",
    overrides: Set = (),
) -> None:
    """Say everything that is wrong with a study file, without training; without one, what is damaged in a store.

    Args:
        study: A study file (TOML). Its keys, its data and its model are tried.
        store: Folder that keeps everything.
        overrides: Replace one field of the study; may be given several times.
    """
    if study is not None:
        from ravine.api import run as api

        with redirect_stdout(sys.stderr):
            lines = api.problems(study, overrides=overrides)
            room = None if lines else api.kept_room(study, overrides=overrides)
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


def delete(
    study: Annotated[Positional[str], arg(metavar="STUDY")], /, store: str = "runs", dry_run: bool = False
) -> None:
    """Delete a study and those of its runs that no other study uses.

    Args:
        study: Name of the study.
        store: Folder that keeps everything.
        dry_run: Say what would be deleted, and delete nothing.
    """
    from ravine.store import Store

    with Store(store, create=False) as opened:
        count = opened.count_own_runs(study) if dry_run else opened.delete_study(study)
    put(f"{study}: {'would be ' * dry_run}deleted with {count} runs")


def surface(
    name: Positional[str] = "rosenbrock",
    /,
    rules: str = "sgd,momentum,adagrad,rmsprop,adam",
    start: str | None = None,
    steps: int = 300,
    lr: float | None = None,
    noise: float | None = None,
    seed: int = 0,
    maps: bool = True,
    out: Path = Path("surface.html"),
) -> None:
    """Write a page on which update rules walk over a surface, and everything can be moved.

    Args:
        name: ellipse, rotated_ellipse, saddle, monkey_saddle, local_minimum, plateau, rosenbrock, beale, himmelblau or
            rastrigin; each with noisy_ before it for a noisy gradient.
        rules: Rules that are switched on at first, with commas between them; newton and saddle_free_newton too.
        start: Where paths begin, two numbers with a comma between them (default: the surface's own start).
        steps: How many.
        lr: Learning rate of all rules (default: for each the best from this start).
        noise: Standard deviation of the noise of each number of the gradient.
        seed: Of the noise.
        maps: Also show where each rule ends up, from everywhere on the map at 25 learning rates.
        out: The file: .html for the page, .svg or .png for a picture of the paths, .gif for an animation.
    """
    from ravine.report.surface import surface as write

    words = ["ravine", *sys.argv[1:]]
    written = write(
        name,
        rules=[rule.strip() for rule in rules.split(",")],
        start=None if start is None else _pair(start),
        steps=steps,
        lr=lr,
        noise=noise,
        seed=seed,
        maps=maps,
        out=out,
        command=shlex.join(words),
    )
    put(f"surface: {written}")


def _pair(text: str) -> list[float]:
    try:
        first, second = map(float, text.split(","))
    except ValueError:
        raise InputError(f"--start {text}: must be two numbers with a comma between them") from None
    return [first, second]


def _study_json(record: Any, runs: Sequence[Any]) -> Mapping[str, Any]:
    return {
        "study": record.name,
        "runs": len(runs),
        "done": sum(run.status == "done" for run in runs),
        "diverged": sum(run.status == "diverged" for run in runs),
        "begun": sum(run.status == "running" and run.step > 0 for run in runs),
        "created_at": record.created_at,
    }


def _run_json(record: Any, studies: list[str]) -> Mapping[str, Any]:
    from dataclasses import asdict

    return {**asdict(record), "studies": studies}
