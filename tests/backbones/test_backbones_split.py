"""A body in two parts: cut where all ways lead through, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ravine import rng
from ravine.backbones.assembled import Assembled
from ravine.backbones.blocks import blocks
from ravine.backbones.split import Parts, split

X = (3, 8, 8)


class Chain(nn.Module):
    """Two stages, a residual block in the second; a class token's kind of parameter beside them."""

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            [nn.Sequential(self.layer(3), self.layer(4)), nn.Sequential(self.layer(4))]
        )
        self.scale = nn.Parameter(torch.ones(4, 1, 1))

    @staticmethod
    def layer(before: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(before, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        x = self.stages[0](x)
        return (x + self.stages[1](x)) * self.scale


class Around(Chain):
    """A way from the input to the end that leads around the second stage, closed by a factor of 0."""

    def forward(self, x: Tensor) -> Tensor:
        return self.stages[1](self.stages[0](x)) + 0.0 * x.mean((1, 2, 3), keepdim=True) * self.scale


class Drawing(Chain):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.dropout(x, 0.5))


class Deciding(Chain):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if x.mean() > 100 else -x)


class TrainingMatters(Chain):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + float(self.training)


class InPlace(Chain):
    """Whose second stage changes what it is given, and goes on with it."""

    class Stage(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = Chain.layer(4)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x.clamp_(min=0.5)) + x

    def __init__(self) -> None:
        super().__init__()
        self.stages[1] = self.Stage()


class Statement(Chain):
    """Something is changed in place, and what comes out of that is not used by this name."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.stages[0](x)
        x.clamp_(max=1e6)  # which changes none of the numbers that are tried
        return self.stages[1](x)


class Tied(nn.Module):
    """The first layer has the weights of the second, by whose name they are known."""

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleDict(
            {"1": nn.Conv2d(3, 3, 1), "0": nn.Conv2d(3, 3, 1), "2": nn.Conv2d(3, 4, 1)}
        )
        self.stages["0"].weight = self.stages["1"].weight

    def forward(self, x: Tensor) -> Tensor:
        return self.stages["2"](self.stages["1"](self.stages["0"](x)))


def whole(make: Callable[[], nn.Module]) -> Assembled:
    with rng.keyed_init(3):
        found = Assembled(make(), nn.Linear(4, 2))
    names: list[str] = []
    for name, module in found.body.named_modules():
        module.register_forward_pre_hook(lambda *_, name=name: names.append(name))  # type: ignore[misc]
    found.eval()(torch.ones(2, *X))
    for module in found.body.modules():
        module._forward_pre_hooks.clear()
    found.order = tuple(dict.fromkeys(names))
    return found


def parts(make: Callable[[], nn.Module], *trained: str) -> Parts | None:
    module = whole(make)
    names = [name for name, _ in module.named_parameters() if name.startswith(("head", *trained))]
    return split(module, names, X)


@pytest.mark.parametrize(
    ("trained", "place"),
    [
        ("body.stages.1", "stages.1.0.0"),  # what it is given is known, so the way around it is too
        ("body.stages.0.1", "stages.0.1.0"),
        (
            "body.stages.1.0.1",
            "stages.1.0",
        ),  # before its convolution, whose result the residual way does not have
    ],
)
def test_a_body_is_cut_as_late_as_all_ways_lead_through_one_place(trained: str, place: str) -> None:
    found = parts(Chain, trained)
    assert found is not None
    assert found.name == place
    assert found.shape == (4, 8, 8)
    original = whole(Chain)
    after = found.under(original.head).eval()
    x = torch.randn(3, *X)
    with torch.no_grad():
        assert torch.equal(after(found.before(x)), original(x))
    kept = {name: each for name, each in original.state_dict().items() if name in after.state_dict()}
    assert set(kept) == set(after.state_dict())
    assert any(name.startswith(trained) for name in kept)
    assert blocks(after) == blocks(original)


@pytest.mark.parametrize("make", [Around, Drawing, Deciding, TrainingMatters, InPlace, Statement, Tied])
def test_what_would_come_out_otherwise_is_not_cut(make: type[nn.Module]) -> None:
    assert parts(make, "body.stages.1") is None


def test_a_parameter_of_the_body_itself_is_trained_in_the_second_part() -> None:
    found = parts(Chain, "body.stages.1", "body.scale")
    assert found is not None
    assert "scale" in dict(found.after.named_parameters())


def test_nothing_comes_before_the_first_layer() -> None:
    assert parts(Chain, "body.stages.0") is None
