"""Machine code of an earlier process is used again, and never code that somebody else can have written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from torch import Tensor

from ravine.native import compiler, kept
from ravine.native.compiler import Compiler, Known
from ravine.native.function import Function
from ravine.native.workers import Jobs, Workers


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "ravine" / "code"


def _made(factor: float = 3.0) -> tuple[Compiler, Function]:
    """As a new process makes it."""
    compiler._made.cache_clear()
    compiler._object_of.cache_clear()
    own = Compiler()
    function = own.function(lambda x: (x * factor + 1.0,), {"x": torch.zeros(5)}, [("y", (5,), 0)])
    return own, function


def _works(made: tuple[Compiler, Function], factor: float = 3.0) -> bool:
    x, y = torch.arange(5.0), torch.zeros(5)
    own, function = made
    table = own.table({"x": [x.data_ptr()], "y": [y.data_ptr()]}, 1)
    jobs = Jobs(tables_JI=table, functions=[[function]], own={})
    still = np.zeros(table.shape[1], np.int64)
    Workers(jobs, 1).run(np.arange(1), 1, still, np.zeros(1, np.uint8))
    return bool((y == x * factor + 1.0).all())


def _refuse(text: str) -> bytes:
    raise AssertionError("it is compiled again")


def test_code_of_another_process_is_taken_as_it_is(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _works(_made())
    assert folder.stat().st_mode & 0o777 == 0o700
    monkeypatch.setattr(compiler, "object_of", _refuse)
    assert _works(_made())
    with pytest.raises(AssertionError):
        _made(4.0)


def test_damaged_code_is_compiled_again(folder: Path) -> None:
    _made()
    for path in folder.glob("*.arrays"):
        content = bytearray(path.read_bytes())
        content[-100] ^= 1
        path.write_bytes(content)
    assert _works(_made())


@pytest.mark.parametrize("mode", [0o777, 0o720])
def test_code_that_others_can_write_is_not_taken(
    folder: Path, mode: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    _made()
    folder.chmod(mode)
    monkeypatch.setattr(compiler, "object_of", _refuse)
    with pytest.raises(AssertionError):
        _made()


@pytest.fixture
def outer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder around that of the cache, which other users can reach."""
    with TemporaryDirectory() as name:
        reachable = Path(name).resolve()
        reachable.chmod(0o755)
        if not all(each.stat().st_mode & 0o011 for each in reachable.parents):
            pytest.skip("no other user can reach temporary folders")
        cache = reachable / "outer" / "cache"
        cache.mkdir(parents=True)
        for each in (cache.parent, cache):
            each.chmod(0o755)
        monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
        yield cache.parent


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o1777, 0o755])
def test_code_is_not_taken_where_others_can_put_another_folder_in_its_place(
    outer: Path, mode: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a sticky folder, as a system's temporary one, they cannot."""
    outer.chmod(mode)
    _made()
    monkeypatch.setattr(compiler, "object_of", _refuse)
    if mode in (0o1777, 0o755):
        assert _works(_made())
        (outer / "cache" / "ravine").chmod(0o777)
    with pytest.raises(AssertionError):
        _made()


def test_code_is_not_taken_by_a_link_that_others_can_change(
    outer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = outer / "shared"
    shared.mkdir()
    shared.chmod(0o755)
    (shared / "cache").symlink_to(outer / "cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(shared / "cache"))
    _made()
    monkeypatch.setattr(compiler, "object_of", _refuse)
    assert _works(_made())
    shared.chmod(0o777)
    with pytest.raises(AssertionError):
        _made()


def test_code_of_another_user_is_not_taken(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _made()
    found = os.geteuid()
    monkeypatch.setattr(kept.os, "geteuid", lambda: found + 1)
    assert _works(_made())  # compiled, and not kept
    monkeypatch.setattr(compiler, "object_of", _refuse)
    with pytest.raises(AssertionError):
        _made()


def test_without_a_folder_code_is_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert _works(_made())


def test_other_versions_have_other_code(monkeypatch: pytest.MonkeyPatch) -> None:
    _made()
    monkeypatch.setattr(compiler, "object_of", _refuse)
    monkeypatch.setattr(compiler, "_made_by", lambda: "another compiler")
    with pytest.raises(AssertionError):
        _made()


def test_a_function_of_known_code_is_not_recorded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A later process goes by what the function depends on. Numbers that a graph has kept it would not have."""
    calls: list[str] = []
    own = torch.ones(5)

    def made(name: str, factor: Tensor | float, model: str = "m") -> tuple[Compiler, Function]:
        def program(x: Tensor) -> tuple[Tensor, ...]:
            calls.append(name)
            return (x * factor + 1.0,)

        compiler._made.cache_clear()
        new = Compiler()
        known = Known(recordings={}, key=(name,), model=model)
        outputs = [("y", (5,), 0)]
        return new, new.function(program, {"x": torch.zeros(5)}, outputs, known=known)

    for _ in range(2):
        assert _works(made("plain", 3.0))
        assert _works(made("constant", 3.0 * own))
        assert _works(made("nameless", 3.0, ""))
    assert calls == ["plain", "constant", "nameless", "constant", "nameless"]
    assert _works(made("plain", 4.0, "another"), 4.0)
    monkeypatch.setattr(compiler, "sources", lambda: "other code")
    assert _works(made("plain", 5.0), 5.0)
