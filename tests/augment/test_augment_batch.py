"""What every technique has in common: the identity at 0, and what a draw depends on."""

from __future__ import annotations

import pytest
import torch
from augmenting import PICTURES, batch, pixels, standardized
from torch.func import vmap

from ravine.augment.batch import augmented_batch
from ravine.augment.fixed import fixed_of
from ravine.augment.spec import STRENGTHS, Augment

SOME = {
    "flip": 0.5,
    "crop": 2.0,
    "rotate": 20.0,
    "scale": 0.2,
    "lens": 0.1,
    "hue": 0.1,
    "contrast": 0.4,
    "cutout": 0.4,
}


@pytest.mark.parametrize("order", ["fixed", "random"])
@pytest.mark.parametrize("fill", ["black", "mean", "reflect"])
def test_strengths_of_0_leave_every_bit(order: str, fill: str) -> None:
    x = standardized(pixels(6, height=8, width=16))
    x[0, 0, 0, :4] = torch.tensor([float("inf"), float("-inf"), float("nan"), -0.0])
    rows = torch.tensor([4, 0, 2])
    fixed = fixed_of(x[1:], PICTURES, mean=(0.4, 0.5, 0.6), deviation=(0.2, 0.25, 0.3))
    options = Augment(order=order, fill=fill)
    zeros = dict.fromkeys([*PICTURES, "mix_p"], torch.tensor(0.0))
    found, soft = augmented_batch(x, torch.arange(6), rows, rows, 1, 2, zeros, fixed, options, 6)
    assert torch.equal(found.view(torch.int32), x[rows].view(torch.int32))
    assert torch.equal(soft, torch.eye(6)[rows])


@pytest.mark.parametrize("order", ["fixed", "random"])
def test_a_technique_of_strength_0_changes_nothing_of_the_others(order: str) -> None:
    x, options = standardized(pixels(5)), Augment(order=order)
    alone = batch(x, [0, 3, 4], options=options, **SOME)[0]
    zeros = {name: 0.0 for name in PICTURES if name not in SOME and name not in ("mixup", "cutmix", "mix_p")}
    assert torch.equal(batch(x, [0, 3, 4], options=options, **{**zeros, **SOME})[0], alone)


def test_a_draw_depends_on_seed_epoch_and_example_alone() -> None:
    x = standardized(pixels(12))
    whole = batch(x, range(12), seed=3, epoch=2, **SOME)[0]
    assert torch.equal(batch(x, [7, 2], seed=3, epoch=2, **SOME)[0], whole[[7, 2]])
    assert not torch.equal(batch(x, range(12), seed=4, epoch=2, **SOME)[0], whole)
    assert not torch.equal(batch(x, range(12), seed=3, epoch=3, **SOME)[0], whole)


def test_equal_pictures_in_a_batch_come_out_different() -> None:
    x = standardized(pixels(1)).expand(4, -1, -1, -1)
    found = batch(x, range(4), **SOME)[0]
    assert all(not torch.equal(found[i], found[j]) for i in range(4) for j in range(i))


def test_runs_under_vmap_get_what_each_gets_alone() -> None:
    x, rows = standardized(pixels(6)), torch.tensor([1, 4, 5])
    y, names = torch.arange(6), ["flip", "rotate", "contrast", "cutmix"]
    fixed, options = (
        fixed_of(x, names, mean=(0.4, 0.5, 0.6), deviation=(0.2, 0.25, 0.3)),
        Augment(draw="batch"),
    )
    low = {name: torch.tensor(SOME.get(name, 0.3)) for name in names}
    strengths = {name: torch.stack([value, value * 0]) for name, value in low.items()}

    def one(seed: torch.Tensor, given: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        return augmented_batch(x, y, rows, rows, 5, seed, given, fixed, options, 6)

    found, soft = vmap(one)(torch.tensor([8, 9]), strengths)
    alone, alone_soft = one(torch.tensor(8), low)
    torch.testing.assert_close(found[0], alone)
    torch.testing.assert_close(soft[0], alone_soft)
    assert torch.equal(found[1], x[rows])


def test_a_higher_flip_mirrors_more_pictures_of_the_same_seed() -> None:
    x = standardized(pixels(200))
    turned = [~(batch(x, range(200), flip=p)[0] == x).flatten(1).all(1) for p in (0.0, 0.3, 0.6, 1.0)]
    assert not turned[0].any()
    assert turned[3].all()
    assert bool((turned[1] <= turned[2]).all())
    assert 40 < int(turned[1].sum()) < 80


def test_every_strength_has_words_and_a_default_of_0_but_that_of_the_gate() -> None:
    assert {name for name, each in STRENGTHS.items() if each.hyper.default != 0} == {"mix_p"}
    assert all(each.hyper.about and each.unit for each in STRENGTHS.values())
