from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ravine import rng
from ravine.errors import ModelError
from ravine.rng import torch_draws

MODULES: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: nn.Linear(4, 3),
    "conv": lambda: nn.Conv2d(2, 3, 3),
    "batchnorm": lambda: nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)),
    "embedding": lambda: nn.Embedding(5, 4),
    "attention": lambda: nn.MultiheadAttention(8, 2),
    "lstm": lambda: nn.LSTM(3, 4),
    "transformer": lambda: nn.TransformerEncoderLayer(8, 2, 16),
    "deep": lambda: nn.Sequential(*(nn.Linear(4, 4) for _ in range(3))),
}

INITS: dict[str, Callable[[Tensor], object]] = {
    "orthogonal": nn.init.orthogonal_,
    "trunc_normal": nn.init.trunc_normal_,
    "kaiming_normal": nn.init.kaiming_normal_,
    "kaiming_uniform": nn.init.kaiming_uniform_,
    "xavier": nn.init.xavier_uniform_,
    "sparse": lambda w: nn.init.sparse_(w, 0.3),
}

DRAWS: dict[str, Callable[[], Tensor]] = {
    "rand": lambda: torch.rand(6),
    "randn": lambda: torch.randn(6),
    "randn_like": lambda: torch.randn_like(torch.zeros(6)),
    "rand_like": lambda: torch.rand_like(torch.zeros(6, dtype=torch.float64)),
    "randint": lambda: torch.randint(1000, (6,)),
    "randint_low": lambda: torch.randint(10, 1000, (6,)),
    "randint_like": lambda: torch.randint_like(torch.zeros(6), 1000),
    "randperm": lambda: torch.randperm(20),
    "normal_method": lambda: torch.empty(6).normal_(),
    "uniform_method": lambda: torch.empty(6).uniform_(2, 3),
    "random_method": lambda: torch.empty(6).random_(1000),
    "bernoulli_method": lambda: torch.empty(40).bernoulli_(0.5),
    "exponential_method": lambda: torch.empty(6).exponential_(),
    "bernoulli": lambda: torch.bernoulli(torch.full((40,), 0.5)),
    "normal": lambda: torch.normal(torch.zeros(6), torch.ones(6)),
    "normal_floats": lambda: torch.normal(0.0, 1.0, (6,)),
    "multinomial": lambda: torch.multinomial(torch.ones(20), 10),
    "poisson": lambda: torch.poisson(torch.full((20,), 9.0)),
    "dropout": lambda: F.dropout(torch.ones(40), 0.5),
    "native_dropout": lambda: torch.native_dropout(torch.ones(40), 0.5, True)[0],
    "dropout2d": lambda: F.dropout2d(torch.ones(5, 8, 2, 2), 0.5),
    "alpha_dropout": lambda: F.alpha_dropout(torch.ones(40), 0.5, training=True),
    "rrelu": lambda: F.rrelu(-torch.ones(40), training=True),
    "attention": lambda: F.scaled_dot_product_attention(*torch.ones(3, 2, 8, 8), dropout_p=0.5),
    "gumbel": lambda: F.gumbel_softmax(torch.zeros(6)),
}


def in_state(state: int, make: Callable[[], object]) -> object:
    """make() while torch's generator is in a certain state; asserts that it is left in it."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(state)
        before = torch.get_rng_state()
        made = make()
        assert torch.equal(before, torch.get_rng_state())
    return made


def build(make: Callable[[], nn.Module], seed: int) -> nn.Module:
    with rng.keyed_init(seed):
        return make()


@pytest.mark.parametrize("name", MODULES)
def test_initial_weights_depend_on_the_seed_alone(name: str) -> None:
    first, again = (in_state(state, lambda: build(MODULES[name], 7)) for state in (1, 2))
    other = build(MODULES[name], 8)
    assert isinstance(first, nn.Module)
    assert isinstance(again, nn.Module)
    for key, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[key])
    assert any(not torch.equal(v, other.state_dict()[k]) for k, v in first.state_dict().items())


def test_layers_differ_from_each_other() -> None:
    net = build(MODULES["deep"], 0)
    assert isinstance(net, nn.Sequential)
    assert not torch.equal(net[0].weight, net[1].weight)


@pytest.mark.parametrize("name", INITS)
def test_inits_of_torch(name: str) -> None:
    def draw() -> Tensor:
        with rng.keyed_init(3):
            w = torch.empty(8, 6)
            INITS[name](w)
        return w

    assert torch.equal(in_state(1, draw), in_state(2, draw))


def test_weights_have_torchs_distribution() -> None:
    w = build(lambda: nn.Linear(100, 1000), 0).get_parameter("weight").detach()
    assert float(w.abs().max()) <= 0.1
    assert float(w.std()) == pytest.approx(0.1 / 3**0.5, rel=0.02)


@pytest.mark.parametrize("name", DRAWS)
def test_every_draw_is_repeatable_and_leaves_the_generator_alone(name: str) -> None:
    def draw(step: int = 0) -> Tensor:
        with rng.keyed_draws(3, "forward", step):
            return DRAWS[name]()

    first = in_state(1, draw)
    assert isinstance(first, Tensor)
    assert torch.equal(first, in_state(2, draw))
    assert not torch.equal(first, draw(step=1))
    plain = DRAWS[name]()
    assert plain.shape == first.shape
    assert plain.dtype == first.dtype


def test_two_draws_differ() -> None:
    with rng.keyed_init(0):
        assert not torch.equal(torch.rand(5), torch.rand(5))


def test_a_generator_of_the_user_is_respected() -> None:
    mine = torch.Generator().manual_seed(5)
    with rng.keyed_init(0):
        got = torch.rand(4, generator=mine)
    assert torch.equal(got, torch.rand(4, generator=torch.Generator().manual_seed(5)))


def test_meta_tensors_pass() -> None:
    with rng.keyed_init(0), torch.device("meta"):
        assert nn.Linear(3, 2).weight.is_meta


def test_dropout_has_the_right_gradient_and_rate() -> None:
    x = torch.ones(10_000, requires_grad=True)
    with rng.keyed_draws(0, "forward"):
        y, mask = torch.native_dropout(x, 0.25, True)
    y.sum().backward()
    assert torch.equal(x.grad, mask / 0.75)
    assert torch.equal(y, x * mask / 0.75)
    assert mask.float().mean().item() == pytest.approx(0.75, abs=0.025)


def test_a_training_pass_and_its_backward_are_repeatable() -> None:
    layer = build(lambda: nn.TransformerEncoderLayer(8, 2, 16, dropout=0.5, batch_first=True), 0)

    def gradient(step: int) -> Tensor:
        m = copy.deepcopy(layer)
        with rng.keyed_draws(1, "forward", step):
            m(torch.ones(2, 3, 8)).square().sum().backward()
        return torch.cat([p.grad.flatten() for p in m.parameters() if p.grad is not None])

    assert torch.equal(gradient(0), gradient(0))
    assert not torch.equal(gradient(0), gradient(1))


def test_an_operator_without_generator_is_refused_by_name() -> None:
    flash = torch.ops.aten._scaled_dot_product_flash_attention.default
    with pytest.raises(ModelError, match=r"flash_attention.* draws random numbers"):
        torch_draws._with_generator(flash)
