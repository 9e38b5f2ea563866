"""The contract of every layer that is random in training and averaged at test, and of its three modes.

- ``sample``: draw, as in training. The default of `train()`.
- ``mean``: the cheap deterministic test-time pass. The default of `eval()`.
- ``mc``: draw although the module is in eval mode; the outputs of n such passes, each with its own key, are
  averaged.

A stochastic layer has two buffers: `rate`, how random it is, and `key`, which names its draw (see `ravine.rng`). They
are tensors so that they may differ run by run inside one vmapped program: the engine supplies both through
`torch.func.functional_call` and sets `keyed`. In any other PyTorch program a layer is not keyed, and takes a fresh key
from torch's generator at each call.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import ClassVar, Literal, TypeVar

import torch
from torch import Tensor, nn

from ravine import rng

Mode = Literal["sample", "mean", "mc"]
_Word = TypeVar("_Word", bound=str)


class Stochastic(nn.Module, ABC):
    """A layer that is random in training: a subclass defines one random pass and the mean pass.

    Attributes:
        kind: what a study calls the rate of such layers, one of `ravine.nn.spec.RATES`; it names their streams too.
        share: what a rate that a study gives to the kind is multiplied by in this layer.
        own_rate: whether it keeps its rate whatever a study gives to the kind; a pattern reaches it all the same.
        rate: float32 buffer, 0-d. Each layer defines what it means, but 0 is not random at all.
        key: int64 buffer, 0-d; used where the layer is `keyed`, else a fresh key is drawn at each call.
        keyed: whether `key` is supplied from outside. Structure, not a number: set once, before tracing.
        mode: overrides the choice of `train()` and `eval()`; None leaves it to them.
    """

    kind: ClassVar[str]
    rate: Tensor
    key: Tensor

    def __init__(self, rate: float) -> None:
        super().__init__()
        # Neither is learned: the state dict is that of a module with torch's own layers.
        self.register_buffer("rate", torch.tensor(float(rate), dtype=torch.float32), persistent=False)
        self.register_buffer("key", torch.tensor(-1, dtype=torch.int64), persistent=False)
        self.keyed = False
        self.mode: Mode | None = None
        self.share = 1.0
        self.own_rate = False

    @property
    def rate_at_test(self) -> bool:
        """Whether the mean pass depends on the rate: a run's weights then are of use only with it."""
        return False

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Stochastic:
        """As of any module, but the rate stays float32: a shorter type has no such probabilities, nor 2^32 words."""
        before = self.rate
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if self.rate.dtype != before.dtype:
            self.rate = before.to(self.rate.device)
        return self

    @abstractmethod
    def sample(self, x: Tensor, key: Tensor) -> Tensor:
        """One random pass, a pure function of x, the rate and the key."""

    @abstractmethod
    def mean(self, x: Tensor) -> Tensor:
        """The deterministic pass at test time."""

    def forward(self, x: Tensor) -> Tensor:
        """The pass of the current mode."""
        return self.sample(x, self.next_key(x.device)) if self.draws else self.mean(x)

    @property
    def draws(self) -> bool:
        """Whether the next pass is a random one."""
        return self.training if self.mode is None else self.mode != "mean"

    def next_key(self, device: torch.device) -> Tensor:
        """The key of the next pass, 0-d: the one that was supplied, or a fresh one."""
        return self.key if self.keyed else fresh_key(device)

    def extra_repr(self) -> str:
        """Shown by `print(module)`."""
        rate = f"rate={self.rate.item():g}" if self.rate.device.type != "meta" else "rate=?"
        return rate + (", keyed" if self.keyed else "") + (f", mode={self.mode}" if self.mode else "")


def checked_rate(layer: str, rate: float) -> float:
    """The rate of a layer, which lies in [0, 1].

    Args:
        layer: its class, for errors.
        rate: what the user gave.

    Raises:
        ValueError: it does not.
    """
    try:
        inside = bool(0 <= rate <= 1)
    except (TypeError, ValueError, RuntimeError):  # not a number, or several
        inside = False
    if not inside:
        raise ValueError(f"{layer}: rate must be a number in [0, 1], not {rate!r}")
    return rate


def checked_word(layer: str, name: str, word: _Word, allowed: Sequence[_Word]) -> _Word:
    """One of a layer's words.

    Args:
        layer: its class, for errors.
        name: of the argument.
        word: what the user gave.
        allowed: the words.

    Raises:
        ValueError: it is none of them.
    """
    if word not in allowed:
        raise ValueError(f"{layer}: {name} must be one of {', '.join(map(repr, allowed))}, not {word!r}")
    return word


def fresh_key(device: torch.device | None = None) -> Tensor:
    """A key from torch's own generator, where any PyTorch layer takes its random numbers from.

    Args:
        device: whose generator.

    Returns:
        0-d int64 key in [0, 2^62).

    Example:
        >>> bool(fresh_key() >= 0)
        True
    """
    return torch.randint(0, 2**62, (), dtype=torch.int64, device=device)


def stochastic_modules(module: nn.Module) -> list[tuple[str, Stochastic]]:
    """All stochastic layers of a module with their names, each once.

    Args:
        module: any module; if it is itself stochastic, its name is "".

    Returns:
        (name, layer) in the order of `module.named_modules()`.

    Example:
        >>> from ravine.nn.dropout import Dropout
        >>> [name for name, _ in stochastic_modules(nn.Sequential(nn.Linear(2, 2), Dropout(0.5)))]
        ['1']
    """
    return [(name, m) for name, m in module.named_modules() if isinstance(m, Stochastic)]


def kinds_of(module: nn.Module) -> dict[str, str]:
    """The kind of each stochastic layer, by name.

    Example:
        >>> from ravine.nn.dropout import Dropout
        >>> kinds_of(nn.Sequential(nn.Linear(2, 2), Dropout(0.5)))
        {'1': 'dropout'}
    """
    return {name: layer.kind for name, layer in stochastic_modules(module)}


def rates_at_test(module: nn.Module) -> list[str]:
    """The names of the rates that the mean pass depends on.

    Example:
        >>> from ravine.nn.dropout import Dropout
        >>> rates_at_test(nn.Sequential(Dropout(0.5), Dropout(0.5, scale="classic")))
        ['1.rate']
    """
    layers = stochastic_modules(module)
    return [buffer_name(name, "rate") for name, layer in layers if layer.rate_at_test]


def buffer_name(name: str, buffer: Literal["rate", "key"]) -> str:
    """The name of a stochastic layer's buffer in its module.

    Example:
        >>> buffer_name("1", "rate"), buffer_name("", "key")
        ('1.rate', 'key')
    """
    return f"{name}.{buffer}" if name else buffer


def stream(kind: str, name: str) -> str:
    """The random stream of the stochastic layer of that kind and name.

    Example:
        >>> stream("dropout", "layers.2")
        'dropout/layers.2'
    """
    return f"{kind}/{name}"


def layer_keys(
    kinds: Mapping[str, str], seed: int | Tensor, step: int | Tensor, draw: int | Tensor = 0
) -> dict[str, Tensor]:
    """The keys of the stochastic layers at one step, by the names of their buffers.

    Args:
        kinds: of the layers, by name, from `kinds_of`.
        seed: of the run; or one per run, (R,).
        step: counted from 0; broadcasts against the seeds.
        draw: number of a Monte Carlo pass; each has its own streams. A Python integer.

    Returns:
        ``{"name.key": key}``, for `torch.func.functional_call`; each of the broadcast shape.

    Example:
        >>> layer_keys({"1": "dropout"}, seed=torch.arange(3), step=0)["1.key"].shape
        torch.Size([3])
    """
    suffix = f"/{draw}" if draw else ""
    return {
        buffer_name(name, "key"): rng.key(seed, stream(kind, name) + suffix, step)
        for name, kind in kinds.items()
    }


@contextmanager
def mode(module: nn.Module, mode: Mode | None) -> Iterator[None]:
    """Within it, every stochastic layer of `module` is in that mode, whatever `train()` and `eval()` say.

    Args:
        module: any module.
        mode: ``"sample"``, ``"mean"``, ``"mc"``, or None to leave the choice to `train()` and `eval()`.

    Example:
        >>> from ravine.nn.dropout import Dropout
        >>> layer = Dropout(0.5).eval()
        >>> with mode(layer, "mc"):
        ...     y = layer(torch.ones(1000))
        >>> bool((y == 0).any()), bool((layer(torch.ones(3)) == 1).all())
        (True, True)
    """
    layers = [m for _, m in stochastic_modules(module)]
    before = [m.mode for m in layers]
    fast = torch.backends.mha.get_fastpath_enabled()
    for m in layers:
        m.mode = mode
    if mode is not None:
        # That of a whole transformer layer in eval mode passes over its dropout.
        torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for m, old in zip(layers, before, strict=True):
            m.mode = old


def set_keyed(module: nn.Module, keyed: bool = True) -> nn.Module:
    """Set whether the keys of the stochastic layers are supplied from outside, as the engine does.

    Args:
        module: changed in place.
        keyed: True: each draw is `key`'s. False: each call draws from torch's generator.

    Returns:
        The module.

    Example:
        >>> from ravine.nn.dropout import Dropout
        >>> layer = set_keyed(Dropout(0.5))
        >>> inputs = {"key": rng.key(0, "dropout/"), "rate": torch.tensor(0.2)}
        >>> torch.func.functional_call(layer, inputs, torch.ones(4)).shape
        torch.Size([4])
    """
    for _, m in stochastic_modules(module):
        m.keyed = keyed
    return module
