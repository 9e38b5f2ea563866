"""The same augmentations by other means: each takes rows of a source and returns a float32 batch.

torchvision, kornia and OpenCV are left out where they are not installed. Contenders draw their numbers their own way.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

Make = Callable[[Tensor], Any]
PAD, TURN, MOVE, SIZE, SHEAR, JITTER, HUE, CUT = 4, 15.0, 0.1, 0.2, 5.0, 0.4, 0.1, 0.5
RECIPES = ("flip", "flip + crop", "affine", "jitter", "recipe")
PARTS = {
    "flip": ("flip",),
    "flip + crop": ("flip", "crop"),
    "affine": ("affine",),
    "jitter": ("jitter",),
    "recipe": ("flip", "affine", "jitter", "cut"),
}


def installed(name: str) -> Any:
    """A module, or None where it is not installed or does not go with this PyTorch."""
    try:
        return importlib.import_module(name)
    except (ImportError, RuntimeError):
        return None


def rivals(x: Tensor, recipe: str) -> Iterator[tuple[str, Make]]:
    """Every contender that there is for a recipe, by name."""
    for name, make in (
        ("torchvision v2, in a loop", torchvision_loop),
        ("kornia", kornia_batch),
        ("OpenCV, in a loop", opencv_loop),
        ("batch_crop of airbench", airbench),
        ("JAX, jit and vmap", jax_batch),
    ):
        made = make(x, PARTS[recipe])
        if made is not None:
            yield name, made


def torchvision_loop(x: Tensor, parts: tuple[str, ...]) -> Make | None:
    if installed("torchvision") is None:
        return None
    v2 = importlib.import_module("torchvision.transforms.v2")
    height, width = x.shape[-2:]
    bilinear = importlib.import_module("torchvision.transforms").InterpolationMode.BILINEAR
    steps = {
        "flip": lambda: v2.RandomHorizontalFlip(0.5),
        "crop": lambda: v2.RandomCrop((height, width), padding=PAD, padding_mode="reflect"),
        "affine": lambda: v2.RandomAffine(
            TURN, (MOVE, MOVE), (1 - SIZE, 1 + SIZE), SHEAR, interpolation=bilinear
        ),
        "jitter": lambda: v2.ColorJitter(JITTER, JITTER, JITTER, HUE),
        "cut": lambda: v2.RandomErasing(1.0, (CUT**2, CUT**2), (1.0, 1.0)),
    }
    transform = v2.Compose([steps[part]() for part in parts])
    return lambda rows: torch.stack([transform(each) for each in x.index_select(0, rows)])


def kornia_batch(x: Tensor, parts: tuple[str, ...]) -> Make | None:
    if installed("kornia") is None:
        return None
    k = importlib.import_module("kornia.augmentation")
    height, width = x.shape[-2:]
    steps = {
        "flip": lambda: k.RandomHorizontalFlip(p=0.5),
        "crop": lambda: k.RandomCrop(
            (height, width), padding=PAD, padding_mode="reflect", cropping_mode="slice"
        ),
        "affine": lambda: k.RandomAffine(TURN, (MOVE, MOVE), (1 - SIZE, 1 + SIZE), (-SHEAR, SHEAR), p=1.0),
        "jitter": lambda: k.ColorJiggle(JITTER, JITTER, JITTER, HUE, p=1.0),
        "cut": lambda: k.RandomErasing((CUT**2, CUT**2), (1.0, 1.0), p=1.0),
    }
    transform = k.AugmentationSequential(*(steps[part]() for part in parts), data_keys=["input"])
    return lambda rows: transform(x.index_select(0, rows))


def airbench(x: Tensor, parts: tuple[str, ...]) -> Make | None:
    """Flips by `where`, crops by as many masked copies as there are shifts along each side (K. Jordan, 2024)."""
    if set(parts) - {"flip", "crop"}:
        return None
    height, width = x.shape[-2:]

    def make(rows: Tensor) -> Tensor:
        found = x.index_select(0, rows)
        if "flip" in parts:
            mask = (torch.rand(len(found)) < 0.5).view(-1, 1, 1, 1)
            found = torch.where(mask, found.flip(-1), found)
        if "crop" in parts:
            padded = F.pad(found, [PAD] * 4, "reflect")
            shifts = torch.randint(-PAD, PAD + 1, (len(found), 2))
            rows_cut = torch.empty(len(found), x.shape[1], height, width + 2 * PAD)
            for shift in range(-PAD, PAD + 1):
                mask = shifts[:, 0] == shift
                rows_cut[mask] = padded[mask, :, PAD + shift : PAD + shift + height]
            found = torch.empty_like(found)
            for shift in range(-PAD, PAD + 1):
                mask = shifts[:, 1] == shift
                found[mask] = rows_cut[mask, :, :, PAD + shift : PAD + shift + width]
        return found

    return make


def opencv_loop(x: Tensor, parts: tuple[str, ...]) -> Make | None:
    cv2 = installed("cv2")
    if cv2 is None:
        return None
    cv2.setNumThreads(torch.get_num_threads())
    source = np.ascontiguousarray(x.permute(0, 2, 3, 1).numpy())
    height, width = source.shape[1:3]
    rng = np.random.default_rng(0)

    def one(image: np.ndarray) -> np.ndarray:
        if "affine" in parts or "crop" in parts:
            matrix = np.eye(3)
            if "affine" in parts:
                a, s = np.deg2rad(rng.uniform(-TURN, TURN)), np.tan(np.deg2rad(rng.uniform(-SHEAR, SHEAR)))
                turn = np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]]) @ np.array(
                    [[1, s], [0, 1]]
                )
                turn = turn * rng.uniform(1 - SIZE, 1 + SIZE)
                middle = np.array([width - 1, height - 1]) / 2
                move = rng.uniform(-MOVE, MOVE, 2) * [width, height]
                matrix[:2, :2], matrix[:2, 2] = turn, middle - turn @ middle + move
            if "crop" in parts:
                matrix[:2, 2] += rng.integers(-PAD, PAD + 1, 2)
            border = cv2.BORDER_REFLECT_101
            image = cv2.warpAffine(
                image, matrix[:2], (width, height), flags=cv2.INTER_LINEAR, borderMode=border
            )
        if "flip" in parts and rng.random() < 0.5:
            image = cv2.flip(image, 1)
        if "jitter" in parts:
            b, c, s = rng.uniform(1 - JITTER, 1 + JITTER, 3)
            grey = np.array([0.2989, 0.587, 0.114])
            colour = (s * np.eye(3) + (1 - s) * grey) * b * c
            offset = (1 - c) * b * (np.array(cv2.mean(image)[:3]) @ grey)
            image = cv2.transform(
                image, np.column_stack([colour @ _hue(rng.uniform(-HUE, HUE)), [offset] * 3])
            )
        if "cut" in parts:
            half_y, half_x = int(height * CUT / 2), int(width * CUT / 2)
            y, x = rng.integers(height), rng.integers(width)
            image[max(0, y - half_y) : y + half_y, max(0, x - half_x) : x + half_x] = 0.5
        return image

    def make(rows: Tensor) -> Tensor:
        made = np.stack([one(source[row]) for row in rows.numpy()])
        return torch.from_numpy(np.ascontiguousarray(made.transpose(0, 3, 1, 2)))

    return make


_TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]])


def _hue(turns: float) -> np.ndarray:
    c, s = math.cos(2 * math.pi * turns), math.sin(2 * math.pi * turns)
    return np.linalg.inv(_TO_YIQ) @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]]) @ _TO_YIQ


def jax_batch(x: Tensor, parts: tuple[str, ...]) -> Make | None:
    """Written by hand as one would: a function of one picture and its key, under vmap and jit."""
    jax = installed("jax")
    if jax is None:
        return None
    jnp = jax.numpy
    source = jnp.asarray(x.numpy())
    channels, height, width = x.shape[1:]
    back = jnp.asarray(np.linalg.inv(_TO_YIQ), jnp.float32)
    there, grey = jnp.asarray(_TO_YIQ, jnp.float32), jnp.array([0.2989, 0.587, 0.114])

    def mirrored(place: Any, size: int) -> Any:
        place = jnp.abs(place) % (2 * size - 2)
        return jnp.minimum(place, 2 * size - 2 - place)

    def warped(key: Any, image: Any) -> Any:
        u = jax.random.uniform(key, (5,), minval=-1.0)
        a, t, size = jnp.deg2rad(TURN) * u[0], jnp.tan(jnp.deg2rad(SHEAR) * u[1]), 1 + SIZE * u[2]
        y, x = jnp.meshgrid(
            jnp.arange(height) - (height - 1) / 2, jnp.arange(width) - (width - 1) / 2, indexing="ij"
        )
        x, y = x - MOVE * width * u[3], y - MOVE * height * u[4]
        x, y = (jnp.cos(a) * x - jnp.sin(a) * y) / size, (jnp.sin(a) * x + jnp.cos(a) * y) / size
        x = mirrored(x + t * y + (width - 1) / 2, width)
        y = mirrored(y + (height - 1) / 2, height)
        left, top = jnp.floor(x), jnp.floor(y)
        along, down = x - left, y - top
        left, top = left.astype(jnp.int32), top.astype(jnp.int32)
        right, bottom = jnp.minimum(left + 1, width - 1), jnp.minimum(top + 1, height - 1)
        upper = image[:, top, left] * (1 - along) + image[:, top, right] * along
        lower = image[:, bottom, left] * (1 - along) + image[:, bottom, right] * along
        return upper * (1 - down) + lower * down

    def coloured(key: Any, image: Any) -> Any:
        u = jax.random.uniform(key, (4,), minval=-1.0)
        b, c, s = 1 + JITTER * u[0], 1 + JITTER * u[1], 1 + JITTER * u[2]
        angle = 2 * jnp.pi * HUE * u[3]
        cos, sin = jnp.cos(angle), jnp.sin(angle)
        turn = back @ jnp.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]]) @ there
        matrix = turn @ (s * jnp.eye(3) + (1 - s) * grey) * (b * c)
        offset = (1 - c) * b * (image.mean((1, 2)) @ grey)
        return jnp.einsum("ij,jhw->ihw", matrix, image) + offset

    def cut(key: Any, image: Any) -> Any:
        y, x = jax.random.randint(key, (2,), 0, jnp.array([height, width]))
        rows = jnp.abs(jnp.arange(height) - y) < height * CUT / 2
        columns = jnp.abs(jnp.arange(width) - x) < width * CUT / 2
        return jnp.where(rows[:, None] & columns, 0.5, image)

    def moved(key: Any, image: Any) -> Any:
        keys = jax.random.split(key, 5)
        if "flip" in parts:  # first: after it, XLA would compute the rest twice
            image = jnp.where(jax.random.bernoulli(keys[2]), image[..., ::-1], image)
        if "affine" in parts:
            image = warped(keys[0], image)
        if "crop" in parts:
            padded = jnp.pad(image, ((0, 0), (PAD, PAD), (PAD, PAD)), mode="reflect")
            y, x = jax.random.randint(keys[1], (2,), 0, 2 * PAD + 1)
            image = jax.lax.dynamic_slice(padded, (0, y, x), (channels, height, width))
        return image

    def changed(key: Any, image: Any) -> Any:
        keys = jax.random.split(key, 5)
        if "jitter" in parts:
            image = coloured(keys[3], image)
        return cut(keys[4], image) if "cut" in parts else image

    def keys_of(rows: Any, epoch: Any) -> Any:
        key = jax.random.fold_in(jax.random.key(0), epoch)
        return jax.vmap(lambda row: jax.random.fold_in(key, row))(rows)

    # Two programs: in one, XLA reads the source again for each later use of a pixel, and takes ten times as long.
    first = jax.jit(lambda source, rows, epoch: jax.vmap(moved)(keys_of(rows, epoch), source[rows]))
    second = jax.jit(lambda images, rows, epoch: jax.vmap(changed)(keys_of(rows, epoch), images))
    two = bool({"jitter", "cut"} & set(parts))

    def make(rows: Tensor) -> Any:
        places = jnp.asarray(rows.numpy())
        images = first(source, places, 3)
        return (second(images, places, 3) if two else images).block_until_ready()

    return make
