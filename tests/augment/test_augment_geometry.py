"""The map: against slices and turns bit for bit, SciPy, Pillow, and the numbers that are drawn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from augmenting import batch, numbers, pixels, standardized
from PIL import Image
from scipy import ndimage, stats
from torch import Tensor

from ravine.augment.geometry import drawn_map, inverse, moved, sin_cos, source_of
from ravine.augment.numbers import Words, example_key
from ravine.augment.spec import Augment

OUTSIDE = torch.tensor([0.1, -0.2, 0.3])


def read(x: Tensor, fill: str = "black", **given: float | Tensor) -> Tensor:
    """Pictures through one map."""
    each = {name: torch.as_tensor(value, dtype=torch.float32).expand(len(x)) for name, value in given.items()}
    return moved(x, torch.arange(len(x)), each, fill, OUTSIDE[: x.shape[1]], ["rotate"])


def turned(degrees: float) -> dict[str, Tensor]:
    return inverse(rotate=torch.tensor([degrees]))


@pytest.mark.parametrize("size", [(12, 12), (7, 7)])
@pytest.mark.parametrize("quarters", [-1, 1, 2, 3])
def test_quarter_turns_are_rot90_bit_for_bit(size: tuple[int, int], quarters: int) -> None:
    x = pixels(2, height=size[0], width=size[1])
    assert torch.equal(read(x, **turned(90.0 * quarters)), torch.rot90(x, quarters, (2, 3)))


def test_a_quarter_turn_of_a_wide_picture_fills_all_that_there_is() -> None:
    x = pixels(1, height=6, width=8)
    found = read(x, **turned(90.0))
    assert torch.equal(found[..., 1:7], torch.rot90(x[..., 1:7], 1, (2, 3)))
    assert torch.equal(found[..., 0], OUTSIDE[None, :, None].expand(1, 3, 6))


def test_mirrors_and_shifts_are_slices_bit_for_bit() -> None:
    x = pixels(1, height=5, width=9)
    assert torch.equal(read(x, mirrored=-1.0), x.flip(3))
    for fill, mode in (("black", "constant"), ("reflect", "reflect")):
        for left, top in ((-2, 1), (3, -4), (0, 2)):
            padded = torch.from_numpy(np.pad(x[0].numpy(), ((0, 0), (4, 4), (4, 4)), mode=mode))
            if mode == "constant":
                padded = torch.where(
                    torch.nn.functional.pad(torch.ones(5, 9), [4] * 4) > 0, padded, OUTSIDE[:, None, None]
                )
            window = padded[:, 4 + top : 9 + top, 4 + left : 13 + left]
            found = read(x, fill, shift_x=left, shift_y=top, mirrored=-1.0)
            assert torch.equal(found[0], window.flip(2))


@pytest.mark.parametrize("fill", ["black", "reflect"])
def test_a_picture_of_one_row_is_sliced_exactly(fill: str) -> None:
    x = pixels(1, height=1, width=3)
    assert torch.equal(read(x, fill, shift_x=1.0, shift_y=0.0)[..., :2], x[..., 1:])
    assert read(x, fill, shift_x=0.3, shift_y=0.2, **turned(10.0), lens=0.2).isfinite().all()


@pytest.mark.parametrize("size", [(16, 16), (8, 16)])
def test_affine_maps_are_those_of_scipy(size: tuple[int, int]) -> None:
    x = pixels(1, 1, *size)
    given = {"scale": 0.15, "rotate": 25.0, "shear": -12.0, "stretch": 0.2}
    map_ = inverse(**{name: torch.tensor([value]) for name, value in given.items()})
    found = read(x, move_x=1.3, move_y=-0.7, **map_)[0, 0]
    a, s = np.deg2rad([25.0, -12.0])
    # Forward, in columns and rows from the centre, y down: shear, stretch, scale, turn.
    shear = np.array([[1, -np.tan(s)], [0, 1]])
    stretch = np.diag([1.2**0.5, 1.2**-0.5]) * 1.15
    turn = np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]])
    back = np.linalg.inv(turn @ stretch @ shear)[::-1, ::-1]  # rows before columns
    middle, move = (np.array(size) - 1) / 2, np.array([-0.7, 1.3])
    wanted = ndimage.affine_transform(
        x[0, 0].double().numpy(),
        back,
        middle - back @ (middle + move),
        order=1,
        mode="grid-constant",
        cval=0.1,
    )
    np.testing.assert_allclose(found.numpy(), wanted, atol=2e-5)  # places in float32


def test_affine_maps_are_those_of_pillow_which_counts_from_the_corner_of_a_pixel() -> None:
    x = pixels(1, 1, 12, 10)
    map_ = {name: float(value) for name, value in inverse(rotate=torch.tensor([20.0])).items()}
    inner = (slice(None), slice(None), slice(3, 9), slice(3, 7))
    image = Image.fromarray(x[0, 0].numpy())
    cx, cy = 5.0, 6.0
    data = (
        map_["xx"], map_["xy"], cx - map_["xx"] * cx - map_["xy"] * cy,
        map_["yx"], map_["yy"], cy - map_["yx"] * cx - map_["yy"] * cy,
    )  # fmt: skip
    wanted = np.asarray(image.transform((10, 12), Image.Transform.AFFINE, data, Image.Resampling.BILINEAR))
    np.testing.assert_allclose(read(x, **map_)[inner], wanted[None, None][inner], atol=1e-5)


@pytest.mark.parametrize("given", [{"shear": 30.0}, {"rotate": 30.0}, {"scale": 0.3}, {"stretch": 0.5}])
def test_the_centre_stays(given: dict[str, float]) -> None:
    x = pixels(1, height=9, width=9)
    map_ = inverse(**{name: torch.tensor([value]) for name, value in given.items()})
    assert torch.equal(read(x, **map_, lens=0.2)[..., 4, 4], x[..., 4, 4])


def test_directions() -> None:
    x = torch.zeros(1, 1, 9, 9)
    x[0, 0, 4, 7] = 1.0  # right of the centre
    counter_clockwise = read(x, **turned(90.0))
    assert counter_clockwise[0, 0, 1, 4] == 1.0  # above it
    assert read(x, move_x=1.0, move_y=0.0)[0, 0, 4, 8] == 1.0
    x = torch.zeros(1, 1, 9, 9)
    x[0, 0, 1] = 1.0
    top = read(x, **inverse(shear=torch.tensor([45.0])))[0, 0, 1]
    assert torch.allclose(
        top, (torch.arange(9) >= 3).float() + OUTSIDE[0] * (torch.arange(9) < 3)
    )  # right by 3
    wide = inverse(stretch=torch.tensor([0.44]))
    assert torch.allclose(wide["xx"] * wide["yy"], torch.ones(1))
    assert torch.allclose(wide["yy"] / wide["xx"], torch.tensor([1.44]))


def test_the_lens_moves_a_pixel_along_its_radius() -> None:
    x, y = source_of({"lens": torch.tensor([0.2])}, 9, 13, torch.zeros(1))
    r2 = (2**2 + 3**2) / (4**2 + 6**2)
    assert float(x[0, 4 + 3, 6 + 2]) == pytest.approx(6 + 2 * (1 + 0.2 * r2))
    assert float(y[0, 4 + 3, 6 + 2]) == pytest.approx(4 + 3 * (1 + 0.2 * r2))


def test_sines_of_degrees() -> None:
    degrees = torch.linspace(-720, 720, 4001)
    sine, cosine = sin_cos(degrees)
    radians = np.deg2rad(degrees.double().numpy())
    np.testing.assert_allclose(sine, np.sin(radians), atol=2e-7)
    np.testing.assert_allclose(cosine, np.cos(radians), atol=2e-7)


def test_one_read_of_a_composed_map_is_sharper_than_two() -> None:
    y, x = np.mgrid[:32, :32] / 31.0
    smooth = torch.tensor(0.5 + 0.5 * np.sin(9 * x + 4 * y), dtype=torch.float32)[None, None]
    there, back = turned(20.0), turned(-20.0)
    twice = read(read(smooth, **there), **back)
    inner = (..., slice(8, 24), slice(8, 24))
    assert (
        (read(smooth, **turned(0.0)) - smooth)[inner].abs().max() == 0.0 < (twice - smooth)[inner].abs().max()
    )


def drawn(name: str, strength: float, num: int = 4000) -> dict[str, Tensor]:
    words = Words(example_key(0, 0), torch.arange(num))
    return drawn_map(words, numbers(**{name: strength}), 8, 16)


def test_crops_begin_everywhere_equally_often_and_each_picture_has_its_own() -> None:
    found = drawn("crop", 2.0)
    for axis in ("x", "y"):
        counts = torch.bincount((found[f"shift_{axis}"] + 2).long(), minlength=5)
        assert len(counts) == 5
        assert stats.chisquare(counts.numpy()).pvalue > 1e-4
    table = torch.bincount(((found["shift_x"] + 2) * 5 + found["shift_y"] + 2).long(), minlength=25)
    assert stats.chisquare(table.numpy()).pvalue > 1e-4


def test_turns_are_uniform_and_scaled_by_the_strength() -> None:
    def degrees(strength: float) -> np.ndarray:
        found = drawn("rotate", strength)
        return np.rad2deg(np.arctan2(found["yx"].double().numpy(), found["yy"].double().numpy()))

    assert stats.kstest(degrees(30.0), stats.uniform(-30, 60).cdf).pvalue > 1e-4
    np.testing.assert_allclose(degrees(30.0), 2 * degrees(15.0), atol=1e-4)


def test_shifts_are_parts_of_each_side() -> None:
    found = drawn("translate", 0.25)
    assert 3.9 < found["move_x"].abs().max() < 4.0 > 2.0 > found["move_y"].abs().max() > 1.95


def test_fills() -> None:
    x = standardized(pixels(40))
    corner = {
        fill: batch(x, range(40), options=Augment(fill=fill), crop=3.0)[0][..., 0, 0]
        for fill in ("black", "mean")
    }
    is_outside = (corner["black"] != corner["mean"]).all(1)
    assert 18 < int(is_outside.sum()) < 40
    assert torch.allclose(corner["black"][is_outside], torch.tensor([-0.4 / 0.2, -0.5 / 0.25, -0.6 / 0.3]))
    assert torch.allclose(corner["mean"][is_outside], x.mean((0, 2, 3)))
