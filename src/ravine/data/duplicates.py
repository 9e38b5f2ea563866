"""Pictures that are in two splits: the same file, the same pixels, or the same but scaled, compressed or mirrored."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Generator, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ravine.data.assemble import Assembled, assembled
from ravine.data.decoding import Decoding
from ravine.data.examples import Examples
from ravine.data.likeness import described
from ravine.data.load import sources
from ravine.data.sheet import Sheet
from ravine.data.spec import DataSpec, ImagesSpec, NpzSpec
from ravine.grid import Grid
from ravine.messages import count

How = Literal["same file", "same pixels", "alike"]
_MOST_PAIRS = 2_000_000_000  # of pictures that are compared, which takes half a minute
_SPLITS = ("training", "validation", "test")


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A picture that another split has too.

    Args:
        picture: where it is.
        split: of it.
        label: its class.
        of: the other picture.
        of_split: of that.
        of_label: its class.
        how: what they share: "same file", every byte; "same pixels", as a model sees them; "alike".
        likeness: 1 where they are the same; else the cosine of their descriptions.
        mirrored: whether left and right are exchanged.
    """

    picture: str
    split: str
    label: str
    of: str
    of_split: str
    of_label: str
    how: How
    likeness: float
    mirrored: bool

    @property
    def words(self) -> str:
        """How they are alike, for people."""
        return (
            self.how if self.how != "alike" else f"alike{', mirrored' * self.mirrored} ({self.likeness:.2f})"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicates:
    """What was found.

    Args:
        copies: the pictures that another split has too: exact copies first, then by likeness.
        sizes: pictures of each split.
        compared: whether pictures that are only alike were looked for; of too many they are not.
    """

    copies: tuple[Copy, ...]
    sizes: Mapping[str, int]
    compared: bool

    def lines(self) -> list[str]:
        """A line for each kind of copy, with how many there are; one that says so where there is none."""
        found = []
        for split in _SPLITS[1:]:
            own = [copy for copy in self.copies if copy.split == split]
            exact = sum(copy.how != "alike" for copy in own)
            other = sum(copy.label != copy.of_label for copy in own)
            if own:
                kinds = [f"{exact:,} the same", f"{len(own) - exact:,} alike"]
                classes = f", {other:,} of them in another class" if other else ""
                number = f"{len(own):,} of {count(self.sizes[split], f'{split} picture')}"
                are = "is in another split too" if len(own) == 1 else "are in another split too"
                found.append(f"{number} {are} ({', '.join(kinds)}{classes})")
        if not found:
            found.append(f"no picture is in two splits ({sum(self.sizes.values()):,} compared)")
        if not self.compared:
            found.append(
                "there are too many pictures to look for copies that were scaled, compressed or mirrored"
            )
        return found

    def grid(self, most: int = 20) -> Grid:
        """The first copies as a table; names from the folder that all pictures are in."""
        names = [name for copy in self.copies for name in (copy.picture, copy.of)]
        begin = len(os.path.commonpath([Path(name).parent for name in names])) + 1 if names else 0
        rows = tuple(
            (copy.picture[begin:], copy.split, copy.of[begin:], copy.of_split, copy.words)
            for copy in self.copies[:most]
        )
        more = len(self.copies) - most
        after = (f"{more:,} more: --json has all of them.",) if more > 0 else ()
        columns = ("picture", "of", "is also", "of ", "how")
        return Grid(columns=columns, rows=rows, left=columns, after=after)

    def json(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "sizes": dict(self.sizes),
            "compared": self.compared,
            "copies": [asdict(copy) for copy in self.copies],
        }


def find_duplicates(
    spec: DataSpec, base: Path | None = None, reading: Sheet | None = None
) -> Generator[Decoding, None, Duplicates | None]:
    """Look for pictures that two splits of a data set have.

    Args:
        spec: which data set.
        base: folder that relative paths start from.
        reading: how a network that has learned elsewhere wants its pictures: they are compared as it sees them.

    Yields:
        How far it is, where pictures are decoded.

    Returns:
        What was found; None where the data are no pictures of the user's own.

    Raises:
        DataError: the data cannot be read.
    """
    if not isinstance(spec, ImagesSpec | NpzSpec):
        return None
    of_files = reading if isinstance(spec, ImagesSpec) else None  # arrays are compared as they are
    source = yield from sources(spec, base, reading=of_files)
    found = yield from assembled(source, spec)
    found.data.unchanged()
    if len(found.data.input_shape) != 3:
        return None
    return _found(found)


def _found(found: Assembled) -> Duplicates:
    data = found.data
    splits = (data.train, data.validation, data.test)
    pairs = len(data.train) * (len(data.validation) + len(data.test)) + len(data.validation) * len(data.test)
    compared = pairs <= _MOST_PAIRS
    copies: list[Copy] = []
    done: set[tuple[int, int]] = set()
    for split, row, of_split, of_row, how in _exact(splits, found.digests):
        done.add((split, row))
        copies.append(_copy(found, split, row, of_split, of_row, how, 1.0, False))
    if compared:
        alike: list[Copy] = []
        parts = described(splits)
        for split in (1, 2):
            for of_split in range(split):
                for row, of_row, likeness, mirrored in parts[split].alike(parts[of_split]):
                    if (split, row) not in done:
                        done.add((split, row))
                        alike.append(_copy(found, split, row, of_split, of_row, "alike", likeness, mirrored))
        copies += sorted(alike, key=lambda copy: -copy.likeness)
    sizes = {name: len(part) for name, part in zip(_SPLITS, splits, strict=True)}
    return Duplicates(copies=tuple(copies), sizes=sizes, compared=compared)


def _exact(
    splits: tuple[Examples, ...], digests: tuple[npt.NDArray[np.uint8] | None, ...]
) -> Iterator[tuple[int, int, int, int, How]]:
    """Pictures that an earlier split has too, bit by bit: each once, with the first such picture."""
    seen: dict[bytes, tuple[int, int]] = {}
    for split, examples in enumerate(splits):
        own: dict[bytes, tuple[int, int]] = {}
        files = digests[split]
        for rows in examples.chunks():
            for row, pixels in enumerate(np.ascontiguousarray(examples.raw(rows)), start=rows.start):
                key = hashlib.blake2b(pixels.reshape(-1).view(np.uint8).data, digest_size=16).digest()
                own.setdefault(key, (split, row))
                if key in seen:
                    of_split, of_row = seen[key]
                    others = digests[of_split]
                    same = files is not None and others is not None and (files[row] == others[of_row]).all()
                    yield split, row, of_split, of_row, "same file" if same else "same pixels"
        seen = {**own, **seen}


def _copy(
    found: Assembled,
    split: int,
    row: int,
    of_split: int,
    of_row: int,
    how: How,
    likeness: float,
    mirrored: bool,
) -> Copy:
    data = found.data
    examples = (data.train, data.validation, data.test)
    (picture, label), (of, of_label) = (
        (found.place(which, at), str(data.in_own_units(examples[which].y)[at]))
        for which, at in ((split, row), (of_split, of_row))
    )
    names = data.classes
    return Copy(
        picture=picture,
        split=_SPLITS[split],
        label=names[int(label)] if names else label,
        of=of,
        of_split=_SPLITS[of_split],
        of_label=names[int(of_label)] if names else of_label,
        how=how,
        likeness=likeness,
        mirrored=mirrored,
    )
