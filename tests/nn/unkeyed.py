"""Which random numbers of a module's forward pass no key reaches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from ravine.nn.example import example_pass
from ravine.nn.stochastic import set_keyed, stochastic_modules
from ravine.rng import draws


def unkeyed_randomness(module: nn.Module, input_shape: tuple[int, ...]) -> list[str]:
    """Watches one training pass for operators that draw from torch's generator.

    It sees what is really drawn, be it in a layer (`nn.RReLU`, `nn.LSTM(dropout=0.1)`), in a function
    (`F.dropout`) or in the user's own code; a branch not taken in this pass goes unseen. Such a model cannot
    be trained as a pure function of its seed by keys alone.

    Args:
        module: left as it was; on any device.
        input_shape: of one example.

    Returns:
        For each kind of draw, where and what: ``"0 (RReLU): aten.rrelu_with_noise"``; empty if there is none.
    """
    watch = _Watch()
    layers = [m for _, m in stochastic_modules(module)]
    before = [m.keyed for m in layers]
    set_keyed(module)  # the keys of these come from outside
    hooks = []
    for name, m in module.named_modules():
        label = f"{name or 'model'} ({type(m).__name__})"
        hooks.append(m.register_forward_pre_hook(lambda *_, label=label: watch.where.append(label)))
        hooks.append(m.register_forward_hook(lambda *_: (watch.where.pop(), None)[1], always_call=True))
    try:
        with watch:
            example_pass(module, input_shape, training=True)
    finally:
        for hook in hooks:
            hook.remove()
        for m, keyed in zip(layers, before, strict=True):
            m.keyed = keyed
    return list(dict.fromkeys(watch.found))


class _Watch(TorchDispatchMode):
    """Notes each operator that draws, with the innermost module that runs it."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Torch would import all of its compiler here (0.9 s) only to tell it to stay away."""
        return False

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.where: list[str] = []
        self.found: list[str] = []

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if draws(func, args, kwargs):
            self.found.append(
                f"{self.where[-1] if self.where else 'model'}: aten.{func.overloadpacket.__name__}"
            )
        return func(*args, **kwargs)
