"""Fashion-MNIST: IDX files of a folder, the real ones, and the download from a server on this machine."""

import functools
import gzip
import hashlib
import http.server
import threading

import numpy as np
import pytest

from ravine.data import load, parse_data
from ravine.data.fashion import CHECKSUMS, CLASSES, DEBIAN, fetch, parse_idx
from ravine.errors import DataError


def idx(array):
    axes = b"".join(length.to_bytes(4, "big") for length in array.shape)
    return bytes([0, 0, 8, array.ndim]) + axes + array.astype(np.uint8).tobytes()


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for part, count in (("train", 50), ("t10k", 20)):
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(idx(rng.integers(0, 256, (count, 5, 4))))
        packed = gzip.compress(idx(np.arange(count) % 5))
        (tmp_path / f"{part}-labels-idx1-ubyte.gz").write_bytes(packed)
    return tmp_path


def test_a_folder_of_idx_files_compressed_or_not(folder):
    data = load(parse_data({"kind": "fashion-mnist", "path": str(folder), "normalize": "none"}))
    assert data.input_shape == (1, 5, 4)
    assert (len(data.train), len(data.validation), len(data.test)) == (40, 10, 20)
    assert data.classes == ("0", "1", "2", "3", "4")
    images = parse_idx((folder / "t10k-images-idx3-ubyte").read_bytes(), "t")
    assert np.allclose(data.test.x[:, 0] * 255, images, atol=1e-4)
    assert np.array_equal(data.test.y, np.arange(20) % 5)
    assert data.notes == (
        "the labels are not Fashion-MNIST's: classes keep their numbers",
        "the given test split of 20 was kept",
    )


def test_bytes_are_scaled_as_numbers_are(folder):
    data = load(parse_data({"kind": "fashion-mnist", "path": str(folder)}))
    plain = load(parse_data({"kind": "fashion-mnist", "path": str(folder), "normalize": "none"}))
    known = plain.train.x.astype(np.float64)
    wanted = (plain.test.x - known.mean()) / known.std()
    assert np.allclose(data.test.x, wanted, atol=2e-6)  # float32 rounding of numbers up to about 2


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="Fashion-MNIST's Debian package is not installed")
def test_the_real_thing():
    data = load(parse_data("fashion-mnist"))
    assert (len(data.train), len(data.validation), len(data.test)) == (48_000, 12_000, 10_000)
    assert data.classes == CLASSES
    assert data.input_shape == (1, 28, 28)
    assert data.train.x.dtype == np.float32
    assert np.bincount(data.train.y).tolist() == [4800] * 10
    assert abs(float(data.train.x.mean(dtype=np.float64))) < 1e-6
    for file, expected in CHECKSUMS.items():
        content = gzip.decompress((DEBIAN / f"{file}.gz").read_bytes())
        assert hashlib.sha256(content).hexdigest() == expected


def write(name, content):
    def change(folder):
        (folder / name).write_bytes(content)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda folder: (folder / "t10k-labels-idx1-ubyte.gz").unlink(),
            "{folder}: has neither t10k-labels-idx1-ubyte.gz nor t10k-labels-idx1-ubyte; it needs "
            + ", ".join(CHECKSUMS),
        ),
        (
            write("train-images-idx3-ubyte", b"\x89PNG 123"),
            "{folder}/train-images-idx3-ubyte: not an IDX file of bytes",
        ),
        (
            write("train-images-idx3-ubyte", idx(np.zeros((50, 5, 4)))[:-1]),
            "{folder}/train-images-idx3-ubyte: its header promises (50, 5, 4), but 999 bytes follow",
        ),
        (
            write("t10k-labels-idx1-ubyte.gz", gzip.compress(idx(np.zeros(19)))),
            "{folder}: t10k images (20, 5, 4) and labels (19,) do not belong together",
        ),
        (
            write("t10k-labels-idx1-ubyte.gz", gzip.compress(bytes(99))[:-20]),
            "{folder}/t10k-labels-idx1-ubyte.gz: cannot be read: "
            "Compressed file ended before the end-of-stream marker was reached",
        ),
    ],
)
def test_damaged_files(folder, change, message):
    change(folder)
    with pytest.raises(DataError) as error:
        load(parse_data({"kind": "fashion-mnist", "path": str(folder)}))
    assert str(error.value) == message.format(folder=folder)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path_factory):
    root = tmp_path_factory.mktemp("served")
    handler = functools.partial(Quiet, directory=str(root))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield root, f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()
        thread.join()


def test_a_download_is_checked_and_kept(server, tmp_path):
    root, address = server
    (root / "a.gz").write_bytes(gzip.compress(b"content"))
    checksums = {"a": hashlib.sha256(b"content").hexdigest()}
    fetch(tmp_path / "cache", address, checksums)
    assert gzip.decompress((tmp_path / "cache" / "a.gz").read_bytes()) == b"content"
    (root / "a.gz").unlink()
    fetch(tmp_path / "cache", address, checksums)  # nothing left to fetch
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["a.gz"]


def test_a_download_of_something_else_leaves_nothing(server, tmp_path):
    root, address = server
    (root / "a.gz").write_bytes(gzip.compress(b"changed"))
    with pytest.raises(DataError, match=r"/a\.gz: SHA-256 is [0-9a-f]{64}, expected 00; nothing was kept$"):
        fetch(tmp_path / "cache", address, {"a": "00"})
    (root / "a.gz").write_bytes(b"<html>not here</html>")
    with pytest.raises(DataError, match=r"/a\.gz: cannot be downloaded \(Not a gzipped file"):
        fetch(tmp_path / "cache", address, {"a": "00"})
    with pytest.raises(DataError, match=r"/b\.gz: cannot be downloaded \(.*give it as path$"):
        fetch(tmp_path / "cache", address, {"b": "00"})
    assert not (tmp_path / "cache").exists()


def test_no_network(tmp_path):
    with pytest.raises(DataError, match=r"^http://127\.0\.0\.1:9/a\.gz: cannot be downloaded \(.*refused"):
        fetch(tmp_path, "http://127.0.0.1:9", {"a": "00"})
