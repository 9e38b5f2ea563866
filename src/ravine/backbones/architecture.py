"""The network of a backbone as it is, before it is cut."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ravine import rng
from ravine.backbones.hub import CONFIG, hub_file
from ravine.backbones.kinds import architecture_of, hub_config, is_timm, without_classes
from ravine.backbones.lite0 import EfficientNetLite0
from ravine.backbones.lite0_names import own_name
from ravine.dispatch import OperationMode
from ravine.errors import ModelError, in_a_line
from ravine.messages import shown
from ravine.nn.replacing import keyed
from ravine.nn.spec import Backbone
from ravine.nn.stochastic import stochastic_modules
from ravine.nn.target import call_factory, find_factory

# Arguments of timm's that would read files or the network, or return something else than a network.
_NOT_FROM_US = (
    "cache_dir",
    "checkpoint_path",
    "exportable",
    "features_only",
    "pretrained",
    "pretrained_cfg",
    "pretrained_cfg_overlay",
    "scriptable",
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Architecture:
    """A whole network, and how files name its tensors.

    Args:
        net: the network.
        renamed: its name of a tensor, of what a file calls it.
        beside: how the names of tensors begin that a file may have and the network has no use for.
    """

    net: nn.Module
    renamed: Callable[[str], str] = str
    beside: tuple[str, ...] = ()


def architecture(spec: Backbone, search: Path | None, *, empty: bool = False) -> Architecture:
    """The whole network, with numbers from torch's generator.

    Args:
        spec: of the backbone.
        search: the study's folder.
        empty: whether every number will be given, so that none need be drawn.

    Raises:
        ModelError: it cannot be found or built.
    """
    source, name = architecture_of(spec)
    if source == "target":
        return Architecture(net=call_factory(find_factory(name, search, spec.trust), spec.args, search))
    with Undrawn() if empty else nullcontext():
        return _of_library(spec, source, name, search)


def _of_library(spec: Backbone, source: str, name: str, search: Path | None) -> Architecture:
    if source == "builtin":
        return Architecture(net=EfficientNetLite0(), renamed=own_name)
    if source == "timm":
        return Architecture(net=_timm(name.partition(".")[0], spec.args))
    config = hub_config(spec, search)
    if is_timm(config):
        return Architecture(net=_timm(config["architecture"], without_classes(config)))
    return Architecture(net=_transformers(name, search)[0], beside=("pooler.",))


class Undrawn(OperationMode):
    """Within it nothing is drawn: what would be is 0. Drawing millions of numbers takes longer than reading them.

    PyTorch's way, a network on the device "meta", imports its compiler, which takes longer still.
    """

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = dict(kwargs or {})
        if rng.draws(func, args, kwargs) and func._schema.name.endswith("_"):
            return args[0].zero_()
        return func(*args, **kwargs)


def _timm(name: str, args: Mapping[str, Any]) -> nn.Module:
    try:
        import timm
    except ImportError:
        raise ModelError(f'model: "timm:{name}" needs timm: pip install "ravine[timm]"') from None
    for key in args:
        if key in _NOT_FROM_US:
            raise ModelError(f"model.args.{key}: cannot be given: weights say where the numbers come from")
    if not timm.is_model(name):
        raise ModelError(f"model: timm {timm.__version__} has no architecture {shown(name)}")
    try:
        net = timm.create_model(name, pretrained=False, **args)
    except Exception as error:  # noqa: BLE001 (whatever an argument of the user's makes of it)
        raise ModelError(f"model: timm's {name} cannot be built: {in_a_line(error)}") from None
    return net  # type: ignore[no-any-return]


def stored_tensors(name: str, search: Path | None) -> dict[str, Tensor]:
    """The tensors of a repository or a folder by the network's names, which transformers makes of those in the file.

    Args:
        name: of the repository or the folder.
        search: the study's folder.

    Raises:
        ModelError: they cannot be read.
    """
    net, about = _transformers(name, search, read=True)
    lacking = set(about["missing_keys"])
    found = {key: each for key, each in net.state_dict().items() if key not in lacking}
    return {**found, **{key: torch.zeros(()) for key in about["unexpected_keys"]}}


def _transformers(name: str, search: Path | None, *, read: bool = False) -> tuple[nn.Module, dict[str, Any]]:
    """A network of transformers; with its weights, and what transformers says of them, where they are to be read."""
    try:
        from transformers import AutoConfig, AutoModelForImageClassification
        from transformers.utils import logging
    except ImportError:
        raise ModelError(f'model: "hf:{name}" needs transformers: pip install "ravine[hub]"') from None
    file = hub_file(name, CONFIG, search)
    assert file is not None, "a file that is not optional is there"
    ours: dict[str, Any] = {"trust_remote_code": False}
    about: dict[str, Any] = {}
    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        config = AutoConfig.from_pretrained(file.parent, local_files_only=True, **ours)
        if read:
            net, about = AutoModelForImageClassification.from_pretrained(
                file.parent,
                config=config,
                local_files_only=True,
                use_safetensors=True,
                output_loading_info=True,
                **ours,
            )
        else:
            net = AutoModelForImageClassification.from_config(config, **ours)
    except Exception as error:  # noqa: BLE001 (whatever a configuration makes of it)
        raise ModelError(
            f'model: "hf:{name}" is no image classifier that transformers builds: {in_a_line(error)}'
        ) from None
    finally:
        logging.set_verbosity(before[0])
        if before[1]:
            logging.enable_progress_bar()
    return net.float(), about


def keyed_body(body: nn.Module) -> nn.Module:
    """A body whose own random layers are keyed, and keep their rates whatever the study gives to their kind."""
    body = keyed(body)
    for _, layer in stochastic_modules(body):
        layer.own_rate = True
        # Attention hands this number of its dropout on to PyTorch's own function.
        layer.p = float(layer.rate)  # type: ignore[assignment]
    return body
