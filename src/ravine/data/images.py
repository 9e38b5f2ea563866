"""A folder of images, one folder per class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ravine.data.assemble import Source
from ravine.data.column import Column
from ravine.data.deal import OPEN, TEST, VALIDATION
from ravine.errors import DataError, choices

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})
SPLITS = {"train": OPEN, "validation": VALIDATION, "val": VALIDATION, "valid": VALIDATION, "test": TEST}
GREY = frozenset({"1", "L"})

Found = list[tuple[Path, str, int]]  # file, class, mark


def read_images(folder: Path, size: int | tuple[int, int] | None) -> Source:
    """Every image of the folder as uint8 (N, C, H, W): one channel if all are grey, else three.

    Args:
        folder: class folders, or train/, perhaps test/ and validation/, with class folders.
        size: side, or (height, width): images are scaled to cover it and cropped around their centre.

    Raises:
        DataError: no images, an empty class, an image that cannot be read or differs in size.
    """
    try:
        from PIL import Image
    except ImportError:
        raise DataError(f'{folder}: images need Pillow: pip install "ravine[images]"') from None
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder")
    found, notes = _find(folder)
    files = [file for file, _, _ in found]
    box = (size, size) if isinstance(size, int) else size
    pictures: list[npt.NDArray[np.uint8]] = []
    for file in files:
        try:
            with Image.open(file) as image:
                pictures.append(_pixels(image, box, file))
        except (OSError, SyntaxError, Image.DecompressionBombError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise DataError(f"{file}: cannot be read as an image: {reason}") from None
    x = _stacked(pictures, files)
    return Source(
        name=folder.name,
        where=str(folder),
        x=x,
        y=Column(name="folder", values=np.array([label for _, label, _ in found], dtype=object)),
        marks=np.array([mark for _, _, mark in found], dtype=np.int8),
        place=lambda row: str(files[row]),
        task="classification",
        notes=tuple(notes),
    )


def _find(folder: Path) -> tuple[Found, list[str]]:
    inside = _folders(folder)
    if not inside:
        raise DataError(f"{folder}: there are no class folders in it")
    given = [path for path in inside if path.name in SPLITS]
    if not any(path.name == "train" for path in given):
        given = []
    roots = [(path, SPLITS[path.name]) for path in given] or [(folder, OPEN)]
    marks = [mark for _, mark in roots]
    if marks.count(VALIDATION) > 1:
        raise DataError(
            f"{folder}: more than one validation folder: {', '.join(p.name for p in given)}; keep one of them"
        )
    strangers = [path.name for path in inside if given and path not in given]
    if strangers:
        raise DataError(f"{folder}: {strangers[0]!r} stands beside train; {choices(strangers[0], SPLITS)}")
    found: Found = []
    others = 0
    for root, mark in roots:
        classes = _folders(root)
        if not classes:
            raise DataError(f"{root}: there are no class folders in it")
        for path in classes:
            files = sorted(
                file for file in path.rglob("*") if file.is_file() and not file.name.startswith(".")
            )
            images = [file for file in files if file.suffix.lower() in SUFFIXES]
            if not images:
                raise DataError(f"{path}: there are no images in it (known: {', '.join(sorted(SUFFIXES))})")
            others += len(files) - len(images)
            found += [(file, path.name, mark) for file in images]
    return found, [f"{others} files that are no images were left out"] if others else []


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _pixels(image: Image.Image, box: tuple[int, int] | None, file: Path) -> npt.NDArray[np.uint8]:
    """One image as (H, W) or (H, W, 3), turned upright."""
    from PIL import Image, ImageOps

    if image.mode[0] in "IF":
        raise DataError(
            f"{file}: {image.mode} pixels (more than 8 bits) cannot be used; save it with 8 bits a channel"
        )
    if "transparency" in image.info:
        image = image.convert("RGBA")
    upright = ImageOps.exif_transpose(image).convert("L" if image.mode in GREY else "RGB")
    if box is not None:
        upright = ImageOps.fit(upright, (box[1], box[0]), method=Image.Resampling.BICUBIC)
    return np.asarray(upright, dtype=np.uint8)


def _stacked(pictures: Sequence[npt.NDArray[np.uint8]], files: Sequence[Path]) -> npt.NDArray[Any]:
    first = pictures[0].shape[:2]
    for picture, file in zip(pictures, files, strict=True):
        if picture.shape[:2] != first:
            raise DataError(
                f"{file}: {picture.shape[0]} x {picture.shape[1]} pixels, {files[0].name} has "
                f"{first[0]} x {first[1]}; give size = to bring all to one"
            )
    if all(picture.ndim == 2 for picture in pictures):
        return np.stack(pictures)[:, None]
    rgb = [picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2) for picture in pictures]
    return np.ascontiguousarray(np.stack(rgb).transpose(0, 3, 1, 2))
