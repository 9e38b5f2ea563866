"""Fashion-MNIST and whatever else has its four IDX files (Xiao, Rasul, Vollgraf 2017)."""

from __future__ import annotations

import gzip
import hashlib
import os
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ravine.data.column import Column
from ravine.data.files import regular
from ravine.data.source import Source, marks_for
from ravine.errors import DataError

DEBIAN = Path("/usr/share/datasets/fashion-mnist")  # package dataset-fashion-mnist
ADDRESS = "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion"
TIMEOUT_S = 10.0
_MOST_BYTES = 1 << 30  # of a file, unpacked: Fashion-MNIST's largest has 47 MB

# SHA-256 of the uncompressed files: gzip's own bytes differ from one compressor to another.
CHECKSUMS: Mapping[str, str] = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
CLASSES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)


def read_fashion_mnist(folder: Path | None) -> Source:
    """The images of a folder of IDX files; classes keep their numbers if the labels are not Fashion-MNIST's.

    Args:
        folder: where the files are; None: Debian's package, the user's cache, or a download into it.

    Raises:
        DataError: a file is missing or damaged, or cannot be fetched.
    """
    folder = folder or _usual_folder()
    name = "fashion-mnist"
    contents = {file: _content(folder, file) for file in CHECKSUMS}
    train_x, train_y, test_x, test_y = (
        parse_idx(content, str(folder / file)) for file, content in contents.items()
    )
    for x, y, which in ((train_x, train_y, "train"), (test_x, test_y, "t10k")):
        if x.ndim != 3 or y.ndim != 1 or len(x) != len(y):
            raise DataError(f"{folder}: {which} images {x.shape} and labels {y.shape} do not belong together")
    if train_x.shape[1:] != test_x.shape[1:]:
        raise DataError(f"{folder}: train images are {train_x.shape[1:]}, t10k images {test_x.shape[1:]}")
    labels = np.concatenate([train_y, test_y])
    of_labels = [file for file in CHECKSUMS if "labels" in file]
    genuine = all(hashlib.sha256(contents[file]).hexdigest() == CHECKSUMS[file] for file in of_labels)
    return Source(
        name=name,
        where=str(folder),
        x=np.concatenate([train_x, test_x])[:, None],
        y=Column(name="label", values=labels.astype(np.float64), whole=True, exact=labels),
        marks=marks_for(len(train_x), 0, len(test_x)),
        place=lambda row: f"{folder}, image {row}",
        task="classification",
        class_names=CLASSES if genuine else (),
        notes=() if genuine else ("the labels are not Fashion-MNIST's: classes keep their numbers",),
    )


def parse_idx(content: bytes, where: str) -> npt.NDArray[np.uint8]:
    """An array of bytes in the IDX format: two zeros, 8, number of axes, their lengths (big-endian), data.

    Raises:
        DataError: it is another format, or cut short.
    """
    if len(content) < 4 or content[:3] != b"\x00\x00\x08" or len(content) < 4 + 4 * content[3]:
        raise DataError(f"{where}: not an IDX file of bytes")
    num_axes = content[3]
    shape = tuple(int(length) for length in np.frombuffer(content, dtype=">u4", count=num_axes, offset=4))
    data = np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * num_axes)
    if data.size != np.prod(shape, dtype=np.int64):
        raise DataError(f"{where}: its header promises {shape}, but {data.size} bytes follow")
    return data.reshape(shape)


def fetch(folder: Path, address: str = ADDRESS, checksums: Mapping[str, str] = CHECKSUMS) -> None:
    """Download what is not in the folder yet; a file appears there whole and checked, or not at all.

    Args:
        folder: where to put the files; made if need be.
        address: address of a folder with ``<name>.gz`` for each name.
        checksums: SHA-256 of each file, uncompressed.

    Raises:
        DataError: no network, another content than expected, or no place to write.
    """
    from urllib.error import URLError
    from urllib.request import urlopen

    for file, expected in checksums.items():
        if (folder / f"{file}.gz").exists():
            continue
        source = f"{address}/{file}.gz"
        try:
            with urlopen(source, timeout=TIMEOUT_S) as reply:
                packed = reply.read()
            found = hashlib.sha256(gzip.decompress(packed)).hexdigest()
        except (URLError, OSError, EOFError, zlib.error) as error:
            reason = getattr(error, "reason", error)
            raise DataError(
                f"{source}: cannot be downloaded ({reason}); put Fashion-MNIST's four IDX files "
                f"into a folder and give it as path"
            ) from None
        if found != expected:
            raise DataError(f"{source}: SHA-256 is {found}, expected {expected}; nothing was kept")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _write_whole(folder / f"{file}.gz", packed)
        except OSError as error:
            raise DataError(f"{folder}: Fashion-MNIST cannot be kept there: {error.strerror}") from None


def is_here() -> bool:
    """Whether Fashion-MNIST can be read without a download."""
    return any(_has_all(folder) for folder in (DEBIAN, _cache()))


def _usual_folder() -> Path:
    if _has_all(DEBIAN):
        return DEBIAN
    fetch(_cache())
    return _cache()


def _cache() -> Path:
    return Path.home() / ".cache" / "ravine" / "fashion-mnist"


def _has_all(folder: Path) -> bool:
    return all((folder / f"{file}.gz").exists() for file in CHECKSUMS)


def _content(folder: Path, file: str) -> bytes:
    for path in (folder / f"{file}.gz", folder / file):
        if path.exists():
            regular(path)
            try:
                if path.suffix != ".gz":
                    return path.read_bytes()
                with gzip.open(path) as packed:
                    content = packed.read(_MOST_BYTES + 1)
            except (OSError, EOFError, zlib.error) as error:
                raise DataError(f"{path}: cannot be read: {error}") from None
            if len(content) > _MOST_BYTES:
                raise DataError(
                    f"{path}: unpacks to more than {_MOST_BYTES >> 20:,} MiB: not what it should be"
                )
            return content
    raise DataError(f"{folder}: has neither {file}.gz nor {file}; it needs {', '.join(CHECKSUMS)}")


def _write_whole(path: Path, content: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
