"""What timm knows of its models by name: where their weights are, and what pictures they are fed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

from ravine.backbones.hub import WEIGHTS, fetched
from ravine.errors import ModelError, choices, nearest


@lru_cache(maxsize=32)
def timm_config(name: str) -> Mapping[str, Any]:
    """The ``pretrained_cfg`` of a model.

    Args:
        name: with or without the tag of its weights.

    Raises:
        ModelError: timm is not installed, or has no such model.
    """
    try:
        import timm
    except ImportError:
        raise ModelError(f'model: "timm:{name}" needs timm: pip install "ravine[timm]"') from None
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        near = nearest(architecture, timm.list_models())
        raise ModelError(f'model: timm has no "{name}"{f"; did you mean {near!r}?" if near else ""}')
    config = timm.get_pretrained_cfg(name) if not tag or timm.is_model_pretrained(name) else None
    if config is None:
        tags = [each.partition(".")[2] for each in timm.list_pretrained(architecture)]
        raise ModelError(f'model: timm has no weights "{tag}" of {architecture}; {choices(tag, tags)}')
    return asdict(config)


def timm_file(name: str) -> Path:
    """The file with the weights of a model.

    Raises:
        ModelError: it has none on the hub, or the hub cannot be reached.
    """
    where = f'model.weights = "timm:{name}"'
    config = timm_config(name)
    repository = config.get("hf_hub_id")
    if not repository:
        raise ModelError(f"{where}: timm has no weights of it on the hub; give target, and weights of a file")
    at, _, revision = str(repository).partition("@")
    file = fetched(at, revision or None, config.get("hf_hub_filename") or WEIGHTS, where)
    assert file is not None, "a file that is not optional is there"
    return file
