"""Which image of a folder belongs to which class and which split."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ravine.data.deal import OPEN, TEST, VALIDATION
from ravine.errors import DataError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})
SPLITS = {
    **dict.fromkeys(("train", "training"), OPEN),
    **dict.fromkeys(("validation", "validate", "valid", "val", "dev"), VALIDATION),
    **dict.fromkeys(("test", "testing", "eval", "evaluation", "holdout"), TEST),
}
NAMES = {OPEN: "training", VALIDATION: "validation", TEST: "test"}

# What systems and archives leave behind; names that begin with a point are passed over as well.
JUNK = frozenset({"__macosx", "thumbs.db", "desktop.ini", "@eadir", "$recycle.bin", "__pycache__"})

Layout = Literal["classes", "splits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """An image file.

    Args:
        file: its path.
        label: its class.
        mark: OPEN, VALIDATION or TEST.
    """

    file: Path
    label: str
    mark: int


def split_of(name: str) -> int | None:
    """Which split a folder's name means, whatever its capitals: "Train", "VAL", "test_set"; None for none."""
    plain = "".join(letter for letter in name.casefold() if letter.isalnum())
    for affix in ("set", "data", "images", "imgs", "split", "folder"):
        if plain.endswith(affix) and plain[: -len(affix)] in SPLITS:
            return SPLITS[plain[: -len(affix)]]
    return SPLITS.get(plain)


def find_pictures(folder: Path, layout: Layout | None = None) -> tuple[list[Picture], list[str]]:
    """The images of a folder, by class and split, in the order of their names.

    The folder has a folder for each class; or one for each split, which have those; or class folders with split
    folders inside.

    Args:
        folder: where they are.
        layout: what the folders in it are; None: by their names.

    Returns:
        The images, and notes.

    Raises:
        DataError: there are none, or what the folders are cannot be known.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder")
    root = _lone(folder) if layout is None else folder
    inside = _folders(root)
    if not inside:
        raise DataError(f"{folder}: there are no class folders in it")
    notes: list[str] = []
    splits = {path: split_of(path.name) for path in inside}
    if layout is None:
        layout = _layout(root, splits, notes)
    if layout == "splits":
        roots = [(_lone(path, mark), mark) for path, mark in _ordered(root, splits)]
        found = [(path, path.name, mark) for inner, mark in roots for path in _classes(inner)]
    else:
        found = [part for path in inside for part in _parts(path)]
    pictures: list[Picture] = []
    others = 0
    for path, label, mark in found:
        files = files_below(path)
        images = [file for file in files if file.suffix.lower() in SUFFIXES]
        if not images:
            raise DataError(f"{path}: there are no images in it (known: {', '.join(sorted(SUFFIXES))})")
        others += len(files) - len(images)
        pictures += [Picture(file=file, label=label, mark=mark) for file in images]
    if others:
        files_are = "file that is not an image was" if others == 1 else "files that are not images were"
        notes.append(f"{others:,} {files_are} left out")
    return pictures, notes


def _layout(root: Path, splits: dict[Path, int | None], notes: list[str]) -> Layout:
    """Whether the folders are classes or splits, by their names; one line asks where the names do not say."""
    named = [path for path, mark in splits.items() if mark is not None]
    others = [path for path, mark in splits.items() if mark is None]
    if not named:
        return _layout_inside(root, splits)
    first = repr(named[0].name)
    ask = (
        'say layout = "classes" if both are classes, or give it the name of a split (train, validation, test)'
    )
    if not others:
        if not any(splits[path] == OPEN for path in named):
            raise DataError(
                f"{root}: {first} names a split, but no folder names the training examples; name one train, "
                'or say layout = "classes"'
            )
        return "splits"
    trains = any(splits[path] == OPEN for path in named)
    if trains or any(_folders(path) and not _has_images(path) for path in named):
        raise DataError(f"{root}: {first} names a split, {others[0].name!r} beside it does not; {ask}")
    notes.append(f"folder {first} is a class, like those beside it, although it names a split")
    return "classes"


def _layout_inside(root: Path, splits: dict[Path, int | None]) -> Layout:
    """The same where no name is plainly that of a split: folders with the same folders in them are hardly classes."""
    inside = [{path.name for path in _folders(_lone(folder))} for folder in splits]
    common = sorted(name for name in set.intersection(*inside) if split_of(name) is None)
    if len(inside) < 2 or len(common) < 2 or any(_has_images(folder) for folder in splits):
        return "classes"
    marks = {path: _split_within(path.name) for path in splits}
    if None not in marks.values() and len(set(marks.values())) == len(marks) and OPEN in marks.values():
        splits.update(marks)
        return "splits"
    folders = " and ".join(repr(path.name) for path in list(splits)[:2])
    raise DataError(
        f"{root}: {folders} have the same folders in them ({', '.join(map(repr, common[:2]))}): if they are splits, "
        'name them train, validation and test; if they are classes, say layout = "classes"'
    )


def _split_within(name: str) -> int | None:
    """Which split one word of a folder's name means: "seg_train", "01-test", "X_val"; None for none or several."""
    found = {SPLITS[word] for word in re.findall(r"[^\W\d_]+", name.casefold()) if word in SPLITS}
    return found.pop() if len(found) == 1 else None


def _ordered(root: Path, splits: dict[Path, int | None]) -> list[tuple[Path, int]]:
    """The split folders and their marks, none twice."""
    known = {path: mark for path, mark in splits.items() if mark is not None}
    for path in splits:
        if path not in known:
            raise DataError(f"{path}: no split has that name; known: {', '.join(SPLITS)}, in any capitals")
    for mark, name in NAMES.items():
        same = [path.name for path in known if known[path] == mark]
        if len(same) > 1:
            raise DataError(f"{root}: more than one {name} folder: {', '.join(same)}; keep one of them")
    if OPEN not in known.values():
        raise DataError(f"{root}: no folder names the training examples; name one train")
    return list(known.items())


def _parts(path: Path) -> list[tuple[Path, str, int]]:
    """A class folder, or the split folders inside of it."""
    marks = {folder: split_of(folder.name) for folder in _folders(path)}
    named = [folder.name for folder, mark in marks.items() if mark is not None]
    if not named:
        return [(path, path.name, OPEN)]
    if len(named) < len(marks) or _has_images(path):
        raise DataError(
            f"{path}: {named[0]!r} in it names a split, what is beside it does not; move or rename it"
        )
    return [(folder, path.name, mark) for folder, mark in _ordered(path, marks)]


def _classes(root: Path) -> list[Path]:
    classes = _folders(root)
    if not classes:
        raise DataError(f"{root}: there are no class folders in it")
    return classes


def _lone(folder: Path, mark: int | None = None) -> Path:
    """The folder itself, or the one that is alone in it, as unpacked archives have it: data/data/cat."""
    inside = _folders(folder)
    while len(inside) == 1 and not _has_images(folder) and split_of(inside[0].name) in (None, mark):
        deeper = _folders(inside[0])
        if _has_images(inside[0]) or not deeper:
            break
        folder, inside = inside[0], deeper
    return folder


def _folders(folder: Path) -> list[Path]:
    return sorted(folder / name for name in _entries(folder, stat.S_ISDIR))


def _has_images(folder: Path) -> bool:
    return any(is_image(name) for name in _entries(folder, stat.S_ISREG))


def is_image(name: str) -> bool:
    """Whether a file's name has the ending of an image."""
    return os.path.splitext(name)[1].lower() in SUFFIXES  # noqa: PTH122 (a tenth of the time, and there are many)


def _entries(folder: Path, kind: Callable[[int], bool]) -> Iterator[str]:
    """The names of what is of a kind in a folder, but for junk; a path of each would take ten times as long."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not _is_junk(entry.name) and _is(entry.path, kind):
                    yield entry.name
    except OSError as error:
        raise DataError(f"{folder}: cannot be read: {error.strerror}") from None


def files_below(folder: Path) -> list[Path]:
    """Every file of a folder and those below it, sorted as paths are; nothing hidden, no links to folders.

    Raises:
        DataError: a folder cannot be read.
    """
    found: list[str] = []
    for here, folders, files in os.walk(folder, onerror=_refuse(folder)):
        folders[:] = [name for name in folders if not _is_junk(name)]
        found += [os.path.join(here, name) for name in files if not _is_junk(name)]  # noqa: PTH118
    regular = [path for path in found if _is(path, stat.S_ISREG)]
    return [Path(path) for path in sorted(regular, key=lambda path: path.split(os.sep))]  # noqa: PTH206


def _refuse(folder: Path) -> Callable[[OSError], None]:
    def refuse(error: OSError) -> None:
        raise DataError(f"{error.filename or folder}: cannot be read: {error.strerror}")

    return refuse


def _is(path: str, kind: Callable[[int], bool]) -> bool:
    """Whether a path leads to something of a kind; a link that leads nowhere does not."""
    try:
        return kind(os.stat(path).st_mode)  # noqa: PTH116 (as above)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return False
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None


def _is_junk(name: str) -> bool:
    return name.startswith(".") or name.casefold() in JUNK
