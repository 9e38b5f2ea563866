"""Cutout, mixup and cutmix: boxes, shares, partners and answers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from augmenting import batch, numbers, pixels, standardized
from scipy import stats
from torch import Tensor
from torch.func import vmap

from ravine.augment.boxes import area_of, drawn_cut
from ravine.augment.mix import Mixture, drawn_mixture
from ravine.augment.numbers import Words, example_key
from ravine.augment.spec import Augment


def words(num: int) -> Words:
    return Words(example_key(0, 0), torch.arange(num))


def mixture(
    num: int = 4000,
    shape: tuple[int, int] = (32, 32),
    draw: str = "example",
    fit: str = "clip",
    epoch: int | Tensor = 0,
    **given: float,
) -> Mixture:
    words = Words(example_key(0, epoch), torch.arange(num))
    return drawn_mixture(words, numbers(**given), num, shape, Augment(draw=draw, fit=fit))


def of_epochs(many: int, num: int, **given: Any) -> Mixture:
    """What epochs draw for one batch, (E, B) each."""
    return Mixture(*vmap(lambda epoch: tuple(mixture(num, epoch=epoch, **given)))(torch.arange(many)))


def cuts(size: float, shape: tuple[int, int], fit: str, num: int = 4000) -> dict[str, Tensor]:
    found = drawn_cut(words(num), torch.tensor(size), shape, fit)
    return {name.removeprefix("cut_"): each for name, each in found.items()}


def test_half_of_each_side_removes_a_fifth_of_the_picture() -> None:
    area = area_of(cuts(0.5, (32, 32), "clip", 20_000), 32, 32)
    assert abs(float(area.mean()) - 0.1914) < 0.002  # (14 / 32)^2, in closed form; not a quarter
    assert float(area.max()) == 0.25


def test_boxes_inside_begin_everywhere_equally_often() -> None:
    box = cuts(0.5, (8, 8), "inside")
    corners = torch.bincount((box["top"] * 5 + box["left"]).long(), minlength=25)
    assert len(corners) == 25
    assert stats.chisquare(corners.numpy()).pvalue > 1e-4
    assert bool((box["bottom"] - box["top"] == 4).all())


def test_centres_of_clipped_boxes_are_all_pixels_and_each_picture_has_its_own() -> None:
    box = cuts(0.25, (8, 16), "clip")
    counts = torch.bincount((box["top"] + box["bottom"]).long())
    assert int(box["bottom"].max()) == 8
    assert int(box["right"].max()) == 16
    assert len(counts[counts > 0]) == 8  # rows of 2: one for each centre
    assert len(torch.unique(torch.stack([box["top"], box["left"]], 1), dim=0)) > 90


def test_boxes_of_wide_pictures_are_not_turned() -> None:
    x = standardized(pixels(64, height=8, width=16))
    found = batch(x, range(64), options=Augment(fit="inside"), cutout=0.25)[0]
    filled = (found != x).any(1)
    assert bool((filled.any(2).sum(1) == 2).all())  # rows
    assert bool((filled.any(1).sum(1) == 4).all())  # columns
    fill = x.mean((0, 2, 3))
    assert torch.allclose(found[0, :, filled[0]].T, fill.expand(8, 3))


def test_the_share_of_cutmix_is_what_is_left_of_the_picture() -> None:
    for shape in ((8, 16), (32, 32)):
        x = torch.arange(64.0)[:, None, None, None].expand(64, 1, *shape)
        y = torch.arange(64)
        found, soft = batch(x, range(64), y=y, num_classes=64, cutmix=1.0)
        kept = (found == x).float().mean((1, 2, 3))
        assert torch.allclose(soft.gather(1, y[:, None])[:, 0], kept, atol=1e-6)
        assert torch.allclose(soft.sum(1), torch.ones(64))


def test_clipping_raises_the_mean_share_of_cutmix() -> None:
    lam = mixture(30_000, cutmix=1.0).lam
    assert abs(float(lam.mean()) - 0.698) < 0.006  # .50 before clipping
    inside = mixture(20_000, fit="inside", cutmix=1.0).lam
    assert abs(float(inside.mean()) - 0.5) < 0.04  # rounding to even numbers of pixels


@pytest.mark.parametrize("draw", ["example", "batch"])
def test_the_gate_is_the_share_of_mixed_examples(draw: str) -> None:
    many = of_epochs(300, 100, draw=draw, mixup=1.0, mix_p=0.5).lam
    assert abs(float((many < 1).float().mean()) - 0.5) < (0.02 if draw == "example" else 0.12)
    assert (len(torch.unique(many[0])) == 1) == (draw == "batch")


def test_the_share_is_kept_of_the_example_and_the_rest_is_the_partners() -> None:
    x, y = torch.arange(6.0)[:, None].expand(6, 4) * 10, torch.arange(6)
    found, soft = batch(x, range(6), y=y, num_classes=6, mixup=0.8)
    assert torch.allclose(found[:, 0], soft @ (torch.arange(6.0) * 10), atol=1e-4)
    own = mixture(6, mixup=0.8)
    assert torch.allclose(soft.gather(1, y[:, None])[:, 0], own.lam)
    assert bool((own.partner != y).all())
    assert len(torch.unique(own.partner)) == 6


def test_partners_are_all_others_equally_often() -> None:
    counts = torch.bincount(of_epochs(400, 5, mixup=1.0).partner[:, 0], minlength=5)
    assert int(counts[0]) == 0
    assert stats.chisquare(counts[1:].numpy()).pvalue > 1e-4


def test_both_are_done_half_of_the_time() -> None:
    found = mixture(mixup=1.0, cutmix=1.0)
    assert abs(float(found.by_box.float().mean()) - 0.5) < 0.04
    assert bool(mixture(mixup=0.0, cutmix=1.0).by_box.all())
    assert not bool(mixture(mixup=1.0, cutmix=0.0).by_box.any())


def test_a_batch_of_one_is_left_as_it_is() -> None:
    x = standardized(pixels(3))
    found, soft = batch(x, [2], mixup=1.0, cutmix=1.0)
    assert torch.equal(found, x[[2]])
    assert torch.equal(soft, torch.eye(10)[[2]])


def test_answers_that_are_numbers_are_mixed() -> None:
    x = torch.arange(5.0)[:, None].expand(5, 3).contiguous()
    found, y = batch(x, range(5), y=torch.arange(5.0), num_classes=None, mixup=1.0)
    assert torch.allclose(found[:, 0], y)
    assert y.dtype == torch.float32


def test_mixing_answers_is_mixing_losses() -> None:
    x = pixels(6)
    _, soft = batch(x, range(6), plain=True, mixup=0.6, y=torch.arange(6))
    logits, own = torch.randn(6, 10, generator=torch.Generator().manual_seed(0)), mixture(6, mixup=0.6)
    loss = torch.nn.functional.cross_entropy
    parts = own.lam * loss(logits, torch.arange(6), reduction="none")
    parts = parts + (1 - own.lam) * loss(logits, own.partner, reduction="none")
    assert torch.allclose(loss(logits, soft, reduction="none"), parts, atol=1e-6)
