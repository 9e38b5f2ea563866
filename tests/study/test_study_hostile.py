"""Study files that are made to hang, or to take all memory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ravine.errors import InputError
from ravine.study import read_study

HEAD = 'name = "s"\ndata = "iris"\nmodel = "mlp"\nsteps = 5\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"{HEAD}rules = ['adam']\n{'.'.join(['a'] * 900)} = 1\n", "nested too deeply"),
        (f"{HEAD}rules = ['adam']\nmodel2 = {'[' * 500}{']' * 500}\n", "nested too deeply"),
        (HEAD + "[[rules]]\nkind='adam'\nlr=1\n" * 2000, "at most 1,000 rules"),
        (HEAD + "[[rules]]\nkind='adam'\nlr=1\n" * 40_000, "too large for a study file"),
        (
            f"{HEAD}rules = [{{ kind = 'adam', lr = [{'0.1, ' * 2_000_000}] }}]\n",
            "too large for a study file",
        ),
        (f"{HEAD}rules = [{{ kind = 'adam', lr = [{'1, ' * 20_000}] }}]\n", "at most 10,000 values"),
    ],
)
def test_what_has_no_end_is_refused_at_once(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "s.toml").write_text(text)
    with pytest.raises(InputError, match=words) as error:
        read_study(tmp_path / "s.toml")
    assert len(str(error.value)) < 500


@pytest.mark.parametrize(
    "path", ["/dev/zero", "pipe", "a" * 5000, "a\0b", "~nobody-of-that-name/x.toml", "\udcff"]
)
def test_only_regular_files_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    with pytest.raises(InputError) as error:
        read_study(path)
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 700


def test_a_long_key_on_the_command_line_is_shortened(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(f"{HEAD}rules = ['adam']\n")
    for item in (
        f"{'.'.join(['a'] * 900)}=1",
        f"{'.'.join(['a'] * 200)}=1",
        f"{'k' * 400}=1",
        f"name={'x' * 9999}",
    ):
        with pytest.raises(InputError) as error:
            read_study(tmp_path / "s.toml", [item])
        assert len(str(error.value)) < 800
