"""What training makes small: a run's examples through its network, and the outputs against the answers.

Every question about a run's loss is asked here, in PyTorch and where machine code is made by tracing these functions:
the gradients and Hessians of a step, scores, and products with a Hessian after training.

Shapes: R run, B batch, S seed, N example, K output, P numbers of one run, W of them without the gaps, H rows of a
Hessian.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.func import vmap
from torch.utils._pytree import tree_map

from ravine.engine.aligned import AlignedProducts
from ravine.engine.loss import Loss
from ravine.engine.network import Network
from ravine.engine.state import Constants, Data
from ravine.nn.functional import batched_kernels

HESSIAN_ROWS = 64  # of a Hessian that one backward pass makes

# Examples that go through a network at once, and how many of them where they are pictures. In PyTorch they are counted
# for all runs together, which bounds the memory of activations, of which a second derivative keeps several; machine
# code takes one run at a time, and so few examples that their numbers stay in a core's caches.
_SCORES, _CURVATURE = (1 << 16, 512), (1 << 15, 512)
_NATIVE_SCORES, _NATIVE_PRODUCTS = (256, 64), (128, 32)

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """The loss of runs of one model, as a function of their tensors.

    Args:
        network: the model.
        loss: of their outputs.
        fused: all runs at once under vmap; False: exactly one run, without it.
        made: training gets batches that were made for the runs, (G, B, ...), instead of a training set.
    """

    network: Network
    loss: Loss
    fused: bool = False
    made: bool = False

    def training_loss(
        self,
        tensors: Tensors,
        buffers: Tensors,
        of_loss: Tensors,
        x: Tensor,
        y: Tensor,
        weights: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Of one run on a batch in training: loss, accuracy, and the buffers after the pass.

        Args:
            tensors: parameters, trained or not, and the rates and keys of stochastic layers.
            buffers: before the pass.
            of_loss: numbers that the loss takes, by name.
            x: the batch, which the model may change in place.
            y: its answers; of a classification classes, or a probability of each.
            weights: of its examples; None: all count alike.
        """
        with self.network.passing(x.device):
            output, buffers = self.network.pure(tensors, buffers, x)
        if self.network.precision == "bfloat16":
            output = output.float()
        return *self.loss.training(output, y, of_loss, weights), {
            name: tensor.detach() for name, tensor in buffers.items()
        }

    def output(self, tensors: Tensors, x: Tensor) -> Tensor:
        """Of one run, in the mode that the network's module is in: (N, K)."""
        return self.network.pure(tensors, {}, x.clone())[0]  # a module may change its input in place

    def each_loss(self, tensors: Tensors, x: Tensor, y: Tensor) -> Tensor:
        """Of one run, the loss of each example, (N,)."""
        return self.loss.scores(self.output(tensors, x), y)[0]

    def mean_loss(self, tensors: Tensors, x: Tensor, y: Tensor) -> Tensor:
        """Of all runs in the mode that the network's module is in, (R,).

        Args:
            tensors: (R, ...) each.
            x: examples that all runs see.
            y: their answers.
        """

        def one(tensors: Tensors) -> Tensor:
            return self.loss.mean(self.output(tensors, x), y)

        found: Tensor = self._each_run(one, (tensors if self.fused else _first(tensors),), ())
        return found

    def gradients(
        self,
        points_RP: Tensor,
        buffers: Mapping[str, Tensor],
        constants: Constants,
        data: Data,
        rows_SB: Tensor | None,
        number: Tensor,
        hessians: list[Tensor] | None = None,
    ) -> tuple[dict[str, Tensor], tuple[Tensor, Tensor]]:
        """Gradients (R, ...) by name, losses and accuracies (R,) of a batch of each run in training.

        Args:
            points_RP: where they are taken.
            buffers: of the runs; they are brought up to date in place.
            constants: of the runs.
            data: the training set, or the batches that were made.
            rows_SB: the examples of each seed's batch; None: a batch is the whole training set, or was made.
            number: of the step that masks are drawn for, from 0: one for all runs, or (R,).
            hessians: gets one more, of all runs; None: none is wanted.
        """
        network = self.network
        given = {**constants.fixed, **constants.rates, **network.keys(constants.seeds_R, number)}

        def one(
            params: Tensors, given: Tensors, buffers: Tensors, of_loss: Tensors, *examples: Tensor
        ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
            return self.training_loss({**params, **given}, buffers, of_loss, *examples)

        views = {
            name: view.detach().requires_grad_() for name, view in network.layout.views(points_RP).items()
        }
        with torch.enable_grad(), batched_kernels(), self.alike():
            examples, dim = self._batch(data, rows_SB, constants)
            tensors: tuple[Tensors, ...] = (views, given, buffers, constants.of_loss)
            if not self.fused:
                tensors = (channels_last(_first(views)), *(_first(each) for each in tensors[1:]))
            loss_R, accuracy_R, after = self._each_run(one, tensors, examples, dim)
            # No run's loss depends on another's parameters: the gradient of the sum is made of that of each.
            points = list(views.values())
            grads = gradient(loss_R.sum(), points, with_graph=hessians is not None)
            if hessians is not None:
                hessians.append(hessian(grads, points).detach())
                grads = tuple(grad.detach() for grad in grads)
        for name, buffer in buffers.items():
            buffer.copy_(after[name])
        return dict(zip(views, grads, strict=True)), (loss_R.detach(), accuracy_R.detach())

    def scores(
        self, params_RP: Tensor, others: Tensors, split: Data, *, chunk: int | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Outputs in eval mode, (R, N, K), and loss and accuracy of each example, (R, N).

        For regression both are the squared error.

        Args:
            params_RP: the runs' parameters.
            others: every other tensor of the model, (R, ...) by name.
            split: the examples.
            chunk: how many go through the network at once; None: as many as bound its memory.
        """
        x = split.x
        size = chunk or _score_chunk(x, len(params_RP))
        tensors: Tensors = {**self.network.layout.views(params_RP), **others}
        if not self.fused:
            tensors = channels_last(_first(tensors))
            if x.dim() == 4:
                x = x.clone(memory_format=torch.channels_last)  # as in training
        with torch.no_grad(), self.evaluating(), AlignedProducts():
            parts = [self._each_run(self.output, (tensors,), (part,)) for part in x.split(size)]
            outputs_RNK = torch.cat(parts, 1)
        return outputs_RNK, *self.loss.scores(outputs_RNK, split.y)

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Within it, the model neither drops nor averages anything, and vmap meets only kernels that it can batch."""
        self.network.module.eval()
        try:
            with batched_kernels():
                yield
        finally:
            self.network.module.train()

    def alike(self) -> Any:
        """Within it, products and sums come out the same whatever neighbours a run has; a run alone has none."""
        return AlignedProducts() if self.fused else nullcontext()

    def _batch(
        self, data: Data, rows_SB: Tensor | None, constants: Constants
    ) -> tuple[tuple[Tensor, ...], int | None]:
        """Examples, answers and perhaps weights, which may be changed, and the dimension of runs that they have."""
        found, dim, batch_index_R = data.tensors, None, constants.batch_index_R
        of_set = dict(constants.of_set)
        starts_R = of_set.pop("answers", None)
        if self.made and self.fused:
            found, dim = tuple(each.index_select(0, batch_index_R) for each in found), 0
        elif self.made:
            found = tuple(each[0] for each in found)
        elif rows_SB is not None and self.fused:
            rows_RB = rows_SB.index_select(0, batch_index_R)
            of_x = rows_RB.flatten()
            of_y = of_x if starts_R is None else (rows_RB + starts_R[:, None]).flatten()
            rows = (of_x, of_y, *[of_x] * (len(found) - 2))
            found = tuple(
                each.index_select(0, some).unflatten(0, rows_RB.shape)
                for each, some in zip(found, rows, strict=True)
            )
            dim = 0
        elif rows_SB is not None:
            of_y = rows_SB[0] if starts_R is None else rows_SB[0] + starts_R[0]
            rows = (rows_SB[0], of_y, *[rows_SB[0]] * (len(found) - 2))
            found = tuple(each.index_select(0, some) for each, some in zip(found, rows, strict=True))
        x, *others = found
        if of_set:
            assert rows_SB is not None, "a fold is some rows of what all share"
            x = rescaled(x, {name: t.unsqueeze(1) if dim == 0 else t[0] for name, t in of_set.items()})
        if not self.fused and x.dim() == 4:
            return (x.clone(memory_format=torch.channels_last), *others), dim
        return (x.clone() if rows_SB is None and dim is None else x, *others), dim

    def _each_run(
        self,
        function: Callable[..., Any],
        tensors: Sequence[Tensors],
        examples: Sequence[Tensor],
        dim: int | None = None,
    ) -> Any:
        """What a function of one run finds for each, (R, ...).

        Args:
            function: of one run's tensors and examples.
            tensors: those of all runs under vmap, or of the one run that there is.
            examples: of all runs the same, or each run's own.
            dim: the dimension of runs that the examples have.
        """
        if self.fused:
            in_dims = (*[0] * len(tensors), *[dim] * len(examples))
            return vmap(function, in_dims=in_dims)(*tensors, *examples)
        return tree_map(lambda found: found.unsqueeze(0), function(*tensors, *examples))


def rescaled(x: Tensor, of_set: Tensors) -> Tensor:
    """Shared inputs as a fold has them: ``(x - shift) factor``, and ``fill`` where x is missing.

    There is no product before a sum in it, which somebody might round once instead of twice: so its bits are those of
    `ravine.data.rescaling.Rescaling`.

    Args:
        x: (..., N, ...).
        of_set: to go with it.
    """
    found = (x - of_set["shift"]) * of_set["factor"]
    return torch.where(x.isnan(), of_set["fill"], found) if "fill" in of_set else found


def gradient(loss: Tensor, params: Sequence[Tensor], *, with_graph: bool = False) -> tuple[Tensor, ...]:
    """Of a number, with respect to parameters: zeros where it does not depend on one."""
    return torch.autograd.grad(
        loss, params, create_graph=with_graph, allow_unused=True, materialize_grads=True
    )


def product(
    grads: Sequence[Tensor], params: Sequence[Tensor], vectors: Sequence[Tensor], *, again: bool = False
) -> tuple[Tensor, ...] | None:
    """The Hessian times a vector, by a second backward pass (Pearlmutter, 1994); None: the loss is linear.

    No run's gradient depends on another's parameters, so the product for their sum is made of that of each.

    Args:
        grads: with the graph of the first pass.
        params: what they are gradients of.
        vectors: of the parameters' shapes.
        again: whether the graph is used once more.
    """
    slope = torch.stack([(grad * vector).sum() for grad, vector in zip(grads, vectors, strict=True)]).sum()
    if not slope.requires_grad:
        return None
    return torch.autograd.grad(slope, params, retain_graph=again, allow_unused=True, materialize_grads=True)


def hessian(grads: Sequence[Tensor], params: Sequence[Tensor]) -> Tensor:
    """The Hessian of every run, (R, W, W), from gradients that have a graph: backward passes under vmap.

    No run's gradient depends on another's parameters, so one pass makes a row for all runs.

    Args:
        grads: (R, ...) each.
        params: what they are gradients of.
    """
    num_runs = len(params[0])
    sizes = [param[0].numel() for param in params]
    total = sum(sizes)
    like = params[0]
    if not any(grad.requires_grad for grad in grads):  # a loss that is linear
        return like.new_zeros((num_runs, total, total))
    eye_WW = torch.eye(total, dtype=like.dtype, device=like.device)
    rows = []
    for basis_HW in eye_WW.split(HESSIAN_ROWS):
        pieces = basis_HW[:, None].expand(-1, num_runs, -1).split(sizes, 2)
        outputs = [
            (grad, piece.reshape(len(basis_HW), *grad.shape))
            for grad, piece in zip(grads, pieces, strict=True)
            if grad.requires_grad
        ]
        with AlignedProducts(by_rows=True):
            found = torch.autograd.grad(
                [grad for grad, _ in outputs],
                params,
                [piece for _, piece in outputs],
                retain_graph=True,
                is_grads_batched=True,
                allow_unused=True,
                materialize_grads=True,
            )
        rows.append(torch.cat([each.flatten(2) for each in found], 2))
    whole_RWW = torch.cat(rows).transpose(0, 1)
    return 0.5 * (whole_RWW + whole_RWW.mT)


def channels_last(tensors: Tensors) -> dict[str, Tensor]:
    """One run's tensors with those of convolutions laid out channels last: the results then are, and are faster."""
    # Not by `contiguous`, which leaves a single channel in strides that convolutions take for channels first.
    last = torch.channels_last
    return {name: t.clone(memory_format=last) if t.dim() == 4 else t for name, t in tensors.items()}


def _score_chunk(x: Tensor, num_runs: int) -> int:
    """Examples at once, cut between rows at which kernels begin anew."""
    limit = _SCORES[x.dim() == 4 and x.device.type == "cpu"]
    return max(64, limit // num_runs // 16 * 16)


def curvature_chunk(x: Tensor, num_runs: int) -> int:
    """Examples at once where second derivatives are taken in PyTorch."""
    return max(16, _CURVATURE[x.dim() == 4] // num_runs)


def native_chunk(x: Tensor, *, second: bool = False) -> int:
    """Examples at once in machine code, also where second derivatives are taken."""
    return min(len(x), (_NATIVE_PRODUCTS if second else _NATIVE_SCORES)[x.dim() > 2])


def _first(tensors: Tensors) -> dict[str, Tensor]:
    return {name: tensor[0] for name, tensor in tensors.items()}
