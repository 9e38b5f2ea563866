"""Colour: against Pillow, colorsys and the covariance of the noise."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
import torch
from augmenting import batch, numbers, pixels, restored, standardized
from PIL import Image, ImageEnhance
from scipy import stats
from torch import Tensor

from ravine.augment.colour import ORDERS, STEPS, colour_matrix, coloured, drawn_colour
from ravine.augment.fixed import fixed_of, principal_colours
from ravine.augment.numbers import Words, example_key
from ravine.augment.spec import Augment

ROUNDED = 1.01 / 255  # Pillow's pixels are bytes
PLAIN = {"mean": torch.zeros(3, 1, 1), "deviation": torch.ones(3, 1, 1)}


def one_step(x: Tensor, name: str, value: float, order: str) -> Tensor:
    given = {name: torch.full((len(x),), value)}
    if order == "random":
        given["order"] = torch.zeros(len(x), dtype=torch.int64)
    return coloured(x, given, numbers(**{name: 1.0}), PLAIN, order)


@pytest.mark.parametrize("order", ["fixed", "random"])
@pytest.mark.parametrize(("name", "kind"), [
    ("brightness", ImageEnhance.Brightness), ("contrast", ImageEnhance.Contrast), ("saturation", ImageEnhance.Color),
])  # fmt: skip
@pytest.mark.parametrize("factor", [0.4, 1.5])
def test_steps_are_those_of_pillow(name: str, kind: type, factor: float, order: str) -> None:
    x = (pixels(1) * 255).round() / 255
    picture = Image.fromarray((x[0] * 255).byte().permute(1, 2, 0).numpy())
    wanted = np.asarray(kind(picture).enhance(factor)).transpose(2, 0, 1) / 255
    found = one_step(x, name, factor, order).clamp(0, 1)[0]
    np.testing.assert_allclose(found, wanted, atol=2 * ROUNDED)


def test_hue_in_a_random_order_is_that_of_hsv() -> None:
    x = pixels(1, height=4, width=5)
    x[0, :, 0, 0], x[0, :, 0, 1] = 0.5, torch.tensor([0.0, 0.0, 0.7])
    for turn in (-0.4, 0.15, 0.5):
        found = one_step(x, "hue", turn, "random")
        for i in range(4):
            for j in range(5):
                h, s, v = colorsys.rgb_to_hsv(*x[0, :, i, j].double().tolist())
                wanted = colorsys.hsv_to_rgb((h + turn) % 1.0, s, v)
                np.testing.assert_allclose(found[0, :, i, j], wanted, atol=3e-6)
    assert torch.equal(one_step(x, "hue", 0.3, "random")[0, :, 0, 0], x[0, :, 0, 0])  # grey has no hue


def test_hue_in_the_fixed_order_turns_colours_about_grey_and_keeps_luma() -> None:
    x = pixels(1)
    luma = torch.tensor([0.299, 0.587, 0.114])
    third = one_step(x, "hue", 1 / 3, "fixed")
    assert torch.allclose(
        (third[0] * luma[:, None, None]).sum(0), (x[0] * luma[:, None, None]).sum(0), atol=1e-5
    )
    back = one_step(one_step(third, "hue", 1 / 3, "fixed"), "hue", 1 / 3, "fixed")
    assert torch.allclose(back, x, atol=1e-4)
    grey = torch.full((1, 3, 2, 2), 0.4)
    assert torch.allclose(one_step(grey, "hue", 0.2, "fixed"), grey, atol=1e-6)


def test_colours_are_changed_before_standardization() -> None:
    x = pixels(4)
    strengths = {"brightness": 0.5, "contrast": 0.4, "saturation": 0.3, "hue": 0.1, "pca": 0.1}
    for order in ("fixed", "random"):
        options = Augment(order=order)
        found = restored(batch(standardized(x), range(4), options=options, **strengths)[0])
        # principal colours of the same pixels
        plain = batch(x, range(4), options=options, plain=True, **strengths)[0]
        assert torch.allclose(found, plain, atol=3e-5)
        assert (plain != x).flatten(1).any(1).all()


def test_the_fixed_order_is_four_steps_one_after_the_other() -> None:
    x = pixels(3, seed=5)
    given = {"brightness": 0.7, "contrast": 1.3, "saturation": 0.6, "hue": 0.1}
    each = {name: torch.full((3,), value) for name, value in given.items()}
    at_once = coloured(x, each, numbers(**dict.fromkeys(given, 1.0)), PLAIN, "fixed")
    steps = x
    for name, value in given.items():
        steps = one_step(steps, name, value, "fixed")
    assert torch.allclose(at_once, steps, atol=1e-5)


def test_orders_are_equally_likely_and_change_the_result() -> None:
    words = Words(example_key(0, 0), torch.arange(4800))
    order = drawn_colour(words, numbers(hue=0.1), "random")["order"]
    assert stats.chisquare(torch.bincount(order, minlength=24).numpy()).pvalue > 1e-4
    x = pixels(24)
    each = {
        "brightness": torch.full((24,), 1.8),
        "contrast": torch.full((24,), 0.5),
        "order": torch.arange(24),
    }
    found = coloured(
        x[:1].expand(24, -1, -1, -1), each, numbers(brightness=1.0, contrast=1.0), PLAIN, "random"
    )
    first = [STEPS[next(i for i in order if i < 2)] for order in ORDERS]
    groups = {name: [i for i in range(24) if first[i] == name] for name in ("brightness", "contrast")}
    for rows in groups.values():
        assert torch.equal(found[rows[0]], found[rows[5]])
    assert not torch.equal(found[groups["brightness"][0]], found[groups["contrast"][0]])
    assert found.amin() >= 0.0
    assert found.amax() <= 1.0


def test_factors_are_uniform_from_what_is_left_above_0() -> None:
    words = Words(example_key(0, 0), torch.arange(4000))
    for strength, low in ((0.4, 0.6), (1.5, 0.0)):
        found = drawn_colour(words, numbers(contrast=strength), "fixed")["contrast"].numpy()
        assert stats.kstest(found, stats.uniform(low, 1 + strength - low).cdf).pvalue > 1e-4
    hue = drawn_colour(words, numbers(hue=0.2), "fixed")["hue"].numpy()
    assert stats.kstest(hue, stats.uniform(-0.2, 0.4).cdf).pvalue > 1e-4


def test_principal_colours_are_columns_and_scaled_by_eigenvalues() -> None:
    base = pixels(200, seed=1).transpose(0, 1).flatten(1) - 0.5
    made = torch.tensor([[0.5, 0.1, 0.0], [0.4, -0.1, 0.05], [0.3, 0.05, -0.1]]) @ base
    x = (made + 0.5).unflatten(1, (200, 8, 8)).transpose(0, 1)
    covariance = np.cov(x.transpose(0, 1).flatten(1).double().numpy(), bias=True)
    values, vectors = np.linalg.eigh(covariance)
    found = principal_colours(x, torch.ones(3, dtype=torch.float64)).double().numpy()
    np.testing.assert_allclose(found @ found.T, vectors @ np.diag(values**2) @ vectors.T, atol=1e-7)
    np.testing.assert_allclose(np.linalg.norm(found, axis=0).sum(), np.trace(covariance), rtol=1e-5)
    np.testing.assert_allclose(covariance @ found[:, 0], values[-1] * found[:, 0], atol=1e-7)
    # The noise of pictures: covariance .01 P diag(lambda^2) P^T.
    fixed = fixed_of(x, ["pca"])
    noise = (
        batch(x[:1].expand(6000, -1, -1, -1)[:, :, :1, :1], range(6000), plain=True, pca=0.0)[0] * 0
    ).flatten(1)
    words = Words(example_key(0, 0), torch.arange(6000))
    given = drawn_colour(words, numbers(pca=0.1), "fixed")
    flat = torch.zeros(6000, 3, 1, 1)
    noise = coloured(flat, given, numbers(pca=0.1), {**PLAIN, "pca": fixed["pca"]}, "fixed")[
        :, :, 0, 0
    ].numpy()
    wanted = 0.01 * vectors @ np.diag(values**2) @ vectors.T
    np.testing.assert_allclose(np.cov(noise.T), wanted, atol=0.08 * wanted.max())


def test_grey_pictures_have_brightness_contrast_and_noise() -> None:
    x = pixels(3, channels=1)
    for order in ("fixed", "random"):
        found = batch(
            x, range(3), plain=True, options=Augment(order=order), brightness=0.3, contrast=0.3, pca=0.5
        )[0]
        assert found.shape == x.shape
        assert (found != x).flatten(1).any(1).all()
    given = {"contrast": torch.full((3,), 0.0)}
    flat = coloured(
        x, given, numbers(contrast=1.0), {name: each[:1] for name, each in PLAIN.items()}, "fixed"
    )
    assert torch.allclose(flat, x.mean((2, 3), keepdim=True).expand_as(x), atol=1e-6)


def test_matrices_of_strength_0_are_the_identity() -> None:
    one = {
        "brightness": torch.ones(2),
        "contrast": torch.ones(2),
        "saturation": torch.ones(2),
        "hue": torch.zeros(2),
    }
    found = colour_matrix(one, numbers(**dict.fromkeys(one, 0.0)), PLAIN, 3)
    assert torch.equal(torch.stack([torch.stack(row) for row in found.matrix])[..., 0], torch.eye(3))
    assert not torch.stack([*found.offset, *(found.lift or ())]).any()


def test_a_pixel_below_0_has_a_hue_all_the_same() -> None:
    x = torch.tensor([0.0, -0.5, -0.5]).reshape(1, 3, 1, 1)
    for order in ("fixed", "random"):
        assert one_step(x, "hue", 0.3, order).isfinite().all()
