"""A loss of the user's, tried on a few examples before anything is trained by it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ravine.data import Dataset
from ravine.engine.loss import Loss
from ravine.errors import ModelError, in_a_line, raised_at, with_article
from ravine.messages import count

_TRIED = 5  # examples: no usual number of classes or targets, which would hide a sum over the wrong axis


def check_own_loss(loss: Loss, data: Dataset, hypers: Mapping[str, float]) -> None:
    """See that a loss of the user's has a finite number for each example, of which there is a gradient.

    Args:
        loss: of the runs.
        data: what they learn from.
        hypers: of one run.

    Raises:
        ModelError: one line with what it returned.
    """
    if loss.own is None:
        return
    name = loss.source.partition("@")[0].rpartition(":")[2]
    num = min(_TRIED, len(data.train))
    numbers = {name: each[0] for name, each in loss.numbers([hypers], torch.device("cpu")).items()}
    draw = torch.Generator().manual_seed(0)
    outputs = torch.randn(num, data.num_outputs, generator=draw).requires_grad_()
    answers = torch.from_numpy(data.train.y[:num].copy())
    try:
        found = loss.each(outputs, answers, numbers)
    except Exception as error:
        raise ModelError(f"loss: {name} failed: {in_a_line(error)}{raised_at(error)}") from error
    if not isinstance(found, Tensor):
        raise ModelError(f"loss: {name} returned {with_article(type(found).__name__)}, not a tensor")
    if found.shape != (num,):
        what = "one number" if found.dim() == 0 else f"shape {tuple(found.shape)}"
        also = ': write reduction="none" instead of a mean' if found.dim() == 0 else ""
        raise ModelError(
            f"loss: {name} returned {what} for a batch of {count(num, 'example')}; it must return the loss of each, "
            f"({num},){also}"
        )
    if not found.is_floating_point():
        raise ModelError(
            f"loss: {name} returned {found.dtype}; the loss of an example is a floating point number"
        )
    bad = ~torch.isfinite(found)
    if bool(bad.any()):
        first = int(bad.to(torch.int64).argmax())
        given = [round(value, 4) for value in outputs[first].tolist()]
        raise ModelError(
            f"loss: {name} returned {found[first].item()} for an example with the outputs {given} and the answer "
            f"{answers[first].tolist()}; it must be finite for all outputs"
        )
    if not found.requires_grad:
        raise ModelError(f"loss: {name} has no gradient with respect to the outputs")
