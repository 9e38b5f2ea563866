"""A pass through a network of ravine's own is made once on a machine; one of the user's is always looked at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from small import forget, saved, study_folder

from ravine import rng
from ravine.backbones import assembled as module
from ravine.backbones.assembled import Facts, assembled, facts_of
from ravine.cached import cache_folder
from ravine.errors import ModelError
from ravine.nn.spec import Backbone

SPEC = Backbone(target="builtin:efficientnet-lite0")


@pytest.fixture(autouse=True)
def _empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    module._facts.cache_clear()
    yield
    module._facts.cache_clear()
    forget()


def again(spec: Backbone, side: int = 32, search: Path | None = None) -> Facts:
    """As a later process finds it."""
    module._facts.cache_clear()
    return facts_of(spec, (3, side, side), search)


def test_a_later_process_makes_no_pass_and_finds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    first = again(SPEC)
    with rng.keyed_init(1):
        net = assembled(SPEC, (3, 32, 32), 4)
    monkeypatch.setattr(module, "find_cut", None)
    assert again(SPEC) == first
    assert first.cut.name == "classifier"
    assert first.notes  # of pictures that are too small
    with rng.keyed_init(1):
        same = assembled(SPEC, (3, 32, 32), 4)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), same.parameters(), strict=True))
    for other in (lambda: again(SPEC, 64), lambda: again(Backbone(target=SPEC.target, cut="top"))):
        with pytest.raises(TypeError):  # it looks
            other()


def test_what_is_damaged_is_looked_at_again() -> None:
    first = again(SPEC)
    folder = cache_folder()
    assert folder is not None
    (file,) = (folder / "cuts").glob("*.arrays")
    file.write_bytes(file.read_bytes()[:-70] + bytes(70))
    assert again(SPEC) == first


def test_weights_are_compared_with_a_network_whose_cut_is_known(tmp_path: Path) -> None:
    study_folder(tmp_path)
    saved(tmp_path, {"odd.weight": torch.zeros(2)})
    again(SPEC)
    for target in (SPEC.target, None):
        with pytest.raises(ModelError, match="odd"):
            again(Backbone(weights="file:w.safetensors", target=target), search=tmp_path)


def test_a_network_of_the_users_is_always_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study_folder(tmp_path)
    spec = Backbone(target="net:Small")
    again(spec, search=tmp_path)
    monkeypatch.setattr(module, "find_cut", None)
    with pytest.raises(TypeError):
        again(spec, search=tmp_path)
