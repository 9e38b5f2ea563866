"""Machine code of what modules are made of, and of its gradients, against PyTorch's: many functions in each program."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
import torch
from native_functions import normal, run
from torch import Tensor
from torch.nn import functional as F

Functions = Mapping[str, Callable[[Tensor], Tensor]]


def check(functions: Functions, x: Tensor, tolerance: float = 2e-5) -> None:
    """Values and gradients by x of all functions; float32, sums in another order."""

    def program(x: Tensor, *weights: Tensor) -> tuple[Tensor, ...]:
        found = []
        for function, weight in zip(functions.values(), weights, strict=True):
            with torch.enable_grad():
                leaf = x.detach().requires_grad_()
                value = function(leaf)
                found += [value.detach(), *torch.autograd.grad((value * weight).sum(), leaf)]
        return tuple(found)

    given = x, *(normal(*function(x).shape, seed=i + 1) for i, function in enumerate(functions.values()))
    mine, right = run(program, *given), program(*given)
    for i, name in enumerate(functions):
        for one, other in zip(mine[2 * i : 2 * i + 2], right[2 * i : 2 * i + 2], strict=True):
            torch.testing.assert_close(
                one, other, rtol=tolerance, atol=tolerance, msg=lambda text, name=name: f"{name}: {text}"
            )


def test_activations() -> None:
    names = (
        "hardswish", "hardsigmoid", "mish", "selu", "celu", "logsigmoid", "softshrink", "hardshrink", "relu6",
        "hardtanh", "glu",
    )  # fmt: skip
    functions: dict[str, Callable[[Tensor], Tensor]] = {name: getattr(F, name) for name in names}
    functions["prelu"] = lambda x: F.prelu(x, torch.tensor([0.25, 0.5, -0.1, 0.0, 2.0, 0.3]))
    # where pieces meet, too
    x = torch.cat(
        [
            normal(9, 6) * 3,
            torch.tensor([[-3.0, 3.0, 0.0, -0.5, 0.5, 6.0], [-1.0, 1.0, 25.0, -25.0, 1e-9, 2.0]]),
        ]
    )
    check(functions, x)


def test_functions_of_a_number() -> None:
    check(
        {
            "atan": torch.atan, "tan": torch.tan, "exp2": torch.exp2, "log2": torch.log2, "log10": torch.log10,
            "sinh": torch.sinh, "cosh": torch.cosh, "acos": torch.acos, "asin": torch.asin,
            "atan2": lambda x: torch.atan2(x, x - 0.5), "trunc": lambda x: (x * 5).trunc() * x,
            "fmod": lambda x: x.fmod(0.3), "remainder": lambda x: (x - 0.5).remainder(0.3),
            "clamp by a tensor": lambda x: x.clamp_min(x.detach().mean()),
        },
        torch.rand(5, 7, generator=torch.Generator().manual_seed(0)) * 0.9 + 0.05,
    )  # fmt: skip
    x = torch.tensor([torch.nan, torch.inf, -torch.inf, 1.0])
    (found,) = run(lambda x: (torch.nan_to_num(x, 7.0),), x)
    assert torch.equal(found, torch.nan_to_num(x, 7.0))


def test_statistics() -> None:
    check(
        {
            "std": lambda x: x.std(1), "var": lambda x: x.var((0, 2), correction=0), "norm": lambda x: x.norm(dim=2),
            "all": lambda x: (x.var() + x.std())[None], "normalize": lambda x: F.normalize(x, dim=1),
            "1-norm": lambda x: x.norm(p=1, dim=(0, 1)), "largest": lambda x: torch.linalg.vector_norm(x, torch.inf, 2),
            "cosine": lambda x: F.cosine_similarity(x, x + 1, 1), "cumsum": lambda x: x.cumsum(1),
            "var_mean": lambda x: torch.cat([*torch.var_mean(x, 1, keepdim=True)], 1),
        },
        normal(3, 6, 5),
    )  # fmt: skip


def test_arrangements() -> None:
    check(
        {
            "flip": lambda x: x.flip(1, 3), "roll": lambda x: x.roll((2, -1), (1, 2)),
            "repeat": lambda x: x.repeat(2, 1, 3, 1),
            "roll all": lambda x: x.roll(3), "shuffle": lambda x: F.pixel_shuffle(x, 2),
            "unshuffle": lambda x: F.pixel_unshuffle(x, 2), "channels": lambda x: F.channel_shuffle(x, 2),
            "mirrored": lambda x: F.pad(x, (1, 3, 2, 0), mode="reflect"),
            "repeated border": lambda x: F.pad(x, (1, 0, 2, 5), mode="replicate"),
            "enlarged": lambda x: F.interpolate(x, scale_factor=(2, 3)),
        },
        normal(2, 4, 4, 6),
    )  # fmt: skip


@pytest.mark.slow
def test_pooling_of_other_windows() -> None:
    check(
        {
            "so many": lambda x: F.adaptive_avg_pool2d(x, (2, 3)), "uneven": lambda x: F.adaptive_avg_pool2d(x, (3, 4)),
            "largest": lambda x: F.adaptive_max_pool2d(x, (4, 3)), "all": lambda x: F.adaptive_max_pool2d(x, 1),
            "whole windows only": lambda x: F.avg_pool2d(x, 3, ceil_mode=True),
            "without padding": lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
            "with padding": lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True),
            "wide": lambda x: F.max_pool2d(x, 5, 1, 2), "powers": lambda x: F.lp_pool2d(x, 2, 2),
            "neighbours": lambda x: F.local_response_norm(x, 2),
        },
        normal(2, 3, 8, 9),
    )  # fmt: skip


@pytest.mark.slow
def test_transposed_convolutions_by_input_and_weight() -> None:
    weights = {"plain": normal(4, 3, 3, 3), "groups": normal(4, 2, 3, 2), "each alone": normal(4, 1, 2, 2)}
    options: Mapping[str, Mapping[str, object]] = {
        "plain": {"stride": 2, "padding": 1, "output_padding": 1, "bias": normal(3)},
        "groups": {"groups": 2, "dilation": (2, 1)},
        "each alone": {"groups": 4, "stride": 2},
    }
    x = normal(2, 4, 5, 6, seed=8)
    check(
        {
            name: lambda x, name=name: F.conv_transpose2d(x, weights[name], **options[name])  # type: ignore[arg-type]
            for name in weights
        },
        x,
    )
    for name, weight in weights.items():
        check({name: lambda w, name=name: F.conv_transpose2d(x, w, **options[name])}, weight, 1e-4)  # type: ignore[arg-type]
