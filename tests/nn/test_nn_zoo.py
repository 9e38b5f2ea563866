"""Every module of the zoo, fused over three runs, against plain autograd on each run alone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap
from torch.nn import functional as F
from unkeyed import unkeyed_randomness
from zoo import ZOO, Animal

from ravine import rng
from ravine.nn.build import check_output
from ravine.nn.functional import as_function, batched_kernels
from ravine.nn.stochastic import kinds_of, layer_keys, set_keyed, stochastic_modules

R, B, STEP = 3, 4, 5
Tensors = dict[str, Tensor]


def modules(animal: Animal) -> list[nn.Module]:
    made = []
    for seed in range(R):
        with rng.keyed_init(seed):
            made.append(set_keyed(animal.factory()))
    return made


def stacked(dicts: list[Tensors]) -> Tensors:
    return {n: torch.stack([d[n].detach() for d in dicts]) for n in dicts[0]}


def batch(animal: Animal) -> tuple[Tensor, Tensor]:
    seeds = torch.arange(R)
    x = rng.normal(rng.key(seeds, "x"), (B, *animal.input_shape))
    return x, rng.integers(rng.key(seeds, "y"), (B,), animal.num_outputs)


def fused(
    template: nn.Module, made: list[nn.Module], x: Tensor, y: Tensor
) -> tuple[Tensors, Tensor, Tensors]:
    """Gradients, losses and buffers after a training pass, each with a leading R."""
    f = as_function(template)
    params = stacked([dict(m.named_parameters()) for m in made])
    fixed = {n: params.pop(n) for n, p in template.named_parameters() if not p.requires_grad}
    keys = layer_keys(kinds_of(template), torch.arange(R), STEP)
    buffers = stacked([dict(m.named_buffers()) for m in made]) | keys

    def loss(p: Tensors, fixed: Tensors, b: Tensors, x: Tensor, y: Tensor) -> tuple[Tensor, Tensors]:
        output, b = f({**p, **fixed}, b, x)
        return F.cross_entropy(output, y), b

    with batched_kernels():
        gradients, (losses, after) = vmap(grad_and_value(loss, has_aux=True))(params, fixed, buffers, x, y)
    return gradients, losses, after


@pytest.mark.parametrize("animal", ZOO, ids=lambda a: a.name)
def test_fused_equals_alone(animal: Animal) -> None:
    made, (x, y) = modules(animal), batch(animal)
    template = modules(animal)[0]
    if animal.cannot_fuse:
        with pytest.raises(RuntimeError, match=animal.cannot_fuse):
            fused(template, made, x, y)
        return
    gradients, losses, after = fused(template, made, x, y)
    # The template is left without a trace.
    for (name, tensor), (_, fresh) in zip(
        template.state_dict().items(), modules(animal)[0].state_dict().items(), strict=True
    ):
        assert torch.equal(tensor, fresh), name
    assert all(isinstance(p, nn.Parameter) for p in template.parameters())
    for i, m in enumerate(made):
        for (_, layer), key in zip(
            stochastic_modules(m),
            layer_keys(kinds_of(m), i, STEP).values(),
            strict=True,
        ):
            layer.key = key
        loss = F.cross_entropy(m(x[i]), y[i])
        loss.backward()
        # float32: sums of other lengths in another order; gradients here are of order 1.
        assert torch.allclose(losses[i], loss, rtol=1e-5, atol=1e-6)
        trained = {n: p for n, p in m.named_parameters() if p.requires_grad}
        assert trained.keys() == gradients.keys()
        for name, p in trained.items():
            assert torch.allclose(gradients[name][i], p.grad, rtol=1e-4, atol=1e-5), name
        for name, b in m.named_buffers():
            assert torch.allclose(after[name][i].double(), b.double(), rtol=1e-5, atol=1e-6), name
    if any(isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d) for m in template.modules()):
        assert any(n.endswith("num_batches_tracked") and (b >= 1).all() for n, b in after.items())


@pytest.mark.parametrize("animal", ZOO, ids=lambda a: a.name)
def test_zoo_passes_the_check_and_has_no_unkeyed_randomness(animal: Animal) -> None:
    module = animal.factory()
    check_output(module, animal.input_shape, animal.num_outputs)
    assert unkeyed_randomness(module, animal.input_shape) == []


def test_a_module_with_two_names_stays_whole() -> None:
    """torch.func.functional_call with tie_weights leaves inner tensors behind in such a module."""
    animal = next(a for a in ZOO if a.name == "tied-layer")
    module = animal.factory()
    f = as_function(module)
    params = {n: p.detach() * 2 for n, p in module.named_parameters()}
    f(params, dict(module.named_buffers()), torch.ones(B, 6))
    assert all(isinstance(p, nn.Parameter) for p in module.parameters())


def test_functional_call_of_torch_agrees_on_tied_weights() -> None:
    animal = next(a for a in ZOO if a.name == "tied")
    module, x = animal.factory(), torch.ones(B, 6)
    params = {n: p.detach() * 2 for n, p in module.named_parameters()}
    assert "decode.weight" not in params
    want = functional_call(module, params, (x,), tie_weights=True)
    assert torch.equal(as_function(module)(params, {}, x)[0], want)


@pytest.mark.parametrize("name", ["dropout", "batchnorm2d"])
def test_a_run_does_not_depend_on_its_cohort(name: str) -> None:
    animal = next(a for a in ZOO if a.name == name)
    made, (x, y) = modules(animal), batch(animal)
    template = modules(animal)[0]
    all_three, _, _ = fused(template, made, x, y)
    # The keys of `fused` are those of seeds 0..R-1: the first two, in a smaller cohort.
    smaller = vmap_of_two(template, made[:2], x[:2], y[:2])
    for n, g in smaller.items():
        assert torch.allclose(g, all_three[n][:2], rtol=1e-5, atol=1e-6)


def vmap_of_two(template: nn.Module, made: list[nn.Module], x: Tensor, y: Tensor) -> Tensors:
    f = as_function(template)
    params = stacked([dict(m.named_parameters()) for m in made])
    buffers = stacked([dict(m.named_buffers()) for m in made])
    buffers |= layer_keys(kinds_of(template), torch.arange(2), STEP)
    return vmap(torch.func.grad(lambda p, b, x, y: F.cross_entropy(f(p, b, x)[0], y)))(params, buffers, x, y)
