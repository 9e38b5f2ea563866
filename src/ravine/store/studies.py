"""Studies, their launches and their runs: the SQL behind `Store`."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Row, delete, false, func, select, update

from ravine.errors import StoreError, choices
from ravine.messages import count, printable, shown
from ravine.store import digests
from ravine.store.database import add_all, portions
from ravine.store.lock import now
from ravine.store.records import FINISHED, Launch, NewRun, RunRecord, StudyRecord, parsed
from ravine.store.schema import launches, metrics, runs, studies, study_runs
from ravine.study.changes import changes

STATUSES = ("planned", "running", *FINISHED)


def save(
    connection: Connection,
    name: str,
    *,
    definition: str,
    base: str,
    data_fingerprint: str,
    notes: Sequence[str] = (),
) -> None:
    """Add a study or update its text. See `Store.save_study`."""
    found = check(connection, name, definition=definition, base=base, data_fingerprint=data_fingerprint)
    row = {
        "name": name,
        "definition": definition,
        "base": base,
        "data_fingerprint": data_fingerprint,
        "created_at": now() if found is None else found.created_at,
        "notes": json.dumps(list(notes)),
    }
    if found is None:
        digests.add(connection, studies, [row])
        return
    if any(getattr(found, key) != value for key, value in row.items()):
        digest = digests.digest_of(studies, row)
        connection.execute(update(studies).where(studies.c.id == found.id).values(**row, digest=digest))


def check(
    connection: Connection, name: str, *, definition: str, base: str, data_fingerprint: str
) -> Row[Any] | None:
    """The row of a study that may get a new text; None where it is new. See `Store.check_study`."""
    found = find(connection, name)
    if found is None:
        return None
    digests.verify(studies, found, f"study {name!r}")
    same = (found.base, found.data_fingerprint) == (base, data_fingerprint)
    if not same and _has_begun(connection, found.id):
        keys = changes(found.definition, definition)
        if found.data_fingerprint != data_fingerprint and not any(key.startswith("data") for key in keys):
            prints = f"{found.data_fingerprint[:8]} -> {data_fingerprint[:8]}"
            keys.append(f"the content of its data (fingerprint {prints})")
        changed = ", ".join(keys) or "the source of its model"
        raise StoreError(
            f"study {name!r} has changed since it was first stored on {found.created_at[:10]}: {changed}; "
            "give the changed study another name, or another store; nothing was changed"
        )
    return found


def find(connection: Connection, name: str) -> Row[Any] | None:
    """The row of a study; None if there is none of this name."""
    return connection.execute(select(studies).where(studies.c.name == name)).one_or_none()


def _has_begun(connection: Connection, study: int) -> bool:
    """Whether any run of a study has been trained at all: until then there is nothing that a change could spoil."""
    begun = (
        select(runs.c.id)
        .join(study_runs, study_runs.c.run_id == runs.c.id)
        .where(study_runs.c.study_id == study, runs.c.status != "planned")
        .limit(1)
    )
    return connection.scalar(begun) is not None


def study_id(connection: Connection, name: str) -> int:
    """The number of a study, or a StoreError with the names there are."""
    found = connection.scalar(select(studies.c.id).where(studies.c.name == name))
    if found is None:
        names = connection.scalars(select(studies.c.name)).all()
        hint = choices(name, names) if names else "the store has none yet"
        raise StoreError(f"no study {shown(name)} in the store; {hint}")
    return int(found)


def read(connection: Connection, name: str | None = None) -> list[StudyRecord]:
    """One study or all, oldest first."""
    query = select(studies).order_by(studies.c.id)
    if name is not None:
        query = query.where(studies.c.id == study_id(connection, name))
    found = connection.execute(query).all()
    launched = defaultdict(list)
    for some in portions(row.id for row in found):
        for row in connection.execute(
            select(launches).where(launches.c.study_id.in_(some)).order_by(launches.c.id)
        ):
            launched[row.study_id].append(launch_of(row))
    return [study_of(row, launched[row.id]) for row in found]


def study_of(row: Row[Any], launched: Sequence[Launch] = ()) -> StudyRecord:
    """A study out of its row.

    Raises:
        StoreError: it is damaged.
    """
    about = f"study {str(row.name)[:60]!r}"
    digests.verify(studies, row, about)
    if not row.name.isprintable():
        raise StoreError(f"{about}: the store's entry is damaged: no study has such a name")
    return StudyRecord(
        name=row.name,
        definition=row.definition,
        base=row.base,
        data_fingerprint=row.data_fingerprint,
        created_at=row.created_at,
        launches=tuple(launched),
        notes=tuple(printable(str(note)) for note in parsed(row.notes, list, about)),
    )


def launch_of(row: Row[Any]) -> Launch:
    """A launch out of its row.

    Raises:
        StoreError: it is damaged.
    """
    about = f"launch {row.id}"
    digests.verify(launches, row, about)
    return Launch(
        started_at=row.started_at,
        seconds=row.seconds,
        command=printable(row.command),
        file=row.file,
        versions=parsed(row.versions, dict, about),
        hardware=parsed(row.hardware, dict, about),
        plan=printable(row.plan),
    )


def add_runs(
    connection: Connection, study: str, listed: Sequence[NewRun], before: Sequence[NewRun] = ()
) -> None:
    """Plan runs and list them, in this order, under a study. See `Store.add_runs`."""
    number = study_id(connection, study)
    new = [*listed, *before]
    known = existing(connection, (run.id for run in new))
    rows: dict[str, dict[str, Any]] = {}
    for run in new:
        assert re.fullmatch(r"[0-9a-f]{16}", run.id), f"run id {run.id!r} is not 16 hex digits"
        assert run.id not in rows, f"run {run.id} twice in study {study!r}"
        rows[run.id] = {
            "id": run.id,
            "config": run.config,
            "seed": run.seed,
            "recipe": json.dumps(dict(run.recipe)),
            "num_steps": run.num_steps,
            "status": "planned",
            "step": 0,
        }
    add_all(
        connection,
        runs,
        [{**row, "digest": run_digest(row, {})} for run, row in rows.items() if run not in known],
    )
    in_study = study_runs.c.study_id == number
    former = [row._asdict() for row in connection.execute(select(study_runs).where(in_study))]
    after = [{**row, "listed": False} for row in former if row["run_id"] not in rows]
    after += [
        {
            "study_id": number,
            "run_id": run.id,
            "position": position,
            "listed": position < len(listed),
            "rule": run.rule,
            "hypers": json.dumps(dict(run.hypers)),
        }
        for position, run in enumerate(new)
    ]
    after = [{**row, "digest": digests.digest_of(study_runs, row)} for row in after]
    by_run = itemgetter("run_id")
    if sorted(after, key=by_run) != sorted(former, key=by_run):
        connection.execute(delete(study_runs).where(in_study))
        add_all(connection, study_runs, after)


def run_digest(row: Mapping[str, Any], measured: Mapping[str, float]) -> str:
    """The digest of a run: of what it is, and once it has finished also of how it ended.

    Raises:
        ValueError: a value is of another type than its column.
    """
    if row["status"] in FINISHED:
        return digests.digest_of(runs, row, [dict(measured)])
    known = ("id", "config", "seed", "recipe", "num_steps")
    return digests.digest_of(runs, {name: row[name] for name in known})


def existing(connection: Connection, run_ids: Iterable[str]) -> dict[str, str]:
    """The status of those of these runs that the store has."""
    found: dict[str, str] = {}
    for some in portions(run_ids):
        for run, status in connection.execute(select(runs.c.id, runs.c.status).where(runs.c.id.in_(some))):
            found[run] = status
    return found


def sharing(connection: Connection, study: str, run_ids: Iterable[str]) -> list[str]:
    """The studies of other names with one of these runs or of a study's own, unfinished. See `Store.sharing`."""
    own = select(study_runs.c.run_id).join(studies, study_runs.c.study_id == studies.c.id)
    ids = {*run_ids, *connection.scalars(own.where(studies.c.name == study))}
    query = select(studies.c.name).distinct().where(studies.c.name != study, runs.c.status.not_in(FINISHED))
    query = query.join(study_runs, study_runs.c.study_id == studies.c.id)
    query = query.join(runs, runs.c.id == study_runs.c.run_id)
    found: set[str] = set()
    for some in portions(ids):
        found.update(connection.scalars(query.where(runs.c.id.in_(some))))
    return sorted(found)


def of_study(connection: Connection, study: str, *, everything: bool) -> list[RunRecord]:
    """The runs of a study in its order. See `Store.runs`."""
    number = study_id(connection, study)
    lacks = missing(connection, number)
    if lacks is not None:
        raise StoreError(
            f"study {study!r}: the store's entry is damaged ({lacks}): restore a backup, or delete the study; "
            "`ravine check` lists all damage"
        )
    in_study = study_runs.c.study_id == number
    if not everything:
        # A run must not leave the results because of a flipped bit.
        for row in connection.execute(select(study_runs).where(in_study, study_runs.c.listed.is_(false()))):
            digests.verify(study_runs, row, f"run {str(row.run_id)[:16]}")
        in_study &= study_runs.c.listed.is_not(false())  # any other value is damage, which its digest shows
    found = connection.execute(
        select(runs, study_runs)
        .join(study_runs, study_runs.c.run_id == runs.c.id)
        .where(in_study)
        .order_by(study_runs.c.listed.desc(), study_runs.c.position)
    ).all()
    measured: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for run, name, value in connection.execute(
        select(metrics).join(study_runs, study_runs.c.run_id == metrics.c.run_id).where(in_study)
    ):
        measured[run][name] = value
    return [run_of(row, measured[row._mapping[runs.c.id]]) for row in found]


def looks_finished(connection: Connection, study: str) -> bool:
    """Whether there is a study of this name without unfinished runs. See `Store.looks_finished`."""
    number = connection.scalar(select(studies.c.id).where(studies.c.name == study))
    left = select(runs.c.id).join(study_runs, study_runs.c.run_id == runs.c.id).limit(1)
    left = left.where(study_runs.c.study_id == number, study_runs.c.listed, runs.c.status.not_in(FINISHED))
    return number is not None and connection.scalar(left) is None


def missing(connection: Connection, number: int) -> str | None:
    """Which rows of a study's runs are gone, in words; None if none is known to be.

    Args:
        connection: to the database.
        number: of the study.
    """
    in_study = study_runs.c.study_id == number
    gone = select(study_runs.c.run_id).where(in_study, study_runs.c.run_id.not_in(select(runs.c.id))).limit(1)
    run = connection.scalar(gone)
    if run is not None:
        return f"its run {str(run)[:16]} is not in table 'runs'"
    # The runs of its present definition have the places 0, 1, 2, ...
    of_definition = in_study & study_runs.c.listed.is_not(false())
    num, last = connection.execute(
        select(func.count(), func.max(study_runs.c.position)).where(of_definition)
    ).one()
    if num and last != num - 1:
        return f"table 'study_runs' has {count(num, 'run')} of it, the last in place {shown(last)}"
    if not num and connection.scalar(select(launches.c.id).where(launches.c.study_id == number).limit(1)):
        return "it was trained, but table 'study_runs' has no run of it"
    return None


def by_prefix(connection: Connection, prefix: str) -> RunRecord:
    """The one run whose id begins with these digits. See `Store.run`."""
    if not re.fullmatch(r"[0-9a-f]{4,16}", prefix):
        raise StoreError(f"run {shown(prefix)}: give its id, 16 hex digits, or the first 4 or more of them")
    found = connection.execute(
        select(runs.c.id).where(runs.c.id.startswith(prefix)).order_by(runs.c.id)
    ).all()
    if not found:
        raise StoreError(f"no run in the store begins with {prefix!r}")
    if len(found) > 1:
        ids = ", ".join(row.id for row in found[:4]) + (", ..." if len(found) > 4 else "")
        raise StoreError(
            f"run {prefix!r} is ambiguous: {len(found)} runs begin with it ({ids}); give more digits"
        )
    run_id = found[0].id
    row = connection.execute(
        select(runs, study_runs)
        .join(study_runs, study_runs.c.run_id == runs.c.id)
        .where(runs.c.id == run_id)
        .order_by(study_runs.c.study_id.desc())
        .limit(1)
    ).one()
    query = select(metrics.c.name, metrics.c.value).where(metrics.c.run_id == run_id)
    return run_of(row, {metric.name: metric.value for metric in connection.execute(query)})


def run_of(row: Row[Any], measured: dict[str, float]) -> RunRecord:
    """A run out of its rows in `runs` and `study_runs`, and its metrics.

    Raises:
        StoreError: one of them is damaged.
    """
    about = f"run {str(row._mapping[runs.c.id])[:16]}"
    check_run(row, measured)
    digests.verify(study_runs, row, about, first=len(runs.columns))
    return RunRecord(
        id=row.id,
        config=row.config,
        rule=printable(row.rule),
        hypers={printable(name): _value(value) for name, value in parsed(row.hypers, dict, about).items()},
        seed=row.seed,
        recipe=parsed(row.recipe, dict, about),
        status=row.status,
        step=row.step,
        num_steps=row.num_steps,
        diverged_at=row.diverged_at,
        seconds=row.seconds,
        backend=row.backend,
        metrics=measured,
    )


def _value(value: object) -> float | str:
    """A value that a study chose: what is printed has no control characters, whoever wrote the store."""
    return value if isinstance(value, int | float) else printable(str(value))


def check_run(row: Row[Any], measured: dict[str, float]) -> None:
    """Compare a run with its digest.

    Raises:
        StoreError: it is damaged.
    """
    values = dict(zip(runs.columns.keys(), row, strict=False))
    try:
        sound = values["status"] in STATUSES and values["digest"] == run_digest(values, measured)
    except (ValueError, TypeError):
        sound = False
    if not sound:
        raise StoreError(
            f"run {str(values['id'])[:16]}: the store's entry is damaged (its recipe, its status or its metrics): "
            "restore a backup, or delete its study; `ravine check` lists all damage"
        )
