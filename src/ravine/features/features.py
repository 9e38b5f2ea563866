"""The features of a study's frozen body: out of the cache, or computed once and kept there.

Shapes: N example, D feature.
"""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ravine.cached import Kept, find, keep
from ravine.data import Dataset, Examples
from ravine.errors import ModelError
from ravine.features.extract import batch_size, extract
from ravine.features.fold import folded
from ravine.features.head import structure_of_body

VERSION = 1
"""Raised when features come out otherwise, so that none are taken that were computed before."""
SPLITS = ("train", "validation", "test")
_KIND = "features"

Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Extracting:
    """How far features are.

    Args:
        done: examples that are computed.
        all: how many there are.
        about: what is done, for people.
    """

    done: int
    all: int
    about: str = "features"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Features:
    """The features of a data set.

    Args:
        arrays: (N, D) of each split, by its name; activations within a body have other shapes. float64, where a
            network is that.
        key: all that they depend on.
        hit: whether they were in the cache.
        seconds: that it took to compute, or to read and check them.
        kept: where they are kept, their bytes, and a note for people.
        fed: the shape of one example, as the network was given it; (): nothing was.
    """

    arrays: Mapping[str, Floats] = field(repr=False)
    key: Mapping[str, Any]
    hit: bool
    seconds: float
    kept: Kept
    fed: tuple[int, ...] = ()

    @property
    def num_examples(self) -> int:
        """In all splits."""
        return sum(map(len, self.arrays.values()))

    @property
    def width(self) -> int:
        """How many numbers an example has: D, or of a map all that are in it."""
        return math.prod(self.arrays["train"].shape[1:])

    @property
    def size(self) -> int:
        """Bytes of all features."""
        return sum(each.nbytes for each in self.arrays.values())

    @property
    def rate(self) -> float:
        """Examples a second."""
        return self.num_examples / max(self.seconds, 1e-9)

    def data(self, of: Dataset) -> Dataset:
        """The data set that they were computed of, with features in place of its examples."""
        train, validation, test = (
            Examples(x=self.arrays[name], y=part.y, weights=part.weights)
            for name, part in zip(SPLITS, (of.train, of.validation, of.test), strict=True)
        )
        return replace(of, train=train, validation=validation, test=test, features=())


def key_of(
    model: Mapping[str, Any], data: Dataset, device: torch.device, place: str = "", *, wide: bool = False
) -> dict[str, Any]:
    """All that features depend on, as plain data.

    Args:
        model: what a recipe says of the model: the hash of its weights, its architecture, its cut, its preprocessing.
        data: the data set, whose fingerprint is that of its pixels.
        device: what computes them.
        place: the module of the body whose input they are; "": they are what the head is given.
        wide: the network is float64.

    Example:
        >>> from ravine.data import from_arrays
        >>> x, y = np.zeros((9, 2), np.float32), np.arange(9) % 3
        >>> key = key_of({"weights": "ab", "cut": "fc", "head": {}}, from_arrays(x, y), torch.device("cpu"))
        >>> sorted(key)
        ['batch', 'data', 'device', 'dtype', 'model', 'precision', 'torch', 'version']
    """
    if device.type == "cpu":
        where = f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
    else:
        where = f"{device.type} {torch.cuda.get_device_name(device) if device.type == 'cuda' else ''}".strip()
    return {
        "version": VERSION,
        "model": structure_of_body(model),
        "data": data.fingerprint,
        "batch": batch_size(data.input_shape),
        "dtype": "float64" if wide else "float32",
        "precision": torch.get_float32_matmul_precision(),
        "torch": torch.__version__,
        "device": where,
        **({"place": place} if place else {}),
    }


def features_of(
    model: Mapping[str, Any],
    data: Dataset,
    device: torch.device,
    body: Callable[[], Callable[[Tensor], Tensor]],
    place: str = "",
    *,
    wide: bool = False,
) -> Iterator[Extracting | Features]:
    """The features of a data set, out of the cache or computed and kept there.

    Args:
        model: see `key_of`.
        data: the data set.
        device: what computes them.
        body: makes the network up to there, in eval mode: (B, ...) -> (B, D). It is called where nothing is kept.
        place, wide: see `key_of`; a wide one takes float64.

    Yields:
        Progress, and at the end the features.

    Raises:
        ModelError: a feature is infinite or not a number.
    """
    began, key = time.perf_counter(), key_of(model, data, device, place, wide=wide)
    found = find(_KIND, key)
    if found.arrays is not None:
        seconds = time.perf_counter() - began
        yield Features(
            arrays=found.arrays, key=key, hit=True, seconds=seconds, kept=found, fed=data.input_shape
        )
        return
    splits: dict[str, Examples] = {name: getattr(data, name) for name in SPLITS}
    total, done = sum(map(len, splits.values())), 0
    yield Extracting(done=0, all=total)
    network = quick(body(), data, device, wide=wide)
    dtype: type[np.float64] | type[np.float32] = np.float64 if wide else np.float32
    arrays: dict[str, Floats] = {}
    for name, examples in splits.items():
        parts = []
        for part, x in extract(network, examples, device):
            parts.append(x)
            done += part.stop - part.start
            yield Extracting(done=done, all=total)
        arrays[name] = np.concatenate(parts) if parts else np.zeros((0, 0), dtype)
        check_finite(arrays[name], name)
    width = arrays["train"].shape[1:]
    none: Floats = np.zeros((0, *width), dtype)
    arrays = {name: each if len(each) else none for name, each in arrays.items()}
    kept = keep(_KIND, key, arrays)
    note = "; ".join(filter(None, (found.note, kept.note)))
    yield Features(
        arrays=kept.arrays or arrays,
        key=key,
        hit=False,
        seconds=time.perf_counter() - began,
        kept=replace(kept, note=note),
        fed=data.input_shape,
    )


def quick(
    network: Callable[[Tensor], Tensor], data: Dataset, device: torch.device, *, wide: bool
) -> Callable[[Tensor], Tensor]:
    """A frozen network as a function of float32 batches of a data set, as fast as it can be.

    Args:
        network: in eval mode.
        data: whose batches it gets.
        device: of the network.
        wide: the network is float64: its norms are not folded, for which there are kernels in float32 alone.
    """
    if wide:
        return lambda x: network(x.double())
    if device.type != "cpu":
        return network
    return folded(network, (batch_size(data.input_shape), *data.input_shape))[0]


def check_finite(x_ND: Floats, split: str) -> None:
    """Refuse features that are no finite numbers.

    Args:
        x_ND: the features.
        split: what they are of, for people.

    Raises:
        ModelError: one is infinite or not a number.
    """
    finite = np.isfinite(x_ND.reshape(len(x_ND), -1)).min(axis=1)
    if not finite.all():
        raise ModelError(
            f"model: features of {int((~finite).sum()):,} of {len(finite):,} {split} examples are infinite or not a "
            f"number, of number {int(finite.argmin())} first; the weights do not fit this network or these pictures"
        )
