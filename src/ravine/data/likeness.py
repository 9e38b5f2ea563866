"""Pictures that show the same, found by their coarse structure, whatever their size, compression or side.

A picture is described by its low spatial frequencies (a cosine transform of its luminance). Each is divided by how much
it varies from picture to picture of the data set, and by what compression does to it, so that all count alike. Then
pictures that have nothing to do with each other are near a right angle, and copies point in one direction. A mirror
changes the sign of every other frequency, so mirrored copies are found by the same numbers.

Shapes: N picture, C channel, H W space, K frequency, D number of a description.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ravine.data.examples import Examples

ALIKE = 0.95
"""From this cosine on two pictures show the same. Of pictures that were scaled, compressed to a quality of 60 to 95 or
mirrored 99 in 100 are above it; of others, one in 1,000 of scikit-learn's digits. It was chosen on such pictures, on
made-up ones and on photos of 32 x 32 pixels: the numbers are of the kinds of pictures that it was chosen on."""
FREQUENCIES = 12  # of each axis: what is finer does not survive scaling and compression
_LUMINANCE = (0.299, 0.587, 0.114)
_NOISE = 12.0  # what compression does to a frequency, in bytes
_FLAT = 4.0  # so many times the energy of that noise a picture must have to be compared
_CHUNK = 1 << 22  # numbers of pictures that are described at once
_ROWS = 512  # pictures that are compared with all others at once

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Descriptions:
    """Of some pictures, of length 1 each; all zeros where a picture is too flat to be compared.

    Args:
        plain: (N, D).
        mirrored: (N, D) of the same pictures, left and right exchanged.
    """

    plain: Floats
    mirrored: Floats

    def alike(self, others: Descriptions) -> Iterator[tuple[int, int, float, bool]]:
        """For each picture the one of others that is most alike, where one is.

        Yields:
            Number of the picture, of the other, their cosine, and whether one is the mirror of the other.
        """
        for start in range(0, len(self.plain), _ROWS):
            rows = slice(start, start + _ROWS)
            straight, turned = self.plain[rows] @ others.plain.T, self.mirrored[rows] @ others.plain.T
            best = np.maximum(straight, turned)
            for row, place in enumerate(best.argmax(axis=1).tolist()):
                cosine = float(best[row, place])
                if cosine >= ALIKE:
                    yield (
                        start + row,
                        place,
                        min(cosine, 1.0),
                        bool(turned[row, place] > straight[row, place]),
                    )


def described(splits: tuple[Examples, ...]) -> tuple[Descriptions, ...]:
    """Describe pictures of several splits, by what varies between all of them."""
    found = [_frequencies(split) for split in splits]
    every = np.concatenate(found)
    noise = np.float32(_NOISE) ** 2
    variance = every.var(axis=0, dtype=np.float64).astype(np.float32)
    weights = 1.0 / np.sqrt(variance + noise)
    flat = _FLAT * float((noise * weights**2).sum())
    signs = np.where(np.arange(every.shape[2]) % 2, -1.0, 1.0).astype(np.float32)
    return tuple(
        Descriptions(plain=_unit(part * weights, flat), mirrored=_unit(part * (weights * signs), flat))
        for part in found
    )


def _unit(weighted_NKK: Floats, flat: float) -> Floats:
    numbers_ND = weighted_NKK.reshape(len(weighted_NKK), -1)[:, 1:]  # but for the mean
    energy = np.einsum("nd,nd->n", numbers_ND, numbers_ND)
    length = np.where(energy > flat, np.sqrt(energy), np.inf)
    return np.asarray(numbers_ND / length[:, None], dtype=np.float32)


def _frequencies(examples: Examples) -> Floats:
    """The low frequencies of pictures, (N, K, K), in bytes times the root of how many pixels they have."""
    _, height, width = examples.shape
    size = min(FREQUENCIES, height, width)
    down, across = _cosines(height, size), _cosines(width, size)
    found = np.empty((len(examples), size, size), dtype=np.float32)
    for rows in examples.chunks(_CHUNK):
        found[rows] = down @ _grey(examples.raw(rows)) @ across.T
    return found if examples.kept.dtype == np.uint8 else found * np.float32(255)


def _grey(pixels_NCHW: npt.NDArray[np.generic]) -> Floats:
    if pixels_NCHW.shape[1] != len(_LUMINANCE):
        return np.asarray(pixels_NCHW.mean(axis=1, dtype=np.float32))
    weights = np.array(_LUMINANCE, dtype=np.float32)
    return np.asarray(np.einsum("c,nchw->nhw", weights, pixels_NCHW.astype(np.float32)))


def _cosines(side: int, size: int) -> Floats:
    """The first rows of the orthonormal cosine transform (DCT-II)."""
    angles = np.pi / side * np.outer(np.arange(size), np.arange(side) + 0.5)
    basis = np.sqrt(2.0 / side) * np.cos(angles)
    basis[0] /= np.sqrt(2.0)
    return np.asarray(basis, dtype=np.float32)
