"""Code that asks torch for random numbers, made a function of (seed, stream, step, number of the draw)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from ravine.dispatch import OperationMode
from ravine.errors import ModelError
from ravine.rng.words import key


@contextmanager
def keyed_init(seed: int) -> Iterator[None]:
    """Within it, everything that torch draws is a pure function of `seed` and of the order of the draws.

    Meant for building an `nn.Module`, the user's own included: the weights depend on nothing but the seed.
    Torch's global generator is neither read nor changed. A generator that the code passes itself is
    respected; draws from `random` or NumPy are not seen.

    Args:
        seed: any 64-bit integer.

    Raises:
        ModelError: for a random operator that takes no generator.

    Example:
        >>> def build():
        ...     with keyed_init(seed=3):
        ...         return torch.nn.Linear(2, 2)
        >>> bool((build().weight == build().weight).all())
        True
    """
    with keyed_draws(seed, "init"):
        yield


@contextmanager
def keyed_draws(seed: int, stream: str, step: int = 0) -> Iterator[Drawing]:
    """Like `keyed_init`, for any stream and step: makes the pass of a module that draws random numbers repeatable.

    For one run at a time, without vmap or compile; the layers of `ravine.nn` don't need it. The numbers are torch's,
    so they differ between kinds of device.

    Args:
        seed: any 64-bit integer.
        stream: a name for what is drawn.
        step: any 64-bit integer.

    Yields:
        The mode, which counts the draws.

    Raises:
        ModelError: for a random operator that takes no generator.

    Example:
        >>> def noise(step):
        ...     with keyed_draws(seed=3, stream="forward", step=step):
        ...         return torch.nn.functional.dropout(torch.ones(100), 0.5)
        >>> bool((noise(0) == noise(0)).all()), bool((noise(0) == noise(1)).all())
        (True, False)
    """
    with Drawing(seed, stream, step) as drawing:
        yield drawing


class Drawing(OperationMode):
    """Gives each random operator a private generator, seeded by (seed, stream, step, number of the draw).

    Attributes:
        num_draws: how many operators have drawn.
    """

    def __init__(self, seed: int, stream: str, step: int) -> None:
        super().__init__()
        self._seed, self._stream, self._step = seed, stream, step
        self.num_draws = 0

    def _generator(self, device: torch.device) -> torch.Generator:
        word = key(self._seed, f"{self._stream}/{self.num_draws}", self._step).item()
        self.num_draws += 1
        return torch.Generator(device).manual_seed(int(word))

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = dict(kwargs or {})
        if not draws(func, args, kwargs) or kwargs.get("generator") is not None:
            return func(*args, **kwargs)
        first = next((a for a in args if isinstance(a, Tensor)), None)
        device = torch.device(kwargs.get("device") or "cpu") if first is None else first.device
        if device.type == "meta":  # has no numbers
            return func(*args, **kwargs)
        return _with_generator(func)(*args, **{**kwargs, "generator": self._generator(device)})


def draws(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether a call of an ATen operator draws random numbers.

    False, too, for an operator that can draw but has its dropout off, as attention and recurrent layers mostly do.

    Args:
        func: an operator overload, as a dispatch mode sees it.
        args: its arguments.
        kwargs: its keyword arguments.

    Returns:
        True if the result depends on a generator.

    Example:
        >>> draws(torch.ops.aten.native_dropout.default, (torch.ones(2), 0.0, True), {})
        False
    """
    if torch.Tag.nondeterministic_seeded not in func.tags:
        return False
    arguments = func._schema.arguments
    values = {a.name: a.default_value for a in arguments if a.has_default_value()}
    values |= dict(zip((a.name for a in arguments), args, strict=False)) | dict(kwargs)
    rate = next((values[n] for n in ("dropout_p", "dropout") if n in values), None)
    if func.overloadpacket is torch.ops.aten.native_dropout:
        rate = values["p"]
    return rate != 0 and values.get("train", values.get("training", True)) is not False


@lru_cache(maxsize=256)
def _with_generator(func: Any) -> Callable[..., Any]:
    """The overload of a random operator that takes a generator, with otherwise the same arguments."""
    wanted = [a.name for a in func._schema.arguments if a.name != "generator"]
    packet = func.overloadpacket
    for overload in [func, *(getattr(packet, name) for name in packet.overloads())]:
        names = [a.name for a in overload._schema.arguments]
        if "generator" in names and [n for n in names if n != "generator"] == wanted:
            return overload  # type: ignore[no-any-return]
    # Operators that have none, in torch 2.10 or in all versions, by their definitions.
    if func is torch.ops.aten.rand_like.default:
        return lambda x, *, generator, **kw: torch.empty_like(x, **kw).uniform_(generator=generator)
    if func is torch.ops.aten.randn_like.default:
        return lambda x, *, generator, **kw: torch.empty_like(x, **kw).normal_(generator=generator)
    if func is torch.ops.aten.native_dropout.default:
        return _native_dropout
    raise ModelError(f"model: {func} draws random numbers but takes no generator, so it cannot be seeded")


def _native_dropout(
    x: Tensor, p: float, _train: bool | None, *, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    mask = torch.empty_like(x, dtype=torch.bool).bernoulli_(1 - p, generator=generator)
    return x * mask * (1 / (1 - p) if p < 1 else 0.0), mask
