"""What files call the tensors of EfficientNet-Lite0."""

from __future__ import annotations

import re

# Blocks of each stage, which timm numbers within their stage.
_REPEATS = (1, 2, 2, 3, 3, 4, 1)
_PACKAGE = {
    "_conv_stem": "stem.conv",
    "_bn0": "stem.norm",
    "_conv_head": "top.conv",
    "_bn1": "top.norm",
    "_fc": "classifier",
}
_PACKAGE_BLOCK = {
    "_expand_conv": "expand.conv",
    "_bn0": "expand.norm",
    "_depthwise_conv": "depthwise.conv",
    "_bn1": "depthwise.norm",
    "_project_conv": "project.conv",
    "_bn2": "project.norm",
}
_TIMM = {"conv_stem": "stem.conv", "bn1": "stem.norm", "conv_head": "top.conv", "bn2": "top.norm"}
_TIMM_FIRST = {
    "conv_dw": "depthwise.conv",
    "bn1": "depthwise.norm",
    "conv_pw": "project.conv",
    "bn2": "project.norm",
}
_TIMM_BLOCK = {
    "conv_pw": "expand.conv",
    "bn1": "expand.norm",
    "conv_dw": "depthwise.conv",
    "bn2": "depthwise.norm",
    "conv_pwl": "project.conv",
    "bn3": "project.norm",
}


def own_name(name: str) -> str:
    """The name of a tensor here, of what the package of its weights or timm calls it; another stays as it is.

    Example:
        >>> own_name("_blocks.1._bn0.weight"), own_name("blocks.1.0.bn1.weight"), own_name("stem.conv.weight")
        ('blocks.1.layers.expand.norm.weight', 'blocks.1.layers.expand.norm.weight', 'stem.conv.weight')
    """
    layer, _, tensor = name.rpartition(".")
    if block := re.fullmatch(r"_blocks\.(\d+)\.(\w+)", layer):
        inside, number = _PACKAGE_BLOCK.get(block[2]), int(block[1])
    elif block := re.fullmatch(r"blocks\.(\d)\.(\d)\.(\w+)", layer):
        stage = int(block[1])
        inside = (_TIMM_BLOCK if stage else _TIMM_FIRST).get(block[3])
        number = sum(_REPEATS[:stage]) + int(block[2])
    else:
        whole = _PACKAGE.get(layer) or _TIMM.get(layer)
        return f"{whole}.{tensor}" if whole else name
    return f"blocks.{number}.layers.{inside}.{tensor}" if inside else name
