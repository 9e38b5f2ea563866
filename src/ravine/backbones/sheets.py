"""Preprocessing as others write it down: timm's ``pretrained_cfg``, and transformers' ``preprocessor_config.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from ravine.data.sheet import Interpolation, Resize, Sheet
from ravine.errors import ModelError
from ravine.messages import as_float, shown

_PILLOW: Sequence[Interpolation] = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")
_LARGEST = 4096


def of_timm(content: Mapping[str, Any], where: str) -> Sheet:
    """The preprocessing of timm's evaluation.

    Args:
        content: a ``pretrained_cfg``.
        where: whose, for errors.

    Raises:
        ModelError: a value is not understood.

    Example:
        >>> of_timm({"input_size": [3, 224, 224], "crop_pct": 0.9, "interpolation": "bicubic"}, "x").scaled
        (248, 248)
    """
    sides = content.get("input_size") or (3, 224, 224)
    if not isinstance(sides, list | tuple) or len(sides) != 3:
        raise _unclear(where, "input_size", sides)
    mode = content.get("crop_mode") or "center"
    if mode not in ("center", "squash"):
        raise _unclear(where, "crop_mode", mode)
    return Sheet(
        size=(_side(where, "input_size", sides[1]), _side(where, "input_size", sides[2])),
        crop=_share(where, "crop_pct", content.get("crop_pct") or 1.0),
        resize="squash" if mode == "squash" else "cover",
        interpolation=_interpolation(where, content.get("interpolation") or "bicubic"),
        mean=_each(where, "mean", content.get("mean") or (0.485, 0.456, 0.406)),
        std=_each(where, "std", content.get("std") or (0.229, 0.224, 0.225), above=0.0),
    )


def of_transformers(content: Mapping[str, Any], where: str) -> Sheet:
    """The preprocessing of an image processor of transformers.

    Args:
        content: a ``preprocessor_config.json``.
        where: the file, for errors.

    Raises:
        ModelError: a value is not understood.

    Example:
        >>> of_transformers({"size": {"shortest_edge": 256}, "crop_size": 224, "resample": 2}, "x").scaled
        (256, 256)
    """
    size, edge = _sides(where, "size", content.get("size", 224))
    crop = 1.0
    resize: Resize = "cover" if edge else "squash"
    if content.get("do_center_crop", "crop_size" in content):
        cropped, _ = _sides(where, "crop_size", content.get("crop_size", 224))
        crop, size = min(1.0, cropped[0] / size[0]), cropped
    elif "crop_pct" in content and content["crop_pct"] is not None:
        crop = _share(where, "crop_pct", content["crop_pct"])
    code = content.get("resample", 2)
    if isinstance(code, bool) or not isinstance(code, int) or not 0 <= code < len(_PILLOW):
        raise _unclear(where, "resample", code)
    factor = as_float(content.get("rescale_factor", 1 / 255)) if content.get("do_rescale", True) else 1.0
    if factor is None or not 0.0 < factor < 1e6:
        raise _unclear(where, "rescale_factor", content["rescale_factor"])
    high = 1.0 if abs(factor * 255 - 1.0) < 1e-9 else factor * 255
    normal = content.get("do_normalize", True)
    return Sheet(
        size=size,
        crop=crop,
        resize=resize,
        interpolation=_PILLOW[code],
        mean=_each(where, "image_mean", content.get("image_mean") or (0.5, 0.5, 0.5))
        if normal
        else (0.0,) * 3,
        std=_each(where, "image_std", content.get("image_std") or (0.5, 0.5, 0.5), above=0.0)
        if normal
        else (1.0,) * 3,
        high=high,
    )


def _sides(where: str, key: str, value: Any) -> tuple[tuple[int, int], bool]:
    """(height, width), and whether only the shorter side is given."""
    if isinstance(value, Mapping):
        if "shortest_edge" in value:
            side = _side(where, key, value["shortest_edge"])
            return (side, side), True
        if "height" in value and "width" in value:
            return (_side(where, key, value["height"]), _side(where, key, value["width"])), False
        raise _unclear(where, key, value)
    side = _side(where, key, value)
    return (side, side), False


def _side(where: str, key: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= _LARGEST:
        raise _unclear(where, key, value)
    return value


def _share(where: str, key: str, value: Any) -> float:
    number = as_float(value)
    if number is None or not 0.0 < number <= 1.0:
        raise _unclear(where, key, value)
    return number


def _each(where: str, key: str, value: Any, above: float = -1e6) -> tuple[float, ...]:
    numbers = [as_float(each) for each in value] if isinstance(value, list | tuple) else []
    if len(numbers) not in (1, 3) or not all(each is not None and above < each < 1e6 for each in numbers):
        raise _unclear(where, key, value)
    found = tuple(cast(list[float], numbers))
    return found * 3 if len(found) == 1 else found


def _interpolation(where: str, value: Any) -> Interpolation:
    if value == "random":  # bilinear or bicubic in training
        return "bicubic"
    for each in _PILLOW:
        if value == each:
            return each
    raise _unclear(where, "interpolation", value)


def _unclear(where: str, key: str, value: Any) -> ModelError:
    return ModelError(
        f"{where}: {key} = {shown(value)} is not understood; give the preprocessing in model.input"
    )
