"""Why a stochastic layer makes training take longer: what its masks do to the gradient at given weights.

Shapes: M draw, P numbers of one run, B batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ravine import rng
from ravine.landscapes.findings import Measuring
from ravine.landscapes.slowness import END, START, AtPoint, Chosen, Slowness
from ravine.launch.trained import Trained
from ravine.store import Store
from ravine.study import Study


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """Of gradients that differ by a draw.

    Args:
        share: of (example, hidden unit) pairs whose gradient is not 0.
        noise: variance of the gradient, summed over its numbers, by the square of its mean's length.
    """

    share: float
    noise: float


def measure(
    study: Study,
    store: Store,
    chosen: Chosen,
    *,
    draws: int,
    search: Path | None = None,
    device: str = "auto",
) -> Iterator[Measuring | Slowness]:
    """What each rate does to the gradients, at the weights with which training starts and at those where it ends.

    The weights are the same for all rates: initial ones, and those of the runs with the lowest rate.

    Args:
        study: whose data and model.
        store: where the runs are.
        chosen: the runs, and how long they took.
        draws: masks for each rate, and minibatches without any; at least 2.
        search: the study file's folder.
        device: "auto", "cpu", "cuda" or "mps".

    Yields:
        How far it is, and last what was found.
    """
    lowest = chosen.rates[0].records
    every = [record for each in chosen.rates for record in each.records]
    trained = Trained.of(study, store, every, search=search, device=device, examples=10**9)
    points: list[AtPoint] = []
    total = 2 * len(lowest) * (1 + len(chosen.rates))
    done = 0
    for record in lowest:
        ending_1P, others = trained.weights([record.id])
        initial = {
            name: tensor.to(trained.device) for name, tensor in trained.network.initial(record.seed).items()
        }
        starting_1P = trained.network.layout.pack(
            {name: initial[name][None] for name in trained.network.layout.names}
        )
        for point, at_1P, beside in (
            (START, starting_1P, {name: initial[name] for name in trained.others}),
            (END, ending_1P, {name: tensor[0] for name, tensor in others.items()}),
        ):
            views = {name: view[0] for name, view in trained.network.layout.views(at_1P).items()}
            look = _Look(trained=trained, params=views, others=beside, seed=record.seed)
            size = min(int(record.recipe["batch_size"]), len(trained.train.y))
            whole = look.hypers(record.recipe["hypers"], {chosen.hyper: 0.0})
            sampled = look.moments(whole, [look.batch(i, size) for i in range(draws)], [0] * draws)
            done += 1
            yield Measuring(done=done, all=total)
            for each in chosen.rates:
                hypers = look.hypers(record.recipe["hypers"], {chosen.hyper: each.rate})
                found = look.moments(hypers, [look.batch(0, size)] * draws, range(draws))
                points.append(
                    AtPoint(
                        point=point, seed=record.seed, rate=each.rate,
                        share=found.share, noise=found.noise, sampling=sampled.noise,
                    )
                )  # fmt: skip
                done += 1
                yield Measuring(done=done, all=total)
    yield Slowness(chosen=chosen, points=tuple(points), draws=draws)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """Gradients of one run's loss at given weights.

    Args:
        trained: the model and its training data.
        params: the weights.
        others: every other tensor of the model.
        seed: of the run: batches and masks are keyed by it, as in training.
    """

    trained: Trained
    params: Mapping[str, Tensor]
    others: Mapping[str, Tensor]
    seed: int

    def batch(self, number: int, size: int) -> Tensor:
        """The examples of one of the batches of training."""
        num = len(self.trained.train.y)
        epoch, place = divmod(number, num // size)
        order = rng.permutation(rng.key(self.seed, "order", epoch), num)
        return order[place * size : (place + 1) * size].to(self.trained.device)

    def hypers(self, recipe: Mapping[str, float], changed: Mapping[str, float]) -> dict[str, Tensor]:
        """The rates of the stochastic layers, some of them changed."""
        found = self.trained.network.rates([{**recipe, **changed}], self.trained.device)
        return {name: rate[0] for name, rate in found.items()}

    def moments(
        self, rates: Mapping[str, Tensor], batches: Sequence[Tensor], numbers: Sequence[int]
    ) -> Moments:
        """Of the gradients of some batches, each with the masks of a step."""
        trained, params = self.trained, {n: p.detach().requires_grad_() for n, p in self.params.items()}
        objective = trained.objective(fused=False)
        flats, shares = _Sums(), []
        for rows, number in zip(batches, numbers, strict=True):
            keys = trained.network.keys(torch.tensor([self.seed]), torch.tensor(number))
            own = {name: key[0].to(trained.device) for name, key in keys.items()}
            buffers = {name: self.others[name].clone() for name in trained.network.buffers}
            fixed = {name: self.others[name] for name in trained.network.fixed}
            x, y = trained.train.x[rows], trained.train.y[rows]
            with torch.enable_grad(), Units(trained.network.module) as units:
                loss, _, _ = objective.training_loss({**params, **fixed, **rates, **own}, buffers, {}, x, y)
                grads = torch.autograd.grad(
                    loss, list(params.values()), materialize_grads=True, allow_unused=True
                )
            flats.add(torch.cat([grad.flatten() for grad in grads]).double().cpu())
            shares.append(units.share)
        return Moments(share=sum(shares) / len(shares), noise=flats.relative_variance())


class _Sums:
    """Sums over vectors, of how far they are from the first: those that are all alike have no variance at all."""

    def __init__(self) -> None:
        self._first_P = self._total_P = torch.zeros(0, dtype=torch.float64)
        self._squares, self._num = 0.0, 0

    def add(self, vector_P: Tensor) -> None:
        if not self._num:
            self._first_P, self._total_P = vector_P, torch.zeros_like(vector_P)
        far_P = vector_P - self._first_P
        self._total_P = self._total_P + far_P
        self._squares += float(far_P.square().sum())
        self._num += 1

    def relative_variance(self) -> float:
        """Variance by squared mean, both without bias; infinite where the mean cannot be told from 0."""
        off_P = self._total_P / self._num
        variance = (self._squares - self._num * float(off_P.square().sum())) / (self._num - 1)
        square = float((self._first_P + off_P).square().sum()) - variance / self._num
        return variance / square if square > 0.0 else float("inf")


class Units:
    """Within it, counts the hidden units of a module whose gradient is not 0, example by example.

    A unit is an output of a layer that has a weight matrix; the last such layer has the module's outputs.

    Args:
        module: the module.
    """

    def __init__(self, module: nn.Module) -> None:
        layers = [each for each in module.modules() if _is_layer(each)]
        self._hooks = [layer.register_forward_hook(self._note) for layer in layers]
        self._outputs: list[list[float]] = []

    def __enter__(self) -> Units:
        return self

    def __exit__(self, *error: object) -> None:
        for hook in self._hooks:
            hook.remove()

    @property
    def share(self) -> float:
        """Of the hidden units, after a backward pass."""
        hidden = [counts for counts in self._outputs[:-1] if counts]
        total = sum(num for _, num in hidden)
        return sum(active for active, _ in hidden) / total if total else float("nan")

    def _note(self, _module: nn.Module, _given: object, output: Tensor) -> None:
        counts: list[float] = []
        self._outputs.append(counts)

        def count(grad: Tensor) -> None:
            counts[:] = [float((grad != 0).sum()), float(grad.numel())]

        output.register_hook(count)


def _is_layer(module: nn.Module) -> bool:
    weight = module._parameters.get("weight")
    return weight is not None and weight.dim() >= 2
