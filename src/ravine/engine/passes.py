"""Passes of finished runs at test: the mean pass, or Monte Carlo passes in which stochastic layers draw.

Sample n of a run at an example is a function of (seed, n, example): the layers' keys are those of stream ``/n`` at the
step that is the example's number, and each example goes through the network as a batch of its own (`vmap`). So samples
depend neither on what is evaluated at once nor on how many there are. The module is in eval mode, BatchNorm too; only
its stochastic layers draw.

What comes before the first layer that draws is the same for all samples of an example, and is computed once.

Shapes: R run, N example, B example of a chunk, S sample, K output, P numbers of one run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Literal, final

import torch
from torch import Tensor
from torch.func import vmap

from ravine.engine.objective import Objective
from ravine.nn.stochastic import Stochastic, layer_keys, mode, stochastic_modules

Tensors = Mapping[str, Tensor]
Draw = Literal["example", "batch"]
Passes = Callable[[Tensors, Tensors, Tensor], Tensor]
"""Of one run's tensors, keys and examples: outputs (B, S, K)."""

# Examples times samples that go through a network at once, and how many of them where examples are pictures. In machine
# code so few that their numbers stay in a core's caches.
_AT_ONCE, _NATIVE_AT_ONCE = (1 << 14, 256), (512, 128)
_MOST_SAMPLES = 64  # of an example at once
_OUTPUTS = 1 << 22  # that are kept before they are handed on


@dataclass(frozen=True, slots=True, kw_only=True)
class Points:
    """Finished runs of one model, whose rates may differ.

    Args:
        params_RP: their parameters.
        others: every other tensor of the model, (R, ...) by name.
        rates: of the stochastic layers, (R,) by name.
        seeds: of the runs.
    """

    params_RP: Tensor
    others: Tensors
    rates: Tensors
    seeds: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.seeds)

    def row(self, number: int) -> Points:
        """One run."""
        at = slice(number, number + 1)
        return Points(
            params_RP=self.params_RP[at],
            others={name: tensor[at] for name, tensor in self.others.items()},
            rates={name: tensor[at] for name, tensor in self.rates.items()},
            seeds=self.seeds[at],
        )


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Which samples are drawn.

    Args:
        samples: how many.
        draw: "example": each example has masks of its own; "batch": all examples have the same ones.
    """

    samples: int
    draw: Draw = "example"

    def blocks(self) -> list[range]:
        """The numbers of the samples, from 1 (0 is training's), in blocks of about the same size."""
        num = -(-self.samples // _MOST_SAMPLES)
        size = -(-self.samples // num)
        return [
            range(first, min(first + size, self.samples + 1)) for first in range(1, self.samples + 1, size)
        ]

    def keys(
        self, layers: Mapping[str, str], seeds_R: Tensor, examples_N: Tensor, block: range
    ) -> dict[str, Tensor]:
        """The keys of the layers by name of the buffer: (R, N, S), or (R, S) where all examples have the same."""
        alike = self.draw == "batch"
        seeds, step = (
            (seeds_R, torch.zeros((), dtype=torch.int64)) if alike else (seeds_R[:, None], examples_N)
        )
        found = [layer_keys(layers, seeds, step, draw=number) for number in block]
        return {name: torch.stack([keys[name] for keys in found], -1) for name in found[0]}


@contextmanager
def drawing(objective: Objective) -> Iterator[None]:
    """Within it, the model evaluates but for its stochastic layers, which draw."""
    with torch.no_grad(), objective.evaluating(), mode(objective.network.module, "mc"):
        yield


def sampled(objective: Objective, draw: Draw) -> Passes:
    """The outputs of one run for some examples and samples: (tensors, keys, x) -> (B, S, K).

    Args:
        objective: of the run.
        draw: see `Sampling`.
    """

    def one(tensors: Tensors, keys: Tensors, x: Tensor) -> Tensor:
        return objective.network.pure({**tensors, **keys}, {}, x[None])[0][0]

    samples = vmap(one, in_dims=(None, 0, None))
    return vmap(samples, in_dims=(None, 0 if draw == "example" else None, 0))


def side_by_side(objective: Objective, draw: Draw) -> Passes:
    """The same for a model that `vmap` cannot take: all examples in one batch, only the layers that draw under `vmap`.

    It fails where such a layer does not have the examples in its first dimension. Whether these are the samples must be
    compared with `one_by_one`.
    """
    layers = [layer for _, layer in stochastic_modules(objective.network.module)]

    def each(tensors: Tensors, keys: Tensors, x_B: Tensor) -> Tensor:
        num = next(iter(keys.values())).shape[-1]
        with _alone(layers, len(x_B), draw):
            passes = [
                objective.network.pure(
                    {**tensors, **{name: key[..., s] for name, key in keys.items()}}, {}, x_B.clone()
                )[0]
                for s in range(num)
            ]
        return torch.stack(passes, 1)

    return each


@contextmanager
def _alone(layers: Sequence[Stochastic], num: int, draw: Draw) -> Iterator[None]:
    """Within it, each layer draws for every example of a batch by a key of its own."""

    def forward(layer: Stochastic, x: Tensor) -> Tensor:
        if len(x) != num:
            raise ValueError("examples are not in the first dimension")

        def one(x: Tensor, key: Tensor) -> Tensor:
            return layer.sample(x[None], key)[0]

        return vmap(one, in_dims=(0, 0 if draw == "example" else None))(x, layer.key)

    for layer in layers:
        layer.forward = partial(forward, layer)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def one_by_one(objective: Objective, draw: Draw) -> Passes:
    """The same for a model that `vmap` cannot take: as many passes as there are examples and samples."""

    def each(tensors: Tensors, keys: Tensors, x_B: Tensor) -> Tensor:
        rows = []
        for i, x in enumerate(x_B):
            own = {name: key[i] if draw == "example" else key for name, key in keys.items()}
            num = len(next(iter(own.values())))
            passes = [
                objective.network.pure({**tensors, **{n: k[s] for n, k in own.items()}}, {}, x[None].clone())[
                    0
                ][0]
                for s in range(num)
            ]
            rows.append(torch.stack(passes))
        return torch.stack(rows)

    return each


def per_chunk(x: Tensor, num_samples: int, *, native: bool = False) -> int:
    """Examples at once."""
    limit = (_NATIVE_AT_ONCE if native else _AT_ONCE)[x.dim() > 2]
    return min(len(x), max(1, limit // num_samples))


def per_part(num_examples: int, per_example: int, chunk: int) -> int:
    """Examples whose outputs are kept at once: whole chunks."""
    return min(num_examples, max(1, _OUTPUTS // per_example // chunk) * chunk)
