"""What is kept comes back as it was, or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from ravine import cached
from ravine.cached import cache_folder, find, keep, key_hash

KEY = {"weights": "ab", "size": 96, "mean": [0.5, 0.25]}
ARRAYS = {
    "x": np.arange(15, dtype=np.float32).reshape(5, 3),
    "whole": np.array([[1, -2]], np.int64),
    "bytes": np.arange(100, dtype=np.uint8),
    "yes": np.array([True, False]),
    "none": np.zeros((0, 4), np.float64),
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "ravine"


def test_arrays_come_back_and_cannot_be_written_to(folder: Path) -> None:
    assert find("features", KEY).arrays is None
    for found in (keep("features", KEY, ARRAYS), find("features", dict(reversed(KEY.items())))):
        assert found.arrays is not None
        assert not found.note
        assert found.path == folder / "features" / f"{key_hash(KEY)}.arrays"
        assert found.size == found.path.stat().st_size
        assert list(found.arrays) == sorted(ARRAYS)
        for name, array in ARRAYS.items():
            assert found.arrays[name].dtype == array.dtype
            np.testing.assert_array_equal(found.arrays[name], array)
    with pytest.raises(ValueError, match="read-only"):
        found.arrays["x"][0] = 1
    assert [path.name for path in found.path.parent.iterdir()] == [
        found.path.name
    ]  # nothing half written is left


def test_a_flipped_bit_anywhere_is_found() -> None:
    path = keep("features", KEY, ARRAYS).path
    assert path is not None
    sound = path.read_bytes()
    for at in range(0, len(sound), 41):
        path.write_bytes(sound[:at] + bytes([sound[at] ^ 1]) + sound[at + 1 :])
        found = find("features", KEY)
        if found.arrays is None:
            assert found.note.endswith("it is damaged, so its features are made again")
        else:  # a byte between two arrays
            assert all(np.array_equal(found.arrays[name], array) for name, array in ARRAYS.items())
            assert sound[at] == 0
    for short in (0, 10, 100, len(sound) // 2, len(sound) - 64):
        path.write_bytes(sound[:short])
        assert find("features", KEY).arrays is None
    keep("features", KEY, ARRAYS)
    assert find("features", KEY).arrays is not None


def test_every_chunk_of_a_large_array_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cached, "_CHUNK", 16)
    path = keep("pictures", KEY, {"x": ARRAYS["bytes"]}).path
    assert path is not None
    sound = path.read_bytes()
    for at in (-100, -64, -40, -29):
        path.write_bytes(sound[:at] + b"\xff" + sound[at:][1:])
        assert find("pictures", KEY).arrays is None


def test_a_file_under_a_wrong_name_is_not_taken() -> None:
    path = keep("features", KEY, ARRAYS).path
    assert path is not None
    other = {**KEY, "size": 64}
    path.rename(path.with_name(f"{key_hash(other)}.arrays"))
    assert find("features", other).arrays is None


def test_what_was_not_read_for_the_longest_time_makes_room() -> None:
    array = {"x": np.zeros(1000, np.uint8)}
    paths = []
    for i in range(4):
        found = keep("features", {"i": i}, array)
        assert found.path is not None
        os.utime(found.path, (i, i))
        paths.append(found.path)
    each = paths[0].stat().st_size
    assert find("features", {"i": 0}).arrays is not None  # read just now
    keep("features", {"i": 4}, array, most=3 * each)
    assert [path.exists() for path in paths] == [True, False, False, True]
    assert keep("features", {"i": 5}, array, most=0).arrays is not None
    assert find("features", {"i": 5}).arrays is not None


def test_a_cache_that_cannot_be_written_stops_nobody(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.write_text("no folder")
    found = keep("features", KEY, ARRAYS)
    assert found.arrays is ARRAYS
    assert found.note.endswith("so these features are not kept")
    assert find("features", KEY).arrays is None
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/is/ignored")
    assert cache_folder() == Path.home() / ".cache" / "ravine"


def test_what_was_found_unchecked_is_checked_later() -> None:
    kept = keep("pictures", KEY, ARRAYS)
    assert not kept.damaged()
    found = find("pictures", KEY, check=False)
    assert not found.damaged()
    assert found.path is not None
    content = bytearray(found.path.read_bytes())
    at = content.rindex(ARRAYS["x"].tobytes())
    content[at + 1] ^= 1
    found.path.write_bytes(content)
    found = find("pictures", KEY, check=False)
    assert found.arrays is not None
    assert found.damaged()
    assert find("pictures", KEY).arrays is None
