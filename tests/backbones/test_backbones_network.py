"""A network with a new head: weights out of files, the cut, the numbered blocks, what stays frozen."""

from __future__ import annotations

import pytest
import torch
from small import forget, saved, small, study_folder
from torch import nn

from ravine import rng
from ravine.backbones import scratch
from ravine.backbones.assembled import assembled, facts_of, head_of
from ravine.backbones.blocks import blocks, hold
from ravine.errors import ModelError
from ravine.nn.spec import Backbone

SHAPE = (3, 8, 8)
HEAD = {"head.output.weight", "head.output.bias"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    found = study_folder(tmp_path_factory.mktemp("study"))
    saved(found, small().state_dict())
    yield found
    forget()


def of(folder, **keys):
    spec = Backbone(**{"target": "net:Small", "weights": "file:w.safetensors", **keys})
    with rng.keyed_init(3):
        return assembled(spec, SHAPE, 7, search=folder)


def variant(folder, change, name="v.safetensors"):
    """A network with the weights of a file in which something is otherwise."""
    return of(folder, weights=f"file:{saved(folder, change(small().state_dict()), name).name}")


def test_the_body_computes_what_the_network_computed_before_its_last_layer(folder):
    net, x = small().eval(), torch.rand(6, *SHAPE)
    found = of(folder).eval()
    seen = []
    net.fc.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    net(x)
    assert torch.equal(found.features(x), seen[0])
    assert torch.equal(found(x), found.head(seen[0]))
    assert found(x).shape == (6, 7)
    names = {name.partition(".")[0] for name, _ in found.named_parameters()}
    assert names == {"body", "head"}
    assert not any("fc" in name for name, _ in found.named_parameters())


def test_the_head_is_drawn_by_the_seed_whatever_the_body_is(folder):
    with rng.keyed_init(3):
        alone = head_of(Backbone(target="net:Small").head, 8, 7, ())
    for keys in ({}, {"weights": None}, {"weights": "random:5"}, {"norm": "adapt"}):
        head = of(folder, **keys).head
        assert all(torch.equal(a, b) for a, b in zip(alone.parameters(), head.parameters(), strict=True)), (
            keys
        )
    assert (
        float(alone.output.weight.detach().abs().max()) <= 8**-0.5
    )  # PyTorch's own: uniform within 1 / sqrt(fan-in)


def test_without_weights_the_body_is_drawn_by_the_seed(folder):
    one, other = (of(folder, weights=None).body.conv1.weight for _ in range(2))
    with rng.keyed_init(4):
        third = assembled(Backbone(target="net:Small"), SHAPE, 7, search=folder).body.conv1.weight
    assert torch.equal(one, other)
    assert not torch.equal(one, third)


def test_random_weights_are_drawn_by_their_number_whatever_the_seed_is(folder):
    def body(number, seed):
        with rng.keyed_init(seed):
            return assembled(
                Backbone(target="net:Small", weights=f"random:{number}"), SHAPE, 7, search=folder
            ).body.conv1.weight

    assert torch.equal(body(0, 3), body(0, 4))
    assert not torch.equal(body(0, 3), body(1, 3))
    assert not torch.equal(body(0, 3), of(folder).body.conv1.weight)


def test_only_the_head_may_be_missing_or_of_another_number_of_classes(folder):
    whole = of(folder).body.state_dict()
    for change in (
        lambda t: {k: v for k, v in t.items() if not k.startswith("fc.")},
        lambda t: {**t, "fc.weight": torch.randn(1000, 8) * 1e30, "fc.bias": torch.zeros(1000)},
        lambda t: {k: v for k, v in t.items() if "num_batches" not in k},
    ):
        found = variant(folder, change)
        assert all(torch.isfinite(p).all() and p.abs().max() < 10 for p in found.parameters())
        assert all(torch.equal(found.body.state_dict()[k], v) for k, v in whole.items() if "num" not in k)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.module."])
def test_prefixes_of_wrappers_are_stripped_in_any_order(folder, prefix):
    found = variant(folder, lambda t: {prefix + k: v for k, v in t.items()})
    assert torch.equal(found.body.conv1.weight, of(folder).body.conv1.weight)


WRONG = {
    "a letter of a name": (
        lambda t: {k.replace("conv2", "conv_2"): v for k, v in t.items()},
        "lacks tensor 'conv2.weight' of the network; it has 'conv_2.weight', which the network has not; only the head, "
        "'fc', may be missing",
    ),
    "a tensor more": (
        lambda t: {**t, "conv1.bais": torch.zeros(4)},
        "tensor 'conv1.bais' has no place in the network",
    ),
    "another shape": (
        lambda t: {**t, "conv1.weight": torch.zeros(4, 1, 3, 3)},
        "tensor 'conv1.weight' is 4 x 1 x 3 x 3, the network's is 4 x 3 x 3 x 3: these are weights of another network",
    ),
    "a single number": (
        lambda t: {**t, "bn1.weight": torch.tensor(1.0)},
        "tensor 'bn1.weight' is a single number, the network's is 4: these are weights of another network",
    ),
    "whole numbers": (
        lambda t: {**t, "conv1.weight": torch.ones(4, 3, 3, 3, dtype=torch.int8)},
        "tensor 'conv1.weight' is int8, the network's is float32",
    ),
    "one tensor twice": (
        lambda t: {**t, "module.conv1.weight": t["conv1.weight"].clone()},
        "are both 'conv1.weight' of the network",
    ),
    "another network": (
        lambda t: {"layer1.weight": torch.zeros(2), "fc.weight": t["fc.weight"]},
        "these are weights of another network: of the 10 tensors of Small 10 are not in the file, such as "
        "'conv1.weight' (it has ",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_whatever_else_differs_is_named(folder, name):
    change, words = WRONG[name]
    with pytest.raises(ModelError) as raised:
        variant(folder, change, f"{name.replace(' ', '_')}.safetensors")
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_tensor_that_layers_share_may_be_stored_once(tmp_path):
    (tmp_path / "tied.py").write_text(
        MODULE
        + """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.fc = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False), nn.Linear(2, 3)
        self.b.weight = self.a.weight
    def forward(self, x):
        return self.fc(self.b(self.a(x)))
"""
    )
    saved(tmp_path, {"a.weight": torch.eye(2) * 2, "fc.weight": torch.zeros(3, 2), "fc.bias": torch.zeros(3)})
    model = assembled(Backbone(target="tied:Net", weights="file:w.safetensors"), (2,), 3, search=tmp_path)
    assert torch.equal(model.features(torch.ones(1, 2)), torch.full((1, 2), 4.0))


def test_frozen_norms_do_not_move_by_a_bit_and_shifted_batches_see_them_as_they_are(folder):
    model = of(folder)
    norms = {k: v.clone() for k, v in model.state_dict().items() if ".bn" in k}
    assert norms
    assert not any(p.requires_grad for name, p in model.named_parameters() if ".bn" in name)
    parent = nn.Sequential(model).train().eval().train()
    x = torch.rand(16, *SHAPE) * 3 + 5  # far from what the statistics say
    with_dropout = [m for m in model.modules() if type(m).__name__ == "Dropout"]
    for each in with_dropout:
        each.eval()
    trained_output = parent(x)
    trained_output.square().mean().backward()
    with torch.no_grad():
        for p in model.parameters():
            if p.requires_grad:
                p -= 0.1 * p.grad
    assert all(torch.equal(model.state_dict()[k], v) for k, v in norms.items())
    again = of(folder)
    again_train = again.train()
    for each in again.modules():
        if type(each).__name__ == "Dropout":
            each.eval()
    in_training = again_train(x)
    assert torch.equal(in_training, again.eval()(x))
    assert torch.equal(in_training, trained_output)


def test_affine_trains_scales_and_keeps_statistics_and_adapt_changes_both(folder):
    x = torch.rand(16, *SHAPE) + 5
    affine, adapt = of(folder, norm="affine"), of(folder, norm="adapt")
    for model, moves in ((affine, False), (adapt, True)):
        before = model.body.bn1.running_mean.clone()
        model(x).square().mean().backward()
        assert torch.equal(model.body.bn1.running_mean, before) is not moves
        assert model.body.bn1.weight.grad.abs().max() > 0


def test_what_is_not_trained_is_held_in_eval_mode(folder):
    model = hold(of(folder), HEAD)
    x = torch.rand(4, *SHAPE)
    nn.Sequential(model).eval().train()
    assert model.training
    assert model.head.training
    assert not model.body.training
    assert torch.equal(model(x), model(x))  # a body with dropout, two passes
    free = hold(model, {name for name, _ in model.named_parameters()})
    assert free.body.training
    assert not torch.equal(free(x), free(x))
    # From the second block on: what comes before it, dropout included, is still.
    part = hold(of(folder, norm="adapt"), {*HEAD, *blocks(of(folder))[1]})
    before = part.body.bn1.running_mean.clone(), part.body.bn2.running_mean.clone()
    part.train()(x)
    assert torch.equal(part.body.bn1.running_mean, before[0])
    assert not part.body.drop.training
    assert not torch.equal(part.body.bn2.running_mean, before[1])
    assert part.body.bn2.training


def test_a_frozen_body_drops_no_paths(tmp_path):
    (tmp_path / "paths.py").write_text(
        MODULE
        + """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 1), nn.Linear(4, 2)
    def forward(self, x):
        x = self.conv(x)
        if self.training:
            x = x * (torch.rand(len(x), 1, 1, 1) > 0.5)
        return self.fc(x.mean((-2, -1)))
"""
    )
    model = assembled(Backbone(target="paths:Net"), SHAPE, 7, search=tmp_path)
    x = torch.rand(64, *SHAPE)
    assert not torch.equal(model(x), model(x))
    hold(model, HEAD)
    parent = nn.Sequential(model).eval().train()
    assert torch.equal(parent(x), parent(x))
    assert torch.equal(parent(x), model.eval()(x))


def test_weights_may_lack_metadata_and_be_shorter(folder):
    halves = {
        name: each.half() if each.is_floating_point() else each for name, each in small().state_dict().items()
    }
    whole = {name: each.float() if each.is_floating_point() else each for name, each in halves.items()}
    file = saved(folder, halves, "halves.safetensors")
    assert b"__metadata__" not in file.read_bytes()
    found, same = (
        of(folder, weights="file:halves.safetensors"),
        variant(folder, lambda _: whole, "same.safetensors"),
    )
    for name, each in found.state_dict().items():
        assert each.dtype == (torch.int64 if "num" in name else torch.float32)
        assert torch.equal(each, same.state_dict()[name])


def test_blocks_of_a_plain_network_are_its_layers_with_their_norms(folder):
    assert blocks(of(folder)) == (
        ("body.conv1.weight", "body.bn1.weight", "body.bn1.bias"),
        ("body.conv2.weight", "body.bn2.weight", "body.bn2.bias"),
    )


class _Unit(nn.Module):
    def __init__(self, width: int, short: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 1)
        self.norm = nn.BatchNorm2d(width)
        self.down = nn.Sequential(nn.Conv2d(width, width, 1), nn.BatchNorm2d(width)) if short else None

    def forward(self, x):
        return self.norm(self.conv(x)) + (x if self.down is None else self.down(x))


class _Stage(nn.Module):
    def __init__(self, width: int, num: int) -> None:
        super().__init__()
        self.scale = nn.Conv2d(width, width, 1)
        self.units = nn.Sequential(*(_Unit(width) for _ in range(num)))

    def forward(self, x):
        return self.units(self.scale(x))


class Residual(nn.Module):
    """Stem, lists of blocks (one in stages of their own), and what comes after them."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.zeros(1))
        self.stem = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.layer1 = nn.Sequential(_Unit(4, short=True), _Unit(4))
        self.stages = nn.ModuleList([_Stage(4, 2), _Stage(4, 1)])
        self.last = nn.Conv2d(4, 6, 1)
        self.fc = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))

    def forward(self, x):
        x = self.layer1(self.norm(self.stem(x + self.token)))
        for stage in self.stages:
            x = stage(x)
        return self.fc(self.last(x).mean((-2, -1)))


def test_blocks_are_elements_of_lists_and_of_stages():
    from ravine.backbones.assembled import Assembled

    body = Residual()
    body.fc = nn.Identity()
    found = blocks(Assembled(body, nn.Linear(6, 2)))
    parts = [sorted({name.removeprefix("body.").rpartition(".")[0] for name in block}) for block in found]
    assert parts[0] == ["", "norm", "stem"]
    assert parts[1] == ["layer1.0.conv", "layer1.0.down.0", "layer1.0.down.1", "layer1.0.norm"]
    assert parts[3:5] == [["stages.0.scale"], ["stages.0.units.0.conv", "stages.0.units.0.norm"]]
    assert len(parts) == 9
    assert parts[-1] == ["last"]
    assert sorted(sum(found, ())) == sorted(f"body.{name}" for name, _ in body.named_parameters())


MODULE = "from torch import nn\nimport torch\n"


def test_the_cut_is_guessed_from_the_pass_or_named(tmp_path):
    (tmp_path / "cuts.py").write_text(
        MODULE
        + """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.last = nn.Linear(4, 2)  # registered first, called last
        self.first = nn.Linear(12, 6)
        self.second = nn.Sequential(nn.Linear(6, 4), nn.ReLU())
        self.idle = nn.Linear(3, 3)

    def forward(self, x):
        x = self.second(self.first(x.flatten(1)))
        return {"logits": self.last(x)}["logits"] * 2
"""
    )

    def built(**keys):
        with rng.keyed_init(0):
            return assembled(Backbone(target="cuts:Net", **keys), (3, 2, 2), 3, search=tmp_path)

    x = torch.rand(5, 3, 2, 2)
    facts = facts_of(Backbone(target="cuts:Net"), (3, 2, 2), tmp_path)
    assert (facts.cut.name, facts.width, facts.cut.last) == ("last", 4, False)
    whole = built()
    body = whole.body
    assert torch.equal(whole.features(x), body.second(body.first(x.flatten(1))))
    early = built(cut="second")
    assert torch.equal(early.features(x), early.body.first(x.flatten(1)))
    # What comes after the cut is no part of the network any more.
    assert not any("last" in name or "second" in name for name, _ in early.named_parameters())
    with pytest.raises(
        ModelError, match=r"^model\.cut = 'lats': Net has no such module; did you mean 'last'\?"
    ):
        built(cut="lats")
    with pytest.raises(ModelError, match=r"^model\.cut = 'idle': is never called in a pass"):
        built(cut="idle")


def test_maps_and_tokens_are_averaged_over_their_places(folder):
    model = of(folder, cut="bn2")
    x = torch.rand(2, *SHAPE)
    assert torch.allclose(
        model.eval().features(x), model.body.conv2(model.body.bn1(model.body.conv1(x)).relu()).mean((2, 3))
    )


def test_networks_without_a_linear_layer_and_grey_pictures(tmp_path):
    (tmp_path / "odd.py").write_text(
        MODULE
        + """
class Maps(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 1)
    def forward(self, x):
        return self.conv(x)
class Broken(Maps):
    def forward(self, x):
        raise ValueError("no\\nsuch thing")
"""
    )

    def built(name, shape=(3, 4, 4)):
        return assembled(Backbone(target=f"odd:{name}"), shape, 2, search=tmp_path)

    with pytest.raises(
        ModelError, match=r"^model\.cut: missing: Maps has no linear layer .*: a pass ends with conv$"
    ):
        built("Maps")
    with pytest.raises(
        ModelError, match=r"^model: Broken fails on an input of shape \(2, 3, 4, 4\): ValueError: no"
    ):
        built("Broken")
    with pytest.raises(ModelError, match=r"^model: the pictures are grey, the network wants colours: "):
        built("Maps", (1, 4, 4))
    with pytest.raises(ModelError, match=r"^model: the pictures have 5 channels, the network wants 3$"):
        built("Maps", (5, 4, 4))
    with pytest.raises(
        ModelError,
        match=r"^model: the examples are rows of 4 numbers; Maps has convolutions, which take pictures$",
    ):
        built("Maps", (4,))


def test_small_pictures_are_noted(tmp_path):
    (tmp_path / "deep.py").write_text(
        MODULE
        + """
def net(squeeze=False):
    layers = []
    for _ in range(3):
        layers += [nn.Conv2d(3, 3, 3, stride=2, padding=1), nn.ReLU()]
    if squeeze:
        layers += [nn.AdaptiveAvgPool2d(1), nn.Conv2d(3, 3, 1)]
    return nn.Sequential(*layers, nn.Flatten(), nn.LazyLinear(4))
"""
    )

    def notes(side, cut=None, **args):
        spec = Backbone(target="deep:net", args=args, cut=cut or ("6" if not args else "8"))
        return facts_of(spec, (3, side, side), tmp_path).notes

    assert notes(16) == ()
    assert notes(16, squeeze=True) == ()
    assert notes(8) == (
        "pictures of 8 x 8 pixels are too small for this network: from its layer '4' on, maps have 1 x 1 places; bring "
        "them to size = 16 or more",
    )
    assert notes(8, cut="4") == ()  # that layer is no part of the network then


def test_scratch_is_the_network_without_what_it_has_learned():
    spec = Backbone(target="net:Small", weights="file:w.safetensors", head={"hidden": [4]}, cut="fc")
    assert scratch(spec) == Backbone(target="net:Small", norm="adapt", head={"hidden": [4]}, cut="fc")
    assert scratch(Backbone(weights="hf:./folder")).target == "hf:./folder"
