"""What a path may name: regular files, and archives that fit into memory."""

import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from ravine.data import load, parse_data
from ravine.errors import DataError


def refused(**spec):
    with pytest.raises(DataError) as error:
        load(parse_data(spec))
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400
    return str(error.value)


KINDS = [
    {"kind": "csv", "target": "y"},
    {"kind": "parquet", "target": "y"},
    {"kind": "npz"},
    {"kind": "images"},
]


@pytest.mark.parametrize("spec", KINDS, ids=lambda spec: spec["kind"])
def test_what_is_no_file(tmp_path, spec):
    os.mkfifo(tmp_path / "pipe")
    wanted = "there is no such folder" if spec["kind"] == "images" else "is a device, a pipe or a socket"
    for path in ("/dev/zero", str(tmp_path / "pipe")):
        assert wanted in refused(**spec, path=path)
    if spec["kind"] != "images":
        assert "is a folder; a file is needed" in refused(**spec, path=str(tmp_path))
    if spec["kind"] == "csv":
        (tmp_path / "good.csv").write_text("a,y\n1,2\n")
        assert wanted in refused(**spec, path=str(tmp_path / "good.csv"), test_path="/dev/zero")


@pytest.mark.parametrize("spec", KINDS, ids=lambda spec: spec["kind"])
def test_what_is_no_path(tmp_path, spec):
    assert "cannot be used as a path: File name too long" in refused(**spec, path="x" * 300)
    assert "there is no such file" in refused(**spec, path="x/" * 300)
    assert "cannot be used as a path" in refused(**spec, path="a\0b")
    assert "cannot be used as a path" in refused(**spec, path="~nobody-of-this-name/x.csv")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert "cannot be used as a path" in refused(**spec, path=str(tmp_path / "loop"))


@pytest.mark.parametrize("header", [b"(" * 9000, b"{" * 300, b"'" * 50, b"{'descr': '<f4'"])
def test_a_broken_header_of_an_archive(tmp_path, header):
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("x.npy", "y.npy"):
            archive.writestr(
                name, b"\x93NUMPY\x02\x00" + (len(header) + 1).to_bytes(4, "little") + header + b"\n"
            )
    assert "not a NumPy archive" in refused(kind="npz", path=str(path))


def test_a_folder_that_may_not_be_looked_at(tmp_path, monkeypatch):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
    stat = os.stat

    def forbidden(path, **options):
        if str(path).endswith("dog"):
            raise PermissionError(13, "Permission denied")
        return stat(path, **options)

    monkeypatch.setattr(os, "stat", forbidden)
    assert "dog: cannot be read: Permission denied" in refused(kind="images", path=str(tmp_path))


def test_an_archive_that_unpacks_to_more_than_there_is(tmp_path):
    path = tmp_path / "bomb.npz"
    header = (
        b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '<f4', 'fortran_order': False, 'shape': (900000000000, 2), }"
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", header.ljust(127) + b"\n" + bytes(1000))
        archive.writestr("y.npy", header.ljust(127) + b"\n" + bytes(1000))
    said = refused(kind="npz", path=str(path))
    assert said.startswith(f"{path}: to unpack and scale its arrays: ")
    assert "GiB of memory are needed" in said


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits addresses")
def test_a_limit_of_the_process_counts(tmp_path):
    np.savez_compressed(
        tmp_path / "x.npz", x=np.zeros((60_000_000, 1), np.float32), y=np.zeros(60_000_000, np.int8)
    )
    code = (
        "import resource, ravine.data as d\n"
        "resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))\n"
        f"d.load(d.parse_data({{'kind': 'npz', 'path': {str(tmp_path / 'x.npz')!r}}}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1].startswith("ravine.errors.DataError: ")
    assert "GiB of memory are needed" in done.stderr


def test_names_in_archives(tmp_path):
    x, y = np.arange(60.0).reshape(30, 2), np.arange(30) % 2
    path = tmp_path / "t.npz"
    np.savez(path, X_train=x, Y_train=y, X_valid=x[:9], y_valid=y[:9], x_Test=x[:8], y_test=y[:8])
    data = load(parse_data({"kind": "npz", "path": str(path)}))
    assert (len(data.train), len(data.validation), len(data.test)) == (30, 9, 8)
    np.savez(path, x=x, X=x, y=y)
    assert refused(kind="npz", path=str(path)) == f"{path}: 'x' and 'X' could be x; say which: x = \"...\""
    assert len(load(parse_data({"kind": "npz", "path": str(path), "x": "X"})).train) == 18
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("x.npy", archive.read("X.npy"))
    assert (
        refused(kind="npz", path=str(path))
        == f"{path}: 'x' is in it 2 times; give each array a name of its own"
    )
