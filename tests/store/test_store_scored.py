"""What the data sets of studies did to raw values, and what was ever scored on test."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from ravine.errors import StoreError
from ravine.store import Store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with Store(tmp_path) as store:
        store.save_study("s", definition="x", base="b", data_fingerprint="d")
        store.preparations.put("s", {"scale": 0.1})
        store.scored.add("d", {"b" * 16: "sgd (lr 0.1)", "a" * 16: "5 seeds"})
    return tmp_path


def changed(folder: Path, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(folder / "ravine.db")) as database, database:
        database.execute(statement)


def test_a_preparation_comes_back_is_replaced_and_goes_with_its_study(folder: Path) -> None:
    with Store(folder) as store:
        assert store.preparations.of("s") == {"scale": 0.1}
        store.preparations.put("s", {"scale": 1 / 3})
        assert store.preparations.of("s") == {"scale": 1 / 3}
        for name in ("of", "put"):
            with pytest.raises(StoreError, match="no study 't'"):
                getattr(store.preparations, name)("t", *[{}] * (name == "put"))
        store.delete_study("s")
        assert store.check() == []
    with contextlib.closing(sqlite3.connect(folder / "ravine.db")) as database:
        assert database.execute("SELECT count(*) FROM preparations").fetchone() == (0,)


def test_a_recipe_is_logged_once_and_outlives_its_study(folder: Path) -> None:
    with Store(folder) as store:
        first = store.scored.of("d")
        assert [each.words for each in first] == ["5 seeds", "sgd (lr 0.1)"]
        store.scored.add("d", {"a" * 16: "other words", "c" * 16: "a soup"})
        store.scored.add("e", {"a" * 16: "elsewhere"})
        assert {each.recipe: each for each in store.scored.of("d")} == {
            **{each.recipe: each for each in first},
            "c" * 16: store.scored.of("d")[-1],
        }
        store.delete_study("s")
        assert len(store.scored.of("d")) == 3


def test_logging_what_is_known_writes_nothing(folder: Path) -> None:
    with Store(folder) as store:
        before = (folder / "ravine.db").read_bytes()
        store.scored.add("d", {"a" * 16: "5 seeds"})
        assert (folder / "ravine.db").read_bytes() == before


@pytest.mark.parametrize(
    "statement",
    ["UPDATE preparations SET content = '{}'", "UPDATE scored SET at = '2020' WHERE words = '5 seeds'"],
)
def test_damage_is_seen(folder: Path, statement: str) -> None:
    changed(folder, statement)
    with Store(folder) as store:
        with pytest.raises(StoreError, match="damaged"):
            _ = store.preparations.of("s"), store.scored.of("d")
        assert len(store.check()) == 1
