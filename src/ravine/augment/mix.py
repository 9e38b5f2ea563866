"""Mixup and cutmix: an example with another one of its batch, and its answer with the other's.

Both keep a share lambda of the example. Mixup keeps it of every number (Zhang et al. 2018), cutmix of the picture's
area, counted after its box was clipped (Yun et al. 2019). The partner is the example so many places further in the
batch, a number that is drawn for the batch; in a batch of one nothing is mixed.

Shapes: B batch, C channel, H W space, K class.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from ravine.augment.boxes import area_of, box_at, inside
from ravine.augment.numbers import Words
from ravine.augment.spec import MIXING, Augment
from ravine.tensors import one_hot


class Mixture(NamedTuple):
    """How each example of a batch is mixed.

    Args:
        lam: the share that it keeps, (B,): 1 where it is not mixed.
        partner: the place in the batch of what it is mixed with, int64 (B,).
        box: of cutmix, (B,) each; empty where there is no cutmix.
        by_box: whether it is cutmix, bool (B,).
    """

    lam: Tensor
    partner: Tensor
    box: dict[str, Tensor]
    by_box: Tensor


def drawn_mixture(
    words: Words,
    strengths: Mapping[str, Tensor],
    num: int,
    shape: tuple[int, int] | None,
    options: Augment,
    part: tuple[Words, Tensor] | None = None,
) -> Mixture:
    """What is drawn for mixing.

    Args:
        words: of the examples.
        strengths: 0-d each: "mixup", "cutmix", "mix_p"; where both of the first are above 0, each is done in half of
            the cases.
        num: B, examples of the batch.
        shape: height and width; None for a table.
        options: structure.
        part: where the examples are a part of the batch: the words of the batch's first one, and the places of
            the part's examples in it; None: they are all of it.
    """
    first, places_B = part or (words.first(), torch.arange(num, device=words.device))
    if options.draw == "batch":
        words = first
    one = torch.ones((), device=words.device)
    mixup, cutmix = (strengths.get(name, one * 0.0) for name in MIXING)
    both = (mixup > 0) & (cutmix > 0)
    by_box = torch.where(both, words.uniform("which") < 0.5, cutmix > 0)
    alpha = torch.where(by_box, cutmix, mixup)
    is_mixed = (words.uniform("mixed") < strengths.get("mix_p", one)) & (alpha > 0)
    if num == 1:
        is_mixed = is_mixed & False
    lam = words.beta(torch.where(alpha > 0, alpha, 1.0))
    box: dict[str, Tensor] = {}
    if "cutmix" in strengths and shape is not None:
        cut = (1.0 - lam).sqrt()
        # Twice the half, as in the authors' and in torchvision's code: the centre is a pixel.
        sides = [(cut * (0.5 * side)).floor() * 2.0 for side in shape]
        box = box_at(words.uniform("box_y"), words.uniform("box_x"), sides[0], sides[1], shape, options.fit)
        box = {
            name: torch.where(is_mixed & by_box, each, 0.0).expand_as(places_B) for name, each in box.items()
        }
        lam = torch.where(by_box, 1.0 - area_of(box, *shape), lam)
    lam = torch.where(is_mixed, lam, 1.0).expand_as(places_B)
    further = 1 + ((first.of("partner") * max(num - 1, 1)) >> 32)
    partner = places_B + further
    partner = torch.where(partner >= num, partner - num, partner)
    return Mixture(lam=lam, partner=partner, box=box, by_box=by_box.expand_as(places_B))


def mixed(x: Tensor, mixture: Mixture) -> Tensor:
    """Examples mixed, (B, ...)."""
    other = x.index_select(0, mixture.partner)
    lam = mixture.lam.reshape(-1, *[1] * (x.dim() - 1))
    keeps = lam == 1.0
    blended = torch.where(keeps, x, lam * x + (1.0 - lam) * other)
    if not mixture.box:
        return blended
    pasted = torch.where(inside(mixture.box, *x.shape[-2:]), other, x)
    return torch.where(mixture.by_box.reshape(lam.shape), pasted, blended)


def mixed_answers(y: Tensor, other: Tensor, mixture: Mixture, num_classes: int | None) -> Tensor:
    """Their answers: float32 (B, K) of classes or labels, (B,) of a number, (B, T) of several.

    Args:
        y: of the examples.
        other: of their partners.
        mixture: of the batch.
        num_classes: K; None for numbers, and for labels, which are mixed as numbers are.
    """
    lam = mixture.lam
    if num_classes is None:
        lam = lam if y.dim() == 1 else lam[:, None]
        return torch.where(lam == 1.0, y, lam * y + (1.0 - lam) * other)
    hard, hard_other = (one_hot(each, num_classes, torch.float32) for each in (y, other))
    return lam[:, None] * hard + (1.0 - lam[:, None]) * hard_other
