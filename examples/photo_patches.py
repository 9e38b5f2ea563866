"""Pictures to try transfer learning with: patches of ten photos that come with scikit-image and scikit-learn.

    pip install scikit-image
    python examples/photo_patches.py photos 20

writes `photos/train/CLASS/*.png`, 20 patches of each photo's left half, and as `photos/test/CLASS/*.png` 50 patches of
its right half: no pixel is in both. The question is which photo a patch comes from.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import skimage
import sklearn
from PIL import Image

NAMES = [
    *("astronaut", "chelsea", "coffee", "hubble_deep_field", "ihc", "motorcycle_left", "retina", "rocket"),
    *("china", "flower"),
]
SIDE, TEST = 64, 50  # pixels of a patch; patches of each class in the test part


def photos() -> dict[str, Image.Image]:
    """The photos by name, scaled to a height of 400 pixels."""
    folders = (Path(skimage.__file__).parent / "data", Path(sklearn.__file__).parent / "datasets" / "images")
    found = {}
    for name in NAMES:
        file = next(each for folder in folders for each in sorted(folder.glob(f"{name}.*")))
        photo = Image.open(file).convert("RGB")
        found[name] = photo.resize((photo.width * 400 // photo.height, 400), Image.Resampling.LANCZOS)
    return found


def main(out: Path, train: int) -> None:
    """Write the patches."""
    draw = np.random.default_rng(0)
    for name, photo in photos().items():
        middle = photo.width // 2
        for split, number, left, right in (("train", train, 0, middle), ("test", TEST, middle, photo.width)):
            folder = out / split / name
            folder.mkdir(parents=True, exist_ok=True)
            for i in range(number):
                x, y = (
                    int(draw.integers(left, right - SIDE + 1)),
                    int(draw.integers(0, photo.height - SIDE + 1)),
                )
                photo.crop((x, y, x + SIDE, y + SIDE)).save(folder / f"{i:03}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
