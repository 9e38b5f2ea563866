"""How pictures are brought to a network that has learned elsewhere, as its weights want them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, TypeAlias

Resize: TypeAlias = Literal["cover", "squash"]
Interpolation: TypeAlias = Literal["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"]
Channels: TypeAlias = Literal["rgb", "bgr"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """Preprocessing that belongs to a network's weights.

    A picture is scaled to ``size / crop`` (`scaled`), cropped to ``size`` around its middle, and its bytes v become
    ``(low + v / 255 * (high - low) - mean) / std``.

    Args:
        size: (height, width) that the network is fed; None: the weights don't say it.
        crop: share of the scaled picture's side that is kept, in (0, 1].
        resize: "cover": scaled until its shorter side is long enough, its shape kept; "squash": both sides are scaled.
        interpolation: how it is scaled, with antialiasing, as Pillow does.
        mean: of each channel, or one for all.
        std: the same.
        low, high: what 0 and 255 become before `mean` is taken off.
        channels: their order.

    Example:
        >>> sheet = Sheet(size=(224, 224), crop=0.875, mean=(0.5,), std=(0.5,))
        >>> sheet.scaled, sheet.values
        ((256, 256), (-1.0, 1.0))
    """

    size: tuple[int, int] | None = None
    crop: float = 1.0
    resize: Resize = "cover"
    interpolation: Interpolation = "bicubic"
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    low: float = 0.0
    high: float = 1.0
    channels: Channels = "rgb"

    @property
    def scaled(self) -> tuple[int, int] | None:
        """(height, width) that a picture is scaled to, or has to cover, before it is cropped."""
        if self.size is None:
            return None
        height, width = self.size
        return int(height / self.crop), int(width / self.crop)

    @property
    def values(self) -> tuple[float, float]:
        """The smallest and the largest value that the network can be fed."""
        ends = [
            (end - mean) / std
            for mean, std in zip(self.mean, self.std, strict=True)
            for end in (self.low, self.high)
        ]
        return min(ends), max(ends)

    def at(self, size: int | tuple[int, int] | None) -> Sheet:
        """The same at another size; of None the same."""
        if size is None:
            return self
        return replace(self, size=(size, size) if isinstance(size, int) else size)

    def plain(self) -> dict[str, Any]:
        """It as JSON has it."""
        return {
            key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()
        }
