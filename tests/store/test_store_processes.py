"""Several processes on one store: locks, and writers that wait for each other."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ravine.errors import StoreError
from ravine.store import Store

HOLD = """
import sys
from ravine.store import Store
with Store(sys.argv[1]) as store, store.lock("digits"):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def child(code: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_study_is_held_by_one_process_and_freed_by_its_death(store: Store) -> None:
    with child(HOLD, store.root) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        said = rf"study 'digits' is being run by process {process.pid} since 20\d\d-.* UTC"
        with pytest.raises(StoreError, match=said), store.lock("digits"):
            pass
        with pytest.raises(StoreError, match=said):
            store.delete_study("digits")
        with store.lock("another study"):
            pass
        process.kill()
        process.wait()
        with store.lock("digits"):
            pass
    assert store.delete_study("digits") == 0


def test_a_lock_excludes_another_store_of_the_same_process(store: Store) -> None:
    with store.lock("digits"):
        said = re.escape(f"process {os.getpid()} ")
        with Store(store.root) as other, pytest.raises(StoreError, match=said), other.lock("digits"):
            pass
    with store.lock("digits"):
        pass


def test_a_lock_file_without_a_note_still_locks(store: Store, tmp_path: Path) -> None:
    with store.lock("digits"):
        (path,) = (p for p in (tmp_path / "runs" / "locks").iterdir() if p.name != "store.lock")
        path.write_text("")
        with pytest.raises(StoreError, match="by another process"), store.lock("digits"):
            pass


# Each writes many small transactions, all of which must arrive.
WRITE = """
import sys
import numpy as np
from ravine.store import NewRun, Store
root, name = sys.argv[1:]
with Store(root) as store:
    store.save_study(name, definition="", base="", data_fingerprint="")
    ids = []
    for number in range(25):
        run = NewRun(id=f"{int(name):08x}{number:08x}", config="c", rule="sgd", hypers={}, seed=0,
                     recipe={}, num_steps=5)
        ids.append(run.id)
        store.add_runs(name, [run])
        store.open_cohort(run.id, [run.id], {})
        store.append_curves([run.id], np.arange(5), {"train_loss": np.full((5, 1), number)})
        store.save_checkpoint(run.id, 5, {"w": np.arange(3)}, {})
"""


@pytest.mark.slow
def test_processes_that_create_and_write_at_once_all_get_through(tmp_path: Path) -> None:
    root = str(tmp_path / "new")
    with child(WRITE, root, "1") as one, child(WRITE, root, "2") as two, child(WRITE, root, "3") as three:
        assert [process.wait(timeout=60) for process in (one, two, three)] == [0, 0, 0]
    with Store(root, create=False) as store:
        assert sorted(study.name for study in store.studies()) == ["1", "2", "3"]
        for name in "123":
            ids = [run.id for run in store.runs(name, all=True)]
            assert len(ids) == 25
            assert all(cohort.checkpoint for cohort in store.cohorts(unfinished_for=ids))
            curves = store.curves(ids, "train_loss")
            assert sorted(float(values[0]) for _, values in curves.values()) == list(range(25))
        assert store.check() == []
