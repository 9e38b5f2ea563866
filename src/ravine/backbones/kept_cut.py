"""Where a network of ravine's own is cut, remembered from one process to the next: a pass need not show it again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from ravine.backbones.cut import Cut
from ravine.backbones.kinds import architecture_of
from ravine.cached import find, keep
from ravine.nn.spec import Backbone
from ravine.version import sources

_KIND = "cuts"  # of the cache
_MOST_BYTES = 1 << 22


def kept_cut(spec: Backbone, input_shape: tuple[int, ...], look: Callable[[], Cut]) -> Cut:
    """The cut of a backbone, out of the cache or found, and kept there.

    Args:
        spec: the backbone; one with code or files of the user's, which may change, is always looked at.
        input_shape: of one example.
        look: finds it by a pass.
    """
    if not spec.is_built_in:
        return look()
    key = _key(spec, input_shape)
    arrays = find(_KIND, key).arrays
    if arrays is not None:
        found = json.loads(arrays["json"].tobytes())
        given: dict[str, Any] = {name: tuple(x) if isinstance(x, list) else x for name, x in found.items()}
        return Cut(**given)
    cut = look()
    text = json.dumps(asdict(cut)).encode()
    keep(_KIND, key, {"json": np.frombuffer(text, np.uint8)}, most=_MOST_BYTES)
    return cut


def _key(spec: Backbone, input_shape: tuple[int, ...]) -> dict[str, Any]:
    return {
        "network": list(architecture_of(spec)),
        "cut": spec.cut,
        "input": list(input_shape),
        "by": f"PyTorch {torch.__version__}, ravine {sources()}",
    }
