"""A store whose database or files somebody has changed: nothing outside its folder is touched, damage is told."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from ravine.errors import StoreError
from ravine.store import Labels, NewRun, RunResult, Store, blocks
from ravine.store.blocks import Block

HEX = "0" * 32


def change(root: Path, *statements: str) -> None:
    with contextlib.closing(sqlite3.connect(root / "ravine.db")) as database, database:
        for statement in statements:
            database.execute(statement)


@pytest.fixture(scope="module")
def template(
    tmp_path_factory: pytest.TempPathFactory,
    new_run: Callable[..., NewRun],
    result: Callable[..., RunResult],
) -> Path:
    """A store of two finished runs and two of an unfinished cohort, with all that a store can have of them."""
    root = tmp_path_factory.mktemp("template") / "runs"
    with Store(root) as store:
        fill(store, [new_run(number) for number in range(4)], result)
        assert store.check() == []
    return root


@pytest.fixture
def filled(template: Path, tmp_path: Path) -> Iterator[Store]:
    """A copy of it."""
    shutil.copytree(template, tmp_path / "runs")
    with Store(tmp_path / "runs") as store:
        yield store


def fill(store: Store, new: list[NewRun], result: Callable[..., RunResult]) -> None:
    store.save_study("digits", definition="epochs = 1", base="base", data_fingerprint="data")
    store.add_runs("digits", new)
    done, open_ones = [run.id for run in new[:2]], [run.id for run in new[2:]]
    store.labels.put(
        "data",
        Labels(
            name="d",
            task="classification",
            classes=("a", "b"),
            sizes=(9, 3, 2),
            validation=np.array([0, 1, 0]),
            test=np.array([1, 0]),
        ),
    )
    number = store.launches.begin("digits", command="ravine run d.toml", versions={}, hardware={}, plan="")
    store.open_cohort("done", done, {"native": True})
    store.append_curves(
        done, np.arange(4), {"train_loss": np.ones((4, 2)), "validation_loss": np.ones((4, 2))}
    )
    store.truncate_curves(done, 2)
    store.kept.add(done, [0, 5], {"w": np.ones((4, 3))})
    store.finish_cohort(
        "done", [result(run) for run in done], {"w": np.ones((2, 3))}, {"test": np.ones((2, 2))}
    )
    store.sharpness.save({"rho": 0.1}, {done[0]: {"top": [1.0]}})
    store.open_cohort("open", open_ones, {})
    store.save_checkpoint("open", 3, {"w": np.ones(3)}, {})
    store.launches.end(number, 1.5)


BAD_NAMES = [
    "../../victim",
    "/tmp/victim-that-is-not-there",
    f"weights-{HEX}",
    f"weights-{HEX}.safetensors/../../../victim",
    f"../blocks/weights-{HEX}.safetensors",
    f"weights-{HEX}.safetensors\n",
    f"weights-{HEX}.safetensors\0",
    f"weights-{HEX[:-1]}.safetensors",
    f"WEIGHTS-{HEX}.safetensors",
    f"wéights-{HEX}.safetensors",
    f"weights-{'٣' * 32}.safetensors",
    "",
    ".",
    "..",
    "victim",
]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_only_a_blocks_name_is_ever_read_or_removed(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "runs" / "blocks"
    folder.mkdir(parents=True)
    for victim in (tmp_path / "victim", folder / "victim"):
        victim.write_bytes(b"")
    block = Block(file=name, kind="weights", sha256="", size=0)
    for call in (blocks.verify, blocks.read, blocks.num_rows):
        with pytest.raises(StoreError, match="a block's name is"):
            call(folder, block)
    with pytest.raises(StoreError, match="a block's name is"):
        blocks.read_rows(folder, block, [0])
    with pytest.raises(StoreError, match="a block's name is"):
        blocks.remove(folder, [name])
    assert (tmp_path / "victim").exists()
    assert (folder / "victim").exists()


@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize("name", ["../../victim", "/victim", f"weights-{HEX}"])
def test_a_store_cannot_make_delete_remove_a_foreign_file(
    filled: Store, tmp_path: Path, name: str, sealed: bool
) -> None:
    from ravine.store.digests import digest_of
    from ravine.store.schema import blocks as table

    if name.startswith("/"):
        name = str(tmp_path / "victim")
    victim = tmp_path / "victim"
    victim.write_text("mine")
    root = Path(filled.root)
    change(root, f"UPDATE blocks SET file = '{name}' WHERE kind = 'weights'")
    if sealed:  # somebody has made the digest anew
        with contextlib.closing(sqlite3.connect(root / "ravine.db")) as database, database:
            file, kind, sha256, size = database.execute(
                "SELECT file, kind, sha256, size FROM blocks WHERE kind = 'weights'"
            ).fetchone()
            row = {"file": file, "kind": kind, "sha256": sha256, "size": size}
            database.execute("UPDATE blocks SET digest = ? WHERE kind = 'weights'", [digest_of(table, row)])
    run = filled.runs("digits")[0].id
    for call in (
        lambda: filled.delete_study("digits"),
        lambda: filled.tensors("weights", run),
    ):
        with pytest.raises(StoreError):
            call()
    assert any("block" in line for line in filled.check())
    filled.close()
    Store(root).close()  # sweeps
    assert victim.read_text() == "mine"


def test_links_and_devices_in_a_store_are_refused(filled: Store, tmp_path: Path) -> None:
    root = Path(filled.root)
    run = filled.runs("digits")[0].id
    (block,) = (root / "blocks").glob("weights-*")
    outside = tmp_path / "outside"
    block.rename(outside)
    block.symlink_to(outside)
    with pytest.raises(StoreError, match="is not a regular file"):
        filled.tensors("weights", run)
    assert any("is not a regular file" in line for line in filled.check())
    block.unlink()
    outside.rename(block)
    filled.close()
    for part in ("blocks", "locks", "ravine.db", "locks/store.lock"):
        path, away = root / part, tmp_path / "away"
        path.rename(away)
        path.symlink_to(away)
        with pytest.raises(StoreError, match=r"own folder"):
            Store(root)
        path.unlink()
        if path.name in ("ravine.db", "store.lock"):
            os.mkfifo(path)
            with pytest.raises(StoreError, match="is not a regular file"):
                Store(root)
            path.unlink()
        away.rename(path)
    victim = tmp_path / "victim"
    victim.write_text("mine")
    with Store(root) as again:
        with again.lock("digits"):
            pass
        for lock in (root / "locks").iterdir():
            if lock.name != "store.lock":
                lock.unlink()
                lock.symlink_to(victim)
        with pytest.raises(StoreError, match="own folder"), again.lock("digits"):
            pass
        with pytest.raises(StoreError, match="own folder"):
            again.holder("digits")
    assert victim.read_text() == "mine"


def test_files_of_other_programs_beside_blocks_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "blocks").mkdir()
    for name in ("model.safetensors", "draft.tmp", "notes"):
        (tmp_path / "blocks" / name).write_text("mine")
    with Store(tmp_path) as store:
        assert store.check() == []
    assert len(list((tmp_path / "blocks").iterdir())) == 3


# A change of one cell, and who notices when it is read.
CHANGES: list[tuple[str, Callable[[Store, str], object]]] = [
    ("UPDATE metrics SET value = value + 0.25", lambda s, run: s.runs("digits")),
    ("UPDATE metrics SET value = 'high'", lambda s, run: s.runs("digits")),
    ("UPDATE metrics SET name = 'validation_accuracz'", lambda s, run: s.run(run)),
    ("DELETE FROM metrics", lambda s, run: s.runs("digits")),
    ("UPDATE runs SET status = 'planned' WHERE status = 'done'", lambda s, run: s.runs("digits")),
    ("UPDATE runs SET status = 'gone'", lambda s, run: s.runs("digits")),
    ("UPDATE runs SET step = step + 1", lambda s, run: s.runs("digits")),
    ("UPDATE runs SET seconds = 1e300 WHERE status = 'done'", lambda s, run: s.runs("digits")),
    ("UPDATE runs SET recipe = '{}'", lambda s, run: s.runs("digits")),
    ("UPDATE runs SET recipe = x'00ff'", lambda s, run: s.runs("digits")),
    ("UPDATE runs SET seed = 'one'", lambda s, run: s.runs("digits")),
    ("UPDATE runs SET seed = 99999999999999999999", lambda s, run: s.runs("digits")),
    ("UPDATE runs SET digest = NULL", lambda s, run: s.runs("digits")),
    ("UPDATE study_runs SET hypers = '{\"lr\": 9}'", lambda s, run: s.runs("digits")),
    ("UPDATE study_runs SET hypers = '{broken'", lambda s, run: s.runs("digits")),
    ("UPDATE study_runs SET rule = 'best'", lambda s, run: s.runs("digits")),
    ("UPDATE study_runs SET listed = 0", lambda s, run: s.runs("digits", all=True)),
    ("UPDATE study_runs SET listed = 0", lambda s, run: s.runs("digits")),
    ("UPDATE study_runs SET listed = 0 WHERE position = 3", lambda s, run: s.runs("digits")),
    ("UPDATE study_runs SET run_id = 'x' WHERE position = 3", lambda s, run: s.runs("digits")),
    ("DELETE FROM study_runs WHERE position = 1", lambda s, run: s.runs("digits")),
    ("DELETE FROM study_runs", lambda s, run: s.runs("digits")),
    ("DELETE FROM runs WHERE status = 'done'", lambda s, run: s.runs("digits")),
    ("UPDATE runs SET id = 'abc' WHERE seed = 1", lambda s, run: s.runs("digits")),
    ("UPDATE rows SET row = 1 - row", lambda s, run: s.tensors("weights", run)),
    ("UPDATE rows SET row = -1", lambda s, run: s.tensors("predictions", run)),
    ("UPDATE rows SET row = 'x'", lambda s, run: s.tensors("predictions", run)),
    ("UPDATE kept SET row = -1", lambda s, run: s.kept.path(run)),
    ("UPDATE kept SET step = step + 1", lambda s, run: s.kept.path(run)),
    ("UPDATE blocks SET sha256 = 'x'", lambda s, run: s.tensors("weights", run)),
    ("UPDATE blocks SET size = 'large'", lambda s, run: s.tensors("weights", run)),
    ("UPDATE curve_chunks SET points = x''", lambda s, run: s.curves([run], "train_loss")),
    ("UPDATE curve_chunks SET points = zeroblob(32)", lambda s, run: s.curves([run], "train_loss")),
    ("UPDATE curve_chunks SET steps = zeroblob(7)", lambda s, run: s.curves([run], "train_loss")),
    ("UPDATE curve_chunks SET steps = 'abc'", lambda s, run: s.curves([run], "train_loss")),
    ("UPDATE curve_chunks SET metric = metric || '2'", lambda s, run: s.curves([run], "train_loss2")),
    ('UPDATE curve_columns SET "column" = 1 - "column"', lambda s, run: s.curves([run], "train_loss")),
    ('UPDATE curve_columns SET "column" = -1', lambda s, run: s.curves([run], "train_loss")),
    ("UPDATE curve_groups SET num_runs = 4", lambda s, run: s.curves([run], "train_loss")),
    ("UPDATE curve_cuts SET after_step = 0", lambda s, run: s.curves([run], "train_loss")),
    ("UPDATE sharpness SET found = '[]'", lambda s, run: s.sharpness.read([run])),
    ("UPDATE cohorts SET plan = '{'", lambda s, run: s.load_checkpoint("open")),
    ("UPDATE cohorts SET step = step + 1", lambda s, run: s.load_checkpoint("open")),
    ("UPDATE cohort_runs SET position = 1 - position + 10", lambda s, run: s.load_checkpoint("open")),
    ("UPDATE labels SET classes = '3'", lambda s, run: s.labels.of("data")),
    ("UPDATE studies SET definition = 'x'", lambda s, run: s.study("digits")),
    ("UPDATE studies SET notes = 'none'", lambda s, run: s.studies()),
    ("UPDATE launches SET command = 'rm'", lambda s, run: s.studies()),
    ("UPDATE launches SET seconds = 'long'", lambda s, run: s.studies()),
    ("DROP TABLE metrics", lambda s, run: s.runs("digits")),
    ("DROP TABLE curve_cuts", lambda s, run: s.curves([run], "train_loss")),
]


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE curve_groups SET num_runs = 'x'", "column 0 of 'x'"),
        ("DELETE FROM curve_chunks", "all of its points are missing"),
        ("DELETE FROM curve_columns", "has no curves, and others have"),
    ],
)
def test_check_sees_what_is_gone_of_curves(filled: Store, statement: str, said: str) -> None:
    assert not any(said in line for line in filled.check())
    change(Path(filled.folder), statement)
    assert any(said in line for line in filled.check())


def test_a_chunk_of_a_curve_that_is_gone_is_seen(filled: Store) -> None:
    runs = [run.id for run in filled.runs("digits")][:2]
    points = np.ones((2, 2), dtype=np.float32)
    for first in (1000, 2000):
        filled.append_curves(runs, np.array([first, first + 1]), {"train_loss": points, "more": points})
    before = filled.check()
    with sqlite3.connect(Path(filled.folder) / "ravine.db") as database:
        database.execute("DELETE FROM curve_chunks WHERE metric = 'more' AND first_step = 1000")
    (problem,) = [line for line in filled.check() if line not in before]
    assert problem.startswith("curve 'more' of group")
    assert problem.endswith("its points from step 1000 on are missing")


@pytest.mark.parametrize(("statement", "read"), CHANGES, ids=[statement for statement, _ in CHANGES])
def test_a_change_in_the_database_is_seen(
    filled: Store, statement: str, read: Callable[[Store, str], object]
) -> None:
    run = filled.runs("digits")[0].id
    read(filled, run) if "metric ||" not in statement else None
    with contextlib.closing(sqlite3.connect(Path(filled.root) / "ravine.db")) as database, database:
        database.execute(statement)
    problems = filled.check()
    assert problems
    assert all("\n" not in line and len(line) < 600 for line in problems)
    with pytest.raises(StoreError) as error:
        read(filled, run)
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_a_flipped_bit_anywhere_in_the_database_is_seen(filled: Store, tmp_path: Path) -> None:
    """Of the bits of the file, every one that changes what is read."""
    root = Path(filled.root)

    def everything(store: Store) -> object:
        ids = [run.id for run in store.runs("digits", all=True)]
        curves = {run: (s.tolist(), v.tolist()) for run, (s, v) in store.curves(ids, "train_loss").items()}
        path = [part.tolist() for part in store.kept.path(ids[0])[1].values()]
        return store.studies(), store.runs("digits"), curves, path, store.sharpness.read(ids)

    before = everything(filled)
    filled.close()
    file = root / "ravine.db"
    sound = file.read_bytes()
    rng = np.random.default_rng(3)
    used = [place for place in range(100, len(sound)) if sound[place]]
    seen = 0
    for place in rng.choice(used, 60, replace=False).tolist():
        damaged = bytearray(sound)
        damaged[place] ^= 1 << int(rng.integers(8))
        file.write_bytes(damaged)
        try:
            with Store(root, create=False) as store:
                told = store.check()
                same = everything(store) == before
        except StoreError:
            seen += 1
            continue
        finally:
            for end in ("-wal", "-shm"):
                file.with_name(f"ravine.db{end}").unlink(missing_ok=True)
        assert same or told, f"byte {place}: other results, and called sound"
        seen += bool(told)
    assert seen > 40


def test_digests_of_an_older_store_are_made_once_and_check_says_so(filled: Store) -> None:
    root = Path(filled.root)
    before = filled.runs("digits"), filled.studies()
    assert filled.digested_at is None
    filled.close()
    tables = "studies launches runs study_runs blocks rows kept sharpness cohorts curve_columns curve_chunks"
    change(
        root,
        *(f"ALTER TABLE {table} DROP COLUMN digest" for table in f"{tables} curve_cuts labels".split()),
        "UPDATE meta SET value = '4' WHERE key = 'version'",
    )
    with Store(root, create=False) as store:
        assert (store.runs("digits"), store.studies()) == before
        assert store.check() == []
        assert str(store.digested_at).endswith("from format 4")
        assert store.load_checkpoint("open") is not None
    with Store(root) as store, Store(root) as other:
        assert other.digested_at == store.digested_at


def test_a_store_of_format_4_in_use_is_not_brought_up(filled: Store) -> None:
    change(Path(filled.root), "UPDATE meta SET value = '4' WHERE key = 'version'")
    with pytest.raises(StoreError, match="has store format 4 and is in use by"):
        Store(filled.root)


HOLD = """
import sys
from ravine.store import Store
with Store(sys.argv[1]) as store, store.lock(sys.argv[2]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_delete_refuses_while_another_study_trains_a_cohort_that_it_would_drop(
    store: Store, new_run: Callable[..., NewRun]
) -> None:
    runs = [new_run(number) for number in range(4)]
    for name, some in (("a", runs[:3]), ("b", runs[1:])):
        store.save_study(name, definition="", base="", data_fingerprint="")
        store.add_runs(name, some)
    store.open_cohort("c", [run.id for run in runs[1:]], {})
    store.save_checkpoint("c", 3, {"w": np.ones(3)}, {})
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, store.root, "a"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(StoreError, match=rf"'b' shares runs with study 'a'.* by process {process.pid} "):
            store.delete_study("b")
        assert store.load_checkpoint("c") is not None
        process.kill()
    assert store.delete_study("b") == 1


def test_a_wait_for_a_lock_is_bounded_and_names_the_holder(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ravine.store import database, lock

    monkeypatch.setattr(lock, "PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.05)
    root = store.root
    store.close()
    code = (
        "import fcntl, sys, time; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_EX); "
        "print('held', flush=True); sys.stdin.read()"
    )
    writes = (
        "import sqlite3, sys; d = sqlite3.connect(sys.argv[1], isolation_level=None); "
        "d.execute('BEGIN IMMEDIATE'); print('held', flush=True); sys.stdin.read()"
    )
    for program, file, act in (
        (code, "locks/store.lock", lambda: Store(root, create=False).close()),
        (writes, "ravine.db", lambda: _save(root)),
    ):
        with subprocess.Popen(
            [sys.executable, "-c", program, f"{root}/{file}"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            began = time.monotonic()
            with pytest.raises(StoreError, match=rf"process {process.pid} \(.*wait for it, or stop it"):
                act()
            assert time.monotonic() - began < 5
            process.kill()


def _save(root: str) -> None:
    with Store(root, create=False) as store:
        store.save_study("x", definition="", base="", data_fingerprint="")


@pytest.mark.parametrize("name", ["\udcff", "a\0b", "x" * 10_000, "'; DROP TABLE runs; --"])
def test_any_text_as_a_name_is_one_line(store: Store, name: str) -> None:
    with pytest.raises(StoreError) as error:
        store.study(name)
    assert len(str(error.value)) < 400
    assert str(error.value).isprintable()


def test_a_store_that_can_only_be_read_says_so_before_anything_is_computed(
    filled: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ravine.store.core import Core
    from ravine.store.opening import _read_only

    filled.check_writable()
    core = Core(_read_only(Path(filled.root)), filled.root)
    with pytest.raises(StoreError, match="readonly"), core.write():
        pass
    core.close()


def test_a_store_of_format_4_that_can_only_be_read_is_read(filled: Store) -> None:
    from ravine.store.core import Core
    from ravine.store.opening import _read_only
    from ravine.store.studies import of_study

    root, before = Path(filled.root), filled.runs("digits")
    filled.close()
    change(
        root,
        *(f"ALTER TABLE {table} DROP COLUMN digest" for table in ("runs", "study_runs", "blocks", "studies")),
        "UPDATE meta SET value = '4' WHERE key = 'version'",
    )
    content = (root / "ravine.db").read_bytes()
    core = Core(_read_only(root), str(root))
    with core.read() as connection:
        assert of_study(connection, "digits", everything=False) == before
    with pytest.raises(StoreError, match="readonly"), core.write():
        pass
    core.close()
    assert (root / "ravine.db").read_bytes() == content


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        (
            "CREATE VIEW forever AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n",
            "a view, 'forever'",
        ),
        ("CREATE TRIGGER t AFTER DELETE ON studies BEGIN DELETE FROM runs; END", "a trigger, 't'"),
    ],
)
def test_a_database_with_programs_in_it_is_refused(filled: Store, statement: str, what: str) -> None:
    filled.close()
    change(Path(filled.folder), statement)
    for create in (True, False):
        with pytest.raises(StoreError, match=what) as error, Store(filled.folder, create=create):
            pass
        assert "nothing in it is executed" in str(error.value)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("create", [True, False])
def test_a_store_of_an_impossible_name_is_one_line(tmp_path: Path, create: bool) -> None:
    for root in ("x" * 300, "a\0b", str(tmp_path / ("y" * 300) / "z")):
        with pytest.raises(StoreError, match="cannot use") as error, Store(root, create=create):
            pass
        assert "\n" not in str(error.value)
        assert len(str(error.value)) < 600
