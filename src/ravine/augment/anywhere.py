"""Augmentation in any training loop: `ravine.augmented`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ravine.augment.batch import augmented_batch
from ravine.augment.fixed import fixed_of
from ravine.augment.native.single import SingleBatch
from ravine.augment.spec import GEOMETRY, MIXING, STRENGTHS, Augment, check_augment, read_augment
from ravine.errors import InputError
from ravine.messages import shown, whole_number, wrong
from ravine.tensors import writable

_MOST_EXAMPLES = 2**26


def augmented(
    x: Any,
    y: Any,
    settings: Mapping[str, Any],
    *,
    seed: int,
    epoch: int,
    examples: Any,
    num_classes: int | None = None,
    training: Any = None,
) -> tuple[Any, Any]:
    """Change the examples of a batch at random, as a study with ``augment = settings`` does.

    What is drawn for an example is a function of seed, epoch and the example's number alone: neither of the batch that
    it is in, nor of torch's generator, nor of how often this is called. (Mixup and cutmix also depend on the batch.)

    Args:
        x: pictures (B, C, H, W), uint8 or floats from 0 to 1; or a table's rows (B, D), standardized floats. Tensors
            or NumPy arrays.
        y: their answers, (B,): integers are classes, floats are numbers; None where there are none.
        settings: the keys of ``augment`` in a study, each strength one number.
        seed: of the run, a 64-bit integer.
        epoch: counted from 0.
        examples: each example's number in the training set, (B,), from 0, below 2^26.
        num_classes: K, which mixup and cutmix of classes need.
        training: examples of the training set, as x: ``"mean"`` fill (cutout's, too, unless it is ``"black"``) and
            ``pca`` know means and principal colours from them, and ``cell_dropout`` takes cells of these rows.

    Returns:
        x, float32, and y: as it was, but with mixup or cutmix float32 (B, K) of classes, (B,) of numbers. Tensors
        where x is one, else NumPy arrays.

    Raises:
        InputError: one line with the argument or key, its value and what is allowed.

    Example:
        >>> x = np.random.default_rng(0).integers(0, 256, (4, 3, 8, 8), dtype=np.uint8)
        >>> settings = {"flip": 0.5, "crop": {"pad": 2, "fill": "reflect"}, "mixup": 0.2}
        >>> more = {"seed": 0, "epoch": 3, "examples": [17, 4, 9, 30], "num_classes": 10}
        >>> x, y = augmented(x, [3, 0, 9, 3], settings, **more)
        >>> x.shape, x.dtype, y.shape, bool(np.allclose(y.sum(1), 1))
        ((4, 3, 8, 8), dtype('float32'), (4, 10), True)
    """
    tensors = isinstance(x, Tensor)
    options, given = read_augment(settings, "settings")
    if options.views is not None:
        raise wrong("settings.views", options.views, "is for studies; here view k is epoch = k, seed = 0")
    strengths = {name: STRENGTHS[name].hyper.check(name, value, "settings") for name, value in given.items()}
    source = _source("x", x)
    answers = None if y is None else _answers(y, len(source))
    task = "regression" if answers is not None and answers.is_floating_point() else "classification"
    check_augment(strengths, source.shape[1:], task, "settings")
    numbers = _numbers(examples, source)
    seed, epoch = whole_number("seed", seed, -(2**63)), whole_number("epoch", epoch, 0)
    used = {
        name: torch.tensor(value, dtype=torch.float32, device=source.device)
        for name, value in strengths.items()
        if name == "mix_p" or value > 0
    }
    mixes = any(name in used for name in MIXING)
    if mixes:
        _check_mixed(answers, num_classes)
    labels = torch.zeros(len(source), dtype=torch.int64) if answers is None else answers
    labels = labels.float() if task == "regression" else labels.long()
    classes = None if task == "regression" else int(num_classes or 1)
    known = None
    if training is None:
        _check_known(used, options)
    else:
        known = _known(_Same(training), frozenset(used), source.dim(), source.shape[1])
    if source.dim() == 4 and source.device.type == "cpu":
        same = (tuple(source.shape), tuple(used), options, classes, torch.get_num_threads())
        found, labels = _machine(*same, _Same(known))(source, labels, numbers, epoch, seed, used)
    else:
        fixed = fixed_of(source[:1], ()) if known is None else known
        labels, numbers, rows = (
            each.to(source.device) for each in (labels, numbers, torch.arange(len(source)))
        )
        fixed = {name: each.to(source.device) for name, each in fixed.items()}
        found, labels = augmented_batch(
            source, labels, rows, numbers, epoch, seed, used, fixed, options, classes
        )
    after = y if not mixes else labels if tensors else labels.numpy()
    return (found if tensors else found.numpy()), after


def _answers(y: Any, num: int) -> Tensor:
    try:
        found = torch.as_tensor(writable(y))
    except (TypeError, ValueError, RuntimeError):
        raise InputError(f"y = {shown(y)}: must be integers, which are classes, or floats") from None
    if found.shape != (num,):
        raise InputError(
            f"y: must have shape ({num},), as many answers as examples, not {tuple(found.shape)}"
        )
    return found


def _check_mixed(answers: Tensor | None, num_classes: int | None) -> None:
    """See that there are answers that can be mixed."""
    if answers is None:
        raise InputError("y = None: mixup and cutmix mix the answers too, give them")
    if answers.is_floating_point():
        return
    if num_classes is None:
        raise InputError("num_classes = None: mixup and cutmix of classes need the number of them")
    whole_number("num_classes", num_classes, 1)
    if bool(((answers < 0) | (answers >= num_classes)).any()):
        raise InputError(f"y = {shown(answers.tolist())}: must be classes from 0 to {num_classes - 1}")


def _check_known(names: Collection[str], options: Augment) -> None:
    """See that nothing has to be known of the training set, where it was not given."""
    if "cell_dropout" in names:
        raise InputError(
            "training = None: cell_dropout takes cells of other rows of the training set, give them"
        )
    if "pca" in names:
        raise InputError(
            "training = None: pca needs the principal colours of the training set, give pictures of it"
        )
    if "cutout" in names and options.cutout_fill == "mean":
        raise InputError(
            "training = None: cutout fills with the mean of the training set: give pictures of it, "
            "or cutout_fill = 'black'"
        )
    if options.fill == "mean" and any(name in GEOMETRY for name in names):
        raise InputError(
            "training = None: fill = 'mean' is that of the training set: give pictures of it, or another fill"
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Same:
    """An array, which only the same one is equal to."""

    array: Any

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.array is self.array

    def __hash__(self) -> int:
        return id(self.array)


@lru_cache(maxsize=1)
def _known(training: _Same, names: frozenset[str], num_dims: int, width: int) -> dict[str, Tensor]:
    found = _source("training", training.array)
    if found.dim() != num_dims or found.shape[1] != width:
        like = f"pictures (N, {width}, H, W)" if num_dims == 4 else f"rows (N, {width})"
        raise InputError(f"training: must be {like} as x, not of shape {tuple(found.shape)}")
    return fixed_of(found, names) if num_dims == 4 else {"rows": found}


@lru_cache(maxsize=8)
def _machine(
    shape: tuple[int, int, int, int],
    names: tuple[str, ...],
    options: Augment,
    classes: int | None,
    threads: int,
    known: _Same,
) -> SingleBatch:
    # Where the training set was not given, nothing of it matters.
    fixed = fixed_of(torch.zeros(1, *shape[1:]), ()) if known.array is None else known.array
    return SingleBatch(shape, names, fixed, options, classes, threads)


def _source(name: str, x: Any) -> Tensor:
    """Examples as float32, pixels from 0 to 1."""
    try:
        found = x if isinstance(x, Tensor) else torch.as_tensor(writable(np.asarray(x)))
    except (TypeError, ValueError):
        raise InputError(f"{name} = {shown(x)}: must be a tensor or an array of numbers") from None
    if found.dim() not in (2, 4) or not found.numel():
        raise InputError(
            f"{name}: must be pictures (B, C, H, W) or rows of a table (B, D), not of shape {tuple(found.shape)}"
        )
    if found.dtype == torch.uint8 and found.dim() == 4:
        return found.to(torch.float32) / 255
    if not found.is_floating_point():
        raise InputError(
            f"{name}: must be uint8 pictures or floats, not {str(found.dtype).removeprefix('torch.')}"
        )
    found = found.to(torch.float32)
    low, high = (each.item() for each in torch.aminmax(found)) if found.dim() == 4 else (0.0, 1.0)
    if not (low >= 0 and high <= 1):
        raise InputError(
            f"{name}: pixels lie from {low:.4g} to {high:.4g}, they must be in [0, 1]; standardize after augmentation"
        )
    return found


def _numbers(examples: Any, source: Tensor) -> Tensor:
    num = len(source)
    try:
        found = torch.as_tensor(writable(examples))
    except (TypeError, ValueError, RuntimeError):
        found = torch.zeros(0)
    if found.is_floating_point() or found.dtype == torch.bool or tuple(found.shape) != (num,):
        raise InputError(
            f"examples = {shown(examples)}: must be {num} whole numbers, one for each example of x"
        )
    found = found.long()  # of shorter types, and of those without a sign, torch compares nothing
    # Each cell of a table has a word of its own, of the 2^32 that a key has.
    most = _MOST_EXAMPLES if source.dim() == 4 else min(_MOST_EXAMPLES, 2**32 // source.shape[1])
    if bool(((found < 0) | (found >= most)).any()):
        raise InputError(f"examples = {shown(examples)}: must be from 0 to {most - 1:,}")
    return found
