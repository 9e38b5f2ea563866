"""How an image becomes bytes (C, H, W): as a study's data say, or as the sheet of a network's weights does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from ravine.data.scale import Scaling
from ravine.data.sheet import Sheet
from ravine.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

Pixels = npt.NDArray[np.uint8]
Order = Literal["as it is", "grey", "channels last"]
GREY = frozenset({"1", "L"})
CHANNELS = 3  # of what a sheet makes
_MOST_PIXELS = 1 << 26  # that a picture may be scaled to before it is cropped: 200 MB on each core


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageReading:
    """How a file becomes bytes (C, H, W).

    Args:
        shape: (C, H, W): one channel is grey, three are colours.
        fit: scale to cover (H, W) and crop around the centre; else every image must have that size.
    """

    shape: tuple[int, int, int]
    fit: bool = False

    def bytes_of(self, image: Image.Image) -> Pixels:
        """An upright image, grey or in colours, as bytes.

        Raises:
            DataError: it has another size, or colours where the others are grey.
        """
        from PIL import Image, ImageOps

        channels, height, width = self.shape
        if self.fit:
            image = ImageOps.fit(image, (width, height), method=Image.Resampling.BICUBIC)
        array = np.asarray(image, dtype=np.uint8)
        if array.shape[:2] != (height, width):
            raise DataError(f"{array.shape[0]} x {array.shape[1]} pixels, {height} x {width} are needed")
        if channels == 1 and array.ndim == 3:
            raise DataError("has colours; the images of the data set are grey")
        return array[None] if channels == 1 else _coloured(array)

    def key(self) -> dict[str, Any]:
        """All that the bytes of an image depend on, but for whether it is grey."""
        return {"size": list(self.shape[1:]) if self.fit else None}


@dataclass(frozen=True, slots=True, kw_only=True)
class SheetReading:
    """How a file, or a picture in an array, becomes bytes (3, H, W) for a network that has learned elsewhere.

    Args:
        sheet: what its weights say; it names a size.
        order: how the axes of arrays of pictures come.
    """

    sheet: Sheet
    order: Order = "as it is"

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        assert self.sheet.size is not None, "a sheet without a size is refused where it is given"
        return (CHANNELS, *self.sheet.size)

    @property
    def fit(self) -> bool:
        """Images of any size will do."""
        return True

    def bytes_of(self, image: Image.Image) -> Pixels:
        """An upright image, grey or in colours, as bytes: scaled, cropped, and its channels in order.

        Raises:
            DataError: it is so narrow that scaled to cover the size it would not fit into memory.
        """
        array = _coloured(np.asarray(self.resized(image), dtype=np.uint8))
        return array[::-1] if self.sheet.channels == "bgr" else array

    def resized(self, image: Image.Image) -> Image.Image:
        """An image scaled and cropped, by Pillow, whose scaling has no aliasing; sizes as torchvision rounds them."""
        from PIL import Image

        assert self.sheet.scaled is not None, "a sheet without a size is refused where it is given"
        _, height, width = self.shape
        tall, wide = self.sheet.scaled
        if self.sheet.resize == "cover":
            if tall * image.width >= wide * image.height:
                wide = tall * image.width // image.height
            else:
                tall = wide * image.height // image.width
        if wide * tall > _MOST_PIXELS:
            raise DataError(
                f"{image.height:,} x {image.width:,} pixels, which would be {tall:,} x {wide:,} when scaled; crop it, "
                'or give input = { resize = "squash" } or a larger crop'
            )
        if (wide, tall) != image.size:
            image = image.resize((wide, tall), Image.Resampling[self.sheet.interpolation.upper()])
        left, top = round((wide - width) / 2), round((tall - height) / 2)
        return image.crop((left, top, left + width, top + height))

    def scaling(self) -> Scaling:
        """What becomes of the bytes: ``(low + v / 255 (high - low) - mean) / std``."""
        sheet = self.sheet
        byte = (sheet.high - sheet.low) / 255
        mean, std = ((each * CHANNELS if len(each) == 1 else each) for each in (sheet.mean, sheet.std))
        return Scaling(
            values="bytes",
            shape=(CHANNELS, 1, 1),
            mean=tuple((each - sheet.low) / byte for each in mean),
            deviation=tuple(each / byte for each in std),
            table=True,
        )

    def key(self) -> dict[str, Any]:
        """All that the bytes of an image depend on: they are the same for every mean and deviation."""
        scaled = {
            name: self.sheet.plain()[name] for name in ("size", "crop", "resize", "interpolation", "channels")
        }
        return {"sheet": scaled}


Reading = ImageReading | SheetReading


def _coloured(array: Pixels) -> Pixels:
    colours = array if array.ndim == 3 else np.repeat(array[..., None], CHANNELS, axis=2)
    return np.asarray(colours.transpose(2, 0, 1))
