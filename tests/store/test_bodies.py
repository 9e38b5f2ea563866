"""Frozen weights are in a store once, and are what was put there or nothing."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from ravine.errors import StoreError
from ravine.store import NewRun, Store, body_id

MODEL = {"kind": "backbone", "weights": "ab", "cut": None, "head": {"hidden": []}, "norm": "frozen"}
BODY = {"body.w": np.arange(6, dtype=np.float32).reshape(2, 3), "body.n": np.array(3)}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


def save(store: Store, name: str, model: dict[str, object]) -> None:
    store.save_study(name, definition="", base=name, data_fingerprint="d")
    recipe = {"model": model, "steps": 1}
    run = NewRun(id=f"{name:0>16}", config="c", seed=0, recipe=recipe, num_steps=1, rule="sgd", hypers={})
    store.add_runs(name, [run])


def test_a_body_comes_back_for_every_head_on_it(store: Store) -> None:
    assert not store.bodies.has(MODEL)
    store.bodies.put(MODEL, BODY)
    store.bodies.put(MODEL, BODY)
    assert len(list((store.folder / "bodies").iterdir())) == 1
    found = store.bodies.get({**MODEL, "head": {"hidden": [8]}, "norm": "adapt"})
    assert set(found) == set(BODY)
    for name, array in BODY.items():
        np.testing.assert_array_equal(found[name], array)
    with pytest.raises(
        StoreError, match="lacks the frozen weights of these runs; restore a backup, or run the study"
    ):
        store.bodies.get({**MODEL, "cut": "pool"})


def test_damage_is_found(store: Store) -> None:
    store.bodies.put(MODEL, BODY)
    assert store.check() == []
    (path,) = (store.folder / "bodies").iterdir()
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    assert [line for line in store.check() if "is damaged" in line and str(path) in line]
    with pytest.raises(StoreError, match="is damaged"):
        store.bodies.get(MODEL)
    assert not store.bodies.has(MODEL)
    store.bodies.put(MODEL, BODY)
    assert store.bodies.has(MODEL)


@pytest.mark.skipif(os.name == "nt", reason="needs symbolic links")
def test_a_link_is_not_followed(store: Store, tmp_path: Path) -> None:
    store.bodies.put(MODEL, BODY)
    (path,) = (store.folder / "bodies").iterdir()
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="is not a regular file"):
        store.bodies.get(MODEL)


def test_a_body_leaves_with_the_last_study_that_needs_it(store: Store) -> None:
    other = {**MODEL, "cut": "pool"}
    for name, model in (("a", MODEL), ("b", MODEL), ("c", other)):
        save(store, name, model)
        store.bodies.put(model, BODY)
    assert body_id(MODEL) != body_id(other)
    store.delete_study("a")
    assert store.bodies.has(MODEL)
    store.delete_study("b")
    assert not store.bodies.has(MODEL)
    assert store.bodies.has(other)
