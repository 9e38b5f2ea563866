"""Pictures as they are shown: what a model takes, no longer scaled, as bytes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ravine.data import Dataset
from ravine.data.as_read import unscaled


def pixels(data: Dataset, x: np.ndarray, clean: np.ndarray | None = None) -> npt.NDArray[np.uint8]:
    """A picture as it is shown, (H, W, 1 or 3).

    Args:
        data: its data set, which knows how it was scaled.
        x: as a model takes it, (C, H, W).
        clean: the example whose range is taken for that of the picture, where the data do not say one; None: x.
    """
    scaling = data.known_preparation.inputs.scaling
    raw = unscaled(scaling, x)
    low, high = 0.0, 255.0 if scaling.table else 1.0
    if scaling.values == "float32" or not scaling.mean:
        known = raw if clean is None else unscaled(scaling, clean)
        if known.min() < low - 1e-3 or known.max() > high + 1e-3:  # of no known range
            low, high = float(known.min()), float(known.max())
    shown = np.clip((raw - low) / max(high - low, 1e-12), 0.0, 1.0)
    bytes_HWC = np.rint(255.0 * shown).astype(np.uint8).transpose(1, 2, 0)
    return bytes_HWC if bytes_HWC.shape[-1] in (1, 3) else bytes_HWC[..., :1]
