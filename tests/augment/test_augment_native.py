"""Machine code against the same in PyTorch: where nothing but places is computed bit for bit, else within rounding."""

from __future__ import annotations

import pytest
import torch
from augmenting import DEVIATION, MEAN, pixels, standardized
from torch import Tensor

from ravine.augment.batch import augmented_batch
from ravine.augment.fixed import fixed_of
from ravine.augment.native.batches import Given, PictureBatches
from ravine.augment.spec import Augment
from ravine.native.tensors import Unsupported

WHOLE = {"flip": 0.5, "crop": 3.0}
BENT = {**WHOLE, "scale": 0.2, "rotate": 20.0, "translate": 0.1, "shear": 5.0, "stretch": 0.1, "lens": 0.2}
COLOURS = {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1, "pca": 0.1}
MIXED = {"mixup": 0.4, "cutmix": 0.7, "mix_p": 0.8}


class Both:
    """Batches of two groups, the second one at strengths of 0, made in both ways."""

    def __init__(
        self,
        x: Tensor,
        strengths: dict[str, float],
        options: Augment,
        num: int = 2,
        size: int = 5,
        y: Tensor | None = None,
    ) -> None:
        y = torch.arange(len(x)) % 3 if y is None else y
        num_classes = None if y.is_floating_point() else 3
        channels = x.shape[1]
        mean, deviation = ((list(each) * 2)[:channels] for each in (MEAN, DEVIATION))
        fixed = fixed_of(x, strengths, mean=mean, deviation=deviation)
        generator = torch.Generator().manual_seed(0)
        rows = torch.stack([torch.randperm(len(x), generator=generator)[:size] for _ in range(num)])
        epochs, seeds = torch.arange(num) * 3, torch.tensor([5, 6])
        each = {name: torch.tensor([value, 0.0]) for name, value in strengths.items()}
        given = Given(
            x=x, y=y, rows_JB=rows, examples_JB=rows, epochs_J=epochs, of_group={"seed": seeds, **each}
        )
        soft = num_classes is not None and bool({"mixup", "cutmix"} & set(strengths))
        self.x = torch.full((num, size, *x.shape[1:]), 7.0)
        self.y = torch.zeros((num, size, 3)) if soft else torch.zeros((num, size), dtype=y.dtype)
        self.batches = PictureBatches(
            given, self.x, self.y, fixed=fixed, options=options, num_classes=num_classes, num_threads=2
        )
        self.batches(num)
        wanted = [
            augmented_batch(
                x, y, rows[j], rows[j], epochs[j], seeds[j % 2],
                {name: value[j % 2] for name, value in each.items()}, fixed, options, num_classes,
            )
            for j in range(num)
        ]  # fmt: skip
        self.wanted_x, self.wanted_y = (torch.stack(part) for part in zip(*wanted, strict=True))
        self.plain = x[rows]


@pytest.mark.parametrize(
    ("size", "fill"), [((3, 32, 32), "black"), ((1, 8, 8), "reflect"), ((5, 7, 13), "mean")]
)
def test_geometry_and_boxes_are_the_same(size: tuple[int, int, int], fill: str) -> None:
    x = pixels(12, *size)
    whole = Both(x, WHOLE, Augment(fill=fill))
    assert torch.equal(whole.x, whole.wanted_x)
    assert torch.equal(whole.y, whole.wanted_y)
    bent = Both(x, {**BENT, "cutout": 0.4}, Augment(fill=fill))
    assert torch.allclose(bent.x, bent.wanted_x, atol=2e-5)
    assert (bent.x == bent.wanted_x).float().mean() > 0.6  # the last bit of a root moves a picture
    assert torch.equal(bent.x[1], bent.plain[1])


@pytest.mark.parametrize(
    ("size", "order"),
    [((3, 8, 16), "fixed"), ((3, 5, 9), "random"), ((1, 5, 7), "fixed"), ((1, 4, 8), "random")],
)
def test_colours_are_the_same_within_rounding(size: tuple[int, int, int], order: str) -> None:
    x = standardized(pixels(12, *size))
    colours = COLOURS if size[0] == 3 else {name: COLOURS[name] for name in ("brightness", "contrast", "pca")}
    both = Both(x, {**colours, "cutout": 0.3}, Augment(cutout_fill="black", order=order))
    assert torch.allclose(both.x, both.wanted_x, atol=1e-5)
    assert not torch.equal(both.x[0], both.plain[0])
    assert torch.equal(both.x[1], both.plain[1])


@pytest.mark.parametrize(
    ("draw", "strengths"), [("example", {"flip": 0.5, **MIXED}), ("batch", {"cutmix": 1.0})]
)
def test_mixtures_and_their_answers_are_the_same(draw: str, strengths: dict[str, float]) -> None:
    both = Both(pixels(12, 3, 8, 16), strengths, Augment(draw=draw), num=4)
    assert torch.allclose(both.x, both.wanted_x, atol=1e-5)
    assert torch.allclose(both.y, both.wanted_y, atol=1e-6)
    assert torch.equal(both.x[1], both.plain[1])
    assert not torch.equal(both.x[0], both.plain[0])


def test_parts_of_a_batch_that_overlap_are_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    x = pixels(16, 1, 8, 8)
    whole = Both(x, {"brightness": 0.5, "mixup": 2.0}, Augment(), size=13)
    monkeypatch.setattr("ravine.augment.native.batches._PIXELS", 5 * 64)
    monkeypatch.setattr("ravine.augment.native.batches._THREAD", 64)
    parts = Both(x, {"brightness": 0.5, "mixup": 2.0}, Augment(), size=13)
    assert torch.equal(parts.x, whole.x)
    assert torch.equal(parts.y, whole.y)


def test_what_has_no_machine_code_is_said() -> None:
    with pytest.raises(Unsupported, match="no pictures of float32"):
        Both(pixels(8).double(), {"flip": 0.1}, Augment())


def test_what_other_runs_use_changes_no_bit_of_a_run() -> None:
    x = standardized(pixels(12, 3, 6, 9))
    alone = {"translate": 0.2, "brightness": 0.4}
    others = {name: 0.0 for name in (*BENT, *COLOURS, "cutout") if name not in alone}
    few, all_of_them = (Both(x, each, Augment()) for each in (alone, {**others, **alone}))
    assert torch.equal(few.x, all_of_them.x)
