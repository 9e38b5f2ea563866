"""Block files: what is written comes back, damage is seen, a full disk loses nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import load_file

from ravine.errors import StoreError
from ravine.store import RunResult, Store, blocks

DTYPES = [np.dtype(name) for name in ("?", "u1", "i1", "i4", "i8", "u8", "f2", "f4", ">f4", "f8")]
ARRAYS = hnp.arrays(
    dtype=st.sampled_from(DTYPES),
    shape=hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
)


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(
    rows=st.lists(
        st.dictionaries(st.text(min_size=1, max_size=8), ARRAYS, min_size=1, max_size=3),
        min_size=1,
        max_size=1,
    ),
    num_runs=st.integers(1, 4),
    transposed=st.booleans(),
)
def test_any_tensors_come_back_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[dict[str, np.ndarray]],
    num_runs: int,
    transposed: bool,
) -> None:
    folder = tmp_path_factory.mktemp("blocks")
    stacked = {}
    for name, array in rows[0].items():
        # Runs differ in their bits; a transposed copy has another memory order.
        tensor = np.stack([np.roll(array, run) for run in range(num_runs)])
        stacked[name] = np.asfortranarray(tensor) if transposed else tensor
    block = blocks.write(folder, {"weights": stacked})["weights"]
    blocks.verify(folder, block)
    by_us, by_library = blocks.read(folder, block), load_file(folder / block.file)
    order = list(range(num_runs))[::-1]
    by_row = blocks.read_rows(folder, block, order)
    for name, tensor in stacked.items():
        native = tensor.astype(tensor.dtype.newbyteorder("="))
        for found in (by_us[name], by_library[name]):
            assert (found.dtype, found.shape) == (native.dtype, native.shape)
            assert found.tobytes() == native.tobytes()
        for place, row in enumerate(order):
            assert by_row[place][name].shape == native[row].shape
            assert by_row[place][name].tobytes() == native[row].tobytes()
            assert by_row[place][name].flags.writeable


@pytest.mark.parametrize("dtype", ["O", "U3", "c16", "M8[s]"])
def test_a_dtype_without_a_place_is_refused(tmp_path: Path, dtype: str) -> None:
    with pytest.raises(StoreError, match="cannot store a tensor of weights-"):
        blocks.write(tmp_path, {"weights": {"w": np.zeros(2, dtype)}})
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def finished(
    store: Store, run_ids: list[str], result: Callable[..., RunResult], tmp_path: Path
) -> tuple[Path, str]:
    """The weights' file of four finished runs, and one of them."""
    store.open_cohort("c", run_ids, {})
    store.finish_cohort("c", [result(run) for run in run_ids], {"w": np.ones((4, 100))}, {})
    (path,) = (tmp_path / "runs" / "blocks").iterdir()
    return path, run_ids[2]


def flip(path: Path, byte: int) -> None:
    content = bytearray(path.read_bytes())
    content[byte] ^= 0b100
    path.write_bytes(content)


@pytest.mark.parametrize("byte", [0, 20, 300, -1])
def test_a_flipped_bit_is_seen_wherever_it_is(store: Store, finished: tuple[Path, str], byte: int) -> None:
    path, run = finished
    flip(path, byte)
    with pytest.raises(StoreError, match=f"{path.name} is damaged: its SHA-256 is"):
        store.tensors("weights", run)
    (problem,) = store.check()
    assert path.name in problem
    flip(path, byte)
    assert store.tensors("weights", run)["w"].sum() == 100


def test_a_block_cut_short_or_gone_is_seen(store: Store, finished: tuple[Path, str]) -> None:
    path, run = finished
    content = path.read_bytes()
    path.write_bytes(content[:-8])
    with pytest.raises(StoreError, match=f"{path.name} is damaged: {len(content) - 8} bytes"):
        store.tensors("weights", run)
    path.unlink()
    with pytest.raises(StoreError, match=f"{path.name} is missing"):
        store.tensors("weights", run)
    assert len(store.check()) == 1


def test_a_damaged_checkpoint_is_seen_and_can_be_dropped(
    store: Store, run_ids: list[str], tmp_path: Path
) -> None:
    store.open_cohort("c", run_ids, {})
    store.save_checkpoint("c", 1, {"w": np.zeros(100)}, {})
    (path,) = (tmp_path / "runs" / "blocks").iterdir()
    flip(path, -1)
    with pytest.raises(StoreError, match="is damaged"):
        store.load_checkpoint("c")
    store.drop_cohort("c")
    assert store.check() == []


def test_orphans_are_swept_when_the_store_is_opened(store: Store, finished: tuple[Path, str]) -> None:
    path, run = finished
    old = path.with_name("weights-old.safetensors")
    for name in ("weights-x.tmp", "weights-y.safetensors", "note.txt"):
        path.with_name(name).write_bytes(b"x")
    old.write_bytes(b"x")
    os.utime(old, (time.time() - 7200, time.time() - 7200))
    assert store.check() == [f"{old} is not in the database"]
    with Store(store.root):
        assert old.exists(), "swept although someone else had the store open"
    store.close()
    with Store(store.root) as again:
        assert sorted(p.name for p in path.parent.iterdir()) == ["note.txt", path.name]
        assert again.tensors("weights", run)["w"].sum() == 100
    # A file that is nobody's business stays.
    assert path.with_name("note.txt").exists()


# The limit on a file's size is what a full disk looks like to a write; in a process of its own.
FULL_DISK = """
import resource, sys
import numpy as np
from ravine.errors import StoreError
from ravine.store import RunResult, Store

store = Store(sys.argv[1])
ids = [run.id for run in store.runs("digits")]
big = {"w": np.zeros((4, 100_000))}
results = [RunResult(id=run, diverged_at=None, step=1, seconds=1.0, backend="x") for run in ids]
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
for call in (
    lambda: store.save_checkpoint("c", 30, big, {}),
    lambda: store.finish_cohort("c", results, {"w": np.zeros((4, 2))}, big),
):
    try:
        call()
        sys.exit("no error")
    except StoreError as error:
        print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 1_000_000))
try:
    store.save_study("x", definition="y" * 10_000_000, base="", data_fingerprint="")
    sys.exit("no error")
except StoreError as error:
    print(error)
"""


def test_a_full_disk_is_one_line_and_loses_nothing(store: Store, run_ids: list[str], tmp_path: Path) -> None:
    store.open_cohort("c", run_ids, {})
    store.save_checkpoint("c", 20, {"w": np.arange(4)}, {})
    ran = subprocess.run(
        [sys.executable, "-c", FULL_DISK, store.root], capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    said = ran.stdout.splitlines()
    assert len(said) == 3
    assert "cannot write" in said[0]
    assert "checkpoint-" in said[0]
    assert "File too large" in said[0]
    assert "predictions-" in said[1]
    assert "ravine.db" in said[2]
    assert len(list((tmp_path / "runs" / "blocks").iterdir())) == 1
    found = store.load_checkpoint("c")
    assert found is not None
    assert (found[0], found[1]["w"].tolist()) == (20, [0, 1, 2, 3])
    assert [study.name for study in store.studies()] == ["digits"]
    assert store.check() == []
